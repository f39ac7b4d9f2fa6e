package op_test

import (
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestMixGradient(t *testing.T) {
	check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{3, 5}}, {Name: "y", Shape: []int{15}}},
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			return []*prog.Tensor{op.Mix(r, in[0], in[1], -0.7)}
		})
}
