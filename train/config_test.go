package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSchedule(t *testing.T) {
	o := Options{Steps: 10, WarmupSteps: 4, LR: 2, MinLRRatio: 0.1}
	// A linear warm-up to 2 in 4 steps, then 6 steps of a cosine from 2 to 0.2: 1.1 + 0.9 cos(pi i/5).
	for i, want := range []float64{0.5, 1, 1.5, 2, 2, 1.828115294937453, 1.378115294937453, 0.821884705062547, 0.371884705062547, 0.2, 0.2} {
		if got := o.Schedule(i + 1); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: got %v, want %v", i+1, got, want)
		}
	}
	for _, c := range []struct {
		o    Options
		step int
		want float64
	}{
		{Options{Steps: 5, LR: 3}, 1, 3},                      // no warm-up
		{Options{Steps: 5, LR: 3}, 5, 0},                      // down to nothing
		{Options{Steps: 1, LR: 3}, 1, 3},                      // one step
		{Options{Steps: 2, WarmupSteps: 8, LR: 4}, 2, 1},      // ends in the warm-up
		{Options{Steps: 3, WarmupSteps: 2, LR: 4}, 3, 4},      // one step after it
		{Options{Steps: 9, LR: 3, MinLRRatio: 1}, 7, 3},       // constant
		{Options{Steps: 1 << 30, LR: 1, MinLRRatio: 0}, 1, 1}, // no overflow
	} {
		if got := c.o.Schedule(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v: step %d: got %v, want %v", c.o, c.step, got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[model]\nhidden_size = 64\n  hiden_size = 3\n", "f.toml:3:3: unknown key model.hiden_size"},
		{"nix = 1", "f.toml:1:1: unknown key nix"},
		{"[nix]\na = 1", "f.toml:1:2: unknown table [nix]: want one of [model], [data], [train], [sample]"},
		{"[model]\nhidden_size = \"x\"", "f.toml:2:15: model.hidden_size: got \"x\", want an integer"},
		{"[train]\nlr = true", "f.toml:2:6: train.lr: got true, want a number"},
		{"[model]\nuse_gate = 1", "f.toml:2:12: model.use_gate: got 1, want true or false"},
		{"model = 3", "f.toml:1:9: model is a table: want one of its keys, as in model.vocab_size"},
		{"[train]\nseed = -1", "f.toml:2:8: train.seed: "},
		{"[train]\nlr = ", "f.toml:2:"},
		{"[train\n", "f.toml:1:"},
		{"[train]\nlr = 1\nlr = 2", "f.toml:"},
		{"\xff", "f.toml:1:"},
	} {
		_, err := Parse("f.toml", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line %s...", c.text, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	c, err := Parse("f.toml", []byte("device = \"cpu\"\n[model]\nhidden_size = 64\n[train]\nlr = 1\n[sample]\nprompts = []\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Device, want.Model.HiddenSize, want.Train.LR, want.Sample.Prompts = "cpu", 64, 1, []string{}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml")); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// fill changes every value of a configuration.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Tag.Get("toml") == "-" {
			continue
		}
		switch f.Kind() {
		case reflect.Struct:
			fill(f)
		case reflect.Int:
			f.SetInt(f.Int() + 3)
		case reflect.Uint64:
			f.SetUint(1<<63 - 1) // the largest that TOML has
		case reflect.Float64:
			f.SetFloat(f.Float()*1.25 + 1e-9)
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.String:
			f.SetString("a \"b\" 'c' \\d\n\u00e9")
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"'", "\"", "\n", ""}))
		}
	}
}

// What Text writes Parse reads back, every value of it, and it explains itself.
func TestTextRoundTrip(t *testing.T) {
	changed := Default()
	fill(reflect.ValueOf(&changed).Elem())
	for _, c := range []Config{Default(), changed} {
		text, err := c.Text()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("text", text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("got  %+v\nwant %+v", got, c)
		}
		if !strings.Contains(string(text), "# learning rate at the end of the warm-up\nlr = ") {
			t.Errorf("no comments in\n%s", text)
		}
	}
}

