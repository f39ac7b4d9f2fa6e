package op

import (
	"math/rand/v2"
	"slices"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// Products that do more with a sum, where it is made, than to add it to a matrix in memory.

// fusing is false where a benchmark or test wants separate steps.
var fusing = true

// fuses says whether a product with weight w can do more than add: those in binary16 cannot, nor can matmul_any.
func fuses(r *prog.Recorder, w *prog.Tensor) bool {
	return fusing && r.Half(w) == nil && w.Dim(0)%4 == 0 && w.Dim(1)%4 == 0
}

// gluC are the constants of a product whose result is the gradient of act(gate) * up.
type gluC struct {
	matmulC
	GELU bool // act is GELU's tanh form; else silu
}

// addC are the constants of a product to which a matrix is added.
type addC struct {
	matmulC
	Row bool // it has one row, for all rows of the product
}

var (
	matmulNNGLUBwdK = define(prog.Spec[gluC]{
		Name: "matmul_nn_glu_bwd",
		Binds: []prog.Binding{prog.In("a"), prog.In("b"), prog.In("gate"), prog.In("up"),
			prog.Acc("dgate"), prog.Acc("dup"), prog.Out("h")},
		Lens: func(c gluC) []int {
			l := c.lens()
			return []int{l[0], l[1], l[2], l[2], l[2], l[2], l[2]}
		},
		Items: func(c gluC) int { return c.items(matmulRows(c.M, false)) },
		Scratch: func(c gluC) int {
			return max(blas.ScratchNN(min(c.M, matmulRows(c.M, false)), c.N, c.K), geluScratch)
		},
		Flops:      func(c gluC) float64 { return c.flops() + 14*float64(c.Batch*c.M*c.N) },
		Variants:   func(c gluC, t prog.Traits) []prog.Variant { return matmulVariants("matmul_nn_glu_bwd", c.matmulC, t) },
		Shaders:    matmulShaders("matmul_nn_glu_bwd"),
		Overwrites: true,
		F32:        matmulNNGLUBwd[float32],
		F64:        matmulNNGLUBwd[float64],
		Sample: func(r *rand.Rand) gluC {
			return gluC{sampleProduct(r, sampleDim(r), 4*sampleDim(r), 4*sampleDim(r)), r.IntN(2) == 0}
		},
		Fill: func(_ gluC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[2]) },
	})
	matmulNTAddK = define(prog.Spec[addC]{
		Name:  "matmul_nt_add",
		Binds: []prog.Binding{prog.In("a"), prog.In("b"), prog.In("plus"), prog.Out("out")},
		Lens: func(c addC) []int {
			l, plus := c.lens(), c.N
			if !c.Row {
				plus = l[2]
			}
			return []int{l[0], l[1], plus, l[2]}
		},
		Items:    func(c addC) int { return c.items(matmulRows(c.M, false)) },
		Scratch:  func(c addC) int { return blas.ScratchNT(min(c.M, matmulRows(c.M, false)), c.N, c.K) },
		Flops:    func(c addC) float64 { return c.flops() + float64(c.Batch*c.M*c.N) },
		Variants: func(c addC, t prog.Traits) []prog.Variant { return matmulVariants("matmul_nt_add", c.matmulC, t) },
		Shaders:  matmulShaders("matmul_nt_add"),
		F32:      matmulNTAdd[float32],
		F64:      matmulNTAdd[float64],
		Sample: func(r *rand.Rand) addC {
			return addC{sampleProduct(r, sampleDim(r), 4*sampleDim(r), 4*sampleDim(r)), r.IntN(2) == 0}
		},
	})
)

