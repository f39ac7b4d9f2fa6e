package lab

import (
	"fmt"
	"math"
	"strings"

	"innerloop/model"
	"innerloop/prog"
)

// secondEps is what the normaliser is set to beside the model's own eps, to see that it takes a change up.
func secondEps(eps float64) float64 {
	if eps > 0.1 {
		return 1e-3
	}
	return 0.5
}

// Examine gathers the evidence on one batch: ids [b,l] read by m, whose parameters ex holds. It trains nothing, and leaves
// the model as it was.
func Examine(m *model.LM, ex prog.Executor, ids []uint32, b, l int) (e Evidence, err error) {
	if len(ids) != b*l || b < 1 || l < 2 {
		return e, fmt.Errorf("lab: %d tokens, want %d rows of %d, at least one of 2", len(ids), b, l)
	}
	e.Eps = m.TargetEps
	e.Eps2 = secondEps(e.Eps)
	defer func() { m.TargetEps = e.Eps }()
	s, err := model.NewNormStep(m, b, l)
	if err != nil {
		return e, err
	}
	defer s.Free(ex)
	run, err := ex.Load(s.Program)
	if err != nil {
		return e, err
	}
	defer run.Close()
	pass := func(ids []uint32) ([]float32, error) {
		copy(s.IDs(), ids)
		if err := s.Run(ex, run); err != nil {
			return nil, err
		}
		logits := make([]float32, s.Act.Logits.Len())
		return logits, run.Read(s.Act.Logits, logits)
	}
	logits, err := pass(ids)
	if err != nil {
		return e, err
	}
	e.Loss = loss(logits, ids, b, l)
	for _, n := range s.Layers {
		x := Layer{Layer: n.Layer, Heads: n.XV.Dim(-2), Dim: n.XV.Dim(-1)}
		for to, t := range map[*[]float32]*prog.Tensor{&x.XV: n.XV, &x.XK: n.XK, &x.Out: n.Out, &x.Z: n.Z, &x.Std: n.Std} {
			*to = make([]float32, t.Len())
			if err := run.Read(t, *to); err != nil {
				return e, err
			}
		}
		for to, t := range map[*[]float32]*prog.Tensor{&x.Gamma: n.Gamma, &x.Beta: n.Beta} {
			*to = make([]float32, t.Len())
			if err := ex.Read(t, *to); err != nil {
				return e, err
			}
		}
		e.Layers = append(e.Layers, x)
	}
	if e.Leak, err = leak(pass, logits, ids, l, m.Config.MiniBatchSize, m.Config.VocabSize); err != nil {
		return e, err
	}
	if len(e.Layers) > 0 {
		return e, e.bench(m, ex)
	}
	for _, n := range m.Names() {
		if !strings.HasSuffix(n, "ttt_norm_weight") && !strings.HasSuffix(n, "ttt_norm_bias") {
			continue
		}
		v := make([]float32, m.Lookup(n).Len())
		if err := ex.Read(m.Lookup(n), v); err != nil {
			return e, err
		}
		p := ParamRange{n, math.Inf(1), math.Inf(-1)}
		for _, x := range v {
			p.Min, p.Max = math.Min(p.Min, float64(x)), math.Max(p.Max, float64(x))
		}
		e.Params = append(e.Params, p)
	}
	return e, nil
}

// bench runs the normaliser by itself.
func (e *Evidence) bench(m *model.LM, ex prog.Executor) error {
	e.Rows = TestRows(e.Layers[0].Dim, 1)
	s, err := model.NewNormBench(m, len(e.Rows.XV)/e.Rows.N)
	if err != nil {
		return err
	}
	defer s.Free(ex)
	run, err := ex.Load(s.Program)
	if err != nil {
		return err
	}
	defer run.Close()
	if e.Z, err = s.Run(ex, run, e.Rows.XV, e.Rows.XK); err != nil {
		return err
	}
	m.TargetEps = e.Eps2
	e.Z2, err = s.Run(ex, run, e.Rows.XV, e.Rows.XK)
	return err
}

// loss is the mean cross-entropy of the next tokens, in nats.
func loss(logits []float32, ids []uint32, b, l int) float64 {
	v := len(logits) / len(ids)
	var sum float64
	for i := range ids {
		if (i+1)%l == 0 {
			continue
		}
		row := logits[i*v : (i+1)*v]
		most := math.Inf(-1)
		for _, x := range row {
			most = math.Max(most, float64(x))
		}
		var z float64
		for _, x := range row {
			z += math.Exp(float64(x) - most)
		}
		sum += most + math.Log(z) - float64(row[ids[i+1]])
	}
	return sum / float64(b*(l-1))
}

// leak changes the last token of the first whole mini-batch and looks at the logits before it; nil: mini-batches of one
// token, or rows that hold no whole one.
func leak(pass func([]uint32) ([]float32, error), logits []float32, ids []uint32, l, k, vocab int) (*Leak, error) {
	if k < 2 || l < k {
		return nil, nil
	}
	other := append([]uint32(nil), ids...)
	other[k-1] = (other[k-1] + 1) % uint32(vocab)
	changed, err := pass(other)
	if err != nil {
		return nil, err
	}
	x := new(Leak)
	for i := range k {
		for j := i * vocab; j < (i+1)*vocab; j++ {
			d := math.Abs(float64(changed[j]) - float64(logits[j]))
			if math.IsNaN(d) {
				return nil, nil // nothing can be told
			}
			if i == k-1 {
				x.At = math.Max(x.At, d)
			} else {
				x.Before = math.Max(x.Before, d)
			}
		}
	}
	return x, nil
}
