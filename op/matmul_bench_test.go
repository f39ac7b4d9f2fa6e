package op_test

import (
	"testing"
	"time"

	"innerloop/op"
	"innerloop/prog"
)

// BenchmarkMatMul is the Go executor, on all processors, at 512³ and at the linear layers of a step of 2,048 tokens:
// forward, gradient of the input, gradient of the weight. "best" is the fastest run: on a busy machine it says more.
func BenchmarkMatMul(b *testing.B) {
	bench := func(name string, sa, sb []int, transA, transB bool) {
		b.Run(name, func(b *testing.B) {
			arena := prog.NewArena("in")
			x, y := arena.Add("a", prog.F32, sa...), arena.Add("b", prog.F32, sb...)
			p, err := prog.Record(name, func(r *prog.Recorder) { r.Keep(op.MatMul(r, x, y, transA, transB)) })
			if err != nil {
				b.Fatal(err)
			}
			ex := prog.NewCPU[float32](0)
			defer ex.Close()
			run, err := ex.Load(p)
			if err != nil {
				b.Fatal(err)
			}
			best := time.Hour
			for b.Loop() {
				t := time.Now()
				if err := run.Run(); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(t))
			}
			flops := p.Stats().Flops / 1e9
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds(), "GFLOP/s")
			b.ReportMetric(flops/best.Seconds(), "best-GFLOP/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	bench("512/nn", []int{512, 512}, []int{512, 512}, false, false)
	bench("512/nt", []int{512, 512}, []int{512, 512}, false, true)
	bench("512/tn", []int{512, 512}, []int{512, 512}, true, false)
	const tokens = 2048
	for _, l := range []struct {
		name    string
		in, out int
	}{{"256to256", 256, 256}, {"256to688", 256, 688}, {"688to256", 688, 256}} {
		bench(l.name+"/forward", []int{tokens, l.in}, []int{l.out, l.in}, false, true)
		bench(l.name+"/dx", []int{tokens, l.out}, []int{l.out, l.in}, false, false)
		bench(l.name+"/dw", []int{tokens, l.out}, []int{tokens, l.in}, true, false)
	}
}
