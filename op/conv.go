package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type convC struct {
	B int // rows, that is sequences
	L int // tokens of a row
	C int // channels
	W int // width of the kernel
}

// convPastC are the constants of the kernels that read the inputs before the rows.
type convPastC struct {
	convC
	Tail bool // they are in past, [B,W-1,C]; else x is bound in its place, and not read
}

func (c convC) rows() int { return c.B * c.L }
func (c convC) tail() int { return c.B * (c.W - 1) * c.C }

// reach is how many tokens back the taps of a token at position pos may reach.
func (c convC) reach(pos uint32) int { return int(min(pos, uint32(c.W-1))) }

func (c convPastC) past() int {
	if c.Tail {
		return c.tail()
	}
	return c.rows() * c.C
}

var (
	convTailK = define(prog.Spec[convC]{
		Name:  "conv_tail",
		Binds: []prog.Binding{prog.In("x"), prog.InOut("tail"), prog.Out("past")},
		Lens: func(c convC) []int {
			return []int{c.rows() * c.C, c.tail(), c.tail()}
		},
		Items: func(c convC) int { return c.B },
		Grid:  func(c convC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.B*c.C, 64), t) },
		F32:   convTail[float32],
		F64:   convTail[float64],
		Sample: func(r *rand.Rand) convC {
			c := sampleConv(r)
			c.W = max(c.W, 2)
			return c
		},
	})
	convFwdK = define(prog.Spec[convPastC]{
		Name: "conv_fwd",
		Binds: []prog.Binding{prog.In("x"), prog.In("w"), prog.In("b"), prog.InU("pos"), prog.In("past"),
			prog.Out("out")},
		Lens: func(c convPastC) []int {
			return []int{c.rows() * c.C, c.C * c.W, c.C, c.rows(), c.past(), c.rows() * c.C}
		},
		Items:  convPastC.rows,
		Flops:  func(c convPastC) float64 { return convFlops(c.convC) },
		Grid:   func(c convPastC, t prog.Traits) [3]int { return prog.Grid1(c.rows(), t) },
		Tune:   rowWG[convPastC],
		F32:    convFwd[float32],
		F64:    convFwd[float64],
		Sample: sampleConvPast,
		Fill:   func(c convPastC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[3], c.L) },
	})
	convBwdXK = define(prog.Spec[convC]{
		Name:  "conv_bwd_x",
		Binds: []prog.Binding{prog.In("w"), prog.InU("pos"), prog.In("dout"), prog.Acc("dx")},
		Lens: func(c convC) []int {
			return []int{c.C * c.W, c.rows(), c.rows() * c.C, c.rows() * c.C}
		},
		Items:  convC.rows,
		Flops:  convFlops,
		Grid:   func(c convC, t prog.Traits) [3]int { return prog.Grid1(c.rows(), t) },
		Tune:   rowWG[convC],
		F32:    convBwdX[float32],
		F64:    convBwdX[float64],
		Sample: sampleConv,
		Fill:   func(c convC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[1], c.L) },
	})
	convBwdWK = define(prog.Spec[convPastC]{
		Name: "conv_bwd_w",
		Binds: []prog.Binding{prog.In("x"), prog.InU("pos"), prog.In("past"), prog.In("dout"), prog.Acc("dw"),
			prog.Acc("db")},
		Lens: func(c convPastC) []int {
			return []int{c.rows() * c.C, c.rows(), c.past(), c.rows() * c.C, c.C * c.W, c.C}
		},
		Items:  func(c convPastC) int { return c.C },
		Flops:  func(c convPastC) float64 { return convFlops(c.convC) },
		Grid:   func(c convPastC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.C*(c.W+1), 16), t) },
		Tune:   colWG[convPastC],
		F32:    convBwdW[float32],
		F64:    convBwdW[float64],
		Sample: sampleConvPast,
		Fill:   func(c convPastC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[1], c.L) },
	})
)

func convFlops(c convC) float64 { return 2 * float64(c.rows()*c.C*c.W) }

func sampleConv(r *rand.Rand) convC {
	return convC{1 + r.IntN(3), sampleDim(r), sampleDim(r), 1 + r.IntN(5)}
}

func sampleConvPast(r *rand.Rand) convPastC {
	c := sampleConv(r)
	return convPastC{c, c.W > 1 && r.IntN(2) == 0}
}

