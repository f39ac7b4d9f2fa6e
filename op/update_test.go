package op_test

import (
	"math"
	"slices"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// A gradient that is not finite leaves parameters and moments as they were, on every executor.
func TestNonFiniteGradientChangesNothing(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		in, params := prog.NewArena("in"), prog.NewArena("p")
		g, hyper, clip := in.Add("g", prog.F32, 70), in.Add("hyper", prog.F32, op.HyperLen), in.Add("clip", prog.F32, 1)
		p := params.Add("p", prog.F32, 70)
		ma, va := params.Mirror("m"), params.Mirror("v")
		program, err := prog.Record("update", func(r *prog.Recorder) {
			norm, scale := r.Temp("norm", 1), r.Temp("scale", 1)
			op.ClipNorm(r, []*prog.Tensor{g}, clip, norm, scale)
			op.AdamW(r, p, g, ma.In(p), va.In(p), hyper, scale, 70)
		})
		if err != nil {
			t.Fatal(err)
		}
		run, err := ex.Load(program)
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
		s := prog.NewStage(in)
		op.FillHyper(s.F32(hyper), 0.1, 0.9, 0.99, 1e-8, 0.1, 1)
		step := func(bad, most float64) []float32 {
			for i := range s.F32(g) {
				s.F32(g)[i] = 1
			}
			s.F32(g)[33], s.F32(clip)[0] = float32(bad), float32(most)
			if err := ex.Upload(s); err != nil {
				t.Fatal(err)
			}
			if err := run.Run(); err != nil {
				t.Fatal(err)
			}
			var out []float32
			for _, x := range []*prog.Tensor{p, ma.In(p), va.In(p)} {
				v := make([]float32, 70)
				if err := ex.Read(x, v); err != nil {
					t.Fatal(err)
				}
				out = append(out, v...)
			}
			return out
		}
		before := step(1, 1)
		if before[0] == 0 {
			t.Fatal("a finite gradient changed nothing: the test tests nothing")
		}
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e30} {
			for _, most := range []float64{0, 1} {
				if !slices.Equal(before, step(bad, most)) {
					t.Errorf("gradient %g, clip %g: the weights changed", bad, most)
				}
			}
		}
	})
}
