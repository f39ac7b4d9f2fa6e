package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"

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
	return p.save(dir, safetensors.F32, func(t *prog.Tensor) ([]float32, error) {
		v := make([]float32, t.Len())
		return v, ex.Read(t, v)
	})
}

// save writes a checkpoint of weights of type d; values gives those of a parameter.
func (p *Params) save(dir string, d safetensors.DType, values func(*prog.Tensor) ([]float32, error)) error {
	if err := p.Config.save(dir, d); err != nil {
		return err
	}
	infos := make([]safetensors.Info, len(p.names))
	for i, n := range p.names {
		infos[i] = safetensors.Info{Name: n, DType: d, Shape: p.Lookup(n).Shape()}
	}
	var bad error // of the values: none of the file's own errors
	// transformers refuses a file that does not say which framework's layout it has.
	err := safetensors.WriteFileFrom(filepath.Join(dir, WeightsFile), map[string]string{"format": "pt"}, infos, func(i int) ([]byte, error) {
		t := p.Lookup(p.names[i])
		v, err := values(t)
		if err != nil {
			bad = err
			return nil, err
		}
		out, err := safetensors.Float32As(d, t.Name(), t.Shape(), v)
		return out.Data, err
	})
	if bad != nil {
		return bad
	}
	return err
}

// Save writes the configuration to dir/config.json.
func (c Config) Save(dir string) error { return c.save(dir, safetensors.F32) }

// torchNames are the element types that a checkpoint's weights may have, as PyTorch names them.
var torchNames = map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F16: "float16", safetensors.BF16: "bfloat16"}

func (c Config) save(dir string, d safetensors.DType) error {
	return safetensors.WriteFileAtomic(filepath.Join(dir, ConfigFile), 0o644, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Architectures []string `json:"architectures"`
			Config
			TorchDType string `json:"torch_dtype"`
		}{[]string{"TTTForCausalLM"}, c, torchNames[d]})
	})
}

// Load reads the parameters into ex from path, what [OpenWeights] opens. Every parameter must be there in its shape,
// and nothing else; where the head is tied, a copy of it in the file is accepted if it equals the embedding. Weights
// that do not fit change nothing. One tensor at a time is in memory.
func (p *Params) Load(ex prog.Executor, path string) error {
	w, err := OpenWeights(path)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.checkFor(p); err != nil {
		return err
	}
	for _, n := range p.names {
		v, err := w.Float32(n)
		if err != nil {
			return err
		}
		if err := ex.Write(p.Lookup(n), v); err != nil {
			return err
		}
	}
	return nil
}

// Open reads a checkpoint folder, config.json and the weights, and puts the model on ex.
func Open(ex prog.Executor, dir string, o ScanOptions) (*LM, error) {
	c, err := LoadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	m, err := New(c, o)
	if err != nil {
		return nil, err
	}
	if err := m.Load(ex, dir); err != nil {
		m.Free(ex)
		return nil, err
	}
	return m, m.Prepare(ex)
}

// Checkpoint is a checkpoint folder opened to be written in another form. Its files have been found to fit together.
type Checkpoint struct {
	Params  *Params
	weights *Weights
}

// OpenCheckpoint opens dir, what [Open] opens, without an executor.
func OpenCheckpoint(dir string) (*Checkpoint, error) {
	c, err := LoadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	p, err := NewParams(c)
	if err != nil {
		return nil, err
	}
	w, err := OpenWeights(dir)
	if err != nil {
		return nil, err
	}
	if err := w.checkFor(p); err != nil {
		w.Close()
		return nil, err
	}
	return &Checkpoint{p, w}, nil
}

// RangeError says that a weight is too large for the type that it should be written in.
type RangeError struct {
	Path, Parameter string
	Value           float32
	DType           safetensors.DType
}

// Error implements error.
func (e *RangeError) Error() string {
	return fmt.Sprintf("model: %s: parameter %q holds %g, too large for %s", e.Path, e.Parameter, e.Value, e.DType)
}

// Check reports the first weight that is finite as a float32, but not in type d: a [RangeError].
func (c *Checkpoint) Check(d safetensors.DType) error {
	for _, n := range c.Params.names {
		if info, _ := c.weights.Info(n); d == safetensors.F32 || info.DType == d {
			continue
		}
		v, err := c.weights.Float32(n)
		if err != nil {
			return err
		}
		for _, x := range v {
			if !fits(x, d) {
				return &RangeError{c.weights.at[n], n, x, d}
			}
		}
	}
	return nil
}

// fits says whether rounding to d keeps x finite. F16's largest is 65504, and 65520 the first to round up from it;
// bfloat16's are 0x7f7f and half a step on.
func fits(x float32, d safetensors.DType) bool {
	a := math.Abs(float64(x))
	switch {
	case math.IsInf(a, 0) || math.IsNaN(a):
		return true
	case d == safetensors.F16:
		return a < 65520
	case d == safetensors.BF16:
		return a < float64(math.Float32frombits(0x7f7f8000))
	}
	return true
}

// Write writes the checkpoint to dir, which exists, as one file of weights of type d, F32, F16 or BF16, rounded to
// nearest, with its config.json, as [Params.Save] does. One tensor at a time is in memory.
func (c *Checkpoint) Write(dir string, d safetensors.DType) error {
	if torchNames[d] == "" {
		return fmt.Errorf("model: dtype %q, want F32, F16 or BF16", d)
	}
	return c.Params.save(dir, d, func(t *prog.Tensor) ([]float32, error) { return c.weights.Float32(t.Name()) })
}

// Close releases the files.
func (c *Checkpoint) Close() { c.weights.Close() }

// Fingerprint is a hash of the parameters that ex holds: what was computed with others does not go with these.
func (p *Params) Fingerprint(ex prog.Executor) (string, error) {
	h := sha256.New()
	var raw []byte
	for _, n := range p.names {
		t := p.Lookup(n)
		v := make([]float32, t.Len())
		if err := ex.Read(t, v); err != nil {
			return "", err
		}
		raw = raw[:0]
		for _, x := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		h.Write(fmt.Appendf(nil, "%s %d\n", n, len(raw)))
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
