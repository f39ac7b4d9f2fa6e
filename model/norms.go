package model

import (
	"fmt"
	"slices"

	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// Range is least, greatest and mean of a tensor's finite elements.
type Range struct{ Min, Max, Mean float64 }

// HighGain is the gain above which NormStats counts rows: see op.HighGain.
const HighGain = op.HighGain

// NormStats is what the normaliser of the reconstruction target did in one head of one layer of the video variant, in
// the last micro-batch of a step.
type NormStats struct {
	Layer, Head    int     // Layer is the block's number
	XV, XK, Out    Range   // the target's input, the keys, and the normalised target
	Std            Range   // standard deviation of XV - XK
	HighGain       float64 // part of the rows with a gain above HighGain; NaN where a log does not say
	MaxZ, Bound    float64 // largest |z|, and sqrt(n-1), which no input can make it pass
	KeyMin, KeyMax float64 // Euclidean length of a key
	NonFinite      int     // elements
	Gain           float64 // the largest op.Gain of a row: what the backward pass multiplies gradients by, at most
	Weight, Bias   Range   // of the normaliser
	Eps            float64 // that was set
}

// normProbes are where a program leaves the statistics of its normalisers.
type normProbes struct {
	arena  *prog.Arena
	layers []int          // blocks with a normaliser
	stats  []*prog.Tensor // [H, op.NormStats] of each
	all    *prog.Tensor
	words  []float32
}

// newNormProbes lays out the statistics of m's normalisers; nil: it has none.
func newNormProbes(m *LM) *normProbes {
	if m.Config.Variant != VariantVideo {
		return nil
	}
	p := &normProbes{arena: prog.NewArena("norms")}
	for i := range m.layers {
		if m.layers[i].hasTTT {
			p.layers = append(p.layers, i)
			p.stats = append(p.stats, p.arena.Add(fmt.Sprintf("layers.%d.norm", i), prog.F32, m.Config.NumAttentionHeads, op.NormStats))
		}
	}
	if len(p.layers) == 0 {
		return nil
	}
	p.all = p.arena.Window("norms", 0, p.arena.Words())
	p.words = make([]float32, p.arena.Words())
	return p
}

// record has the layers of a pass measured.
func (p *normProbes) record(r *prog.Recorder, eps *prog.Tensor) func(*layerParams, ttt.VideoLayer) {
	if p == nil {
		return nil
	}
	next := 0
	return func(_ *layerParams, y ttt.VideoLayer) {
		op.NormProbe(r, y.XV, y.XK, y.Target, y.Z, y.Std, eps, p.stats[next])
		next++
	}
}

// read reads what the last run measured.
func (p *normProbes) read(m *LM, ex prog.Executor) ([]NormStats, error) {
	if p == nil {
		return nil, nil
	}
	if err := ex.Read(p.all, p.words); err != nil {
		return nil, err
	}
	var out []NormStats
	f := m.Config.HeadDim()
	for i, layer := range p.layers {
		gamma, beta := m.layers[layer].scan.Norm()
		g, b := make([]float32, gamma.Len()), make([]float32, beta.Len())
		if err := ex.Read(gamma, g); err != nil {
			return nil, err
		}
		if err := ex.Read(beta, b); err != nil {
			return nil, err
		}
		for h := range m.Config.NumAttentionHeads {
			s := p.words[p.stats[i].Offset()+h*op.NormStats:][:op.NormStats]
			at := func(i int) Range { return Range{float64(s[i]), float64(s[i+1]), float64(s[i+2])} }
			eps := m.eps()
			out = append(out, NormStats{
				Layer: layer, Head: h, XV: at(op.NormXVMin), XK: at(op.NormXKMin), Out: at(op.NormOutMin), Std: at(op.NormStdMin),
				HighGain: float64(s[op.NormHighGain]), MaxZ: float64(s[op.NormZMax]), Bound: ttt.NormBound(f),
				KeyMin: float64(s[op.NormXKLeast]), KeyMax: float64(s[op.NormXKLargest]), NonFinite: int(s[op.NormBad]),
				Gain: gain(s, eps, f), Eps: eps, Weight: rangeOf(g[h*f : (h+1)*f]), Bias: rangeOf(b[h*f : (h+1)*f]),
			})
		}
	}
	return out, nil
}

// gain is the largest op.Gain of a head's rows. A faulty normaliser's std may be below 0: such rows count by how near to 0 they
// are, as in the part of the rows with a high gain.
func gain(s []float32, eps float64, n int) float64 {
	std := float64(s[op.NormStdMin])
	if std < 0 {
		std = float64(s[op.NormNear]) - eps
	}
	return op.Gain(std, eps, n)
}

func rangeOf(v []float32) Range {
	r := Range{Min: float64(slices.Min(v)), Max: float64(slices.Max(v))}
	for _, x := range v {
		r.Mean += float64(x) / float64(len(v))
	}
	return r
}

// free releases the statistics on ex.
func (p *normProbes) free(ex prog.Executor) {
	if p != nil {
		ex.Free(p.arena)
	}
}

// NormTensors are a layer's tensors around the normaliser, kept.
type NormTensors struct {
	Layer          int          // the block's number
	XV, XK, Out, Z *prog.Tensor // [B,L,H,F]
	Std            *prog.Tensor // [B,L,H]
	Gamma, Beta    *prog.Tensor // [H,F], parameters
}

// NormStep is the forward pass with the tensors around every normaliser kept, for a diagnosis to read.
type NormStep struct {
	*LogitsStep
	Layers  []NormTensors // empty where the model has no normaliser
	Outputs []LayerOutput
}

// LayerOutput is the output of a TTT layer, kept.
type LayerOutput struct {
	Layer int          // the block's number
	Out   *prog.Tensor // [B,L,C], before its gate
}

// NewNormStep records the pass over b sequences of l tokens.
func NewNormStep(m *LM, b, l int) (*NormStep, error) {
	s := &NormStep{LogitsStep: &LogitsStep{lm: m}}
	in := prog.NewArena("inputs")
	s.tokens = m.AddTokens(in, "", b, l)
	var err error
	s.Program, err = prog.Record("diagnosis", func(r *prog.Recorder) {
		how := Reading{outputs: func(w *layerParams, y *prog.Tensor) {
			s.Outputs = append(s.Outputs, LayerOutput{w.number, r.Keep(y)})
		}, norms: func(w *layerParams, y ttt.VideoLayer) {
			gamma, beta := w.scan.Norm()
			n := NormTensors{Layer: w.number, XV: r.Keep(y.XV), XK: r.Keep(y.XK), Out: r.Keep(y.Target), Z: r.Keep(y.Z), Std: r.Keep(y.Std), Gamma: gamma, Beta: beta}
			s.Layers = append(s.Layers, n)
		}}
		s.Act = m.Forward(r, s.tokens, how)
		r.Keep(s.Act.Logits)
	})
	if err != nil {
		return nil, err
	}
	s.Inputs = prog.NewStage(in)
	return s, nil
}

// NormBench is the model's normaliser by itself, with weight 1 and bias 0: what it makes of rows of the tester's own.
type NormBench struct {
	Program *prog.Program
	lm      *LM
	inputs  *prog.Stage
	xv, xk  *prog.Tensor // [rows,1,n]
	w, b    *prog.Tensor // [1,n]
	eps     *prog.Tensor
	z       *prog.Tensor
}

// NewNormBench records the normaliser of rows rows of the head's n channels.
func NewNormBench(m *LM, rows int) (*NormBench, error) {
	if m.Config.Variant != VariantVideo || rows < 1 {
		return nil, fmt.Errorf("model: variant %q, %d rows: no normaliser to try, want variant \"video\" and at least 1 row", m.Config.Variant, rows)
	}
	n := m.Config.HeadDim()
	in := prog.NewArena("inputs")
	s := &NormBench{
		lm: m, xv: in.Add("xv", prog.F32, rows, 1, n), xk: in.Add("xk", prog.F32, rows, 1, n),
		w: in.Add("w", prog.F32, 1, n), b: in.Add("b", prog.F32, 1, n), eps: in.Add("eps", prog.F32, 1),
	}
	var err error
	s.Program, err = prog.Record("normaliser", func(r *prog.Recorder) {
		if f := norms[m.fault]; f != 0 {
			_, s.z, _ = op.FaultyNorm(r, f, s.xv, s.xk, s.w, s.b, s.eps)
		} else {
			_, s.z, _ = op.TargetNorm(r, s.xv, s.xk, s.w, s.b, s.eps)
		}
		r.Keep(s.z)
	})
	if err != nil {
		return nil, err
	}
	s.inputs = prog.NewStage(in)
	for i := range s.inputs.F32(s.w) {
		s.inputs.F32(s.w)[i] = 1
	}
	return s, nil
}

// Run normalises rows xv - xk [rows, n] with the model's TargetEps and returns z [rows, n].
func (s *NormBench) Run(ex prog.Executor, run prog.Runner, xv, xk []float32) ([]float32, error) {
	if len(xv) != s.xv.Len() || len(xk) != len(xv) {
		return nil, fmt.Errorf("model: rows of %d and %d elements, want %d", len(xv), len(xk), s.xv.Len())
	}
	copy(s.inputs.F32(s.xv), xv)
	copy(s.inputs.F32(s.xk), xk)
	s.inputs.F32(s.eps)[0] = float32(s.lm.eps())
	if err := ex.Upload(s.inputs); err != nil {
		return nil, err
	}
	if err := run.Run(); err != nil {
		return nil, err
	}
	z := make([]float32, s.z.Len())
	return z, run.Read(s.z, z)
}

// Free releases the bench's own memory on ex.
func (s *NormBench) Free(ex prog.Executor) { ex.Free(s.inputs.Arena) }
