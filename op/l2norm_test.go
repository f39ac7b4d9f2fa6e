package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestL2NormGradient(t *testing.T) {
	for _, c := range []struct{ tokens, heads, f int }{{1, 1, 2}, {3, 2, 5}, {2, 3, 16}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{c.tokens, c.heads * c.f}}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.L2Norm(r, in[0], c.heads)}
			})
	}
}

// The rows of every kind have the norm and the gradient of their formula in float64; those above the least norm have
// norm 1 whatever their size.
func TestL2NormRows(t *testing.T) { gputest.Each(t, l2normRows) }

func l2normRows(t *testing.T, ex prog.Executor) {
	const f, heads, tokens = 24, 4, 3
	r := rand.New(rand.NewPCG(2, 2))
	for _, scale := range []float64{1, 1e-5, 1e-11, 1e-20, 1e-30, 1e20, 1e30, 1e38, math.MaxFloat32, 0} {
		x, dout := make([]float32, tokens*heads*f), make([]float32, tokens*heads*f)
		for i := range x {
			x[i] = float32(scale * (2*r.Float64() - 1))
			dout[i] = float32(min(max(scale, 1e-12), 1e37)) * normal(r) // so that gradients are about 1
			if i < f && i > 0 {
				x[i] = 0 // a row of one element that is not zero
			}
		}
		res := runOn(t, ex, []tensorValues{{"x", []int{tokens, heads * f}, x}}, [][]float32{dout},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.L2Norm(r, in[0], heads)}
			})
		var want, wantGrad []float64
		for n := 0; n < len(x); n += f {
			var sum, dot float64
			for i := n; i < n+f; i++ {
				sum += float64(x[i]) * float64(x[i])
			}
			den := max(math.Sqrt(sum), 1e-12)
			for i := n; i < n+f && den > 1e-12; i++ {
				dot += float64(dout[i]) * float64(x[i]) / den
			}
			for i := n; i < n+f; i++ {
				want = append(want, float64(x[i])/den)
				wantGrad = append(wantGrad, (float64(dout[i])-want[i]*dot)/den)
			}
			if got := norm(res.outs[0][n : n+f]); scale >= 1e-11 && math.Abs(got-1) > 1e-6 {
				t.Errorf("scale %g: a row of norm %.9g, want 1", scale, got)
			}
		}
		check.Within(t, fmt.Sprintf("scale %g: out", scale), res.outs[0], want, 1e-6)
		if scale <= 1e37 { // WGSL says nothing of division by more than 2^126
			check.Within(t, fmt.Sprintf("scale %g: gradient", scale), res.grads[0], wantGrad, 1e-5)
		}
		for _, g := range res.grads[0] {
			if g-g != 0 {
				t.Fatalf("scale %g: gradient %g", scale, g)
			}
		}
	}
}

func TestL2NormRefuses(t *testing.T) {
	a := prog.NewArena("in")
	x := a.Add("x", prog.F32, 4, 6)
	for _, heads := range []int{0, 4} {
		_, err := prog.Record("l2norm", func(r *prog.Recorder) { op.L2Norm(r, x, heads) })
		if want := fmt.Sprintf("6 channels for %d heads", heads); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one about %q", err, want)
		}
	}
}