// CausalConv records a depthwise causal convolution over the tokens: out[b,t,c] = bias[c] + sum_j w[c,0,W-1-j] *
// x[b,t-j,c], over the j < W that do not reach out of the token's document: those with j <= pos[b,t]. x is [B,L,C], w
// is [C,1,W] as PyTorch's Conv1d with groups = C has it, bias is [C], out as x; pos, B*L elements of u32, is each
// token's position in its document, 0 the first.
//
// Where a document began before its row, taps reach the inputs before the row. These are in tail [B,W-1,C], oldest
// first; the step then puts the row's own last W-1 inputs there, for the row that continues it. No gradient passes into
// tail. Each convolution wants a tail of its own, in another arena than x. tail nil: inputs before the row are zero.
func CausalConv(r *prog.Recorder, x, w, bias, pos, tail *prog.Tensor) *prog.Tensor {
	if s := x.Shape(); len(s) != 3 || len(w.Shape()) != 3 || w.Dim(0) != s[2] || w.Dim(1) != 1 {
		r.Failf("causal conv: x is %v and w is %v, want [B L C] and [C 1 W]", x, w)
	}
	c := convC{x.Dim(0), x.Dim(1), x.Dim(2), w.Dim(2)}
	cp := convPastC{c, tail != nil && c.W > 1}
	past := x
	if cp.Tail {
		past = r.Temp("conv.past", c.B, c.W-1, c.C)
		convTailK.Dispatch(r, c, x, tail, past)
	}
	out := r.Temp("conv", x.Shape()...)
	convFwdK.Dispatch(r, cp, x, w, bias, pos, past, out)
	r.Tape(func() {
		dout := r.Grad(out)
		convBwdXK.Dispatch(r, c, w, pos, dout, r.Grad(x))
		convBwdWK.Dispatch(r, cp, x, pos, past, dout, r.Grad(w), r.Grad(bias))
	}, out)
	return out
}

// source is the row of inputs that the tap j tokens back from row r meets: nil where it is before x and past is not
// there.
func source[F prog.Float](c convPastC, x, past []F, r, j int) []F {
	t := r % c.L
	switch {
	case t >= j:
		return x[(r-j)*c.C : (r-j+1)*c.C]
	case c.Tail:
		p := r/c.L*(c.W-1) + c.W - 1 + t - j
		return past[p*c.C : (p+1)*c.C]
	}
	return nil
}

// convTail is the reference of conv_tail. Ascending, it reads each element of tail before it overwrites it.
func convTail[F prog.Float](c convC, a *prog.Args[F], _ []F, lo, hi int) {
	x, tail, past := a.F[0], a.F[1], a.F[2]
	n, keep := (c.W-1)*c.C, max(0, c.W-1-c.L)*c.C // words of a row's tail, and how many of them stay
	for b := lo; b < hi; b++ {
		tr := tail[b*n : (b+1)*n]
		copy(past[b*n:(b+1)*n], tr)
		copy(tr[:keep], tr[n-keep:])
		copy(tr[keep:], x[(b+1)*c.L*c.C-(n-keep):(b+1)*c.L*c.C])
	}
}

func convFwd[F prog.Float](c convPastC, a *prog.Args[F], _ []F, lo, hi int) {
	x, w, b, pos, past, out := a.F[0], a.F[1], a.F[2], a.U[3], a.F[4], a.F[5]
	for r := lo; r < hi; r++ {
		or := out[r*c.C : (r+1)*c.C]
		copy(or, b)
		for j := c.reach(pos[r]); j >= 0; j-- {
			i := c.W - 1 - j
			for ch, v := range source(c, x, past, r, j) {
				or[ch] += w[ch*c.W+i] * v
			}
		}
	}
}

func convBwdX[F prog.Float](c convC, a *prog.Args[F], _ []F, lo, hi int) {
	w, pos, dout, dx := a.F[0], a.U[1], a.F[2], a.F[3]
	for r := lo; r < hi; r++ {
		dr := dx[r*c.C : (r+1)*c.C]
		for j := min(c.W, c.L-r%c.L) - 1; j >= 0; j-- { // the tokens of the row that may read this one
			s, i := r+j, c.W-1-j
			if c.reach(pos[s]) < j {
				continue
			}
			for ch, g := range dout[s*c.C : (s+1)*c.C] {
				dr[ch] += w[ch*c.W+i] * g
			}
		}
	}
}

func convBwdW[F prog.Float](c convPastC, a *prog.Args[F], _ []F, lo, hi int) {
	x, pos, past, dout, dw, db := a.F[0], a.U[1], a.F[2], a.F[3], a.F[4], a.F[5]
	for r := range c.rows() {
		gr := dout[r*c.C+lo : r*c.C+hi]
		blas.Add(db[lo:hi], gr)
		for j := c.reach(pos[r]); j >= 0; j-- {
			src := source(c, x, past, r, j)
			if src == nil {
				continue
			}
			i := c.W - 1 - j
			for ch, v := range src[lo:hi] {
				dw[(lo+ch)*c.W+i] += gr[ch] * v
			}
		}
	}
}
