package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"innerloop/model/safetensors"
	"innerloop/prog"
)

// Memory is what a model remembers of sequences that it has read: for each row and layer the inner state, the sum of
// inner gradients of a mini-batch under way, the last inputs of the convolutions, and what attention looks back at.
// Programs recorded with it go on where the last one stopped. Which position a row is at is for the host to know.
type Memory struct {
	Rows  int // sequences
	Arena *prog.Arena

	config Config
	layers []layerMemory
}

type layerMemory struct {
	state, sum *prog.Tensor // [Rows*H, words]
	pre, q, k  *prog.Tensor // [Rows, W-1, C]: the convolutions' last inputs; nil where there is none

	keys, values *prog.Tensor // [Rows, Cap, C]: what attention looks back at; nil where there is none
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
		var lm layerMemory
		if l.hasTTT {
			words := l.scan.StateLen()
			lm = layerMemory{
				state: mem.Arena.Add(at+"state", prog.F32, rows*c.NumAttentionHeads, words),
				sum:   mem.Arena.Add(at+"sum", prog.F32, rows*c.NumAttentionHeads, words),
				pre:   tail(c.PreConv, "conv"),
				q:     tail(c.ShareQK, "conv_q"),
				k:     tail(c.ShareQK, "conv_k"),
			}
		}
		if l.hasAttends {
			capacity := c.MaxPositionEmbeddings
			if c.Window > 0 {
				capacity = min(capacity, c.Window)
			}
			lm.keys = mem.Arena.Add(at+"keys", prog.F32, rows, capacity, c.HiddenSize)
			lm.values = mem.Arena.Add(at+"values", prog.F32, rows, capacity, c.HiddenSize)
		}
		mem.layers = append(mem.layers, lm)
	}
	return mem
}

// stateFormat names the files that Decoder.Save writes.
const stateFormat = "innerloop.state.1"

// The names of what is in such a file beside the memory's tensors.
const (
	stateLogits   = "logits"   // [V]: of the next token
	statePosition = "position" // in the metadata, as are the rest
	stateConfig   = "config"
	stateWeights  = "weights" // Params.Fingerprint
)

// mostPosition keeps a text's positions, and the next one, inside 32 bits.
const mostPosition = 1 << 31

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

// Left is how many tokens the decoder can still read: a model that places its tokens has only so many positions.
func (d *Decoder) Left() int {
	if c := d.lm.Config; c.needsPositions() {
		return c.MaxPositionEmbeddings - d.position
	}
	return mostPosition - d.position
}

// Reset begins a new text.
func (d *Decoder) Reset() { d.position = 0 }

// Logits are those [V] of the token that follows the ones read so far, valid until the next call of Feed or Load; nil
// at the beginning of a text.
func (d *Decoder) Logits() []float32 {
	if d.position == 0 {
		return nil
	}
	return d.logits
}

