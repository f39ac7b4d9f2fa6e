package model_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/prog"
)

// Training rows that go on from the last step's state have the losses of the whole sequence, and rows that pack
// documents those of the documents alone.
func TestCarryAndPacking(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, kind := range []string{"linear", "mlp"} {
			c := model.DefaultConfig()
			c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize = 12, 8, 12, 2, 2, 4
			c.TTTLayerType, c.PreConv, c.ShareQK, c.InitializerRange = kind, true, true, 0.3
			m, err := model.New(c, model.ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Free(ex)
			if err := m.Prepare(ex); err != nil {
				t.Fatal(err)
			}
			if err := m.Init(ex, 3); err != nil {
				t.Fatal(err)
			}
			const l = 8
			r := rand.New(rand.NewPCG(1, 1))
			ids := make([]uint32, 2*l)
			for i := range ids {
				ids[i] = uint32(r.IntN(c.VocabSize))
			}
			step, err := model.NewTrainStep(m, model.StepOptions{Batch: 1, SeqLen: l, Positions: true, Carry: true, MaxMiniBatches: 3})
			if err != nil {
				t.Fatal(err)
			}
			defer step.Free(ex)
			run := load(t, ex, step.Program)
			// loss runs one row without an update and returns the sum of its losses.
			loss := func(ids []uint32, positions func(i int) int, targets int) float64 {
				copy(step.IDs(0), ids)
				for i := range step.Positions(0) {
					step.Positions(0)[i] = uint32(positions(i))
				}
				v, _ := runStep(t, ex, run, step, model.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, 0, 1)
				return v * float64(targets)
			}
			same := func(what string, got, want float64) {
				t.Helper()
				if math.Abs(got-want) > 1e-5*math.Abs(want) {
					t.Errorf("%s, %s: loss %.8g, want %.8g", kind, what, got, want)
				}
			}
			whole := sum(losses(t, m, ex, ids), func(i int) bool { return i != l-1 }) // the first row's last token has no target
			first := loss(ids[:l], func(i int) int { return i }, l-1)
			second := loss(ids[l:], func(i int) int { return l + i }, l-1)
			same("two rows", first+second, whole)

			const doc = 3
			packed := loss(ids[:l], func(i int) int {
				if i >= doc {
					return i - doc
				}
				return i
			}, l-2)
			same("two documents in a row", packed, sum(losses(t, m, ex, ids[:doc]), nil)+sum(losses(t, m, ex, ids[doc:l]), nil))
		}
	})
}

// losses are those of every token of one document as the prediction of the next.
func losses(t *testing.T, m *model.LM, ex prog.Executor, ids []uint32) []float64 {
	t.Helper()
	v := m.Config.VocabSize
	logits := logitsOf(t, m, ex, ids)
	var out []float64
	for i := range len(ids) - 1 {
		row := logits[i*v : (i+1)*v]
		var z float64
		for _, x := range row {
			z += math.Exp(float64(x))
		}
		out = append(out, math.Log(z)-float64(row[ids[i+1]]))
	}
	return out
}

func sum(x []float64, keep func(i int) bool) (s float64) {
	for i, v := range x {
		if keep == nil || keep(i) {
			s += v
		}
	}
	return s
}
