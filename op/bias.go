package op

import (
	"innerloop/internal/blas"
	"innerloop/prog"
)

var (
	biasFwdK = define(prog.Spec[rowsC]{
		Name:   "bias_fwd",
		Binds:  []prog.Binding{prog.In("b"), prog.Out("out")},
		Lens:   func(c rowsC) []int { return []int{c.D, c.N * c.D} },
		Items:  rowItems,
		Grid:   func(c rowsC, t prog.Traits) [3]int { return elemBlocks(c.N*c.D, t) },
		Tune:   elemTune[rowsC],
		F32:    biasFwd[float32],
		F64:    biasFwd[float64],
		Sample: sampleRows,
	})
	biasBwdK = define(prog.Spec[rowsC]{
		Name:   "bias_bwd",
		Binds:  []prog.Binding{prog.In("dout"), prog.Acc("db")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.D} },
		Items:  colItems,
		Flops:  func(c rowsC) float64 { return float64(c.N * c.D) },
		Grid:   colGrid,
		Tune:   colWG[rowsC],
		F32:    biasBwd[float32],
		F64:    biasBwd[float64],
		Sample: sampleRows,
	})
)

// LinearBias records out = x·wᵀ + b over the last axis. x is [...,I], w is [O,I], b is [O], out [...,O].
func LinearBias(r *prog.Recorder, x, w, b *prog.Tensor) *prog.Tensor {
	if len(w.Shape()) != 2 || x.Dim(-1) != w.Dim(1) || b.Len() != w.Dim(0) {
		r.Failf("op: LinearBias of %v: weight %v and bias %v, want [out %d] and [out]", x, w, b, x.Dim(-1))
	}
	weight := w
	if half := r.Half(w); half != nil {
		x, weight = Half(r, x), half
	}
	rows := x.Rows()
	c := product(1, rows.Dim(0), w.Dim(0), w.Dim(1))
	out := r.Temp("linear", c.M, c.N)
	if fuses(r, w) {
		matmulNTAddK.Dispatch(r, addC{c, true}, rows, w, b, out)
	} else { // the product adds to rows that are the bias already
		biasFwdK.Dispatch(r, rowsC{c.M, c.N}, b, out)
		matmul(r, c, rows, weight, out, false, true)
	}
	r.Tape(func() {
		dout := r.Grad(out)
		linearBwd(r, c, rows, w, weight, dout)
		if r.WantsGrad(b) {
			biasBwdK.Dispatch(r, rowsC{c.M, c.N}, dout, r.Grad(b))
		}
	}, out)
	return out.Reshape(outShape(x, w)...)
}

func biasFwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	b, out := a.F[0], a.F[1]
	for r := lo; r < hi; r++ {
		copy(out[r*c.D:(r+1)*c.D], b)
	}
}

func biasBwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	dout, db := a.F[0], a.F[1]
	for r := range c.N {
		blas.Add(db[lo:hi], dout[r*c.D+lo:r*c.D+hi])
	}
}
