package op

import (
	"slices"

	"innerloop/prog"
)

// Linears records Linear of one x with several weights, results of F32 or F16. Weights of one shape [O,I] that follow each
// other in their arena without a gap are one product, a batch of which all members read x, and so are their gradients; the
// results are then parts of one temporary.
func Linears(r *prog.Recorder, to prog.DType, x *prog.Tensor, ws ...*prog.Tensor) []*prog.Tensor {
	w := prog.Join(ws...)
	if w == nil || !together(x, ws) || to == prog.F16 && r.Half(w) == nil {
		var outs []*prog.Tensor
		for _, w := range ws {
			outs = append(outs, LinearTo(r, to, x, w))
		}
		return outs
	}
	weight, kernel := w, matmulNTK
	if half := r.Half(w); half != nil {
		weight, x, kernel = half, Half(r, x), matmulNTHalfK
		if to == prog.F16 {
			kernel = matmulNTHalfOutK
		}
	}
	n, o, i := x.Len()/x.Dim(-1), ws[0].Dim(0), ws[0].Dim(1)
	c := product(len(ws), n, o, i)
	c.SharedA = true
	out, outs := r.TempsOf(to, len(ws), "linear", n, o)
	kernel.Dispatch(r, c, x.Rows(), weight, out)
	r.Tape(func() {
		dout := r.Grad(out)
		if r.WantsGrad(x) {
			for z := len(ws) - 1; z >= 0; z-- { // as of one by one
				matmul(r, product(1, n, i, o), dout.Part(z*n, n), weight.Part(z*o*i, o*i), r.Grad(x), false, false)
			}
		}
		if r.WantsGrad(w) {
			c := product(len(ws), o, i, n)
			c.SharedB = true
			matmul(r, c, dout, x, r.Grad(w), true, false)
		}
	}, out)
	shape := slices.Clone(x.Shape())
	shape[len(shape)-1] = o
	for z := range outs {
		outs[z] = outs[z].Reshape(shape...)
	}
	return outs
}

// together says whether the products of x with ws, a joined tensor, can be one.
func together(x *prog.Tensor, ws []*prog.Tensor) bool {
	d, n := ws[0].Shape(), x.Len()/x.Dim(-1)
	return len(ws) > 1 && len(d) == 2 && x.Dim(-1) == d[1] && d[0]%4 == 0 && d[1]%4 == 0 &&
		n*d[0]%(2*prog.Align) == 0 && ws[0].Len()%(2*prog.Align) == 0
}
