package op_test

import (
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestRMSNormGradient(t *testing.T) {
	for _, s := range [][]int{{1, 2}, {3, 7}, {2, 3, 5}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: s}, {Name: "w", Shape: s[len(s)-1:]}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.RMSNorm(r, in[0], in[1], 1e-6)}
			})
	}
}
