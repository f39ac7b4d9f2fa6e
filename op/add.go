package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

// elemC are the constants of an elementwise kernel.
type elemC struct {
	N int // elements
}

// elemShape is the workgroup size of elementwise kernels and how many elements one invocation does. On a CPU adapter
// a workgroup costs, and so does each invocation beyond the width of its vectors.
func elemShape(t prog.Traits) (wg, per int) {
	if t.Software {
		return 16, 64
	}
	return 64, 4
}

// elemTune tunes an elementwise kernel: its workgroup w does elements w*WG*PER and the following, invocation i every
// WG-th from the i-th.
func elemTune[C any](_ C, t prog.Traits) map[string]any {
	wg, per := elemShape(t)
	return map[string]any{"WG": wg, "PER": per}
}

// elemBlocks is the grid of an elementwise kernel over n elements.
func elemBlocks(n int, t prog.Traits) [3]int {
	wg, per := elemShape(t)
	return prog.Grid1(prog.CeilDiv(n, wg*per), t)
}

func elemGrid(c elemC, t prog.Traits) [3]int { return elemBlocks(c.N, t) }
func elemItems(c elemC) int                  { return c.N }
func sampleElem(r *rand.Rand) elemC          { return elemC{sampleDim(r) * sampleDim(r)} }

// elemLens is the length of every one of k bindings.
func elemLens(k int) func(c elemC) []int {
	return func(c elemC) []int {
		l := make([]int, k)
		for i := range l {
			l[i] = c.N
		}
		return l
	}
}

// fillWide spreads the values of x over many orders of magnitude in one case of four, so that what overflows shows.
func fillWide(r *rand.Rand, x []float64) {
	if r.IntN(4) > 0 {
		return
	}
	for i, v := range x {
		x[i] = float64(float32(v * math.Pow(10, 18*r.Float64())))
	}
}

var (
	addFwdK = define(prog.Spec[elemC]{
		Name:   "add_fwd",
		Binds:  []prog.Binding{prog.In("a"), prog.In("b"), prog.Out("out")},
		Lens:   elemLens(3),
		Items:  elemItems,
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    addFwd[float32],
		F64:    addFwd[float64],
		Sample: sampleElem,
	})
	addBwdK = define(prog.Spec[elemC]{
		Name:   "add_bwd",
		Binds:  []prog.Binding{prog.In("dout"), prog.Acc("da")},
		Lens:   elemLens(2),
		Items:  elemItems,
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    addBwd[float32],
		F64:    addBwd[float64],
		Sample: sampleElem,
	})
)

// Add records out = a + b. a and b are of one length, out as a. They may be the same tensor, and one that has no
// gradient gets none.
func Add(r *prog.Recorder, a, b *prog.Tensor) *prog.Tensor {
	n := a.Len()
	out := r.Temp("add", a.Shape()...)
	addFwdK.Dispatch(r, elemC{n}, a, b, out)
	r.Tape(func() { handOn(r, out, a, b) }, out)
	return out
}

// handOn records that the gradient of out is to be added to that of each of ts.
func handOn(r *prog.Recorder, out *prog.Tensor, ts ...*prog.Tensor) {
	c := elemC{out.Len()}
	for _, t := range ts {
		switch {
		case !r.WantsGrad(t):
		case r.Inherit(t, out, func(dst, src *prog.Tensor) { addBwdK.Dispatch(r, c, src, dst) }):
		default:
			addBwdK.Dispatch(r, c, r.Grad(out), r.Grad(t))
		}
	}
}

func addFwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	x, y, out := a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi]
	for i, v := range x {
		out[i] = v + y[i]
	}
}

func addBwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	dout, da := a.F[0][lo:hi], a.F[1][lo:hi]
	for i, g := range dout {
		da[i] += g
	}
}
