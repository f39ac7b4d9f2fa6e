package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

var (
	geluGateFwdK = define(prog.Spec[elemC]{
		Name:   "gelu_gate_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.In("g"), prog.Out("out")},
		Lens:   elemLens(3),
		Items:  elemItems,
		Flops:  func(c elemC) float64 { return 9 * float64(c.N) },
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    geluGateFwd[float32],
		F64:    geluGateFwd[float64],
		Sample: sampleElem,
		Fill:   func(_ elemC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[1]) },
	})
	geluGateBwdK = define(prog.Spec[elemC]{
		Name:    "gelu_gate_bwd",
		Binds:   []prog.Binding{prog.In("x"), prog.In("g"), prog.In("dout"), prog.Acc("dx"), prog.Acc("dg")},
		Lens:    elemLens(5),
		Items:   elemItems,
		Scratch: func(elemC) int { return geluScratch },
		Flops:   func(c elemC) float64 { return 20 * float64(c.N) },
		Grid:    elemGrid,
		Tune:    elemTune[elemC],
		F32:     geluGateBwd[float32],
		F64:     geluGateBwd[float64],
		Sample:  sampleElem,
		Fill:    func(_ elemC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[1]) },
	})
)

// GELUGate records out = x * gelu(g) with the tanh form of GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415),
// gelu(z) = z/2 * (1 + tanh(sqrt(2/pi) * (z + 0.044715 z³))). x and g are two different tensors of one length, both of F32
// or both of F16, out as x.
func GELUGate(r *prog.Recorder, x, g *prog.Tensor) *prog.Tensor {
	c := elemC{x.Len()}
	fwd, bwd := geluGateFwdK, geluGateBwdK
	if x.DType() == prog.F16 {
		fwd, bwd = geluGateFwdHalfK, geluGateBwdHalfK
	}
	out := r.TempOf(x.DType(), "gelu_gate", x.Shape()...)
	fwd.Dispatch(r, c, x, g, out)
	r.Tape(func() {
		bwd.Dispatch(r, c, x, g, r.Grad(out), r.Grad(x), r.Grad(g))
	}, out)
	return out
}

// geluScratch is how much memory geluGateBack and geluGateGrad want: the values and two derivatives of some elements.
const geluScratch = 3 * 1024

func geluGateFwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	x, g, out := a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi]
	blas.GELU(out, g)
	blas.Times(out, out, x)
}

func geluGateBwd[F prog.Float](_ elemC, a *prog.Args[F], scratch []F, lo, hi int) {
	geluGateGrad(a.F[3][lo:hi], a.F[4][lo:hi], a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi], nil, scratch)
}

// geluGateBack is geluGateGrad that finds the gradient in h, and leaves x * gelu(g) there.
func geluGateBack[F prog.Float](dx, dg, x, g, h, scratch []F) {
	geluGateGrad(dx, dg, x, g, h, h, scratch)
}

// geluGateGrad adds the gradients of x * gelu(g) to dx and dg, given dout, and then sets out, if it is not nil, to the
// product; out may be dout.
func geluGateGrad[F prog.Float](dx, dg, x, g, dout, out, scratch []F) {
	for n := len(g); n > 0; n = len(g) {
		n = min(n, geluScratch/3)
		y, d, t := scratch[:n], scratch[n:][:n], scratch[2*n:][:n]
		blas.GELUSlopes(y, d, t, g[:n])
		blas.AddTimes(dx[:n], dout[:n], y)
		blas.Times(t, dout[:n], x[:n])
		blas.AddTimes(dg[:n], t, d)
		if out != nil {
			blas.Times(out[:n], x[:n], y)
			out = out[n:]
		}
		dx, dg, x, g, dout = dx[n:], dg[n:], x[n:], g[n:], dout[n:]
	}
}
