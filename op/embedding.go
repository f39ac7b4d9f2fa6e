package op

import (
	"fmt"
	"math"
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type embeddingC struct {
	N, V, C int // positions, vocabulary, channels
}

func sampleEmbedding(r *rand.Rand) embeddingC {
	return embeddingC{sampleDim(r), sampleDim(r), sampleDim(r)}
}

var (
	embeddingFwdK = define(prog.Spec[embeddingC]{
		Name:   "embedding_fwd",
		Binds:  []prog.Binding{prog.InU("ids"), prog.In("table"), prog.Out("out")},
		Lens:   func(c embeddingC) []int { return []int{c.N, c.V * c.C, c.N * c.C} },
		Items:  func(c embeddingC) int { return c.N },
		Grid:   func(c embeddingC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[embeddingC],
		F32:    embeddingFwd[float32],
		F64:    embeddingFwd[float64],
		Sample: sampleEmbedding,
		Fill:   func(c embeddingC, r *rand.Rand, a *prog.Args[float64]) { fillIDs(c, r, a.U[0]) },
	})
	embeddingBwdK = define(prog.Spec[embeddingC]{
		Name:   "embedding_bwd",
		Binds:  []prog.Binding{prog.InU("order"), prog.InU("start"), prog.In("dout"), prog.Acc("dtable")},
		Lens:   func(c embeddingC) []int { return []int{c.N, c.V + 1, c.N * c.C, c.V * c.C} },
		Items:  func(c embeddingC) int { return c.V },
		Flops:  func(c embeddingC) float64 { return float64(c.N * c.C) },
		Grid:   func(c embeddingC, t prog.Traits) [3]int { return prog.Grid1(c.V, t) },
		Tune:   rowWG[embeddingC],
		F32:    embeddingBwd[float32],
		F64:    embeddingBwd[float64],
		Sample: sampleEmbedding,
		Fill: func(c embeddingC, r *rand.Rand, a *prog.Args[float64]) {
			ids := make([]uint32, c.N)
			fillIDs(c, r, ids)
			if err := IndexIDs(a.U[0], a.U[1], ids); err != nil {
				panic(err) // the ids are within the vocabulary
			}
		},
	})
)

// fillIDs draws ids of which some are far more frequent than others, and some absent.
func fillIDs(c embeddingC, r *rand.Rand, ids []uint32) {
	for i := range ids {
		ids[i] = uint32(r.IntN(1 + r.IntN(c.V)))
	}
}

// Embedding records out = table[ids]. ids is [...] of u32, table [V,C], out [...,C]. order and start, of u32, are the
// index of ids that IndexIDs makes: order has as many elements as ids, start V+1. With it the backward pass sums each
// row of the table's gradient in the order of positions: the same bits every time, without atomics. An id of V or
// more, which IndexIDs refuses, makes its row of out NaN.
func Embedding(r *prog.Recorder, ids, order, start, table *prog.Tensor) *prog.Tensor {
	c := embeddingC{ids.Len(), table.Dim(0), table.Dim(-1)}
	out := r.Temp("embedding", append(append([]int{}, ids.Shape()...), c.C)...)
	embeddingFwdK.Dispatch(r, c, ids, table, out)
	r.Tape(func() {
		if r.WantsGrad(table) {
			embeddingBwdK.Dispatch(r, c, order, start, r.Grad(out), r.Grad(table))
		}
	}, out)
	return out
}

// IndexIDs fills the index that Embedding's backward pass reads: order lists the positions of ids sorted by id, those
// of one id ascending, and start[v] is where those of id v begin. order is as long as ids and start one longer than
// the vocabulary. It returns an error where an id is not in the vocabulary; then the index is meaningless.
func IndexIDs(order, start, ids []uint32) error {
	if len(order) != len(ids) || len(start) < 2 {
		return fmt.Errorf("op: index of %d ids: got order of %d and start of %d elements, want %d and vocabulary + 1",
			len(ids), len(order), len(start), len(ids))
	}
	v := len(start) - 1
	clear(start)
	for i, id := range ids {
		if int(id) >= v {
			return fmt.Errorf("op: id %d at position %d, want less than the vocabulary of %d", id, i, v)
		}
		start[id+1]++
	}
	for i := range v {
		start[i+1] += start[i]
	}
	// A counting sort with start[id] as the cursor of each id, which ends where the next id begins.
	for i, id := range ids {
		order[start[id]] = uint32(i)
		start[id]++
	}
	copy(start[1:], start[:v])
	start[0] = 0
	return nil
}

func embeddingFwd[F prog.Float](c embeddingC, a *prog.Args[F], _ []F, lo, hi int) {
	ids, table, out := a.U[0], a.F[1], a.F[2]
	for n := lo; n < hi; n++ {
		o := out[n*c.C : (n+1)*c.C]
		id := int(ids[n])
		if id >= c.V {
			for i := range o {
				o[i] = F(math.NaN())
			}
			continue
		}
		copy(o, table[id*c.C:(id+1)*c.C])
	}
}

func embeddingBwd[F prog.Float](c embeddingC, a *prog.Args[F], _ []F, lo, hi int) {
	order, start, dout, dtable := a.U[0], a.U[1], a.F[2], a.F[3]
	for v := lo; v < hi; v++ {
		for _, n := range order[start[v]:start[v+1]] {
			blas.Add(dtable[v*c.C:(v+1)*c.C], dout[int(n)*c.C:(int(n)+1)*c.C])
		}
	}
}
