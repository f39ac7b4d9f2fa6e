package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/model"
	"innerloop/model/safetensors"
)

// unchecked writes tensors as other programs do, without a check; rename gives their names.
func unchecked(t *testing.T, path string, tensors []safetensors.Tensor, rename func(string) string) {
	t.Helper()
	header, data := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte(nil)
	for _, x := range tensors {
		header[rename(x.Name)] = map[string]any{"dtype": x.DType, "shape": x.Shape, "data_offsets": []int{len(data), len(data) + len(x.Data)}}
		data = append(data, x.Data...)
	}
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(h)))
	if err := os.WriteFile(path, append(append(b, h...), data...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Weights as people have them: of other programs, of wrapped models, pickled, not finite. They are read with a line that
// says how, or refused with one that says what to do.
func TestWeightsAsPeopleHaveThem(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("c.toml", []byte(flipConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := innerloop("train", "--config", "c.toml", "--out", "m", "--quiet", "--stop-after", "1"); code != exitOK {
		t.Fatal(stderr)
	}
	f, err := safetensors.Open(filepath.Join("m", model.WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors, broken []safetensors.Tensor
	for _, n := range f.Names() {
		x, err := f.Tensor(n)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
		x.Data = append([]byte(nil), x.Data...)
		switch n {
		case "model.embed_tokens.weight":
			for i, v := range []float64{math.Inf(1), math.NaN()} {
				binary.LittleEndian.PutUint32(x.Data[4*i:], math.Float32bits(float32(v)))
			}
		case "model.norm.weight":
			binary.LittleEndian.PutUint32(x.Data, math.Float32bits(float32(math.NaN())))
		}
		broken = append(broken, x)
	}
	config := content(t, filepath.Join("m", model.ConfigFile))
	same := func(n string) string { return n }
	prefixed := func(p string) func(string) string { return func(n string) string { return p + n } }
	const none = "has no checksum, as files of other programs and of older versions: read as it is, damage would not be seen"
	const wrapped = "in them, which PyTorch adds to a wrapped model: read without it"
	for dir, c := range map[string]struct {
		tensors []safetensors.Tensor
		rename  func(string) string
		code    int
		want    []string // on standard error, a line each
	}{
		"official": {tensors, same, exitOK, []string{none}},
		"module":   {tensors, prefixed("module."), exitOK, []string{none, `"module" ` + wrapped}},
		"compiled": {tensors, prefixed("_orig_mod."), exitOK, []string{none, `"_orig_mod" ` + wrapped}},
		"both":     {tensors, prefixed("_orig_mod.module."), exitOK, []string{none, wrapped}},
		"inner": {tensors, func(n string) string { return strings.Replace(n, "model.", "model._orig_mod.", 1) }, exitOK,
			[]string{none, `"_orig_mod" ` + wrapped}},
		"one of them": {tensors, func(n string) string {
			if n == "model.norm.weight" {
				return "module." + n
			}
			return n
		}, exitData, []string{`tensor "module.model.norm.weight" is no parameter of the configuration`}},
		"nan": {broken, same, exitData, []string{`parameter "model.embed_tokens.weight" holds 2 values that are not finite, the first +Inf, and so does 1 other parameter: a model with them computes nothing; want a checkpoint of before they came`}},
	} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, model.ConfigFile), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		unchecked(t, filepath.Join(dir, model.WeightsFile), c.tensors, c.rename)
		for _, command := range []string{"import", "export"} {
			out := "out-" + command + dir
			_, stderr, code := innerloop(command, "--model", dir, "--out", out)
			lines := strings.SplitAfter(strings.TrimSuffix(stderr, "\n"), "\n")
			if code != c.code || len(lines) != len(c.want) {
				t.Errorf("%s %s: exit code %d, %q, want %d, %q", command, dir, code, stderr, c.code, c.want)
				continue
			}
			for i, want := range c.want {
				if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], filepath.Join(dir, model.WeightsFile)) {
					t.Errorf("%s %s: %q, want %q with the file's name", command, dir, lines[i], want)
				}
			}
			if code != exitOK {
				if _, err := os.Lstat(out); err == nil {
					t.Errorf("%s %s left a folder", command, dir)
				}
			} else if content(t, filepath.Join(out, model.WeightsFile)) != content(t, filepath.Join("m", model.WeightsFile)) {
				t.Errorf("%s %s: other weights", command, dir)
			}
		}
	}
	if err := os.Remove(filepath.Join("official", model.WeightsFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("official", "pytorch_model.bin"), []byte("PK\x03\x04"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", "--out", "x"}, {"generate", "--prompt", "x"}, {"eval"}} {
		_, stderr, code := innerloop(append(args, "--model", "official")...)
		if code != exitData || !strings.Contains(stderr, `TTTForCausalLM.from_pretrained("official").save_pretrained("NEW", safe_serialization=True)`) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v of pickled weights: exit code %d, %q", args, code, stderr)
		}
	}
}
