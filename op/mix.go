package op

import (
	"math/rand/v2"

	"innerloop/prog"
)

// mixC are the constants of x + C*y.
type mixC struct {
	N int
	C float64
}

var (
	mixFwdK = define(prog.Spec[mixC]{
		Name:   "mix_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.In("y"), prog.Out("out")},
		Lens:   func(c mixC) []int { return []int{c.N, c.N, c.N} },
		Items:  func(c mixC) int { return c.N },
		Flops:  func(c mixC) float64 { return 2 * float64(c.N) },
		Grid:   func(c mixC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.N, 64), t) },
		F32:    mixFwd[float32],
		F64:    mixFwd[float64],
		Sample: sampleMix,
	})
	mixBwdK = define(prog.Spec[mixC]{
		Name:   "mix_bwd",
		Binds:  []prog.Binding{prog.In("dout"), prog.Acc("dx"), prog.Acc("dy")},
		Lens:   func(c mixC) []int { return []int{c.N, c.N, c.N} },
		Items:  func(c mixC) int { return c.N },
		Flops:  func(c mixC) float64 { return 3 * float64(c.N) },
		Grid:   func(c mixC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.N, 64), t) },
		F32:    mixBwd[float32],
		F64:    mixBwd[float64],
		Sample: sampleMix,
	})
)

func sampleMix(r *rand.Rand) mixC {
	return mixC{sampleDim(r) * (1 + r.IntN(40)), float64(float32(r.NormFloat64()))}
}

// Mix records x + c*y, of equal lengths, c a constant; out is as x.
func Mix(r *prog.Recorder, x, y *prog.Tensor, c float64) *prog.Tensor {
	if x.Len() != y.Len() {
		r.Failf("mix: %v and %v, want equal lengths", x, y)
	}
	k := mixC{x.Len(), c}
	out := r.Temp("mix", x.Shape()...)
	mixFwdK.Dispatch(r, k, x, y, out)
	r.Tape(func() { mixBwdK.Dispatch(r, k, r.Grad(out), r.Grad(x), r.Grad(y)) }, out)
	return out
}

func mixFwd[F prog.Float](c mixC, a *prog.Args[F], _ []F, lo, hi int) {
	x, y, out := a.F[0], a.F[1], a.F[2]
	for i := lo; i < hi; i++ {
		out[i] = x[i] + F(c.C)*y[i]
	}
}

func mixBwd[F prog.Float](c mixC, a *prog.Args[F], _ []F, lo, hi int) {
	dout, dx, dy := a.F[0], a.F[1], a.F[2]
	for i := lo; i < hi; i++ {
		dx[i] += dout[i]
		dy[i] += F(c.C) * dout[i]
	}
}
