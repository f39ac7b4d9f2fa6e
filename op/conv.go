package op

import (
	"math/rand/v2"

	"innerloop/prog"
)

type convC struct {
	B int // sequences
	L int // tokens of a sequence
	C int // channels
	W int // width of the kernel
}

func (c convC) rows() int { return c.B * c.L }

var (
	convFwdK = define(prog.Spec[convC]{
		Name:  "conv_fwd",
		Binds: []prog.Binding{prog.In("x"), prog.In("w"), prog.In("b"), prog.Out("out")},
		Lens: func(c convC) []int {
			return []int{c.rows() * c.C, c.C * c.W, c.C, c.rows() * c.C}
		},
		Items:  convC.rows,
		Flops:  convFlops,
		Grid:   func(c convC, t prog.Traits) [3]int { return prog.Grid1(c.rows(), t) },
		Tune:   rowWG[convC],
		F32:    convFwd[float32],
		F64:    convFwd[float64],
		Sample: sampleConv,
	})
	convBwdXK = define(prog.Spec[convC]{
		Name:  "conv_bwd_x",
		Binds: []prog.Binding{prog.In("w"), prog.In("dout"), prog.Acc("dx")},
		Lens: func(c convC) []int {
			return []int{c.C * c.W, c.rows() * c.C, c.rows() * c.C}
		},
		Items:  convC.rows,
		Flops:  convFlops,
		Grid:   func(c convC, t prog.Traits) [3]int { return prog.Grid1(c.rows(), t) },
		Tune:   rowWG[convC],
		F32:    convBwdX[float32],
		F64:    convBwdX[float64],
		Sample: sampleConv,
	})
	convBwdWK = define(prog.Spec[convC]{
		Name:  "conv_bwd_w",
		Binds: []prog.Binding{prog.In("x"), prog.In("dout"), prog.Acc("dw"), prog.Acc("db")},
		Lens: func(c convC) []int {
			return []int{c.rows() * c.C, c.rows() * c.C, c.C * c.W, c.C}
		},
		Items:  func(c convC) int { return c.C },
		Flops:  convFlops,
		Grid:   func(c convC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.C*(c.W+1), 16), t) },
		Tune:   colWG[convC],
		F32:    convBwdW[float32],
		F64:    convBwdW[float64],
		Sample: sampleConv,
	})
)

func convFlops(c convC) float64 { return 2 * float64(c.rows()*c.C*c.W) }

func sampleConv(r *rand.Rand) convC {
	return convC{1 + r.IntN(3), sampleDim(r), sampleDim(r), 1 + r.IntN(5)}
}

// CausalConv records a depthwise causal convolution over the tokens: out[b,t,c] = bias[c] + sum_i w[c,0,i] *
// x[b,t-(W-1)+i,c], x zero before the first token. x is [B,L,C], w is [C,1,W] as PyTorch's Conv1d with groups = C has
// it, bias is [C], out as x.
func CausalConv(r *prog.Recorder, x, w, bias *prog.Tensor) *prog.Tensor {
	if s := x.Shape(); len(s) != 3 || len(w.Shape()) != 3 || w.Dim(0) != s[2] || w.Dim(1) != 1 {
		r.Failf("causal conv: x is %v and w is %v, want [B L C] and [C 1 W]", x, w)
	}
	c := convC{x.Dim(0), x.Dim(1), x.Dim(2), w.Dim(2)}
	out := r.Temp("conv", x.Shape()...)
	convFwdK.Dispatch(r, c, x, w, bias, out)
	r.Tape(func() {
		dout := r.Grad(out)
		convBwdXK.Dispatch(r, c, w, dout, r.Grad(x))
		convBwdWK.Dispatch(r, c, x, dout, r.Grad(w), r.Grad(bias))
	}, out)
	return out
}

func convFwd[F prog.Float](c convC, a *prog.Args[F], _ []F, lo, hi int) {
	x, w, b, out := a.F[0], a.F[1], a.F[2], a.F[3]
	for r := lo; r < hi; r++ {
		or := out[r*c.C : (r+1)*c.C]
		copy(or, b)
		for i := max(0, c.W-1-r%c.L); i < c.W; i++ { // the taps that do not reach before the sequence
			s := r - (c.W - 1) + i
			for j, v := range x[s*c.C : (s+1)*c.C] {
				or[j] += w[j*c.W+i] * v
			}
		}
	}
}

func convBwdX[F prog.Float](c convC, a *prog.Args[F], _ []F, lo, hi int) {
	w, dout, dx := a.F[0], a.F[1], a.F[2]
	for r := lo; r < hi; r++ {
		dr := dx[r*c.C : (r+1)*c.C]
		for i := max(0, c.W-(c.L-r%c.L)); i < c.W; i++ { // the taps through which a token of the sequence reads this one
			s := r + (c.W - 1) - i
			for j, g := range dout[s*c.C : (s+1)*c.C] {
				dr[j] += w[j*c.W+i] * g
			}
		}
	}
}

func convBwdW[F prog.Float](c convC, a *prog.Args[F], _ []F, lo, hi int) {
	x, dout, dw, db := a.F[0], a.F[1], a.F[2], a.F[3]
	for r := range c.rows() {
		gr := dout[r*c.C+lo : r*c.C+hi]
		addTo(db[lo:hi], gr)
		for i := max(0, c.W-1-r%c.L); i < c.W; i++ {
			s := r - (c.W - 1) + i
			for j, v := range x[s*c.C+lo : s*c.C+hi] {
				dw[(lo+j)*c.W+i] += gr[j] * v
			}
		}
	}
}
