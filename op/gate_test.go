package op_test

import (
	"math"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func tanhGate(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
	return []*prog.Tensor{op.TanhGate(r, in[0], in[1], in[2])}
}

func TestTanhGateGradient(t *testing.T) {
	for _, s := range [][]int{{1, 1}, {3, 7}, {2, 9, 20}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: s}, {Name: "y", Shape: s},
			{Name: "alpha", Shape: s[len(s)-1:]}}, tanhGate)
	}
}

// Where the gate is wide open or shut nothing is lost, and nothing overflows.
func TestTanhGateValues(t *testing.T) {
	alpha := []float32{0, 0.05, 0.1, -0.1, 1e-6, 3, -9, 45, -100, 3e38}
	n := len(alpha)
	x, y, seed := make([]float32, n), make([]float32, n), make([]float32, n)
	var out, dalpha []float64
	for i, a := range alpha {
		y[i], seed[i] = 2, float32(i+1)
		out = append(out, 2*math.Tanh(float64(a)))
		dalpha = append(dalpha, 2*float64(i+1)/math.Pow(math.Cosh(float64(a)), 2))
	}
	res := runFloat32(t, []tensorValues{{"x", []int{1, n}, x}, {"y", []int{1, n}, y}, {"alpha", []int{n}, alpha}},
		[][]float32{seed}, tanhGate)
	for i := range alpha {
		check.Within(t, "out", res.outs[0][i:i+1], out[i:i+1], 1e-6)
		if dalpha[i] > 1e-37 {
			check.Within(t, "dalpha", res.grads[2][i:i+1], dalpha[i:i+1], 1e-6)
		} else if g := res.grads[2][i]; !(math.Abs(float64(g)) <= 1e-37) {
			t.Errorf("dalpha at %g: got %g, want 0", alpha[i], g)
		}
		check.Within(t, "dx", res.grads[0][i:i+1], seed[i:i+1], 0)
		check.Within(t, "dy", res.grads[1][i:i+1], []float64{float64(i+1) * math.Tanh(float64(alpha[i]))}, 1e-6)
	}
}
