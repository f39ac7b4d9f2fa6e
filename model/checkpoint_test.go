package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/prog"
)

// write makes a file of a test.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// same fails unless two files have the same bytes.
func same(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Errorf("%s and %s differ", a, b)
	}
}

// convert writes the checkpoint in a folder to a new one.
func convert(t *testing.T, from string, d safetensors.DType) (to string) {
	t.Helper()
	c, err := model.OpenCheckpoint(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Check(d); err != nil {
		t.Fatal(err)
	}
	to = t.TempDir()
	if err := c.Write(to, d); err != nil {
		t.Fatal(err)
	}
	return to
}

// read reads all tensors of a safetensors file.
func read(t *testing.T, path string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ts []safetensors.Tensor
	for _, n := range f.Names() {
		x, err := f.Tensor(n)
		if err != nil {
			t.Fatal(err)
		}
		ts = append(ts, x)
	}
	return ts
}

// A file of the official model's state dict is read, and written again under exactly its names and shapes.
func TestExportIsOfficial(t *testing.T) {
	for _, g := range check.Goldens(t, "lm-") {
		t.Run(g.Name, func(t *testing.T) {
			var official []safetensors.Tensor
			shapes := map[string][]int{}
			for _, n := range g.Names() {
				p, ok := strings.CutPrefix(n, "param.")
				if !ok {
					continue
				}
				shapes[p] = g.Shape(t, n)
				official = append(official, safetensors.Float32(p, shapes[p], g.F32(t, n)))
			}
			from := t.TempDir()
			write(t, filepath.Join(from, model.ConfigFile), g.Metadata()["config"])
			if err := safetensors.WriteFile(filepath.Join(from, model.WeightsFile), map[string]string{"format": "pt"}, official); err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(g.Metadata()["config"]), &want); err != nil {
				t.Fatal(err)
			}
			for d, torch := range map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F16: "float16", safetensors.BF16: "bfloat16"} {
				to := convert(t, from, d)
				got := map[string][]int{}
				for _, x := range read(t, filepath.Join(to, model.WeightsFile)) {
					got[x.Name] = x.Shape
					if x.DType != d {
						t.Errorf("%s has dtype %s, want %s", x.Name, x.DType, d)
					}
				}
				if !maps.EqualFunc(got, shapes, slices.Equal) {
					t.Errorf("%s: got %v, want %v", d, got, shapes)
				}
				text, err := os.ReadFile(filepath.Join(to, model.ConfigFile))
				if err != nil {
					t.Fatal(err)
				}
				var config map[string]any
				if err := json.Unmarshal(text, &config); err != nil {
					t.Fatal(err)
				}
				for k, v := range want {
					if !reflect.DeepEqual(config[k], v) {
						t.Errorf("%s: config.json says %s %v, want %v", d, k, config[k], v)
					}
				}
				if config["torch_dtype"] != torch || fmt.Sprint(config["architectures"]) != "[TTTForCausalLM]" {
					t.Errorf("torch_dtype %v, architectures %v, want %s, [TTTForCausalLM]", config["torch_dtype"], config["architectures"], torch)
				}
			}
			to := convert(t, from, safetensors.F32)
			for _, x := range official {
				i := slices.IndexFunc(read(t, filepath.Join(to, model.WeightsFile)), func(y safetensors.Tensor) bool { return y.Name == x.Name && bytes.Equal(x.Data, y.Data) })
				if i < 0 {
					t.Errorf("%s has other values", x.Name)
				}
			}
		})
	}
}

// What was written and read again is written the same: byte for byte.
func TestConversionRoundTrip(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	for n := range 8 {
		m := randomModel(t, rand.New(rand.NewPCG(uint64(n), 31)), ex)
		a := t.TempDir()
		if err := m.Save(ex, a); err != nil {
			t.Fatal(err)
		}
		f32 := convert(t, a, safetensors.F32)
		for _, f := range []string{model.WeightsFile, model.ConfigFile} {
			same(t, filepath.Join(a, f), filepath.Join(f32, f))
		}
		for _, d := range []safetensors.DType{safetensors.F16, safetensors.BF16} {
			half := convert(t, a, d)
			again := convert(t, convert(t, half, safetensors.F32), d)
			for _, f := range []string{model.WeightsFile, model.ConfigFile} {
				same(t, filepath.Join(half, f), filepath.Join(again, f))
			}
		}
	}
}

