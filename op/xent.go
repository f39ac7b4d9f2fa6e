package op

import (
	"math"
	"math/rand/v2"
	"slices"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// IgnoreIndex is the target of a row that does not count: its loss and its gradient are zero.
const IgnoreIndex uint32 = 0xFFFFFFFF

type xentC struct {
	N, V int // rows, vocabulary
}

// xentWG tunes one workgroup a row; a vocabulary of subwords keeps more invocations busy than one of bytes.
func xentWG(c xentC, t prog.Traits) map[string]any {
	if c.V > 1024 && !t.Software {
		return map[string]any{"WG": 128}
	}
	return rowWG(c, t)
}

func fillTargets(c xentC, r *rand.Rand, u []uint32) {
	for i := range u {
		u[i] = uint32(r.IntN(c.V))
		if r.IntN(5) == 0 {
			u[i] = IgnoreIndex
		}
	}
}

var (
	xentK = define(prog.Spec[xentC]{
		Name:   "xent",
		Binds:  []prog.Binding{prog.InOut("logits"), prog.InU("targets"), prog.In("scale"), prog.Out("loss")},
		Lens:   func(c xentC) []int { return []int{c.N * c.V, c.N, 1, c.N} },
		Items:  func(c xentC) int { return c.N },
		Flops:  func(c xentC) float64 { return 5 * float64(c.N*c.V) },
		Grid:   func(c xentC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   xentWG,
		F32:    xentTrain[float32],
		F64:    xentTrain[float64],
		Sample: func(r *rand.Rand) xentC { return xentC{sampleDim(r), sampleDim(r)} },
		Fill: func(c xentC, r *rand.Rand, a *prog.Args[float64]) {
			fillTargets(c, r, a.U[1])
			fillLogits(r, a.F[0])
		},
	})
	xentEvalK = define(prog.Spec[xentC]{
		Name:   "xent_eval",
		Binds:  []prog.Binding{prog.In("logits"), prog.InU("targets"), prog.Out("loss")},
		Lens:   func(c xentC) []int { return []int{c.N * c.V, c.N, c.N} },
		Items:  func(c xentC) int { return c.N },
		Flops:  func(c xentC) float64 { return 4 * float64(c.N*c.V) },
		Grid:   func(c xentC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   xentWG,
		F32:    xentEval[float32],
		F64:    xentEval[float64],
		Sample: func(r *rand.Rand) xentC { return xentC{sampleDim(r), 1 + r.IntN(1500)} },
		Fill: func(c xentC, r *rand.Rand, a *prog.Args[float64]) {
			fillTargets(c, r, a.U[1])
			fillLogits(r, a.F[0])
		},
	})
)

// fillLogits makes the logits of one case of four so large that their exponentials overflow.
func fillLogits(r *rand.Rand, x []float64) {
	if r.IntN(4) > 0 {
		return
	}
	for i := range x {
		x[i] *= 1024 // exact in float32
	}
}

// CrossEntropy records the training form of the loss and returns it by rows, in nats and unscaled:
// loss[n] = logsumexp(logits[n]) - logits[n,targets[n]]. logits is [N,V], a whole temporary that nothing else reads
// afterwards: the step replaces it by the gradient of scale[0] * sum(loss), softmax minus one-hot times scale[0], and
// makes it its own gradient, so that the probabilities need no memory. The backward pass starts from there: loss needs
// no gradient. targets is [N] of u32, scale [1].
//
// A row whose target is IgnoreIndex has loss and gradient zero. One whose target is anything else outside the
// vocabulary has the loss NaN, so that the mistake shows, and gradient zero.
func CrossEntropy(r *prog.Recorder, logits, targets, scale *prog.Tensor) *prog.Tensor {
	if logits.Arena() != nil {
		r.Failf("cross entropy: %v is in arena %s, want a temporary", logits, logits.Arena().Name())
	}
	v := logits.Dim(-1)
	n := logits.Len() / v
	loss := r.Temp("loss", n)
	xentK.Dispatch(r, xentC{n, v}, logits, targets, scale, loss)
	r.SetGrad(logits, logits)
	return loss
}

// EvalCrossEntropy records the loss of CrossEntropy alone: logits keep their values and get no gradient.
func EvalCrossEntropy(r *prog.Recorder, logits, targets *prog.Tensor) *prog.Tensor {
	v := logits.Dim(-1)
	n := logits.Len() / v
	loss := r.Temp("loss", n)
	xentEvalK.Dispatch(r, xentC{n, v}, logits, targets, loss)
	return loss
}

func xentTrain[F prog.Float](c xentC, a *prog.Args[F], _ []F, lo, hi int) {
	targets, scale, loss := a.U[1], a.F[2][0], a.F[3]
	for n := lo; n < hi; n++ {
		x := a.F[0][n*c.V : (n+1)*c.V]
		t := targets[n]
		if int64(t) >= int64(c.V) {
			clear(x)
			loss[n] = noTarget[F](t)
			continue
		}
		m, xt := blas.Max(x), x[t]
		s := blas.ExpSum(x, m) // the exponentials wait in place for their sum
		loss[n] = F(math.Log(float64(s)) - float64(xt-m))
		blas.Scale(x, scale/s)
		x[t] -= scale
	}
}

func xentEval[F prog.Float](c xentC, a *prog.Args[F], _ []F, lo, hi int) {
	targets, loss := a.U[1], a.F[2]
	for n := lo; n < hi; n++ {
		x := a.F[0][n*c.V : (n+1)*c.V]
		t := targets[n]
		if int64(t) >= int64(c.V) {
			loss[n] = noTarget[F](t)
			continue
		}
		m := slices.Max(x)
		var s float64
		for _, v := range x {
			s += math.Exp(float64(v - m))
		}
		loss[n] = F(math.Log(s) - float64(x[t]-m))
	}
}

// noTarget is the loss of a row whose target t is not in the vocabulary.
func noTarget[F prog.Float](t uint32) F {
	if t == IgnoreIndex {
		return 0
	}
	return F(math.NaN())
}
