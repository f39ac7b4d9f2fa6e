package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type reverseC struct {
	B int // sequences
	L int // tokens of a sequence
	C int // channels
}

var (
	reverseFwdK = define(prog.Spec[reverseC]{
		Name:   "reverse_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.Out("out")},
		Lens:   func(c reverseC) []int { return []int{c.B * c.L * c.C, c.B * c.L * c.C} },
		Items:  func(c reverseC) int { return c.B * c.L },
		Grid:   func(c reverseC, t prog.Traits) [3]int { return elemBlocks(c.B*c.L*c.C, t) },
		Tune:   elemTune[reverseC],
		F32:    reverseFwd[float32],
		F64:    reverseFwd[float64],
		Sample: sampleReverse,
	})
	reverseBwdK = define(prog.Spec[reverseC]{
		Name:   "reverse_bwd",
		Binds:  []prog.Binding{prog.In("dout"), prog.Acc("dx")},
		Lens:   func(c reverseC) []int { return []int{c.B * c.L * c.C, c.B * c.L * c.C} },
		Items:  func(c reverseC) int { return c.B * c.L },
		Grid:   func(c reverseC, t prog.Traits) [3]int { return elemBlocks(c.B*c.L*c.C, t) },
		Tune:   elemTune[reverseC],
		F32:    reverseBwd[float32],
		F64:    reverseBwd[float64],
		Sample: sampleReverse,
	})
)

func sampleReverse(r *rand.Rand) reverseC { return reverseC{1 + r.IntN(3), sampleDim(r), sampleDim(r)} }

// Reverse records each sequence read backwards: out[b,t,:] = x[b,L-1-t,:]. x is [B,L,C], out as x.
func Reverse(r *prog.Recorder, x *prog.Tensor) *prog.Tensor {
	if len(x.Shape()) != 3 {
		r.Failf("reverse: %v, want [sequences tokens channels]", x)
	}
	c := reverseC{x.Dim(0), x.Dim(1), x.Dim(2)}
	out := r.Temp("reverse", x.Shape()...)
	reverseFwdK.Dispatch(r, c, x, out)
	r.Tape(func() {
		if r.WantsGrad(x) {
			reverseBwdK.Dispatch(r, c, r.Grad(out), r.Grad(x))
		}
	}, out)
	return out
}

// mirrored is the channels of the token that mirrors token i of all sequences.
func mirrored[F prog.Float](c reverseC, x []F, i int) []F {
	return x[(i/c.L*c.L+c.L-1-i%c.L)*c.C:][:c.C]
}

func reverseFwd[F prog.Float](c reverseC, a *prog.Args[F], _ []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		copy(a.F[1][i*c.C:(i+1)*c.C], mirrored(c, a.F[0], i))
	}
}

func reverseBwd[F prog.Float](c reverseC, a *prog.Args[F], _ []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		blas.Add(a.F[1][i*c.C:(i+1)*c.C], mirrored(c, a.F[0], i))
	}
}
