package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

var (
	swigluFwdK = define(prog.Spec[elemC]{
		Name:   "swiglu_fwd",
		Binds:  []prog.Binding{prog.In("gate"), prog.In("up"), prog.Out("out")},
		Lens:   elemLens(3),
		Items:  elemItems,
		Flops:  func(c elemC) float64 { return 5 * float64(c.N) },
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    swigluFwd[float32],
		F64:    swigluFwd[float64],
		Sample: sampleElem,
		Fill:   func(_ elemC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[0]) },
	})
	swigluBwdK = define(prog.Spec[elemC]{
		Name:   "swiglu_bwd",
		Binds:  []prog.Binding{prog.In("gate"), prog.In("up"), prog.In("dout"), prog.Acc("dgate"), prog.Acc("dup")},
		Lens:   elemLens(5),
		Items:  elemItems,
		Flops:  func(c elemC) float64 { return 12 * float64(c.N) },
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    swigluBwd[float32],
		F64:    swigluBwd[float64],
		Sample: sampleElem,
		Fill:   func(_ elemC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[0]) },
	})
)

// SwiGLU records out = silu(gate) * up with silu(z) = z / (1 + exp(-z)) (Shazeer 2020, arXiv 2002.05202). gate and up
// are two different tensors of one length, both of F32 or both of F16, out as gate.
func SwiGLU(r *prog.Recorder, gate, up *prog.Tensor) *prog.Tensor {
	c := elemC{gate.Len()}
	fwd, bwd := swigluFwdK, swigluBwdK
	if gate.DType() == prog.F16 {
		fwd, bwd = swigluFwdHalfK, swigluBwdHalfK
	}
	out := r.TempOf(gate.DType(), "swiglu", gate.Shape()...)
	fwd.Dispatch(r, c, gate, up, out)
	r.Tape(func() {
		bwd.Dispatch(r, c, gate, up, r.Grad(out), r.Grad(gate), r.Grad(up))
	}, out)
	return out
}

// logistic returns s = 1/(1+exp(-x)) and its derivative s*(1-s).
func logistic[F prog.Float](x F) (s, ds F) { return blas.Logistic(x) }

func swigluFwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	blas.SwiGLU(a.F[2][lo:hi], a.F[0][lo:hi], a.F[1][lo:hi])
}

func swigluBwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	blas.SwiGLUGrad(a.F[3][lo:hi], a.F[4][lo:hi], a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi])
}
