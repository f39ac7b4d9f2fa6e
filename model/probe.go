package model

import (
	"fmt"
	"slices"

	"innerloop/prog"
	"innerloop/ttt"
)

// Probe is what the inner loops of a model gain on one text: numbers for every layer, head and mini-batch t of the text,
// flat and in that order, [Layers][Heads][MiniBatches]. A loss is that of the inner loop, 1/2 sum_d (LN(f(k; W)) - (v - k))²
// with k after RoPE, the mean over the mini-batch's tokens, of which the last mini-batch may have fewer. In a healthy
// trained model Start > Before > After, and Start - Before grows with t (Sun et al. 2024, arXiv 2407.04620, figure 4).
// Where weights are not finite, nor are these.
type Probe struct {
	Layers, Heads, MiniBatches int       // Layers: those with a TTT layer
	MiniBatchSize              int       // K, tokens
	Start                      []float64 // loss under the learned start W0
	Before                     []float64 // under W_{t-1}, the state before the mini-batch's step
	After                      []float64 // under W_t, the state after it
	Drift                      []float64 // ||W_t - W0|| / ||W0||, Frobenius norms over the weights and biases of all inner layers together
}

// ProbeStep is a recorded forward pass that measures the inner loops: a program beside the training step, that reads
// the same parameters and changes none.
type ProbeStep struct {
	Program *prog.Program
	Inputs  *prog.Stage

	lm     *LM
	config Config
	tokens Tokens
	out    *prog.Arena
	layers []probeLayer
	all    *prog.Tensor // the whole of out
	words  []float32    // as read from it
}

type probeLayer struct {
	loss  *prog.Tensor // [H, ProbeStates, L]
	drift *prog.Tensor // [H, ceil(L/K)]
}

// NewProbeStep records the measuring of one text of l tokens, read from its beginning. Beside the activations of one
// row it wants memory for every state that a layer's heads go through: ceil(l/K) of them each.
func NewProbeStep(m *LM, l int) (*ProbeStep, error) {
	if l < 1 {
		return nil, fmt.Errorf("model: %d tokens to probe, want at least 1", l)
	}
	c := m.Config
	s := &ProbeStep{lm: m, config: c, out: prog.NewArena("probe")}
	in := prog.NewArena("inputs")
	s.tokens = m.AddTokens(in, "", 1, l)
	for i := range c.NumHiddenLayers {
		if !m.layers[i].hasTTT {
			continue
		}
		s.layers = append(s.layers, probeLayer{
			loss:  s.out.Add(fmt.Sprintf("layers.%d.loss", i), prog.F32, c.NumAttentionHeads, ttt.ProbeStates, l),
			drift: s.out.Add(fmt.Sprintf("layers.%d.drift", i), prog.F32, c.NumAttentionHeads, prog.CeilDiv(l, c.MiniBatchSize)),
		})
	}
	if len(s.layers) == 0 {
		return nil, fmt.Errorf("model: layers %q: no TTT layer to probe", c.Layers)
	}
	s.all = s.out.Window("probe", 0, s.out.Words())
	s.words = make([]float32, s.out.Words())
	var err error
	s.Program, err = prog.Record("probe", func(r *prog.Recorder) {
		layer := 0
		m.Forward(r, s.tokens, Reading{probe: func(r *prog.Recorder, w *layerParams, xs *prog.Tensor, o ttt.Options) *prog.Tensor {
			p := s.layers[layer]
			layer++
			return w.scan.Probe(r, xs, w.tok, p.loss, p.drift, o).Out
		}})
	})
	if err != nil {
		return nil, err
	}
	s.Inputs = prog.NewStage(in)
	return s, nil
}

// IDs is where the host writes the text's tokens, [L].
func (s *ProbeStep) IDs() []uint32 { return s.Inputs.U32(s.tokens.IDs) }

// Run uploads the tokens and runs the pass. A token outside the vocabulary is an error.
func (s *ProbeStep) Run(ex prog.Executor, run prog.Runner) error {
	if _, err := s.lm.fillTokens(s.Inputs, s.tokens, false); err != nil {
		return err
	}
	if err := ex.Upload(s.Inputs); err != nil {
		return err
	}
	return run.Run()
}

// Read waits for the last Run and puts what it measured in p, whose slices it uses again where they are long enough.
func (s *ProbeStep) Read(ex prog.Executor, p *Probe) error {
	if err := ex.Read(s.all, s.words); err != nil {
		return err
	}
	heads, l, k := s.config.NumAttentionHeads, s.tokens.IDs.Dim(1), s.config.MiniBatchSize
	n := prog.CeilDiv(l, k)
	p.Layers, p.Heads, p.MiniBatches, p.MiniBatchSize = len(s.layers), heads, n, k
	columns := [...]*[]float64{&p.Start, &p.Before, &p.After, &p.Drift}
	for _, c := range columns {
		*c = slices.Grow((*c)[:0], p.Layers*heads*n)[:p.Layers*heads*n]
	}
	for i, layer := range s.layers {
		loss, drift := s.words[layer.loss.Offset():], s.words[layer.drift.Offset():]
		for h := range heads {
			at := (i*heads + h) * n
			for t := range n {
				for state, c := range columns[:ttt.ProbeStates] {
					(*c)[at+t] = mean(loss[(h*ttt.ProbeStates+state)*l:][t*k : min(t*k+k, l)])
				}
				p.Drift[at+t] = float64(drift[h*n+t])
			}
		}
	}
	return nil
}

func mean(xs []float32) (sum float64) {
	for _, x := range xs {
		sum += float64(x)
	}
	return sum / float64(len(xs))
}

// Free releases the step's own memory on ex.
func (s *ProbeStep) Free(ex prog.Executor) {
	ex.Free(s.Inputs.Arena)
	ex.Free(s.out)
}
