package op_test

import (
	"math"
	"testing"

	"innerloop/op"
	"innerloop/prog"
)

func TestSwiGLUGradient(t *testing.T) { pairGradients(t, op.SwiGLU) }

func TestSwiGLUValues(t *testing.T) {
	gateValues(t, op.SwiGLU, func(gate, up float64) float64 { return gate / (1 + math.Exp(-gate)) * up })
}

// gateValues runs an elementwise operation in float32 at values from tiny to huge, forwards and backwards, and
// compares the outputs with want.
func gateValues(t *testing.T, f func(r *prog.Recorder, a, b *prog.Tensor) *prog.Tensor, want func(a, b float64) float64) {
	t.Helper()
	mags := []float64{0, 1e-30, 1e-3, 0.5, 1, 3, 8, 30, 88, 89, 104, 200, 1e4, 1e13, 1e20}
	var av, bv []float64
	for _, m := range mags {
		for _, n := range []float64{1, -1} {
			av, bv = append(av, m*n, 2), append(bv, 2, m*n)
		}
	}
	ar := prog.NewArena("in")
	a, b := ar.Add("a", prog.F32, len(av)), ar.Add("b", prog.F32, len(bv))
	g := ar.Mirror("grad")
	ar.WithGrad(g)
	var out *prog.Tensor
	cpu, run := loadOn[float32](t, func(r *prog.Recorder) {
		out = r.Keep(f(r, a, b))
		dout := r.Temp("dout", len(av))
		r.Clear(dout)
		r.SetGrad(out, dout)
		r.Backward()
	})
	for i := range av {
		dataOf(t, cpu, a)[i], dataOf(t, cpu, b)[i] = float32(av[i]), float32(bv[i])
	}
	runOnce(t, run)
	got := make([]float32, len(av))
	if err := run.Read(out, got); err != nil {
		t.Fatal(err)
	}
	for i := range av {
		w := want(av[i], bv[i])
		if d := math.Abs(float64(got[i]) - w); !(d <= 4e-6*math.Abs(w)+1e-15*math.Abs(av[i]*bv[i])+1e-30) {
			t.Errorf("f(%g, %g): got %g, want %g", av[i], bv[i], got[i], w)
		}
	}
	// With a zero dout every gradient is zero, or NaN where a derivative was not finite.
	for _, x := range g.Tensors() {
		for i, v := range dataOf(t, cpu, x) {
			if v != 0 {
				t.Errorf("gradient of %s at (%g, %g): got %g, want 0", x.Name(), av[i], bv[i], v)
			}
		}
	}
}
