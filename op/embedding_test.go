package op_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestEmbeddingGradient(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct{ b, l, v, c int }{{1, 1, 1, 1}, {2, 9, 5, 3}, {3, 7, 40, 1}, {1, 33, 4, 17}} {
		ids := make([]uint32, s.b*s.l)
		for i := range ids {
			ids[i] = uint32(rnd.IntN(s.v))
		}
		order, start := make([]uint32, len(ids)), make([]uint32, s.v+1)
		if err := op.IndexIDs(order, start, ids); err != nil {
			t.Fatal(err)
		}
		check.Gradients(t, 6, 1e-7, []check.Input{
			{Name: "ids", Shape: []int{s.b, s.l}, U32: ids},
			{Name: "order", Shape: []int{len(ids)}, U32: order},
			{Name: "start", Shape: []int{s.v + 1}, U32: start},
			{Name: "table", Shape: []int{s.v, s.c}},
		}, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			out := op.Embedding(r, in[0], in[1], in[2], in[3])
			if want := []int{s.b, s.l, s.c}; !slices.Equal(out.Shape(), want) {
				t.Errorf("shape: got %v, want %v", out.Shape(), want)
			}
			return []*prog.Tensor{out}
		})
	}
}

func TestIndexIDs(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, v := range []int{1, 2, 7, 300} {
		ids := make([]uint32, 1+rnd.IntN(200))
		for i := range ids {
			ids[i] = uint32(rnd.IntN(v))
		}
		order, start := make([]uint32, len(ids)), make([]uint32, v+1)
		order[0], start[0] = 9, 9 // what was there before does not matter
		if err := op.IndexIDs(order, start, ids); err != nil {
			t.Fatal(err)
		}
		want := make([]uint32, len(ids))
		for i := range want {
			want[i] = uint32(i)
		}
		sort.SliceStable(want, func(i, j int) bool { return ids[want[i]] < ids[want[j]] })
		if !slices.Equal(order, want) {
			t.Errorf("vocabulary %d: order %v, want %v", v, order, want)
		}
		for id := range v + 1 {
			if n := sort.Search(len(want), func(i int) bool { return int(ids[want[i]]) >= id }); int(start[id]) != n {
				t.Errorf("vocabulary %d: start[%d] = %d, want %d", v, id, start[id], n)
			}
		}
	}
	err := op.IndexIDs(make([]uint32, 3), make([]uint32, 5), []uint32{0, 4, 1})
	if err == nil || !strings.Contains(err.Error(), "id 4 at position 1") {
		t.Errorf("id outside the vocabulary: error %v", err)
	}
	if err := op.IndexIDs(make([]uint32, 2), make([]uint32, 5), []uint32{0, 4, 1}); err == nil {
		t.Error("short order: no error")
	}
	order, start := make([]uint32, 3), make([]uint32, 5)
	if n := testing.AllocsPerRun(10, func() {
		if err := op.IndexIDs(order, start, []uint32{0, 3, 1}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("IndexIDs allocates %v times", n)
	}
}

func TestEmbeddingOutsideVocabulary(t *testing.T) {
	ar := prog.NewArena("in")
	ids, table := ar.Add("ids", prog.U32, 2), prog.NewArena("table").Add("table", prog.F32, 3, 2)
	order, start := ar.Add("order", prog.U32, 2), ar.Add("start", prog.U32, 4)
	var out *prog.Tensor
	cpu, run := loadOn[float32](t, func(r *prog.Recorder) { out = r.Keep(op.Embedding(r, ids, order, start, table)) })
	copy(dataOf(t, cpu, table), []float32{1, 2, 3, 4, 5, 6})
	st := prog.NewStage(ar)
	copy(st.U32(ids), []uint32{3, 2})
	if err := cpu.Upload(st); err != nil {
		t.Fatal(err)
	}
	runOnce(t, run)
	got := make([]float32, 4)
	if err := run.Read(out, got); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(float64(got[0])) || !math.IsNaN(float64(got[1])) || got[2] != 5 || got[3] != 6 {
		t.Errorf("rows of ids 3 and 2 of a vocabulary of 3: got %v, want NaN NaN 5 6", got)
	}
}