// shards cuts the weights in dir into n files and an index, as save_pretrained does; the index's map is returned.
func shards(t *testing.T, dir string, n int) map[string]string {
	t.Helper()
	ts := read(t, filepath.Join(dir, model.WeightsFile))
	if err := os.Remove(filepath.Join(dir, model.WeightsFile)); err != nil {
		t.Fatal(err)
	}
	index := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n)
		part := ts[len(ts)*i/n : len(ts)*(i+1)/n]
		for _, x := range part {
			index[x.Name] = name
		}
		if err := safetensors.WriteFile(filepath.Join(dir, name), map[string]string{"format": "pt"}, part); err != nil {
			t.Fatal(err)
		}
	}
	writeIndex(t, dir, index)
	return index
}

func writeIndex(t *testing.T, dir string, index map[string]string) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 1}, "weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, model.IndexFile), string(b))
}

// saved is a small model's folder.
func saved(t *testing.T, ex prog.Executor) (*model.LM, string) {
	t.Helper()
	m := randomModel(t, rand.New(rand.NewPCG(1, 32)), ex)
	dir := t.TempDir()
	if err := m.Save(ex, dir); err != nil {
		t.Fatal(err)
	}
	return m, dir
}

// A model in shards is the model in one file, opened and imported.
func TestShards(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	m, dir := saved(t, ex)
	want := convert(t, dir, safetensors.F32)
	for _, n := range []int{1, 3} {
		_, dir := saved(t, ex)
		shards(t, dir, n)
		same(t, filepath.Join(convert(t, dir, safetensors.F32), model.WeightsFile), filepath.Join(want, model.WeightsFile))
		o, err := model.Open(ex, dir, model.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := m.Fingerprint(ex)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := o.Fingerprint(ex); err != nil || a != b {
			t.Errorf("%d shards: fingerprint %s, %v, want %s", n, b, err, a)
		}
		o.Free(ex)
	}
}

// edit changes one tensor of a safetensors file, or removes it where change returns none.
func edit(t *testing.T, path string, change func(ts []safetensors.Tensor) []safetensors.Tensor) {
	t.Helper()
	if err := safetensors.WriteFile(path, nil, change(read(t, path))); err != nil {
		t.Fatal(err)
	}
}

// Weights that do not fit are one line that says what and where, and change nothing.
func TestWeightsRefused(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	const norm = "model.norm.weight"
	first, last := "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   string // DIR/ stands for the folder
	}{
		"missing": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, model.WeightsFile), func(ts []safetensors.Tensor) []safetensors.Tensor {
				return slices.DeleteFunc(ts, func(x safetensors.Tensor) bool { return x.Name == norm })
			})
		}, `model: DIR/model.safetensors: parameter "model.norm.weight" is missing`},
		"extra": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, model.WeightsFile), func(ts []safetensors.Tensor) []safetensors.Tensor {
				return append(ts, safetensors.Float32("x", []int{1}, []float32{1}))
			})
		}, `model: DIR/model.safetensors: tensor "x" is no parameter of the configuration`},
		"integers": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, model.WeightsFile), func(ts []safetensors.Tensor) []safetensors.Tensor {
				i := slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == norm })
				ts[i] = safetensors.Int64(norm, ts[i].Shape, make([]int64, ts[i].Shape[0]))
				return ts
			})
		}, `model: DIR/model.safetensors: parameter "model.norm.weight" has dtype I64, want F32, F16 or BF16`},
		"shape": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, model.WeightsFile), func(ts []safetensors.Tensor) []safetensors.Tensor {
				i := slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == norm })
				ts[i] = safetensors.Float32(norm, []int{1}, []float32{1})
				return ts
			})
		}, `model: DIR/model.safetensors: parameter "model.norm.weight" has shape [1], want [16]`},
		"no files": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, model.WeightsFile)); err != nil {
				t.Fatal(err)
			}
		}, `safetensors: DIR/model.safetensors: stat: no such file or directory`},
		"missing shard": {func(t *testing.T, dir string) {
			shards(t, dir, 2)
			if err := os.Remove(filepath.Join(dir, last)); err != nil {
				t.Fatal(err)
			}
		}, `model: DIR/model.safetensors.index.json: shard "` + last + `": safetensors: DIR/` + last + `: stat: no such file or directory`},
		"not in its shard": {func(t *testing.T, dir string) {
			index := shards(t, dir, 2)
			index["x"] = first
			writeIndex(t, dir, index)
		}, `model: DIR/model.safetensors.index.json: tensor "x" is not in shard "` + first + `"`},
		"not in the index": {func(t *testing.T, dir string) {
			index := shards(t, dir, 2)
			delete(index, norm)
			writeIndex(t, dir, index)
		}, `model: DIR/model.safetensors.index.json: tensor "model.norm.weight" is in shard "` + last + `", but not in the index`},
		"in two shards": {func(t *testing.T, dir string) {
			shards(t, dir, 2)
			edit(t, filepath.Join(dir, first), func(ts []safetensors.Tensor) []safetensors.Tensor {
				return append(ts, safetensors.Float32(norm, []int{16}, make([]float32, 16)))
			})
		}, `model: DIR/model.safetensors.index.json: tensor "model.norm.weight" is in shard "` + first + `", want it in "` + last + `" only`},
		"another model's shards": {func(t *testing.T, dir string) {
			shards(t, dir, 2)
			edit(t, filepath.Join(dir, last), func(ts []safetensors.Tensor) []safetensors.Tensor {
				i := slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == norm })
				ts[i] = safetensors.Float32(norm, []int{1}, []float32{1})
				return ts
			})
		}, `model: DIR/` + last + `: parameter "model.norm.weight" has shape [1], want [16]`},
	} {
		t.Run(name, func(t *testing.T) {
			m, dir := saved(t, ex)
			if m.Lookup(norm).Len() != 16 {
				t.Fatalf("the test's model has width %d, want 16", m.Lookup(norm).Len())
			}
			before, err := m.Fingerprint(ex)
			if err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			for _, err := range []error{m.Load(ex, dir), second(model.OpenCheckpoint(dir)), second(model.Open(ex, dir, model.ScanOptions{}))} {
				if err == nil || strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "DIR/") != c.want {
					t.Errorf("got  %v\nwant %s", err, c.want)
				}
			}
			if after, err := m.Fingerprint(ex); err != nil || after != before {
				t.Errorf("the weights changed, or %v", err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// A copy of a tied head is read where it is the embedding, and not written.
func TestTiedHead(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	c := model.DefaultConfig()
	c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.VocabSize = 16, 20, 1, 10
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free(ex)
	if err := m.Init(ex, 1); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.Save(ex, dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, model.WeightsFile)
	want := convert(t, dir, safetensors.F32)
	edit(t, path, func(ts []safetensors.Tensor) []safetensors.Tensor {
		head := ts[slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == "model.embed_tokens.weight" })]
		head.Name = "lm_head.weight"
		return append(ts, head)
	})
	same(t, filepath.Join(convert(t, dir, safetensors.F32), model.WeightsFile), filepath.Join(want, model.WeightsFile))
	edit(t, path, func(ts []safetensors.Tensor) []safetensors.Tensor {
		ts[slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == "lm_head.weight" })].Data[5] ^= 1
		return ts
	})
	if _, err := model.OpenCheckpoint(dir); err == nil || !strings.HasSuffix(err.Error(), "lm_head.weight differs from model.embed_tokens.weight, but the configuration ties them") {
		t.Errorf("got %v", err)
	}
}

