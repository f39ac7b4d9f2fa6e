package gpu_test

import (
	"testing"
	"time"

	"innerloop/gpu"
	"innerloop/model"
	"innerloop/train"
)

// BenchmarkLoad makes the training step of the demonstration ready: on a device that has compiled nothing, as the first
// start of a page does, and once more, when nothing is left to compile.
func BenchmarkLoad(b *testing.B) {
	c := train.Demo()
	m, err := model.New(c.Model, model.ScanOptions{CheckpointEvery: c.Train.CheckpointEvery})
	if err != nil {
		b.Fatal(err)
	}
	s, err := model.NewTrainStep(m, model.StepOptions{Batch: c.Train.BatchSize, SeqLen: c.Train.SeqLen, Ring: c.Train.LogEvery})
	if err != nil {
		b.Fatal(err)
	}
	var cold, warm time.Duration
	for b.Loop() {
		g, err := gpu.Open(gpu.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range []*time.Duration{&cold, &warm} {
			start := time.Now()
			r, err := g.Load(s.Program)
			if err != nil {
				b.Fatal(err)
			}
			*d += time.Since(start)
			r.Close()
		}
		g.Close()
	}
	b.ReportMetric(float64(cold.Milliseconds())/float64(b.N), "ms-cold")
	b.ReportMetric(float64(warm.Milliseconds())/float64(b.N), "ms-warm")
	b.ReportMetric(float64(len(s.Program.Steps)), "steps")
}
