package op_test

import (
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestCausalConvGradient(t *testing.T) {
	for _, s := range []struct{ b, l, c, w int }{{1, 1, 1, 1}, {1, 2, 1, 4}, {2, 5, 3, 4}, {3, 7, 2, 3}, {2, 4, 17, 1}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{s.b, s.l, s.c}},
			{Name: "w", Shape: []int{s.c, 1, s.w}}, {Name: "b", Shape: []int{s.c}}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.CausalConv(r, in[0], in[1], in[2])}
			})
	}
}

// The taps of PyTorch's Conv1d: the last one meets the token itself, and a sequence does not see the one before it.
func TestCausalConvValues(t *testing.T) {
	x := []float32{1, 10, 2, 20, 3, 30 /* next sequence */, 4, 40, 5, 50, 6, 60} // [2,3,2]
	w := []float32{1, 2, 3, 0.1, 0.2, 0.3}                                       // [2,1,3]
	b := []float32{100, 0}
	want := []float64{
		100 + 3*1, 0.3 * 10,
		100 + 2*1 + 3*2, 0.2*10 + 0.3*20,
		100 + 1*1 + 2*2 + 3*3, 0.1*10 + 0.2*20 + 0.3*30,
		100 + 3*4, 0.3 * 40,
		100 + 2*4 + 3*5, 0.2*40 + 0.3*50,
		100 + 1*4 + 2*5 + 3*6, 0.1*40 + 0.2*50 + 0.3*60,
	}
	res := runFloat32(t, []tensorValues{{"x", []int{2, 3, 2}, x}, {"w", []int{2, 1, 3}, w}, {"b", []int{2}, b}}, nil,
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			return []*prog.Tensor{op.CausalConv(r, in[0], in[1], in[2])}
		})
	check.Within(t, "out", res.outs[0], want, 1e-6)
}

func TestCausalConvRefusesShapes(t *testing.T) {
	a := prog.NewArena("in")
	x, w, b := a.Add("x", prog.F32, 2, 3, 4), a.Add("w", prog.F32, 4, 2, 3), a.Add("b", prog.F32, 4)
	_, err := prog.Record("conv", func(r *prog.Recorder) { op.CausalConv(r, x, w, b) })
	if err == nil || !strings.Contains(err.Error(), "[C 1 W]") {
		t.Errorf("weights of a convolution that is not depthwise: got error %v", err)
	}
}