// SwiGLULinear records Linear of SwiGLU, (silu(gate) * up)·wᵀ, plus a tensor as large as the result where plus is not nil:
// the second half of a block's feed-forward layer, with its residual. gate and up are two different tensors [...,I] of F32
// or of F16, w is [O,I], plus and out are [...,O]. What is between SwiGLU and the product is not kept for the backward pass,
// which makes it anew: in float32 where it makes the gradients of gate and up, in the product that has the gradient of it.
func SwiGLULinear(r *prog.Recorder, gate, up, w, plus *prog.Tensor) *prog.Tensor {
	return gluLinear(r, false, gate, up, w, plus)
}

// GELUGateLinear records Linear of GELUGate, (x * gelu(g))·wᵀ, as SwiGLULinear does of SwiGLU.
func GELUGateLinear(r *prog.Recorder, x, g, w, plus *prog.Tensor) *prog.Tensor {
	return gluLinear(r, true, g, x, w, plus)
}

// gluLinear records Linear of act(gate) * up.
func gluLinear(r *prog.Recorder, gelu bool, gate, up, w, plus *prog.Tensor) *prog.Tensor {
	bad := plus != nil && len(w.Shape()) == 2 && plus.Len() != gate.Len()/gate.Dim(-1)*w.Dim(0)
	if len(w.Shape()) != 2 || gate.Dim(-1) != w.Dim(1) || gate.Len() != up.Len() || bad {
		r.Failf("op: Linear of gate %v and up %v: weight %v, plus %v, want two tensors alike, [out %d] and one element for each of the result",
			gate, up, w, plus, gate.Dim(-1))
	}
	name, fwd, bwd, first, second := "swiglu", swigluFwdK, swigluBwdK, gate, up
	if gelu {
		name, fwd, bwd, first, second = "gelu_gate", geluGateFwdK, geluGateBwdK, up, gate
	}
	weight := w
	fused := fuses(r, w) && gate.DType() == prog.F32
	switch half := r.Half(w); {
	case fused:
	case fusing && half != nil && gate.DType() == prog.F16:
		if plus != nil {
			return Add(r, plus, gluLinear(r, gelu, gate, up, w, nil)).Reshape(outShape(gate, w)...)
		}
		if weight, fwd, bwd = half, swigluFwdHalfK, swigluBwdHalfK; gelu {
			fwd, bwd = geluGateFwdHalfK, geluGateBwdHalfK
		}
	case gelu:
		return LinearPlus(r, GELUGate(r, up, gate), w, plus)
	default:
		return LinearPlus(r, SwiGLU(r, gate, up), w, plus)
	}
	rows, elems := gate.Rows(), elemC{gate.Len()}
	c := product(1, rows.Dim(0), w.Dim(0), w.Dim(1))
	h, again := r.TempOf(gate.DType(), name, rows.Shape()...), r.TempOf(gate.DType(), name+".again", rows.Shape()...)
	fwd.Dispatch(r, elems, first, second, h)
	out := r.Temp("linear", c.M, c.N)
	matmulPlus(r, c, h, weight, plus, out)
	r.Tape(func() {
		dout, dh := r.Grad(out), product(1, c.M, c.K, c.N)
		if fused {
			matmulNNGLUBwdK.Dispatch(r, gluC{dh, gelu}, dout, w, gate, up, r.Grad(gate), r.Grad(up), again)
		} else {
			matmul(r, dh, dout, weight, r.Grad(h), false, false)
			bwd.Dispatch(r, elems, first, second, r.Grad(h), r.Grad(first), r.Grad(second))
			fwd.Dispatch(r, elems, first, second, again)
		}
		if r.WantsGrad(w) {
			matmul(r, product(1, c.N, c.K, c.M), dout, again, r.Grad(w), true, false)
		}
		if plus != nil {
			handOn(r, out, plus)
		}
	}, out)
	return out.Reshape(outShape(gate, w)...)
}

