// Package op holds the differentiable operations: each records its forward dispatch at once and puts its backward
// on the tape. A file is one operation: kernels, references, op. Gradients always accumulate.
package op

import (
	"math/rand/v2"

	"innerloop/prog"
)

// Kernels lists every kernel of the package, for the conformance suite.
var Kernels []*prog.Kernel

// define registers a kernel.
func define[C any](s prog.Spec[C]) prog.Typed[C] {
	k := prog.Define(s)
	Kernels = append(Kernels, k.Kernel)
	return k
}

// rowsC are the constants of most row-wise kernels.
type rowsC struct {
	N int // rows
	D int // columns
}

func sampleRows(r *rand.Rand) rowsC { return rowsC{sampleDim(r), sampleDim(r)} }

// sampleDim draws the extent of an axis: often one, a power of two, or one off it.
func sampleDim(r *rand.Rand) int {
	switch r.IntN(4) {
	case 0:
		return 1
	case 1:
		return max(1, 1<<r.IntN(8)+r.IntN(3)-1)
	}
	return 1 + r.IntN(70)
}

// rowWG tunes a kernel of one workgroup a row: wide on a GPU; on a CPU adapter few invocations, which need no
// exchange.
func rowWG[C any](_ C, t prog.Traits) map[string]any {
	if t.Software {
		return map[string]any{"WG": 16}
	}
	return map[string]any{"WG": 64}
}

// colWG tunes a kernel that sums columns in blocks of 16: ROWS invocations share a column.
func colWG[C any](_ C, t prog.Traits) map[string]any {
	if t.Software {
		return map[string]any{"ROWS": 1}
	}
	return map[string]any{"ROWS": 16}
}

func rowGrid(c rowsC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) }
func colGrid(c rowsC, _ prog.Traits) [3]int { return [3]int{prog.CeilDiv(c.D, 16), 1, 1} }
func rowItems(c rowsC) int                  { return c.N }
func colItems(c rowsC) int                  { return c.D }
