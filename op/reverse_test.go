package op_test

import (
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestReverseGradient(t *testing.T) {
	check.Gradients(t, 1, 1e-9, []check.Input{{Name: "x", Shape: []int{2, 5, 3}}}, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		return []*prog.Tensor{op.Reverse(r, in[0])}
	})
}

func TestReverseValues(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		res := runOn(t, ex, []tensorValues{{"x", []int{2, 3, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor { return []*prog.Tensor{op.Reverse(r, in[0])} })
		check.Within(t, "out", res.outs[0], []float64{5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8}, 0)
	})
}
