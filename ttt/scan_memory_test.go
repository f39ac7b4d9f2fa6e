package ttt_test

import (
	"testing"

	"innerloop/prog"
)

// The memory of a scan follows the formula in the comment of Options.CheckpointEvery.
func TestScanMemory(t *testing.T) {
	for _, s := range []shape{{4, 512, 4, 64, 16, 0, false, lm}, {2, 256, 2, 32, 16, 0, true, lm}} {
		for _, g := range []int{1, 4, 16} {
			s.g = g
			arena, fixed := prog.NewArena("in"), prog.NewArena("seed")
			var ts []*prog.Tensor
			for _, in := range inputs(s, 1, nil) {
				ts = append(ts, arena.Add(in.Name, prog.F32, in.Shape...))
			}
			arena.WithGrad(arena.Mirror("grad"))
			seed := fixed.Add("seed", prog.F32, s.b*s.l, s.h*s.f)
			p, err := prog.Record("scan", func(r *prog.Recorder) {
				r.SetGrad(r.Keep(scan(r, s, ts, nil, 0).Out), seed)
				r.Backward()
			})
			if err != nil {
				t.Fatal(err)
			}
			w := 12*s.k*s.f + 3*s.k*s.k
			if s.mlp {
				w = 48*s.k*s.f + 5*s.k*s.k
			}
			words := s.b * s.h * ((prog.CeilDiv(prog.CeilDiv(s.l, s.k), g)+g+3)*s.stateLen() + w + s.l*s.f)
			got, want := float64(p.Stats().TempBytes), 4*float64(words)
			if !(got > 0.9*want && got < 1.1*want) {
				t.Errorf("%+v: %.0f bytes of temporaries, want %.0f within a tenth", s, got, want)
			}
		}
	}
}
