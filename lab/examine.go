package lab

import (
	"fmt"
	"math"
	"slices"
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
	look := func(ids []uint32) ([]seen, error) {
		copy(s.IDs(), ids)
		if err := s.Run(ex, run); err != nil {
			return nil, err
		}
		all := []seen{{"logits", make([]float32, s.Act.Logits.Len())}}
		if err := run.Read(s.Act.Logits, all[0].values); err != nil {
			return nil, err
		}
		for _, o := range s.Outputs {
			v := make([]float32, o.Out.Len())
			if err := run.Read(o.Out, v); err != nil {
				return nil, err
			}
			all = append(all, seen{fmt.Sprintf("output of TTT layer %d", o.Layer), v})
		}
		return all, nil
	}
	first, err := look(ids)
	if err != nil {
		return e, err
	}
	e.Loss = loss(first[0].values, ids, b, l)
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
	if e.Leak, err = leak(m.Config, ids, l, first, look); err != nil {
		return e, err
	}
	if len(e.Layers) > 0 {
		return e, e.bench(m, ex)
	}
	keys := "seq_modeling_block.k_proj.weight"
	if m.Config.ShareQK {
		keys = "seq_modeling_block.q_proj.weight"
	}
	for _, n := range m.Names() {
		ofKeys := strings.HasSuffix(n, keys)
		if !ofKeys && !strings.HasSuffix(n, "ttt_norm_weight") && !strings.HasSuffix(n, "ttt_norm_bias") {
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
		if ofKeys {
			e.Keys = append(e.Keys, p)
		} else {
			e.Params = append(e.Params, p)
		}
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

// seen is what a leak is looked for in.
type seen struct {
	of     string
	values []float32 // the same number for each token
}

// leak changes the last token of the first mini-batch, which may be a whole shorter row, and looks at what the model makes
// of the tokens before it: the logits, and the output of every TTT layer, which may count for nothing in the logits,
// behind a closed gate, and yet train.
func leak(c model.Config, ids []uint32, l int, before []seen, look func([]uint32) ([]seen, error)) (*Leak, error) {
	x := &Leak{Tokens: min(c.MiniBatchSize, l)}
	if x.Tokens == 1 {
		return x, nil
	}
	last := x.Tokens - 1
	other := slices.Clone(ids)
	other[last] = (other[last] + 1) % uint32(c.VocabSize)
	after, err := look(other)
	if err != nil {
		return nil, err
	}
	blind := func(why string) {
		if x.Blind == "" {
			x.Blind = why
		}
	}
	if c.TTTBaseLR == 0 && len(before) > 1 {
		blind("model.ttt_base_lr is 0: a TTT layer that learns nothing passes nothing on, to no token. Set it above 0")
	}
	worst := 0.0
	for n, b := range before {
		width := len(b.values) / len(ids)
		var earlier, at, share float64
		for i, v := range b.values[:x.Tokens*width] {
			d := math.Abs(float64(after[n].values[i]) - float64(v))
			switch {
			case math.IsNaN(d):
				blind("the " + b.of + " has values that are no numbers")
			case i < last*width:
				earlier = math.Max(earlier, d)
			default:
				at = math.Max(at, d)
			}
		}
		if earlier > 0 {
			share = earlier / at
		} else if at == 0 {
			blind(fmt.Sprintf("another token changes nothing in the %s, not even at its own place: weights are 0. Set model.initializer_range above 0, or load a checkpoint whose weights are not 0", b.of))
		}
		if n == 0 || share > worst {
			x.Of, x.Before, x.At, worst = b.of, earlier, at, share
		}
	}
	return x, nil
}
