package op_test

import (
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestLayerNormGradient(t *testing.T) {
	for _, s := range [][]int{{1, 2}, {3, 7}, {2, 3, 5}, {1, 33}} {
		d := s[len(s)-1:]
		check.Gradients(t, 1, 1e-6, []check.Input{{Name: "x", Shape: s}, {Name: "w", Shape: d}, {Name: "b", Shape: d}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.LayerNorm(r, in[0], in[1], in[2], 1e-3)}
			})
	}
}

// A row of one element has no deviation: the output is the bias, and no gradient reaches x or w.
func TestLayerNormOneColumn(t *testing.T) {
	res := runFloat32(t, []tensorValues{{"x", []int{3, 1}, []float32{1, -2, 1e6}}, {"w", []int{1}, []float32{3}},
		{"b", []int{1}, []float32{0.5}}}, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		return []*prog.Tensor{op.LayerNorm(r, in[0], in[1], in[2], 1e-6)}
	})
	check.Within(t, "out", res.outs[0], []float64{0.5, 0.5, 0.5}, 0)
	check.Within(t, "dx", res.grads[0], []float64{0, 0, 0}, 0)
	check.Within(t, "dw", res.grads[1], []float64{0}, 0)
	check.Within(t, "db", res.grads[2], []float64{3}, 0)
}
