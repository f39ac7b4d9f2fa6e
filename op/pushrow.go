package op

import (
	"math/rand/v2"

	"innerloop/prog"
)

type pushRowC struct {
	Rows int
}

var pushRowK = define(prog.Spec[pushRowC]{
	Name:   "push_row",
	Binds:  []prog.Binding{prog.In("a"), prog.In("b"), prog.InU("slot"), prog.InOut("ring")},
	Lens:   func(c pushRowC) []int { return []int{1, 1, 1, 2 * c.Rows} },
	Items:  func(pushRowC) int { return 1 },
	Grid:   func(pushRowC, prog.Traits) [3]int { return [3]int{1, 1, 1} },
	F32:    pushRow[float32],
	F64:    pushRow[float64],
	Sample: func(r *rand.Rand) pushRowC { return pushRowC{1 + r.IntN(9)} },
	Fill:   func(c pushRowC, r *rand.Rand, a *prog.Args[float64]) { a.U[2][0] = uint32(r.IntN(c.Rows)) },
})

// PushRow records ring[slot[0]] = (a[0], b[0]): a step's metrics, kept on the device until the host asks for several
// steps' at once. ring is [Rows,2], slot u32 [1]; a slot past the last row is ignored.
func PushRow(r *prog.Recorder, a, b, slot, ring *prog.Tensor) {
	pushRowK.Dispatch(r, pushRowC{ring.Dim(0)}, a, b, slot, ring)
}

func pushRow[F prog.Float](c pushRowC, a *prog.Args[F], _ []F, lo, hi int) {
	if s := int(a.U[2][0]); lo < hi && s < c.Rows {
		a.F[3][2*s], a.F[3][2*s+1] = a.F[0][0], a.F[1][0]
	}
}
