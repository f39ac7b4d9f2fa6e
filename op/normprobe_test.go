package op_test

import (
	"math"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// The rows of a high gain are those that 1/(std+eps) puts above 100, at every eps; of two channels, in which z changes
// only as far as eps shrinks it, those of eps/(std+eps)².
func TestHighGain(t *testing.T) {
	stds := []float32{0, 1e-8, 1e-6, 1e-4, 5e-3, 9.9e-3, 0.0101, 0.03, 0.2, 1}
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, f := range []int{2, 4} {
			in := prog.NewArena("inputs")
			rows := len(stds)
			std, eps := in.Add("std", prog.F32, rows, 1), in.Add("eps", prog.F32, 1)
			x := in.Add("x", prog.F32, rows, 1, f)
			out := prog.NewArena("out")
			stats := out.Add("stats", prog.F32, 1, op.NormStats)
			p, err := prog.Record("probe", func(r *prog.Recorder) { op.NormProbe(r, x, x, x, x, std, eps, stats) })
			if err != nil {
				t.Fatal(err)
			}
			run, err := ex.Load(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range []float64{0, 1e-12, 1e-8, 1e-5, 1e-3, 0.01, 0.02, 1} {
				want := 0
				for _, s := range stds {
					if op.Gain(float64(s), float64(float32(e)), f) > op.HighGain*(1+1e-6) {
						want++
					}
				}
				got := make([]float32, op.NormStats)
				for _, err := range []error{ex.Write(x, make([]float32, rows*f)), ex.Write(std, stds), ex.Write(eps, []float32{float32(e)}), run.Run(), ex.Read(stats, got)} {
					if err != nil {
						t.Fatal(err)
					}
				}
				if near := float64(stds[0] + float32(e)); math.Abs(float64(got[op.NormNear])-near) > 1e-6*near {
					t.Errorf("%d channels, eps %g: the nearest to 0 is %g, want %g", f, e, got[op.NormNear], near)
				}
				if n := math.Round(float64(got[op.NormHighGain]) * float64(rows)); int(n) != want {
					t.Errorf("%d channels, eps %g: %g rows of a high gain, want %d", f, e, n, want)
				}
			}
			run.Close()
			ex.Free(in)
			ex.Free(out)
		}
	})
	for _, c := range []struct {
		std, eps float64
		n        int
		want     float64
	}{
		{1e-7, 1e-5, 64, 1 / 1.01e-5}, {0.2, 1e-5, 64, 4.99975}, {0.35, 1, 64, 1 / 1.35}, {4.5e-9, 1e-12, 64, 2.2217e8}, {0, 0.01, 64, 100}, {0, 0, 64, math.Inf(1)}, {-0.5, 1e-5, 64, math.Inf(1)},
		{0, 1e-5, 2, 1e5}, {0.2, 1e-5, 2, 2.4997e-4}, {1e-7, 0, 2, 0}, {0, 0, 2, 0},
	} {
		if got := op.Gain(c.std, c.eps, c.n); math.Abs(got-c.want) > 1e-3*c.want && got != c.want {
			t.Errorf("std %g, eps %g, %d channels: gain %g, want %g", c.std, c.eps, c.n, got, c.want)
		}
	}
}
