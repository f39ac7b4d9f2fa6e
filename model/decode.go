package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"innerloop/model/safetensors"
	"innerloop/prog"
)

// Memory is what a model remembers of sequences that it has read: for each row and layer the inner state, the sum of
// inner gradients of a mini-batch under way, and the last inputs of the convolutions. Programs recorded with it go on
// where the last one stopped. Which position a row is at is for the host to know.
type Memory struct {
	Rows  int // sequences
	Arena *prog.Arena

	config Config
	layers []layerMemory
}

type layerMemory struct {
	state, sum *prog.Tensor // [Rows*H, words]
	pre, q, k  *prog.Tensor // [Rows, W-1, C]: the convolutions' last inputs; nil where there is none
}

// NewMemory lays out a memory of rows sequences, an arena of the given name that on an executor starts empty.
func (m *LM) NewMemory(name string, rows int) *Memory {
	c := m.Config
	mem := &Memory{Rows: rows, Arena: prog.NewArena(name), config: c}
	for i, l := range m.layers {
		at := fmt.Sprintf("layers.%d.", i)
		tail := func(on bool, n string) *prog.Tensor {
			if !on || c.ConvKernel < 2 {
				return nil
			}
			return mem.Arena.Add(at+n, prog.F32, rows, c.ConvKernel-1, c.HiddenSize)
		}
		words := l.scan.StateLen()
		mem.layers = append(mem.layers, layerMemory{
			state: mem.Arena.Add(at+"state", prog.F32, rows*c.NumAttentionHeads, words),
			sum:   mem.Arena.Add(at+"sum", prog.F32, rows*c.NumAttentionHeads, words),
			pre:   tail(c.PreConv, "conv"),
			q:     tail(c.ShareQK, "conv_q"),
			k:     tail(c.ShareQK, "conv_k"),
		})
	}
	return mem
}

// stateFormat names the files that Decoder.Save writes.
const stateFormat = "innerloop.state.1"

// Decoder reads and continues one text at a constant cost a token: a prompt in whole mini-batches where it can, else
// token by token.
type Decoder struct {
	lm       *LM
	ex       prog.Executor
	mem      *Memory
	steps    map[int]*decodeStep // by tokens of a run
	position int                 // tokens read
	logits   []float32           // after the last token
}

// decodeStep is the program that reads n tokens.
type decodeStep struct {
	*LogitsStep
	run    prog.Runner
	logits []float32 // [n,V]
}

// NewDecoder returns a decoder of m, whose parameters ex holds, at the beginning of a text.
func NewDecoder(m *LM, ex prog.Executor) *Decoder {
	return &Decoder{lm: m, ex: ex, mem: m.NewMemory("memory", 1), steps: map[int]*decodeStep{}, logits: make([]float32, m.Config.VocabSize)}
}

// Position is the number of tokens read since the beginning of the text.
func (d *Decoder) Position() int { return d.position }

// Reset begins a new text.
func (d *Decoder) Reset() { d.position = 0 }

// Feed reads tokens that follow those read so far and returns the logits [V] of the next one; they are valid until the
// next call.
func (d *Decoder) Feed(ids []uint32) ([]float32, error) {
	if len(ids) == 0 {
		return nil, errors.New("model: nothing to read: got 0 tokens, want at least 1")
	}
	for len(ids) > 0 {
		n := d.chunk(len(ids))
		if err := d.read(ids[:n], n == len(ids)); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return d.logits, nil
}

// chunk is how many of n tokens the next run reads: whole mini-batches, of which a scan takes many at once, or one.
func (d *Decoder) chunk(n int) int {
	k := d.lm.Config.MiniBatchSize
	switch {
	case d.position%k != 0 || n < k:
		return 1
	case n >= 16*k:
		return 16 * k
	}
	return k
}

func (d *Decoder) read(ids []uint32, last bool) error {
	s := d.steps[len(ids)]
	if s == nil {
		l, err := newLogitsStep(d.lm, 1, len(ids), Reading{Memory: d.mem, Decode: len(ids) == 1})
		if err != nil {
			return err
		}
		s = &decodeStep{LogitsStep: l, logits: make([]float32, len(ids)*d.lm.Config.VocabSize)}
		if s.run, err = d.ex.Load(l.Program); err != nil {
			return err
		}
		d.steps[len(ids)] = s
	}
	copy(s.IDs(), ids)
	pos := s.Inputs.U32(s.tokens.Pos)
	for i := range pos {
		pos[i] = uint32(d.position + i)
	}
	if err := s.Run(d.ex, s.run); err != nil {
		return err
	}
	d.position += len(ids)
	if !last {
		return nil
	}
	if err := s.run.Read(s.Act.Logits, s.logits); err != nil {
		return err
	}
	copy(d.logits, s.logits[len(s.logits)-len(d.logits):])
	return nil
}

// Save writes the decoder's state to a file, whole or not at all, from which Load goes on.
func (d *Decoder) Save(path string) error {
	config, err := json.Marshal(d.mem.config)
	if err != nil {
		return err
	}
	var ts []safetensors.Tensor
	for _, t := range d.mem.Arena.Tensors() {
		v := make([]float32, t.Len())
		if err := d.ex.Read(t, v); err != nil {
			return err
		}
		ts = append(ts, safetensors.Float32(t.Name(), t.Shape(), v))
	}
	return safetensors.WriteFile(path, map[string]string{
		"format": stateFormat, "config": string(config), "position": strconv.Itoa(d.position),
	}, ts)
}

// Load goes on from a state that Save wrote, of a model of the same configuration. A file that does not fit is an error
// and changes nothing.
func (d *Decoder) Load(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fail := func(format string, a ...any) error {
		return fmt.Errorf("model: %s: %s", path, fmt.Sprintf(format, a...))
	}
	meta := f.Metadata()
	if meta["format"] != stateFormat {
		return fail("format %q, want %q: not a state that generate saved", meta["format"], stateFormat)
	}
	var c Config
	if err := json.Unmarshal([]byte(meta["config"]), &c); err != nil {
		return fail("config: %v", err)
	}
	if c != d.mem.config {
		return fail("it is of another model: got %+v, want %+v", c, d.mem.config)
	}
	position, err := strconv.Atoi(meta["position"])
	if err != nil || position < 0 || position > 1<<31 {
		return fail("position %q, want a number of tokens", meta["position"])
	}
	var values [][]float32
	for _, t := range d.mem.Arena.Tensors() {
		info, ok := f.Info(t.Name())
		if !ok {
			return fail("tensor %q is missing", t.Name())
		}
		if got, want := fmt.Sprint(info.Shape), fmt.Sprint([]int(t.Shape())); got != want {
			return fail("tensor %q has shape %s, want %s", t.Name(), got, want)
		}
		v, err := f.Float32(t.Name())
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	for i, t := range d.mem.Arena.Tensors() {
		if err := d.ex.Write(t, values[i]); err != nil {
			return err
		}
	}
	d.position = position
	return nil
}

// Close releases the decoder's memory.
func (d *Decoder) Close() {
	for _, s := range d.steps {
		s.run.Close()
		s.Free(d.ex)
	}
	d.steps = map[int]*decodeStep{}
	d.ex.Free(d.mem.Arena)
}
