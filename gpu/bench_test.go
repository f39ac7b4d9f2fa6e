package gpu_test

import (
	"testing"
	"time"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// BenchmarkReplay runs 600 tiny dispatches a step, and reports what Run itself costs a dispatch beside the whole.
func BenchmarkReplay(b *testing.B) {
	g := gputest.Device(b)
	a := prog.NewArena("a")
	defer g.Free(a)
	x, w := a.Add("x", prog.F32, 4, 64), a.Add("w", prog.F32, 64)
	const n = 600
	p, err := prog.Record("replay", func(r *prog.Recorder) {
		h := x
		for range n {
			h = op.RMSNorm(r, h, w, 1e-6)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	run, err := g.Load(p)
	if err != nil {
		b.Fatal(err)
	}
	defer run.Close()
	load := time.Since(start)
	b.ReportAllocs()
	var encode time.Duration
	for b.Loop() {
		start := time.Now()
		if err := run.Run(); err != nil {
			b.Fatal(err)
		}
		encode += time.Since(start)
		if err := g.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(encode.Nanoseconds())/float64(b.N)/n, "ns-encode/dispatch")
	b.ReportMetric(float64(load.Microseconds())/n, "us-load/dispatch")
}

// BenchmarkRead reads back a scalar.
func BenchmarkRead(b *testing.B) {
	g := gputest.Device(b)
	a := prog.NewArena("a")
	defer g.Free(a)
	x := a.Add("x", prog.F32, 1)
	dst := make([]float32, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Read(x, dst); err != nil {
			b.Fatal(err)
		}
	}
}
