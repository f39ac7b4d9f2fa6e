package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

type pushRowC struct {
	Rows int
}

var pushRowK = define(prog.Spec[pushRowC]{
	Name:   "push_row",
	Binds:  []prog.Binding{prog.In("a"), prog.In("b"), prog.InU("slot"), prog.InOut("scale"), prog.InOut("ring")},
	Lens:   func(c pushRowC) []int { return []int{1, 1, 1, 1, 2 * c.Rows} },
	Items:  func(pushRowC) int { return 1 },
	Grid:   func(pushRowC, prog.Traits) [3]int { return [3]int{1, 1, 1} },
	F32:    pushRow[float32],
	F64:    pushRow[float64],
	Sample: func(r *rand.Rand) pushRowC { return pushRowC{1 + r.IntN(9)} },
	Fill:   func(c pushRowC, r *rand.Rand, a *prog.Args[float64]) { a.U[2][0] = uint32(r.IntN(c.Rows + 1)) },
})

// PushRow records ring[slot[0]] = (loss[0], norm[0]): a step's metrics, kept on the device until the host asks for
// several steps' at once. ring is [Rows,2], scale [1], slot u32 [1]; a slot past the last row is ignored.
//
// Where one of the two is not finite, scale[0] becomes NaN, which stops AdamW. So it does where the row before, which
// is the last step's, is not finite, and then norm is told as NaN: after a bad step no other changes the weights,
// until the host looks, which it has to do before slot is 0 again: there is no row before that one.
func PushRow(r *prog.Recorder, loss, norm, slot, scale, ring *prog.Tensor) {
	pushRowK.Dispatch(r, pushRowC{ring.Dim(0)}, loss, norm, slot, scale, ring)
}

func pushRow[F prog.Float](c pushRowC, a *prog.Args[F], _ []F, lo, hi int) {
	if lo == hi {
		return
	}
	s, scale, ring := int(a.U[2][0]), a.F[3], a.F[4]
	loss, norm := a.F[0][0], a.F[1][0]
	if halted(ring, s) {
		norm = F(math.NaN())
	}
	if !isFinite(loss) || !isFinite(norm) {
		scale[0] = F(math.NaN())
	}
	if s < c.Rows {
		ring[2*s], ring[2*s+1] = loss, norm
	}
}

// halted says whether the row before row s of a ring of metrics is not finite.
func halted[F prog.Float](ring []F, s int) bool {
	return s > 0 && 2*s <= len(ring) && (!isFinite(ring[2*s-2]) || !isFinite(ring[2*s-1]))
}

type snapshotC struct {
	N    int // elements
	Rows int
}

var snapshotK = define(prog.Spec[snapshotC]{
	Name:  "snapshot",
	Binds: []prog.Binding{prog.In("src"), prog.InU("slot"), prog.In("ring"), prog.InOut("dst")},
	Lens:  func(c snapshotC) []int { return []int{c.N, 1, 2 * c.Rows, c.N} },
	Items: func(c snapshotC) int { return c.N },
	Grid:  func(c snapshotC, t prog.Traits) [3]int { return elemBlocks(c.N, t) },
	Tune:  elemTune[snapshotC],
	F32:   snapshot[float32],
	F64:   snapshot[float64],
	Sample: func(r *rand.Rand) snapshotC {
		return snapshotC{sampleDim(r) * sampleDim(r), 1 + r.IntN(9)}
	},
	Fill: func(c snapshotC, r *rand.Rand, a *prog.Args[float64]) {
		s := r.IntN(c.Rows + 1)
		a.U[1][0] = uint32(s)
		if s > 0 && r.IntN(2) == 0 {
			a.F[2][2*s-1-r.IntN(2)] = [...]float64{math.NaN(), math.Inf(1), math.Inf(-1)}[r.IntN(3)]
		}
	},
})

// Snapshot records dst = src, both of one length, at the beginning of a step whose metrics go to ring[slot[0]], unless
// an earlier step has halted the training: see PushRow. So dst stays what src was when the bad step began.
func Snapshot(r *prog.Recorder, src, slot, ring, dst *prog.Tensor) {
	snapshotK.Dispatch(r, snapshotC{src.Len(), ring.Dim(0)}, src, slot, ring, dst)
}

func snapshot[F prog.Float](_ snapshotC, a *prog.Args[F], _ []F, lo, hi int) {
	if !halted(a.F[2], int(a.U[1][0])) {
		copy(a.F[3][lo:hi], a.F[0][lo:hi])
	}
}
