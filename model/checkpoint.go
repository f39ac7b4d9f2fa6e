package model

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"innerloop/model/safetensors"
	"innerloop/prog"
)

// The files of a checkpoint, as the Hugging Face libraries name them.
const (
	WeightsFile = "model.safetensors"
	ConfigFile  = "config.json"
)

// Save writes the parameters that ex holds to dir/model.safetensors, and the configuration to dir/config.json. Each
// file is written whole or not at all, the weights last: a folder whose weights are new has a configuration.
func (p *Params) Save(ex prog.Executor, dir string) error {
	var ts []safetensors.Tensor
	for _, n := range p.names {
		t := p.Lookup(n)
		v := make([]float32, t.Len())
		if err := ex.Read(t, v); err != nil {
			return err
		}
		ts = append(ts, safetensors.Float32(n, t.Shape(), v))
	}
	if err := p.Config.Save(dir); err != nil {
		return err
	}
	// transformers refuses a file that does not say which framework's layout it has.
	return safetensors.WriteFile(filepath.Join(dir, WeightsFile), map[string]string{"format": "pt"}, ts)
}

// Save writes the configuration to dir/config.json.
func (c Config) Save(dir string) error {
	return safetensors.WriteFileAtomic(filepath.Join(dir, ConfigFile), 0o644, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Architectures []string `json:"architectures"`
			Config
			TorchDType string `json:"torch_dtype"`
		}{[]string{"TTTForCausalLM"}, c, "float32"})
	})
}

// Load reads the parameters from a model.safetensors into ex. Every parameter must be there in its shape, and
// nothing else; where the head is tied, a copy of it in the file is accepted if it equals the embedding.
func (p *Params) Load(ex prog.Executor, path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fail := func(format string, a ...any) error {
		return fmt.Errorf("model: %s: %s", path, fmt.Sprintf(format, a...))
	}
	for _, n := range f.Names() {
		if p.Lookup(n) == nil && !(n == "lm_head.weight" && p.Config.TieWordEmbeddings) {
			return fail("tensor %q is no parameter of the configuration", n)
		}
	}
	// All is read before anything is replaced.
	values := make([][]float32, len(p.names))
	for i, n := range p.names {
		info, ok := f.Info(n)
		if !ok {
			return fail("parameter %q is missing", n)
		}
		if got, want := fmt.Sprint(info.Shape), fmt.Sprint([]int(p.Lookup(n).Shape())); got != want {
			return fail("parameter %q has shape %s, want %s", n, got, want)
		}
		if values[i], err = f.Float32(n); err != nil {
			return err
		}
	}
	if p.Config.TieWordEmbeddings {
		if _, ok := f.Info("lm_head.weight"); ok {
			head, err := f.Float32("lm_head.weight")
			if err != nil {
				return err
			}
			if !slices.Equal(head, values[slices.Index(p.names, p.embed.Name())]) {
				return fail("lm_head.weight differs from %s, but the configuration ties them", p.embed.Name())
			}
		}
	}
	for i, n := range p.names {
		if err := ex.Write(p.Lookup(n), values[i]); err != nil {
			return err
		}
	}
	return nil
}

// Open reads a checkpoint folder, config.json and model.safetensors, and puts the model on ex.
func Open(ex prog.Executor, dir string, o ScanOptions) (*LM, error) {
	c, err := LoadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	m, err := New(c, o)
	if err != nil {
		return nil, err
	}
	if err := m.Params.Load(ex, filepath.Join(dir, WeightsFile)); err != nil {
		m.Free(ex)
		return nil, err
	}
	return m, m.Prepare(ex)
}