// Feed reads tokens that follow those read so far and returns the logits [V] of the next one; they are valid until the
// next call. No tokens are an error at the beginning of a text only.
func (d *Decoder) Feed(ids []uint32) ([]float32, error) {
	if len(ids) == 0 && d.position == 0 {
		return nil, errors.New("model: nothing to read: got 0 tokens, want at least 1")
	}
	if len(ids) > mostPosition-d.position {
		return nil, fmt.Errorf("model: a text of more than %d tokens", mostPosition)
	}
	if c := d.lm.Config; c.needsPositions() && d.position+len(ids) > c.MaxPositionEmbeddings {
		return nil, fmt.Errorf("model: a text of %d tokens, want at most max_position_embeddings %d", d.position+len(ids), c.MaxPositionEmbeddings)
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

// Save writes the decoder's state to a file, whole or not at all, from which Load goes on: the memory, the position, and
// the logits of the next token, with the model's configuration and the hash of its weights. Its size does not depend on
// the text's length. At the beginning of a text there is nothing to save: an error.
func (d *Decoder) Save(path string) error {
	if d.position == 0 {
		return errors.New("model: nothing was read: there is no state to save")
	}
	config, err := json.Marshal(d.mem.config)
	if err != nil {
		return err
	}
	weights, err := d.lm.Fingerprint(d.ex)
	if err != nil {
		return err
	}
	ts := []safetensors.Tensor{safetensors.Float32(stateLogits, []int{len(d.logits)}, d.logits)}
	for _, t := range d.mem.Arena.Tensors() {
		v := make([]float32, t.Len())
		if err := d.ex.Read(t, v); err != nil {
			return err
		}
		ts = append(ts, safetensors.Float32(t.Name(), t.Shape(), v))
	}
	return safetensors.WriteFile(path, map[string]string{
		"format": stateFormat, stateConfig: string(config), stateWeights: weights, statePosition: strconv.Itoa(d.position),
	}, ts)
}

// StateError says that a file is no state that this decoder can go on from.
type StateError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *StateError) Error() string { return fmt.Sprintf("model: %s: %v", e.Path, e.Err) }

// Unwrap gives errors.Is and errors.As the cause.
func (e *StateError) Unwrap() error { return e.Err }

// Load goes on from a state that Save wrote, of the same model: same configuration, same weights. A file that does not
// fit is a [StateError], one that is no safetensors file an error of that package; both change nothing.
func (d *Decoder) Load(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	position, err := d.checkState(f)
	if err != nil {
		return &StateError{path, err}
	}
	weights, err := d.lm.Fingerprint(d.ex)
	if err != nil {
		return err
	}
	if got := f.Metadata()[stateWeights]; got != weights {
		return &StateError{path, fmt.Errorf("it is of another model: weights %.40q, want %q", got, weights)}
	}
	logits, err := f.Float32(stateLogits)
	if err != nil {
		return err
	}
	ts := d.mem.Arena.Tensors()
	values := make([][]float32, len(ts))
	for i, t := range ts {
		if values[i], err = f.Float32(t.Name()); err != nil {
			return err
		}
	}
	for i, t := range ts {
		if err := d.ex.Write(t, values[i]); err != nil {
			return err
		}
	}
	copy(d.logits, logits)
	d.position = position
	return nil
}

// checkState checks all of a state but its weights and returns its position.
func (d *Decoder) checkState(f *safetensors.File) (position int, err error) {
	meta := f.Metadata()
	if got := meta["format"]; got != stateFormat {
		return 0, fmt.Errorf("format %.40q, want %q: not a state that innerloop saved", got, stateFormat)
	}
	c, err := ParseConfig("its model", []byte(meta[stateConfig]))
	if err != nil {
		return 0, err
	}
	if diff := c.difference(d.mem.config); diff != "" {
		return 0, fmt.Errorf("it is of another model: %s", diff)
	}
	position, err = strconv.Atoi(meta[statePosition])
	if err != nil || position < 1 || position > mostPosition {
		return 0, fmt.Errorf("position %.40q, want a number of tokens, 1 to %d", meta[statePosition], mostPosition)
	}
	check := func(name string, shape []int) error {
		info, ok := f.Info(name)
		if !ok {
			return fmt.Errorf("tensor %q is missing", name)
		}
		if !slices.Equal(info.Shape, shape) || info.DType != safetensors.F32 {
			return fmt.Errorf("tensor %q is %s %v, want F32 %v", name, info.DType, info.Shape, shape)
		}
		return nil
	}
	ts := d.mem.Arena.Tensors()
	if got := len(f.Names()); got != 1+len(ts) {
		return 0, fmt.Errorf("%d tensors, want %d", got, 1+len(ts))
	}
	if err := check(stateLogits, []int{len(d.logits)}); err != nil {
		return 0, err
	}
	for _, t := range ts {
		if err := check(t.Name(), t.Shape()); err != nil {
			return 0, err
		}
	}
	return position, nil
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
