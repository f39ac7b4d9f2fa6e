package train

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/model"
)

// settings makes a configuration of a file, where text is not empty, and of assignments, over the defaults of a run
// without a file.
func settings(t *testing.T, text string, set ...string) (Config, string, error) {
	t.Helper()
	s := Defaults(Demo())
	if text != "" {
		path := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.Load(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range set {
		if err := s.Set(x); err != nil {
			t.Fatal(err)
		}
	}
	return s.Config()
}

// Defaults follow what is set: no setting is refused for one that nobody made, and what somebody made stays.
func TestDefaultsFollow(t *testing.T) {
	type values = map[string]string
	for _, c := range []struct {
		file    string
		set     string // spaces between
		want    values
		brought string
	}{
		{"", "", values{"model.pre_conv": "true", "model.variant": `"lm"`}, ""},
		{"", "model.block=hybrid", values{"model.pre_conv": "false"}, ""},
		{"", "model.block=ttt", values{"model.pre_conv": "true"}, ""},
		{"", "model.variant=video", values{"model.pre_conv": "true"}, ""},
		{"", "model.block=hybrid train.fault=near-keys", values{"model.pre_conv": "false", "model.variant": `"video"`}, "model.variant=video"},
		{"", "train.fault=std-aliased", values{"model.variant": `"video"`, "model.block": `"ttt"`}, "model.variant=video"},
		{"", "train.fault=future-leak", values{"model.variant": `"lm"`}, ""},
		{"", "train.fault=std-aliased model.variant=video", values{"model.variant": `"video"`}, ""},
		{"[train]\nfault = \"raw-keys\"", "", values{"model.variant": `"video"`, "model.pre_conv": "false"}, "model.variant=video"},
		{"[model]\nvariant = \"video\"", "train.fault=raw-keys", values{"model.variant": `"video"`}, ""},
		{"[model]\nblock = \"hybrid\"", "", values{"model.pre_conv": "false"}, ""},
		{"", "model.variant=video train.seq_len=4096", values{"model.max_position_embeddings": "4096"}, ""},
		{"", "model.variant=lm train.seq_len=4096", values{"model.max_position_embeddings": "2048"}, ""},
		{"", "model.block=hybrid model.max_position_embeddings=64", values{"train.seq_len": "64"}, ""},
		{"[train]\nseq_len = 4096", "model.block=hybrid", values{"model.max_position_embeddings": "4096"}, ""},
	} {
		got, brought, err := settings(t, c.file, strings.Fields(c.set)...)
		if err != nil || brought != c.brought {
			t.Errorf("%q %s: brings %q, want %q; %v", c.file, c.set, brought, c.brought, err)
		}
		for _, v := range Values(got) {
			if want, ok := c.want[v.Key]; ok && want != v.Value {
				t.Errorf("%q %s: %s is %s, want %s", c.file, c.set, v.Key, v.Value, want)
			}
		}
	}
	for _, c := range []struct{ file, set, want string }{
		{"", "model.block=hybrid model.pre_conv=true", "hybrid has no pre_conv"},
		{"[model]\npre_conv = true", "model.block=hybrid", "hybrid has no pre_conv"},
		{"", "train.fault=std-aliased model.variant=lm", `variant "lm" has no normaliser of the target, want "video"`},
		{"[model]\nvariant = \"lm\"", "train.fault=std-aliased", `variant "lm" has no normaliser of the target, want "video"`},
		{"", "train.fault=std-aliased model.use_gate=true", "train.fault std-aliased brings model.variant=video"},
		{"", "model.variant=video model.max_position_embeddings=64 train.seq_len=65", "max_position_embeddings 64"},
		{"", "train.fault=nonsense", `fault "nonsense", want one of`},
		{"", "train.fault=raw-keys model.block=hybrid model.layers=none", "no TTT layer"},
	} {
		if _, _, err := settings(t, c.file, strings.Fields(c.set)...); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %s: got %v, want %s", c.file, c.set, err, c.want)
		}
	}
}

// A configuration of which everything is kept is what it was, or refused, and never another.
func TestKeep(t *testing.T) {
	c := Demo()
	c.Model.Block = model.BlockHybrid
	s := Defaults(c)
	s.Keep("")
	if got, _, err := s.Config(); err == nil || len(Diff(c, got)) > 0 {
		t.Errorf("all kept: %v %v, want a refusal for pre_conv", err, Diff(c, got))
	}
	s = Defaults(c)
	s.Keep("train.")
	if got, _, err := s.Config(); err != nil || got.Model.PreConv {
		t.Errorf("the training's kept: %v, pre_conv %v", err, got.Model.PreConv)
	}
	s.Put("train.seed", uint64(1<<63-1))
	if got, _, err := s.Config(); err != nil || got.Train.Seed != 1<<63-1 {
		t.Errorf("put: %v %v", got.Train.Seed, err)
	}
}

// The browser's reader notes the same keys as the library.
func TestKeysOfTOML(t *testing.T) {
	for _, text := range []string{"", "device = \"cpu\"\n[train]\nlr = 1\nfault = ''\n[model]\n[sample]\nprompts = [\"a\"]\n", string(smallEncode(Demo()))} {
		a, b := map[string]bool{}, map[string]bool{}
		x, y := Default(), Default()
		if err := decodeTOML("f", []byte(text), &x, a); err != nil {
			t.Fatal(err)
		}
		if err := smallRead("f", []byte(text), &y, b); err != nil {
			t.Fatal(err)
		}
		for _, v := range Values(x) {
			if a[v.Key] != b[v.Key] {
				t.Errorf("%q: %s set %v in the library's, %v in the small reader", text, v.Key, a[v.Key], b[v.Key])
			}
		}
		if n := len(a); text != "" && (n == 0 || !a["train.lr"]) {
			t.Errorf("%q: %d keys", text, n)
		}
	}
}