// A weight that the type cannot hold is refused, the largest that it can is not.
func TestCheckRange(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	m, _ := saved(t, ex)
	norm := m.Lookup("model.norm.weight")
	for _, c := range []struct {
		v  float32
		d  safetensors.DType
		ok bool
	}{
		{65519.996, safetensors.F16, true},
		{65520, safetensors.F16, false},
		{-1e9, safetensors.F16, false},
		{1e9, safetensors.BF16, true},
		{math.Float32frombits(0x7f7f7fff), safetensors.BF16, true},
		{math.Float32frombits(0x7f7f8000), safetensors.BF16, false},
		{math.MaxFloat32, safetensors.F32, true},
		{float32(math.Inf(-1)), safetensors.F16, true},
	} {
		v := make([]float32, norm.Len())
		v[3] = c.v
		dir := t.TempDir()
		if err := errors.Join(ex.Write(norm, v), m.Save(ex, dir)); err != nil {
			t.Fatal(err)
		}
		p, err := model.OpenCheckpoint(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Check(c.d)
		var r *model.RangeError
		if errors.As(err, &r) == c.ok || !c.ok && (r.Value != c.v || r.Parameter != "model.norm.weight") {
			t.Errorf("%g as %s: got %v", c.v, c.d, err)
		}
		// The boundary is where rounding itself makes it infinite.
		to := t.TempDir()
		if err := p.Write(to, c.d); err != nil {
			t.Fatal(err)
		}
		p.Close()
		f, err := safetensors.Open(filepath.Join(to, model.WeightsFile))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Float32("model.norm.weight")
		if err != nil {
			t.Fatal(err)
		}
		if inf := math.IsInf(float64(got[3]), 0); inf == c.ok && !math.IsInf(float64(c.v), 0) {
			t.Errorf("%g as %s is written as %g", c.v, c.d, got[3])
		}
		f.Close()
	}
}
