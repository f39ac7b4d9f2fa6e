package op

import (
	"math/rand/v2"
	"strings"

	"innerloop/prog"
)

// Kernels that read and write binary16, two in a word. They sum, and take roots and exponentials, in float32.
var (
	halfK = define(prog.Spec[elemC]{
		Name:   "half",
		Binds:  []prog.Binding{prog.In("x"), {Name: "out", Access: prog.Write, DType: prog.F16}},
		Lens:   elemLens(2),
		Items:  elemItems,
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		Copies: true,
		F32:    halfFwd[float32],
		F64:    halfFwd[float64],
		Sample: sampleElem,
		Fill:   func(_ elemC, r *rand.Rand, a *prog.Args[float64]) { fillHalf(r, a.F[0]) },
	})

	rmsnormFwdHalfK    = pack(rmsnormFwdK, prog.Packing[rmsnormC]{Name: "rmsnorm_fwd_f16", Binds: []string{"out"}, Sample: sampleEvenNorm})
	addRMSNormFwdHalfK = pack(addRMSNormFwdK, prog.Packing[rmsnormC]{Name: "add_rmsnorm_fwd_f16", Binds: []string{"out"}, Sample: sampleEvenNorm})
	layernormFwdHalfK  = pack(layernormFwdK, prog.Packing[layernormC]{Name: "layernorm_fwd_f16", Binds: []string{"out"},
		Sample: func(r *rand.Rand) layernormC { s := sampleRows(r); return layernormC{s.N, 2 * s.D, 1e-6} }})
	swigluFwdHalfK   = pack(swigluFwdK, prog.Packing[elemC]{Name: "swiglu_fwd_f16", Binds: []string{"gate", "up", "out"}})
	swigluBwdHalfK   = pack(swigluBwdK, prog.Packing[elemC]{Name: "swiglu_bwd_f16", Binds: []string{"gate", "up"}})
	geluGateFwdHalfK = pack(geluGateFwdK, prog.Packing[elemC]{Name: "gelu_gate_fwd_f16", Binds: []string{"x", "g", "out"}})
	geluGateBwdHalfK = pack(geluGateBwdK, prog.Packing[elemC]{Name: "gelu_gate_bwd_f16", Binds: []string{"x", "g"}})

	matmulNTHalfK     = packMatmul(matmulNTK, "matmul_nt_f16", "a", "b")
	matmulNTHalfOutK  = packMatmul(matmulNTK, "matmul_nt_f16_out", "a", "b", "out")
	matmulNNHalfK     = packMatmul(matmulNNK, "matmul_nn_f16", "b")
	matmulTNHalfK     = packMatmul(matmulTNK, "matmul_tn_f16", "b")
	matmulAnyHalfK    = pack(matmulAnyK, prog.Packing[matmulAnyC]{Name: "matmul_any_f16", Binds: []string{"a", "b"}})
	matmulAnyHalfOneK = pack(matmulAnyK, prog.Packing[matmulAnyC]{Name: "matmul_any_f16_b", Binds: []string{"b"}})
)

// pack registers a packed kernel.
func pack[C any](k prog.Typed[C], p prog.Packing[C]) prog.Typed[C] {
	h := k.Packed(p)
	Kernels = append(Kernels, h.Kernel)
	return h
}

// packMatmul packs a product, of which no variant takes k one by one: two elements share a word.
func packMatmul(k prog.Typed[matmulC], name string, binds ...string) prog.Typed[matmulC] {
	return pack(k, prog.Packing[matmulC]{Name: name, Binds: binds, Shader: func(s string) string { return strings.TrimSuffix(s, matmulOneByOne) }})
}

func sampleEvenNorm(r *rand.Rand) rmsnormC { s := sampleRows(r); return rmsnormC{s.N, 2 * s.D, 1e-6} }

// fillHalf spreads x over all that a binary16 can hold, and a little more.
func fillHalf(r *rand.Rand, x []float64) {
	for i, v := range x {
		x[i] = float64(float32(v * (1 << 14) / float64(uint64(1)<<r.IntN(40))))
	}
}

// Half records x rounded to binary16, of prog.F16, for what reads it packed. Its gradient is x's, of F32: that of rounding
// is taken for 1. What is of F16 already stays as it is.
func Half(r *prog.Recorder, x *prog.Tensor) *prog.Tensor {
	if x.DType() == prog.F16 {
		return x
	}
	out := r.TempOf(prog.F16, "half", x.Shape()...)
	halfK.Dispatch(r, elemC{x.Len()}, x, out)
	r.Tape(func() { handOn(r, out, x) }, out)
	return out
}

// HalfWeights records a copy of w, a window of the parameters' arena, rounded to binary16. Every Linear and
// LinearCrossEntropy that is recorded later and whose weight lies in w reads the copy in its place, and its input rounded
// too; the gradient is the weight's.
func HalfWeights(r *prog.Recorder, w *prog.Tensor) {
	out := r.TempOf(prog.F16, "half", w.Len())
	halfK.Dispatch(r, elemC{w.Len()}, w, out)
	r.UseHalf(w, out)
}

// linearHalf records out = x·wᵀ, half the rounded elements of w: of F16 where to is and there is a kernel for its shape.
func linearHalf(r *prog.Recorder, to prog.DType, x, w, half *prog.Tensor) *prog.Tensor {
	x = Half(r, x).Rows()
	c := product(1, x.Dim(0), w.Dim(0), w.Dim(1))
	var out *prog.Tensor
	packs := to == prog.F16 && c.N%4 == 0 && c.K%4 == 0
	if packs {
		out = r.TempOf(prog.F16, "linear", c.M, c.N)
		matmulNTHalfOutK.Dispatch(r, c, x, half, out)
	} else {
		out = r.Temp("linear", c.M, c.N)
		matmul(r, c, x, half, out, false, true)
	}
	r.Tape(func() {
		dout := r.Grad(out)
		if r.WantsGrad(x) {
			matmul(r, product(1, c.M, c.K, c.N), dout, half, r.Grad(x), false, false)
		}
		if r.WantsGrad(w) {
			matmul(r, product(1, c.N, c.K, c.M), dout, x, r.Grad(w), true, false)
		}
	}, out)
	return out
}

// packedRows is the kernel of a norm over rows of d elements with a result of type to.
func packedRows[C any](r *prog.Recorder, to prog.DType, plain, packed prog.Typed[C], d int) prog.Typed[C] {
	if to != prog.F16 {
		return plain
	}
	if d%2 != 0 {
		r.Failf("op: norm of rows of %d elements, want an even number for a result of f16", d)
	}
	return packed
}

func halfFwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	copy(a.F[1][lo:hi], a.F[0][lo:hi]) // the executor rounds
}
