package op

import (
	"math/rand/v2"

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
		Name:   "gelu_gate_bwd",
		Binds:  []prog.Binding{prog.In("x"), prog.In("g"), prog.In("dout"), prog.Acc("dx"), prog.Acc("dg")},
		Lens:   elemLens(5),
		Items:  elemItems,
		Flops:  func(c elemC) float64 { return 20 * float64(c.N) },
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    geluGateBwd[float32],
		F64:    geluGateBwd[float64],
		Sample: sampleElem,
		Fill:   func(_ elemC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[1]) },
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

// geluGateValue returns the tanh form of GELU at z and its derivative, by (1+tanh(u))/2 = logistic(2u). Beyond 30 the
// logistic is 0 or 1 in either precision, and the cube of what is clamped there cannot overflow.
func geluGateValue[F prog.Float](z F) (y, dy F) {
	const k = 1.5957691216057308 // 2*sqrt(2/pi)
	b := max(-30, min(30, z))
	s, ds := logistic(k * (b + 0.044715*b*b*b))
	return z * s, s + z*ds*k*(1+3*0.044715*b*b)
}

func geluGateFwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	x, g, out := a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi]
	for i, z := range g {
		y, _ := geluGateValue(z)
		out[i] = x[i] * y
	}
}

func geluGateBwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	x, g, dout := a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi]
	dx, dg := a.F[3][lo:hi], a.F[4][lo:hi]
	for i, z := range g {
		y, dy := geluGateValue(z)
		dx[i] += dout[i] * y
		dg[i] += dout[i] * x[i] * dy
	}
}
