package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

// reduceMost is the most partial results of a reduction in two stages, and reduceLeast the fewest elements that are
// worth a workgroup.
const (
	reduceMost  = 1024
	reduceLeast = 4096
)

// reduceC are the constants of the first stage of a reduction: workgroup p reduces the elements from p*Chunk.
type reduceC struct {
	N     int // elements
	Parts int // partial results
	Chunk int // elements of each
}

// newReduceC divides n elements among at most parts workgroups.
func newReduceC(n, parts int) reduceC { return reduceC{n, parts, prog.CeilDiv(n, parts)} }

// reduceParts is the number of partial results of n elements.
func reduceParts(n int) int { return max(1, min(reduceMost, prog.CeilDiv(n, reduceLeast))) }

func sampleReduce(r *rand.Rand) reduceC {
	return newReduceC(sampleDim(r)*sampleDim(r), 1+r.IntN(40))
}

// reduceWG tunes a workgroup that reduces a part.
func reduceWG[C any](_ C, t prog.Traits) map[string]any {
	if t.Software {
		return map[string]any{"WG": 16}
	}
	return map[string]any{"WG": 128}
}

// part is the p-th part of x; the last ones may be empty.
func (c reduceC) part(p int) (lo, hi int) { return min(c.N, p*c.Chunk), min(c.N, (p+1)*c.Chunk) }

type sumToC struct {
	N int
}

func fillPositive(r *rand.Rand, x []float64) {
	for i := range x {
		x[i] = float64(float32(math.Abs(r.NormFloat64())))
	}
}

var (
	sumPartK = define(prog.Spec[reduceC]{
		Name:   "sum_part",
		Binds:  []prog.Binding{prog.In("x"), prog.Out("part")},
		Lens:   func(c reduceC) []int { return []int{c.N, c.Parts} },
		Items:  func(c reduceC) int { return c.Parts },
		Flops:  func(c reduceC) float64 { return float64(c.N) },
		Grid:   func(c reduceC, t prog.Traits) [3]int { return prog.Grid1(c.Parts, t) },
		Tune:   reduceWG[reduceC],
		F32:    sumPart[float32],
		F64:    sumPart[float64],
		Sample: sampleReduce,
	})
	sumToK = define(prog.Spec[sumToC]{
		Name:   "sum_to",
		Binds:  []prog.Binding{prog.In("x"), prog.In("scale"), prog.Acc("dst")},
		Lens:   func(c sumToC) []int { return []int{c.N, 1, 1} },
		Items:  func(sumToC) int { return 1 },
		Flops:  func(c sumToC) float64 { return float64(c.N) },
		Grid:   func(sumToC, prog.Traits) [3]int { return [3]int{1, 1, 1} },
		Tune:   reduceWG[sumToC],
		F32:    sumTo[float32],
		F64:    sumTo[float64],
		Sample: func(r *rand.Rand) sumToC { return sumToC{sampleDim(r) * sampleDim(r)} },
		// One number is compared: it must not be a difference that happens to be small.
		Fill: func(_ sumToC, r *rand.Rand, a *prog.Args[float64]) {
			for _, f := range a.F {
				fillPositive(r, f)
			}
		},
	})
)

// SumTo records dst[0] += scale[0] * sum(x), in the same order every time. x is of any shape, scale and dst are [1];
// there is no gradient.
func SumTo(r *prog.Recorder, x, scale, dst *prog.Tensor) {
	if n := reduceParts(x.Len()); n > 1 {
		part := r.Temp("sum.part", n)
		sumPartK.Dispatch(r, newReduceC(x.Len(), n), x, part)
		x = part
	}
	sumToK.Dispatch(r, sumToC{x.Len()}, x, scale, dst)
}

func sumPart[F prog.Float](c reduceC, a *prog.Args[F], _ []F, lo, hi int) {
	x, part := a.F[0], a.F[1]
	for p := lo; p < hi; p++ {
		i, j := c.part(p)
		var s float64
		for _, v := range x[i:j] {
			s += float64(v)
		}
		part[p] = F(s)
	}
}

func sumTo[F prog.Float](_ sumToC, a *prog.Args[F], _ []F, lo, hi int) {
	if lo == hi {
		return
	}
	var s float64
	for _, v := range a.F[0] {
		s += float64(v)
	}
	a.F[2][0] += a.F[1][0] * F(s)
}