// LinearPlus records out = plus + x·wᵀ over the last axis. x is [...,I], w is [O,I], out [...,O]; plus is as large as out,
// or nil: there is none.
func LinearPlus(r *prog.Recorder, x, w, plus *prog.Tensor) *prog.Tensor {
	if plus == nil {
		return Linear(r, x, w)
	}
	if len(w.Shape()) != 2 || x.Dim(-1) != w.Dim(1) || plus.Len() != x.Len()/x.Dim(-1)*w.Dim(0) {
		r.Failf("op: LinearPlus of %v: weight %v and %v, want [out %d] and one element for each of the result", x, w, plus, x.Dim(-1))
	}
	if !fuses(r, w) {
		return Add(r, plus, Linear(r, x, w)).Reshape(outShape(x, w)...)
	}
	rows := x.Rows()
	c := product(1, rows.Dim(0), w.Dim(0), w.Dim(1))
	out := r.Temp("linear", c.M, c.N)
	matmulPlus(r, c, rows, w, plus, out)
	r.Tape(func() {
		linearBwd(r, c, rows, w, w, r.Grad(out))
		handOn(r, out, plus)
	}, out)
	return out.Reshape(outShape(x, w)...)
}

// matmulPlus records out = plus + a·bᵀ; without plus where it is nil.
func matmulPlus(r *prog.Recorder, c matmulC, a, b, plus, out *prog.Tensor) {
	if plus == nil {
		matmul(r, c, a, b, out, false, true)
		return
	}
	matmulNTAddK.Dispatch(r, addC{c, false}, a, b, plus, out)
}

// linearBwd records the gradients of x·wᵀ, x a matrix: of x, and of w, whose elements weight has.
func linearBwd(r *prog.Recorder, c matmulC, x, w, weight, dout *prog.Tensor) {
	if r.WantsGrad(x) {
		matmul(r, product(1, c.M, c.K, c.N), dout, weight, r.Grad(x), false, false)
	}
	if r.WantsGrad(w) {
		matmul(r, product(1, c.N, c.K, c.M), dout, x, r.Grad(w), true, false)
	}
}

// outShape is the shape of Linear's result.
func outShape(x, w *prog.Tensor) []int {
	shape := slices.Clone(x.Shape())
	shape[len(shape)-1] = w.Dim(0)
	return shape
}

func matmulNNGLUBwd[F prog.Float](c gluC, a *prog.Args[F], scratch []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		z, row, n := c.rowBlock(i, matmulRows(c.M, false))
		from := (z*c.M + row) * c.N
		h := a.F[6][from:][:n*c.N] // first its gradient
		blas.NN(h, a.F[0][(c.inA(z)*c.M+row)*c.K:][:n*c.K], a.F[1][c.inB(z)*c.K*c.N:][:c.K*c.N], n, c.N, c.K, false, scratch)
		for ; len(h) > 0; from, h = from+c.N, h[c.N:] { // a row at a time stays in the first-level cache
			gate, up, d := a.F[2][from:][:c.N], a.F[3][from:][:c.N], h[:c.N]
			dgate, dup := a.F[4][from:][:c.N], a.F[5][from:][:c.N]
			if a.Fresh(4) {
				clear(dgate)
			}
			if a.Fresh(5) {
				clear(dup)
			}
			if c.GELU {
				geluGateBack(dup, dgate, up, gate, d, scratch)
			} else {
				blas.SwiGLUBack(dgate, dup, gate, up, d)
			}
		}
	}
}

func matmulNTAdd[F prog.Float](c addC, a *prog.Args[F], scratch []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		z, row, n := c.rowBlock(i, matmulRows(c.M, false))
		at := z*c.M + row
		out := a.F[3][at*c.N:][:n*c.N]
		if c.Row {
			for r := range n {
				copy(out[r*c.N:], a.F[2])
			}
		} else {
			copy(out, a.F[2][at*c.N:])
		}
		blas.NT(out, a.F[0][(c.inA(z)*c.M+row)*c.K:][:n*c.K], a.F[1][c.inB(z)*c.K*c.N:][:c.K*c.N], n, c.N, c.K, true, scratch)
	}
}
