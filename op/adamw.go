package op

import (
	"math"
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// HyperLen is the length of AdamW's tensor of hyper-parameters, which FillHyper fills.
const HyperLen = 8

// The elements of the hyper-parameters, each computed in float64 as the update needs it: of float32 operands 1 - 0.999
// is off by 5e-5, and a factor 1 - lr*wd would round a small decay away.
const (
	hyperStep      = iota // lr / (1 - beta1^t)
	hyperBeta1            // beta1
	hyperBeta1Rest        // 1 - beta1
	hyperBeta2            // beta2
	hyperBeta2Rest        // 1 - beta2
	hyperRoot             // 1 / sqrt(1 - beta2^t)
	hyperEps              // eps
	hyperDecay            // lr * weight decay
)

type adamwC struct {
	N     int // elements
	Decay int // the elements before this one decay
}

var adamwK = define(prog.Spec[adamwC]{
	Name: "adamw",
	Binds: []prog.Binding{prog.InOut("p"), prog.In("g"), prog.InOut("m"), prog.InOut("v"),
		prog.In("hyper"), prog.In("scale")},
	Lens:  func(c adamwC) []int { return []int{c.N, c.N, c.N, c.N, HyperLen, 1} },
	Items: func(c adamwC) int { return c.N },
	Flops: func(c adamwC) float64 { return 13 * float64(c.N) },
	Grid:  func(c adamwC, t prog.Traits) [3]int { return elemBlocks(c.N, t) },
	Tune:  elemTune[adamwC],
	F32:   adamw[float32],
	F64:   adamw[float64],
	Sample: func(r *rand.Rand) adamwC {
		n := sampleDim(r) * sampleDim(r)
		return adamwC{n, r.IntN(n + 1)}
	},
	Fill: func(_ adamwC, r *rand.Rand, a *prog.Args[float64]) {
		fillPositive(r, a.F[3])
		fillPositive(r, a.F[5])
		var h [HyperLen]float32
		FillHyper(h[:], 0.1*r.Float64(), 0.9, 0.99, 1e-8, r.Float64(), 1+r.IntN(50))
		for i, x := range h {
			a.F[4][i] = float64(x)
		}
	},
})

// AdamW records one update of parameters p by decoupled weight decay (Loshchilov and Hutter 2017, arXiv 1711.05101)
// in PyTorch's form, with bias corrections and g the gradient times scale[0]:
//
//	m = beta1*m + (1-beta1)*g ; v = beta2*v + (1-beta2)*g²
//	p = p - lr*wd*p - lr * m/(1-beta1^t) / (sqrt(v/(1-beta2^t)) + eps)
//
// p, g and the moments m and v are of one length, in buffers of their own; only the first decay elements decay. hyper
// is [HyperLen], filled by FillHyper for every step; scale is [1], ClipNorm's. A scale that is not finite changes
// nothing: one bad step must not cost the weights.
func AdamW(r *prog.Recorder, p, g, m, v, hyper, scale *prog.Tensor, decay int) {
	if decay < 0 || decay > p.Len() {
		r.Failf("adamw: the first %d of %d elements decay", decay, p.Len())
	}
	adamwK.Dispatch(r, adamwC{p.Len(), decay}, p, g, m, v, hyper, scale)
}

// FillHyper writes AdamW's hyper-parameters for update number step, counted from 1, to dst of length HyperLen. wd is
// the weight decay, which lr multiplies as in PyTorch.
func FillHyper(dst []float32, lr, beta1, beta2, eps, wd float64, step int) {
	t := float64(step)
	dst = dst[:HyperLen]
	dst[hyperStep] = float32(lr / (1 - math.Pow(beta1, t)))
	dst[hyperBeta1] = float32(beta1)
	dst[hyperBeta1Rest] = float32(1 - beta1)
	dst[hyperBeta2] = float32(beta2)
	dst[hyperBeta2Rest] = float32(1 - beta2)
	dst[hyperRoot] = float32(1 / math.Sqrt(1-math.Pow(beta2, t)))
	dst[hyperEps] = float32(eps)
	dst[hyperDecay] = float32(lr * wd)
}

func adamw[F prog.Float](c adamwC, a *prog.Args[F], _ []F, lo, hi int) {
	if s := float64(a.F[5][0]); math.IsNaN(s) || math.IsInf(s, 0) {
		return
	}
	mid := min(hi, max(lo, c.Decay))
	adamwRange(a, lo, mid, a.F[4][hyperDecay])
	adamwRange(a, mid, hi, 0)
}

// adamwRange updates elements lo to hi-1, which decay by the factor decay of theirs.
func adamwRange[F prog.Float](a *prog.Args[F], lo, hi int, decay F) {
	blas.AdamW(a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi], a.F[3][lo:hi], a.F[4], a.F[5][0], decay)
}