func TestSet(t *testing.T) {
	c, want := Default(), Default()
	for _, s := range []string{
		"device=cpu", "model.hidden_size=96", "train.lr=1", "train.eps=1e-9", "model.use_gate=true",
		"data.file=a=b.txt", `sample.prompts=["x, y", 'z']`, " train.steps = 7 ", `model.ttt_layer_type="linear"`,
	} {
		if err := c.Set(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	want.Device, want.Model.HiddenSize, want.Train.LR, want.Train.Eps = "cpu", 96, 1, 1e-9
	want.Model.UseGate, want.Data.File, want.Sample.Prompts, want.Train.Steps = true, "a=b.txt", []string{"x, y", "z"}, 7
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestSetErrors(t *testing.T) {
	for _, c := range []struct{ assign, want string }{
		{"", `got "", want KEY=VALUE`},
		{"model.hidden_size", `got "model.hidden_size", want KEY=VALUE`},
		{"=3", `got "=3", want KEY=VALUE`},
		{"model=3", "model is a table: want one of its keys, as in model.vocab_size"},
		{"model.hiden_size=3", `unknown key model.hiden_size: did you mean model.hidden_size?`},
		{"modell.hidden_size=3", `unknown key modell.hidden_size: did you mean model.hidden_size?`},
		{"model.hidden_size.x=3", `unknown key model.hidden_size.x: did you mean model.hidden_size?`},
		{"model.model_type=x", `unknown key model.model_type: want one of vocab_size, hidden_size`},
		{"model.hidden_size=1.5", `model.hidden_size: got "1.5", want an integer`},
		{"model.hidden_size=", `got "", want an integer`},
		{"model.hidden_size=3\nx = 4", `want an integer`},
		{"model.use_gate=yes", `model.use_gate: got "yes", want true or false`},
		{"train.lr=fast", `got "fast", want a number`},
		{"train.seed=-1", `got "-1", want a non-negative integer`},
		{"sample.prompts=x", `want a list of strings`},
	} {
		conf := Default()
		err := conf.Set(c.assign)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.assign, err, c.want)
		}
		if !reflect.DeepEqual(conf, Default()) {
			t.Errorf("%q: an error, and yet it changed something", c.assign)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ assign, want string }{
		{"train.steps=-1", "train: train.steps -1, want 0 to "},
		{"train.batch_size=0", "train: train.batch_size 0, want 1 to 65536"},
		{"train.seq_len=1", "train: train.seq_len 1, want 2 to "},
		{"train.log_every=0", "train: train.log_every 0, want 1 to "},
		{"train.beta2=1", "train: train.beta2 1, want 0 to less than 1"},
		{"train.lr=nan", "train: train.lr NaN, want 0 to 1000"},
		{"train.clip=inf", "train: train.clip +Inf, want a finite number, 0 or more"},
		{"data.val_fraction=-0.1", "train: data.val_fraction -0.1, want 0 to 0.9"},
		{"data.story_bytes=0", "train: data.story_bytes 0, want 1 to "},
		{"data.task=x", `train: data.task "x", want one of stories, recall, copy, sums, sounds`},
		{"data.sample_rate=999", "train: data.sample_rate 999, want 1000 to 48000"},
		{"data.sample_rate=48001", "train: data.sample_rate 48001, want 1000 to 48000"},
		{"data.task=", `train: data.task "", want one of stories, `},
		{"train.precision=f8", `train: train.precision "f8", want f32 or f16`},
		{"train.precision=", `train: train.precision "", want f32 or f16`},
		{"sample.temperature=-1", "train: sample.temperature -1, want 0 to 100"},
		{"sample.sound_temperature=101", "train: sample.sound_temperature 101, want 0 to 100"},
		{"sample.seconds=601", "train: sample.seconds 601, want 0 to 600"},
		{"model.vocab_size=255", "train: model.vocab_size 255, want at least 256"},
		{"model.num_attention_heads=3", "model: hidden_size 128, want a multiple of num_attention_heads 3"},
		{"train.seq_len=16777216", "train: batch_size 8 * seq_len 16777216 = 134217728 tokens, want at most 16777216"},
	} {
		conf := Default()
		if err := conf.Set(c.assign); err != nil {
			t.Fatal(err)
		}
		if err := conf.Validate(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.assign, err, c.want)
		}
	}
}

// A seed that a configuration file cannot hold is no seed.
func TestLargestSeed(t *testing.T) {
	c := Default()
	c.Train.Seed = 1 << 63
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "train.seed 9223372036854775808, want at most") {
		t.Error(err)
	}
}

// The configurations of the repository are valid.
func TestConfigs(t *testing.T) {
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations: %v", err)
	}
	for _, f := range files {
		c, err := Load(f)
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// A configuration goes through its flat form, as JSON has it, unchanged; what does not fit a key is refused.
func TestFlat(t *testing.T) {
	c := Demo()
	c.Data.Document, c.Train.LR, c.Train.Seed, c.Sample.Prompts = "\n\n\x7f\"", 1.25e-3, 1<<53, []string{"a", "\"b\\"}
	b, err := json.Marshal(Flat(c))
	if err != nil {
		t.Fatal(err)
	}
	var flat map[string]any
	if err := json.Unmarshal(b, &flat); err != nil {
		t.Fatal(err)
	}
	got := Default()
	for k, v := range flat {
		if err := got.SetValue(k, v); err != nil {
			t.Error(err)
		}
	}
	if d := Diff(c, got); len(flat) != len(Values(c)) || len(d) > 0 {
		t.Errorf("%d keys, want %d; differences %v", len(flat), len(Values(c)), d)
	}
	for _, bad := range []struct {
		key   string
		value any
		want  string
	}{
		{"train.lr", "fast", "train: train.lr: got fast, want a number"},
		{"train.steps", 1.5, "train: train.steps: got 1.5, want an integer"},
		{"train.steps", 1e300, "want an integer"},
		{"train.seed", -1.0, "want a non-negative integer"},
		{"model.use_gate", 1.0, "want true or false"},
		{"sample.prompts", []any{"a", 1.0}, "want a list of strings"},
		{"sample.prompts", "a", "want a list of strings"},
		{"data.file", nil, "want a string"},
		{"__proto__", 1.0, "unknown key"},
		{"train", 1.0, "train is a table: want one of its keys"},
	} {
		c := Demo()
		if err := c.SetValue(bad.key, bad.value); err == nil || !strings.Contains(err.Error(), bad.want) || len(Diff(c, Demo())) > 0 {
			t.Errorf("%s = %v: got %v, want %q", bad.key, bad.value, err, bad.want)
		}
	}
}
