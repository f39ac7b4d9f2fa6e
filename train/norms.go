package train

import (
	"fmt"
	"math"

	"innerloop/model"
)

// NormsFile is a run's log of what the normalisers of its layers did, a line a layer and quantity.
const NormsFile = "norms.log"

// AppendNorms adds the lines of a step to b, over all heads of each layer, as innerloop logs compare reads them:
//
//	step 10 Layer 29: XV output: min=-3.1, max=2.9, mean=0.01
//
// The last line of a layer has the rest, and the fault that the model has been given.
func AppendNorms(b []byte, step int, list []model.NormStats, headDim int, fault model.Fault) []byte {
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j].Layer == list[i].Layer {
			j++
		}
		heads := list[i:j]
		span := func(name string, of func(model.NormStats) model.Range) (mean float64) {
			r := model.Range{Min: math.Inf(1), Max: math.Inf(-1)}
			for _, h := range heads {
				x := of(h)
				r.Min, r.Max, r.Mean = math.Min(r.Min, x.Min), math.Max(r.Max, x.Max), r.Mean+x.Mean/float64(len(heads))
			}
			b = fmt.Appendf(b, "step %d Layer %d: %s: min=%.6g, max=%.6g", step, heads[0].Layer, name, r.Min, r.Max)
			return r.Mean
		}
		line := func(name string, of func(model.NormStats) model.Range) {
			b = fmt.Appendf(b, ", mean=%.6g\n", span(name, of))
		}
		short := func(name string, of func(model.NormStats) model.Range) { // of which no mean is measured
			span(name, of)
			b = append(b, '\n')
		}
		line("XV input", func(s model.NormStats) model.Range { return s.XV })
		line("XK", func(s model.NormStats) model.Range { return s.XK })
		short("XK length", func(s model.NormStats) model.Range { return model.Range{Min: s.KeyMin, Max: s.KeyMax} })
		line("std", func(s model.NormStats) model.Range { return s.Std })
		short("z", func(s model.NormStats) model.Range { return model.Range{Min: -s.MaxZ, Max: s.MaxZ} })
		line("XV output", func(s model.NormStats) model.Range { return s.Out })
		line("weight", func(s model.NormStats) model.Range { return s.Weight })
		line("bias", func(s model.NormStats) model.Range { return s.Bias })
		high, gain, bad, mostHigh, mostBad := 0.0, 0.0, 0, 0.0, 0
		for _, h := range heads {
			high, gain, bad = high+h.HighGain/float64(len(heads)), math.Max(gain, h.Gain), bad+h.NonFinite
			mostHigh, mostBad = math.Max(mostHigh, h.HighGain), max(mostBad, h.NonFinite)
		}
		b = fmt.Appendf(b, "step %d Layer %d: eps=%g head_dim=%d, gain above %d in %.4g of the rows, gain at most %.6g, |z| at most %.6g of %.6g, not finite %d; worst head: high gain %.4g, bad %d",
			step, heads[0].Layer, heads[0].Eps, headDim, model.HighGain, high, gain, largestZ(heads), heads[0].Bound, bad, mostHigh, mostBad)
		if fault != model.NoFault {
			b = fmt.Appendf(b, ", fault %s", fault)
		}
		b = append(b, '\n')
		i = j
	}
	return b
}

func largestZ(heads []model.NormStats) (z float64) {
	for _, h := range heads {
		z = math.Max(z, h.MaxZ)
	}
	return z
}
