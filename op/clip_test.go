package op_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

type clipRig struct {
	cpu                  *prog.CPU[float32]
	run                  prog.Runner
	a, b                 []float32 // the gradients
	maxNorm, norm, scale []float32
}

func newClipRig(t *testing.T, na, nb int) clipRig {
	t.Helper()
	grads, in, out := prog.NewArena("grads"), prog.NewArena("in"), prog.NewArena("out")
	a, b := grads.Add("a", prog.F32, na), grads.Add("b", prog.F32, nb)
	most, norm, scale := in.Add("max", prog.F32, 1), out.Add("norm", prog.F32, 1), out.Add("scale", prog.F32, 1)
	cpu, run := loadOn[float32](t, func(r *prog.Recorder) {
		op.ClipNorm(r, []*prog.Tensor{a, b}, most, norm, scale)
	})
	d := func(x *prog.Tensor) []float32 { return dataOf(t, cpu, x) }
	return clipRig{cpu, run, d(a), d(b), d(most), d(norm), d(scale)}
}

func TestClipNorm(t *testing.T) {
	for _, n := range [][2]int{{1, 1}, {100, 3}, {5000, 70_000}} {
		g := newClipRig(t, n[0], n[1])
		rnd := rand.New(rand.NewPCG(9, 9))
		var sum float64
		for _, x := range [][]float32{g.a, g.b} {
			for i := range x {
				x[i] = float32(3 * rnd.NormFloat64())
				sum += float64(x[i]) * float64(x[i])
			}
		}
		norm := math.Sqrt(sum)
		for _, most := range []float64{norm / 4, 1e-3, 2 * norm, 0, -1} {
			g.maxNorm[0] = float32(most)
			want := 1.0
			if most > 0 {
				want = min(1, most/(norm+1e-6))
			}
			for range 2 { // the partial sums start anew in every run
				runOnce(t, g.run)
				check.Within(t, "norm", g.norm, []float64{norm}, 1e-6)
				check.Within(t, "scale", g.scale, []float64{want}, 1e-6)
			}
		}
	}
}

func TestClipNormOfZero(t *testing.T) {
	g := newClipRig(t, 7, 2)
	g.maxNorm[0] = 1
	runOnce(t, g.run)
	if g.norm[0] != 0 || g.scale[0] != 1 {
		t.Errorf("norm %g, scale %g, want 0, 1", g.norm[0], g.scale[0])
	}
}

// TestClipNormNotFinite: what is not finite is never scaled away.
func TestClipNormNotFinite(t *testing.T) {
	for _, bad := range []float64{math.Inf(1), math.NaN(), 1e30} {
		g := newClipRig(t, 7, 2)
		g.b[1] = float32(bad)
		g.maxNorm[0] = 1
		runOnce(t, g.run)
		if n := float64(g.norm[0]); !math.IsNaN(n) && !math.IsInf(n, 1) {
			t.Errorf("gradient %g: norm %g, want not finite", bad, n)
		}
		if s := float64(g.scale[0]); !math.IsNaN(s) {
			t.Errorf("gradient %g: scale %g, want NaN", bad, s)
		}
		g.maxNorm[0] = 0
		runOnce(t, g.run)
		if s := float64(g.scale[0]); !math.IsNaN(s) {
			t.Errorf("gradient %g without clipping: scale %g, want NaN, which stops the update", bad, s)
		}
	}
}

func TestClipNormWantsGradients(t *testing.T) {
	in, out := prog.NewArena("in"), prog.NewArena("out")
	_, err := prog.Record("clip", func(r *prog.Recorder) {
		op.ClipNorm(r, nil, in.Add("max", prog.F32, 1), out.Add("norm", prog.F32, 1), out.Add("scale", prog.F32, 1))
	})
	if err == nil {
		t.Error("no gradients: no error")
	}
}
