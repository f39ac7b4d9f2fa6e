package op

import (
	"math"
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type rmsnormC struct {
	N, D int
	Eps  float64
}

var (
	rmsnormFwdK = define(prog.Spec[rmsnormC]{
		Name:   "rmsnorm_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.In("w"), prog.Out("out"), prog.Out("rstd")},
		Lens:   func(c rmsnormC) []int { return []int{c.N * c.D, c.D, c.N * c.D, c.N} },
		Items:  func(c rmsnormC) int { return c.N },
		Flops:  func(c rmsnormC) float64 { return 4 * float64(c.N*c.D) },
		Grid:   func(c rmsnormC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[rmsnormC],
		F32:    rmsnormFwd[float32],
		F64:    rmsnormFwd[float64],
		Sample: func(r *rand.Rand) rmsnormC { s := sampleRows(r); return rmsnormC{s.N, s.D, 1e-6} },
	})
	rmsnormBwdXK = define(prog.Spec[rowsC]{
		Name:   "rmsnorm_bwd_x",
		Binds:  []prog.Binding{prog.In("x"), prog.In("w"), prog.In("rstd"), prog.In("dout"), prog.Acc("dx")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.D, c.N, c.N * c.D, c.N * c.D} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 8 * float64(c.N*c.D) },
		Grid:   rowGrid,
		Tune:   rowWG[rowsC],
		F32:    rmsnormBwdX[float32],
		F64:    rmsnormBwdX[float64],
		Sample: sampleRows,
	})
	rmsnormBwdWK = define(prog.Spec[rowsC]{
		Name:   "rmsnorm_bwd_w",
		Binds:  []prog.Binding{prog.In("x"), prog.In("rstd"), prog.In("dout"), prog.Acc("dw")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N, c.N * c.D, c.D} },
		Items:  colItems,
		Flops:  func(c rowsC) float64 { return 3 * float64(c.N*c.D) },
		Grid:   colGrid,
		Tune:   colWG[rowsC],
		F32:    rmsnormBwdW[float32],
		F64:    rmsnormBwdW[float64],
		Sample: sampleRows,
	})
)

// RMSNorm records out = x * w / sqrt(mean(x²) + eps) over the last axis. x is [...,D], w is [D], out as x.
func RMSNorm(r *prog.Recorder, x, w *prog.Tensor, eps float64) *prog.Tensor {
	return RMSNormTo(r, prog.F32, x, w, eps)
}

// RMSNormTo records RMSNorm with a result of F32 or F16; x is of F32. For F16 D is even.
func RMSNormTo(r *prog.Recorder, to prog.DType, x, w *prog.Tensor, eps float64) *prog.Tensor {
	d := x.Dim(-1)
	n := x.Len() / d
	out := r.TempOf(to, "rmsnorm", x.Shape()...)
	rstd := r.Temp("rmsnorm.rstd", n)
	packedRows(r, to, rmsnormFwdK, rmsnormFwdHalfK, d).Dispatch(r, rmsnormC{n, d, eps}, x, w, out, rstd)
	r.Tape(func() { rmsnormBwd(r, rowsC{n, d}, x, w, rstd, r.Grad(out)) }, out)
	return out
}

// rmsnormBwd records what the gradient dout of a norm of x adds to those of x and w.
func rmsnormBwd(r *prog.Recorder, c rowsC, x, w, rstd, dout *prog.Tensor) {
	rmsnormBwdXK.Dispatch(r, c, x, w, rstd, dout, r.Grad(x))
	rmsnormBwdWK.Dispatch(r, c, x, rstd, dout, r.Grad(w))
}

func rmsnormFwd[F prog.Float](c rmsnormC, a *prog.Args[F], _ []F, lo, hi int) {
	rmsnormRows(c, a.F[0], a.F[1], a.F[2], a.F[3], lo, hi)
}

func rmsnormRows[F prog.Float](c rmsnormC, x, w, out, rstd []F, lo, hi int) {
	for r := lo; r < hi; r++ {
		xr := x[r*c.D : (r+1)*c.D]
		rstd[r] = F(1 / math.Sqrt(float64(blas.Dot(xr, xr))/float64(c.D)+c.Eps))
		blas.Scaled(out[r*c.D:(r+1)*c.D], xr, rstd[r], w)
	}
}

func rmsnormBwdX[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, w, rstd, dout, dx := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4]
	for r := lo; r < hi; r++ {
		xr, gr := x[r*c.D:(r+1)*c.D], dout[r*c.D:(r+1)*c.D]
		_, s := blas.NormSums(xr, w, gr, 0)
		rs := rstd[r]
		blas.NormGrad(dx[r*c.D:(r+1)*c.D], xr, w, gr, rs, 0, 0, s*rs*rs/F(c.D))
	}
}

func rmsnormBwdW[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, rstd, dout, dw := a.F[0], a.F[1], a.F[2], a.F[3]
	for r := range c.N {
		blas.NormGradW(dw[lo:hi], x[r*c.D+lo:r*c.D+hi], dout[r*c.D+lo:r*c.D+hi], 0, rstd[r])
	}
}
