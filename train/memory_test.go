package train

import (
	"context"
	"runtime"
	"testing"

	"innerloop/data"
	"innerloop/prog"
)

type quiet struct{}

func (quiet) Steps([]Step, float64) error { return nil }
func (quiet) Eval(Eval) error             { return nil }
func (quiet) Save(int) error              { return nil }

// Two thousand steps leave no more memory behind than a hundred.
func TestMemoryDoesNotGrow(t *testing.T) {
	c := Default()
	c.Model.HiddenSize, c.Model.IntermediateSize, c.Model.NumHiddenLayers, c.Model.NumAttentionHeads = 16, 16, 1, 1
	c.Train.BatchSize, c.Train.SeqLen, c.Train.Steps, c.Train.EvalEvery = 2, 16, 2100, 0
	text, err := data.NewCorpus("t", data.Stories(1, 4000))
	if err != nil {
		t.Fatal(err)
	}
	ex := prog.NewCPU[float32](2)
	defer ex.Close()
	r, err := New(c, ex, text)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	heap := func(steps int) uint64 {
		r.StopAt = steps
		if err := r.Train(context.Background(), quiet{}); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap(100)
	if after := heap(2100); after > before+1<<16 {
		t.Errorf("2000 steps grew the heap from %d to %d bytes", before, after)
	}
}
