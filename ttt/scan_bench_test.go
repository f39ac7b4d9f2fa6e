package ttt_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"innerloop/gpu/gputest"
	"innerloop/prog"
)

// BenchmarkScan times the fused scan, forward and forward with backward, in tokens and GFLOP a second.
func BenchmarkScan(b *testing.B) {
	for _, s := range []shape{{4, 512, 4, 64, 16, 1, false, lm}, {8, 256, 4, 32, 16, 1, false, lm}, {8, 256, 4, 32, 16, 1, true, lm}} {
		for _, back := range []bool{false, true} {
			for _, ex := range gputest.Executors(b) {
				b.Run(fmt.Sprintf("%+v/backward=%v/%s", s, back, ex.Name), func(b *testing.B) { benchScan(b, ex, s, back) })
			}
		}
	}
}

// BenchmarkScanLength times the scan of one sequence of 512 to 8,192 tokens: its cost a token does not depend on the
// length.
func BenchmarkScanLength(b *testing.B) {
	for _, mlp := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			for _, ex := range gputest.Executors(b) {
				for l := 512; l <= 8192; l *= 4 {
					s := shape{1, l, 2, 32, 16, 16, mlp, lm}
					b.Run(fmt.Sprintf("mlp=%v/backward=%v/%s/tokens=%d", mlp, back, ex.Name, l), func(b *testing.B) { benchScan(b, ex, s, back) })
				}
			}
		}
	}
}

func benchScan(b *testing.B, ex prog.Executor, s shape, back bool) {
	arena, fixed := prog.NewArena("in"), prog.NewArena("seed")
	ins := inputs(s, 1, nil)
	var ts []*prog.Tensor
	for _, in := range ins {
		ts = append(ts, arena.Add(in.Name, prog.F32, in.Shape...))
	}
	arena.WithGrad(arena.Mirror("grad"))
	seed := fixed.Add("seed", prog.F32, s.b*s.l, s.h*s.f)
	p, err := prog.Record("scan", func(r *prog.Recorder) {
		out := scan(r, s, ts, nil, 0).Out
		if back {
			r.SetGrad(out, seed)
			r.Backward()
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	t0 := time.Now()
	run, err := ex.Load(p)
	if err != nil {
		b.Fatal(err)
	}
	defer run.Close()
	r := rand.New(rand.NewPCG(1, 1))
	for i, in := range ins {
		v := make([]float32, ts[i].Len())
		for j := range v {
			if in.Fill != nil {
				v[j] = float32(in.Fill(j))
			} else {
				v[j] = float32(in.Scale * r.NormFloat64())
			}
		}
		if err := ex.Write(ts[i], v); err != nil {
			b.Fatal(err)
		}
	}
	if err := run.Run(); err != nil { // some drivers compile at the first run
		b.Fatal(err)
	}
	if err := ex.Sync(); err != nil {
		b.Fatal(err)
	}
	b.Logf("load and first run %.2fs", time.Since(t0).Seconds())
	best := math.Inf(1)
	for b.Loop() {
		start := time.Now()
		if err := run.Run(); err != nil {
			b.Fatal(err)
		}
		if err := ex.Sync(); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start).Seconds())
	}
	sec := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(1e9*best/float64(s.b*s.l), "ns/token-best")
	b.ReportMetric(float64(s.b*s.l)/sec, "tokens/s")
	b.ReportMetric(p.Stats().Flops/sec/1e9, "GFLOP/s")
}
