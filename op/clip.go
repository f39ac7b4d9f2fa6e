package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

type clipScaleC struct {
	Parts int
}

var (
	clipPartK = define(prog.Spec[reduceC]{
		Name:   "clip_part",
		Binds:  []prog.Binding{prog.In("g"), prog.Acc("part")},
		Lens:   func(c reduceC) []int { return []int{c.N, c.Parts} },
		Items:  func(c reduceC) int { return c.Parts },
		Flops:  func(c reduceC) float64 { return 2 * float64(c.N) },
		Grid:   func(c reduceC, t prog.Traits) [3]int { return prog.Grid1(c.Parts, t) },
		Tune:   reduceWG[reduceC],
		F32:    clipPart[float32],
		F64:    clipPart[float64],
		Sample: sampleReduce,
	})
	clipScaleK = define(prog.Spec[clipScaleC]{
		Name:   "clip_scale",
		Binds:  []prog.Binding{prog.In("part"), prog.In("max_norm"), prog.Out("norm"), prog.Out("scale")},
		Lens:   func(c clipScaleC) []int { return []int{c.Parts, 1, 1, 1} },
		Items:  func(clipScaleC) int { return 1 },
		Grid:   func(clipScaleC, prog.Traits) [3]int { return [3]int{1, 1, 1} },
		Tune:   reduceWG[clipScaleC],
		F32:    clipScale[float32],
		F64:    clipScale[float64],
		Sample: func(r *rand.Rand) clipScaleC { return clipScaleC{sampleDim(r) * (1 + r.IntN(8))} },
		Fill:   func(_ clipScaleC, r *rand.Rand, a *prog.Args[float64]) { fillPositive(r, a.F[0]) },
	})
)

// ClipNorm records the global L2 norm of all gradients, norm[0] = sqrt(sum(g²)), and the factor that brings it down
// to maxNorm, scale[0] = min(1, maxNorm[0]/(norm[0] + 1e-6)), as torch.nn.utils.clip_grad_norm_; AdamW applies it.
// grads are f32 tensors of any shape, such as spans of a gradient arena; maxNorm, norm and scale are [1], maxNorm in
// another buffer than the two that are written. maxNorm[0] <= 0 asks for no clipping: scale[0] is 1.
//
// Squares of gradients beyond 1e19 overflow float32. A norm that is not finite is reported as it is and makes
// scale[0] NaN, which stops AdamW: the weights stay as they were before the step that went wrong.
func ClipNorm(r *prog.Recorder, grads []*prog.Tensor, maxNorm, norm, scale *prog.Tensor) {
	if len(grads) == 0 {
		r.Failf("clip norm: no gradients")
	}
	n := 1
	for _, g := range grads {
		n = max(n, reduceParts(g.Len()))
	}
	part := r.Temp("clip.part", n)
	for _, g := range grads {
		clipPartK.Dispatch(r, newReduceC(g.Len(), n), g, part)
	}
	clipScaleK.Dispatch(r, clipScaleC{n}, part, maxNorm, norm, scale)
}

func clipPart[F prog.Float](c reduceC, a *prog.Args[F], _ []F, lo, hi int) {
	g, part := a.F[0], a.F[1]
	for p := lo; p < hi; p++ {
		i, j := c.part(p)
		part[p] += F(squares(g[i:j]))
	}
}

func clipScale[F prog.Float](_ clipScaleC, a *prog.Args[F], _ []F, lo, hi int) {
	if lo == hi {
		return
	}
	part, most, norm, scale := a.F[0], a.F[1][0], a.F[2], a.F[3]
	var s float64
	for _, v := range part {
		s += float64(v)
	}
	n := F(math.Sqrt(float64(F(s))))
	norm[0] = n
	switch {
	case math.IsInf(float64(n), 0) || math.IsNaN(float64(n)):
		scale[0] = F(math.NaN())
	case most <= 0:
		scale[0] = 1
	default:
		scale[0] = min(1, most/(n+1e-6))
	}
}

// squares is the sum of squares of x: four sums at a time, which do not wait for each other.
func squares[F prog.Float](x []F) float64 {
	var s [4]float64
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		s[0] += a * a
		s[1] += b * b
		s[2] += c * c
		s[3] += d * d
	}
	for _, v := range x {
		s[0] += float64(v) * float64(v)
	}
	return s[0] + s[1] + (s[2] + s[3])
}
