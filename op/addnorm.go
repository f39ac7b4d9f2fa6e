package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

var addRMSNormFwdK = define(prog.Spec[rmsnormC]{
	Name:  "add_rmsnorm_fwd",
	Binds: []prog.Binding{prog.In("a"), prog.In("b"), prog.In("w"), prog.Out("sum"), prog.Out("out"), prog.Out("rstd")},
	Lens: func(c rmsnormC) []int {
		n := c.N * c.D
		return []int{n, n, c.D, n, n, c.N}
	},
	Items:  func(c rmsnormC) int { return c.N },
	Flops:  func(c rmsnormC) float64 { return 5 * float64(c.N*c.D) },
	Grid:   func(c rmsnormC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
	Tune:   rowWG[rmsnormC],
	F32:    addRMSNormFwd[float32],
	F64:    addRMSNormFwd[float64],
	Sample: func(r *rand.Rand) rmsnormC { s := sampleRows(r); return rmsnormC{s.N, s.D, 1e-6} },
})

// AddRMSNorm records Add and RMSNorm in one: sum = a + b and out = sum * w / sqrt(mean(sum²) + eps) over the last axis,
// the residual of a block and the norm at the beginning of the next. a and b are [...,D], w is [D], sum and out as a.
func AddRMSNorm(r *prog.Recorder, a, b, w *prog.Tensor, eps float64) (sum, out *prog.Tensor) {
	return AddRMSNormTo(r, prog.F32, a, b, w, eps)
}

// AddRMSNormTo records AddRMSNorm with an out of F32 or F16; a, b and sum are of F32. For F16 D is even.
func AddRMSNormTo(r *prog.Recorder, to prog.DType, a, b, w *prog.Tensor, eps float64) (sum, out *prog.Tensor) {
	d := a.Dim(-1)
	n := a.Len() / d
	sum, out = r.Temp("add", a.Shape()...), r.TempOf(to, "rmsnorm", a.Shape()...)
	rstd := r.Temp("rmsnorm.rstd", n)
	packedRows(r, to, addRMSNormFwdK, addRMSNormFwdHalfK, d).Dispatch(r, rmsnormC{n, d, eps}, a, b, w, sum, out, rstd)
	r.Tape(func() {
		rmsnormBwd(r, rowsC{n, d}, sum, w, rstd, r.Grad(out))
		handOn(r, sum, a, b)
	}, sum, out)
	return sum, out
}

func addRMSNormFwd[F prog.Float](c rmsnormC, a *prog.Args[F], _ []F, lo, hi int) {
	from, to := lo*c.D, hi*c.D
	blas.Plus(a.F[3][from:to], a.F[0][from:to], a.F[1][from:to])
	rmsnormRows(c, a.F[3], a.F[2], a.F[4], a.F[5], lo, hi)
}
