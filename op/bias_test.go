package op_test

import (
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestLinearBiasGradient(t *testing.T) {
	for _, c := range []struct{ tokens, in, out int }{{1, 1, 1}, {3, 5, 7}, {6, 8, 4}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{2, c.tokens, c.in}}, {Name: "w", Shape: []int{c.out, c.in}},
			{Name: "b", Shape: []int{c.out}}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.LinearBias(r, in[0], in[1], in[2])}
			})
	}
}

// The bias is added to every row, on every run anew.
func TestLinearBiasValues(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		res := runOn(t, ex, []tensorValues{{"x", []int{1, 2, 2}, []float32{1, 2, 3, 4}}, {"w", []int{3, 2}, []float32{1, 0, 0, 1, 1, 1}},
			{"b", []int{3}, []float32{10, 20, 30}}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				y := op.LinearBias(r, in[0], in[1], in[2])
				if y.String() != "linear [1 2 3]" {
					t.Errorf("got %v", y)
				}
				return []*prog.Tensor{y}
			})
		check.Within(t, "out", res.outs[0], []float64{11, 22, 33, 13, 24, 37}, 0)
		for i, want := range [][]float64{{2, 2, 2, 2}, {4, 6, 4, 6, 4, 6}, {2, 2, 2}} { // dx, dw, db of ones
			check.Within(t, "gradient", res.grads[i], want, 0)
		}
	})
}

func TestLinearBiasRefuses(t *testing.T) {
	a := prog.NewArena("in")
	x, w, b := a.Add("x", prog.F32, 4, 6), a.Add("w", prog.F32, 3, 6), a.Add("b", prog.F32, 4)
	_, err := prog.Record("linear", func(r *prog.Recorder) { op.LinearBias(r, x, w, b) })
	if want := "weight w [3 6] and bias b [4]"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one about %q", err, want)
	}
}
