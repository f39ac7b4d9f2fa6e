package op_test

import (
	"math"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestRowStatsGradient(t *testing.T) {
	for _, s := range [][]int{{1, 2}, {3, 7}, {2, 3, 5}, {4, 1, 33}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: s}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				mean, std := op.RowStats(r, in[0])
				return []*prog.Tensor{mean, std}
			})
	}
	// Of one element only the mean has a gradient.
	check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{3, 1}}},
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			mean, std := op.RowStats(r, in[0])
			return []*prog.Tensor{mean, std}
		})
	// A gradient that reaches one of the two outputs only.
	for i := range 2 {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{3, 4}}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				mean, std := op.RowStats(r, in[0])
				return []*prog.Tensor{[]*prog.Tensor{mean, std}[i]}
			})
	}
}

func TestRowStatsNearEqualRows(t *testing.T) {
	const n = 63
	x := make([]float32, 3*n)
	want := make([]float64, 3)
	for i := range n {
		x[i] = 0.1                                            // its sum rounds
		x[n+i] = 1000 + float32(i%3)*0x1p-13                  // the deviation is far below the mean's rounding
		x[2*n+i] = float32(math.Sin(float64(i))) - float32(i) // ordinary
	}
	for r := range want {
		var s, q float64
		for _, v := range x[r*n : (r+1)*n] {
			s += float64(v) / n
		}
		for _, v := range x[r*n : (r+1)*n] {
			q += (float64(v) - s) * (float64(v) - s)
		}
		want[r] = math.Sqrt(q / (n - 1))
	}
	res := runFloat32(t, []tensorValues{{"x", []int{3, n}, x}}, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		mean, std := op.RowStats(r, in[0])
		return []*prog.Tensor{mean, std}
	})
	if s := res.outs[1][0]; s != 0 {
		t.Errorf("std of equal elements: got %g, want 0", s)
	}
	check.Within(t, "std of almost equal elements", res.outs[1][1:2], want[1:2], 1e-5)
	check.Within(t, "std", res.outs[1][2:], want[2:], 1e-6)
	// With dmean = dstd = 1 a row of equal elements gets the mean's gradient alone.
	for i, g := range res.grads[0][:n] {
		if g != float32(1)/n {
			t.Fatalf("dx[0,%d]: got %g, want 1/%d", i, g, n)
		}
	}
}
