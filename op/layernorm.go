package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type layernormC struct {
	N, D int
	Eps  float64
}

var (
	layernormFwdK = define(prog.Spec[layernormC]{
		Name: "layernorm_fwd",
		Binds: []prog.Binding{prog.In("x"), prog.In("w"), prog.In("b"), prog.Out("out"), prog.Out("mean"),
			prog.Out("rstd")},
		Lens:   func(c layernormC) []int { return []int{c.N * c.D, c.D, c.D, c.N * c.D, c.N, c.N} },
		Items:  func(c layernormC) int { return c.N },
		Flops:  func(c layernormC) float64 { return 8 * float64(c.N*c.D) },
		Grid:   func(c layernormC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[layernormC],
		F32:    layernormFwd[float32],
		F64:    layernormFwd[float64],
		Sample: func(r *rand.Rand) layernormC { s := sampleRows(r); return layernormC{s.N, s.D, 1e-6} },
	})
	layernormBwdXK = define(prog.Spec[rowsC]{
		Name: "layernorm_bwd_x",
		Binds: []prog.Binding{prog.In("x"), prog.In("w"), prog.In("mean"), prog.In("rstd"), prog.In("dout"),
			prog.Acc("dx")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.D, c.N, c.N, c.N * c.D, c.N * c.D} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 12 * float64(c.N*c.D) },
		Grid:   rowGrid,
		Tune:   rowWG[rowsC],
		F32:    layernormBwdX[float32],
		F64:    layernormBwdX[float64],
		Sample: sampleRows,
	})
	layernormBwdWK = define(prog.Spec[rowsC]{
		Name: "layernorm_bwd_w",
		Binds: []prog.Binding{prog.In("x"), prog.In("mean"), prog.In("rstd"), prog.In("dout"), prog.Acc("dw"),
			prog.Acc("db")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N, c.N, c.N * c.D, c.D, c.D} },
		Items:  colItems,
		Flops:  func(c rowsC) float64 { return 5 * float64(c.N*c.D) },
		Grid:   colGrid,
		Tune:   colWG[rowsC],
		F32:    layernormBwdW[float32],
		F64:    layernormBwdW[float64],
		Sample: sampleRows,
	})
)

// LayerNorm records out = (x - mean)/sqrt(var + eps) * w + b over the last axis, var the biased variance (Ba et al.
// 2016, arXiv 1607.06450). x is [...,D], w and b are [D], out as x.
func LayerNorm(r *prog.Recorder, x, w, b *prog.Tensor, eps float64) *prog.Tensor {
	return LayerNormTo(r, prog.F32, x, w, b, eps)
}

// LayerNormTo records LayerNorm with a result of F32 or F16; x is of F32. For F16 D is even.
func LayerNormTo(r *prog.Recorder, to prog.DType, x, w, b *prog.Tensor, eps float64) *prog.Tensor {
	d := x.Dim(-1)
	n := x.Len() / d
	out := r.TempOf(to, "layernorm", x.Shape()...)
	mean := r.Temp("layernorm.mean", n)
	rstd := r.Temp("layernorm.rstd", n)
	packedRows(r, to, layernormFwdK, layernormFwdHalfK, d).Dispatch(r, layernormC{n, d, eps}, x, w, b, out, mean, rstd)
	r.Tape(func() {
		dout := r.Grad(out)
		layernormBwdXK.Dispatch(r, rowsC{n, d}, x, w, mean, rstd, dout, r.Grad(x))
		layernormBwdWK.Dispatch(r, rowsC{n, d}, x, mean, rstd, dout, r.Grad(w), r.Grad(b))
	}, out)
	return out
}

func layernormFwd[F prog.Float](c layernormC, a *prog.Args[F], _ []F, lo, hi int) {
	x, w, b, out, mean, rstd := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	for r := lo; r < hi; r++ {
		mean[r], rstd[r] = blas.LayerNorm(out[r*c.D:(r+1)*c.D], x[r*c.D:(r+1)*c.D], w, b, c.Eps)
	}
}

func layernormBwdX[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, w, mean, rstd, dout, dx := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	for r := lo; r < hi; r++ {
		xr, gr := x[r*c.D:(r+1)*c.D], dout[r*c.D:(r+1)*c.D]
		m, rs := mean[r], rstd[r]
		s, p := blas.NormSums(xr, w, gr, m)
		blas.NormGrad(dx[r*c.D:(r+1)*c.D], xr, w, gr, rs, s/F(c.D), m, p*rs*rs/F(c.D))
	}
}

func layernormBwdW[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, mean, rstd, dout, dw, db := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	for r := range c.N {
		gr := dout[r*c.D+lo : r*c.D+hi]
		blas.NormGradW(dw[lo:hi], x[r*c.D+lo:r*c.D+hi], gr, mean[r], rstd[r])
		blas.Add(db[lo:hi], gr)
	}
}
