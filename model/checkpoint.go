package model

import (
	"bytes"
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

// configMeta is the key of the weights' metadata that has the text of the config.json that they were written with. So a
// change of that file can be told, which has no check of its own: people edit it.
const configMeta = "innerloop.config.json"

// save writes a checkpoint of weights of type d; values gives those of a parameter.
func (p *Params) save(dir string, d safetensors.DType, values func(*prog.Tensor) ([]float32, error)) error {
	config, err := p.Config.text(d)
	if err != nil {
		return err
	}
	if err := writeConfig(dir, config); err != nil {
		return err
	}
	infos := make([]safetensors.Info, len(p.names))
	for i, n := range p.names {
		infos[i] = safetensors.Info{Name: n, DType: d, Shape: p.Lookup(n).Shape()}
	}
	var bad error // of the values: none of the file's own errors
	// transformers refuses a file that does not say which framework's layout it has.
	metadata := map[string]string{"format": "pt", configMeta: string(config)}
	err = safetensors.WriteFileFrom(filepath.Join(dir, WeightsFile), metadata, infos, func(i int) ([]byte, error) {
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
func (c Config) Save(dir string) error {
	config, err := c.text(safetensors.F32)
	if err != nil {
		return err
	}
	return writeConfig(dir, config)
}

func writeConfig(dir string, config []byte) error {
	return safetensors.WriteFileAtomic(filepath.Join(dir, ConfigFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(config)
		return err
	})
}

// torchNames are the element types that a checkpoint's weights may have, as PyTorch names them.
var torchNames = map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F16: "float16", safetensors.BF16: "bfloat16"}

// text is the config.json of a checkpoint with weights of type d.
func (c Config) text(d safetensors.DType) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(struct {
		Architectures []string `json:"architectures"`
		Config
		TorchDType string `json:"torch_dtype"`
	}{[]string{"TTTForCausalLM"}, c, torchNames[d]})
	return b.Bytes(), err
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
	return p.LoadWeights(ex, w)
}

// LoadWeights is [Params.Load] of weights that are open.
func (p *Params) LoadWeights(ex prog.Executor, w *Weights) error {
	if err := w.checkFor(p); err != nil {
		return err
	}
	return p.load(ex, w)
}

// load reads the parameters from weights that are theirs.
func (p *Params) load(ex prog.Executor, w *Weights) error {
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
	c, err := OpenCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Model(ex, o)
}

// Checkpoint is a checkpoint folder opened to be read or written in another form. Its files have been found to fit
// together, and those that carry a check to pass it.
type Checkpoint struct {
	Params *Params
	// Notes are what a person should know, a line each: that the weights carry no check, that config.json is not the one
	// that they were written with, that names were changed.
	Notes   []string
	weights *Weights
}

// OpenCheckpoint opens dir, what [Open] opens, without an executor.
func OpenCheckpoint(dir string) (*Checkpoint, error) {
	path := filepath.Join(dir, ConfigFile)
	config, err := readJSON(path)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(path, config)
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
		if changed := w.edited(dir, config); changed != "" { // then that is why they do not fit
			return nil, fmt.Errorf("model: %s: %w", changed, err)
		}
		return nil, err
	}
	return &Checkpoint{p, w.notes(dir, config), w}, nil
}

// Load reads the weights into p on ex, which is of the checkpoint's configuration.
func (c *Checkpoint) Load(ex prog.Executor, p *Params) error {
	return p.LoadWeights(ex, c.weights)
}

// Model puts the checkpoint's model on ex.
func (c *Checkpoint) Model(ex prog.Executor, o ScanOptions) (*LM, error) {
	m, err := New(c.Params.Config, o)
	if err != nil {
		return nil, err
	}
	if err := m.load(ex, c.weights); err != nil {
		m.Free(ex)
		return nil, err
	}
	return m, m.Prepare(ex)
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

// NonFiniteError says that weights are not finite: a model with them computes nothing.
type NonFiniteError struct {
	Path, Parameter string // the first of them
	Value           float32
	Count           int // of the parameter's values
	Others          int // parameters of which the same is true
}

// Error implements error.
func (e *NonFiniteError) Error() string {
	values, others := "1 value that is", ""
	if e.Count > 1 {
		values = fmt.Sprintf("%d values that are", e.Count)
	}
	if e.Others == 1 {
		others = ", and so does 1 other parameter"
	} else if e.Others > 1 {
		others = fmt.Sprintf(", and so do %d other parameters", e.Others)
	}
	return fmt.Sprintf("model: %s: parameter %q holds %s not finite, the first %g%s: a model with them computes nothing; want a checkpoint of before they came", e.Path, e.Parameter, values, e.Value, others)
}

// Check reports weights that are not finite, a [NonFiniteError], and otherwise the first one that is finite as a float32,
// but not in type d: a [RangeError].
func (c *Checkpoint) Check(d safetensors.DType) error {
	var bad *NonFiniteError
	var large *RangeError
	for _, n := range c.Params.names {
		v, err := c.weights.Float32(n)
		if err != nil {
			return err
		}
		info, _ := c.weights.Info(n)
		count, first := 0, float32(0)
		for _, x := range v {
			switch {
			case x-x != 0: // NaN, or infinite
				if count == 0 {
					first = x
				}
				count++
			case large == nil && info.DType != d && !fits(x, d):
				large = &RangeError{c.weights.at(n), n, x, d}
			}
		}
		switch {
		case count > 0 && bad == nil:
			bad = &NonFiniteError{c.weights.at(n), n, first, count, 0}
		case count > 0:
			bad.Others++
		}
	}
	switch {
	case bad != nil:
		return bad
	case large != nil:
		return large
	}
	return nil
}

// fits says whether rounding to d keeps x, which is finite, so. F16's largest is 65504, and 65520 the first to round up from it;
// bfloat16's are 0x7f7f and half a step on.
func fits(x float32, d safetensors.DType) bool {
	a := math.Abs(float64(x))
	switch d {
	case safetensors.F16:
		return a < 65520
	case safetensors.BF16:
		return a < float64(math.Float32frombits(0x7f7f8000))
	default:
		return true
	}
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
