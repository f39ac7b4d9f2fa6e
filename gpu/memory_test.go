package gpu

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"innerloop/op"
	"innerloop/prog"
)

// TestArenasAreZeroed checks that memory holds zeros before its first use, freed and allocated again too.
func TestArenasAreZeroed(t *testing.T) {
	g := open(t)
	for range 3 {
		a := prog.NewArena("a")
		x := a.Add("x", prog.F32, 1000)
		got := slices.Repeat([]float32{7}, 1000)
		if err := g.Read(x, got); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(got, func(v float32) bool { return v != 0 }) {
			t.Fatal("an arena is not zeroed")
		}
		for i := range got {
			got[i] = 7
		}
		if err := g.Write(x, got); err != nil {
			t.Fatal(err)
		}
		g.Free(a)
	}
}

// TestLargeCopies moves more than the staging memory holds at a time.
func TestLargeCopies(t *testing.T) {
	g := open(t)
	a := prog.NewArena("a")
	a.Add("pad", prog.F32, 100)
	x := a.Add("x", prog.F32, 150<<20/4+3)
	src, dst := make([]float32, x.Len()), make([]float32, x.Len())
	for i := range src {
		src[i] = float32(i & 0xffffff)
	}
	if err := errors.Join(g.Write(x, src), g.Read(x, dst)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(src, dst) {
		t.Error("what was read is not what was written")
	}
}

// rss is the resident memory of the process in bytes, 0 where it cannot be told.
func rss() int {
	b, err := os.ReadFile("/proc/self/statm")
	if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
		n, _ := strconv.Atoi(f[1])
		return n * os.Getpagesize()
	}
	return 0
}

// steps is a program of a few RMSNorms over an arena in, with its input.
func steps(t *testing.T) (*prog.Program, *prog.Stage, *prog.Tensor) {
	in := prog.NewArena("in")
	x, w := in.Add("x", prog.F32, 64, 128), in.Add("w", prog.F32, 128)
	var out *prog.Tensor
	p := record(t, "p", func(r *prog.Recorder) {
		out = x
		for range 10 {
			out = op.RMSNorm(r, out, w, 1e-6)
		}
		r.Keep(out)
	})
	s := prog.NewStage(in)
	r := rand.New(rand.NewPCG(1, 2))
	for _, t := range []*prog.Tensor{x, w} {
		for i := range s.F32(t) {
			s.F32(t)[i] = float32(r.NormFloat64())
		}
	}
	return p, s, out
}

// TestReplaysDoNotGrow uploads and runs without a readback, which is when wgpu frees staging memory late.
func TestReplaysDoNotGrow(t *testing.T) {
	g := open(t)
	p, s, _ := steps(t)
	run, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	step := func(n int) {
		for range n {
			if err := errors.Join(g.Upload(s), run.Run()); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r0 := rss()
	n := 2000
	if runtime.GOOS == "js" {
		n = 300
	}
	step(n)
	r1 := rss()
	runtime.ReadMemStats(&after)
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	mallocs := float64(after.Mallocs-before.Mallocs) / float64(n)
	t.Logf("%d steps: resident %+d KiB, %.2f Go allocations a step; one upload is %d KiB", n, (r1-r0)/1024, mallocs, 4*len(s.Words())/1024)
	if grown := r1 - r0; grown > 16<<20 {
		t.Errorf("resident memory grew by %d MiB, want none", grown>>20)
	}
	// In the browser a call into JavaScript allocates, but a step is few calls however many dispatches it has.
	if limit := map[bool]float64{false: 1, true: 10}[runtime.GOOS == "js"]; mallocs > limit {
		t.Errorf("%.2f Go allocations a step, want none", mallocs)
	}
}

// TestUploadsDoNotGrow uploads without running anything.
func TestUploadsDoNotGrow(t *testing.T) {
	g := open(t)
	a := prog.NewArena("a")
	a.Add("x", prog.F32, 4<<20)
	s := prog.NewStage(a)
	r0 := rss()
	for range 100 {
		if err := g.Upload(s); err != nil {
			t.Fatal(err)
		}
	}
	if grown := rss() - r0; grown > 256<<20 {
		t.Errorf("100 uploads of 16 MiB: resident memory grew by %d MiB", grown>>20)
	}
}

// TestReadUnderGC reads back while the collector runs: no callback may point into Go's heap.
func TestReadUnderGC(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("one thread: a busy goroutine keeps the event loop from running")
	}
	g := open(t)
	p, s, out := steps(t)
	run, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Upload(s), run.Run()); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			runtime.GC()
		}
		done <- n
	}()
	first, got := make([]float32, out.Len()), make([]float32, out.Len())
	if err := run.Read(out, first); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if err := run.Read(out, got); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	t.Logf("%d collections", <-done)
	if !slices.Equal(first, got) {
		t.Error("reads differ")
	}
}

// TestSameBits runs one program twice over on two devices.
func TestSameBits(t *testing.T) {
	var outs [][]float32
	for range 2 {
		g := open(t)
		p, s, out := steps(t)
		run, err := g.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got := make([]float32, out.Len())
			if err := errors.Join(g.Upload(s), run.Run(), run.Read(out, got)); err != nil {
				t.Fatal(err)
			}
			outs = append(outs, got)
		}
	}
	for i, o := range outs[1:] {
		if !slices.Equal(o, outs[0]) {
			t.Errorf("run %d differs from the first", i+1)
		}
	}
}

func TestProfile(t *testing.T) {
	g := open(t)
	p, s, _ := steps(t)
	run, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Upload(s); err != nil {
		t.Fatal(err)
	}
	sec, err := run.Profile()
	if err != nil || len(sec) != len(p.Steps) {
		t.Fatal(sec, err)
	}
	t.Log(sec)
	for i, s := range sec {
		if s <= 0 || s > 0.1 {
			t.Errorf("step %d takes %g s", i, s)
		}
	}
}

const rounds = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i < 300u; i++) {
    for (var j = 0u; j < 300u; j++) { x[0] += 1.0; }
  }
}
`

// TestLoopLimit shows a trap of llvmpipe: all loops of one invocation together end after 65,535 rounds, silently.
// Kernels must stay below that; where this test fails because the limit has gone, they need not.
func TestLoopLimit(t *testing.T) {
	g := open(t)
	if !strings.Contains(g.Adapter().Name, "llvmpipe") {
		t.Skip("not llvmpipe")
	}
	g.withSource("rounds", rounds)
	k := testKernel("rounds", 1, [3]int{1, 1, 1})
	a := prog.NewArena("a")
	x := a.Add("x", prog.F32, 1)
	run, err := g.Load(record(t, "p", func(r *prog.Recorder) { k.Dispatch(r, testC{1}, x) }))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 1)
	if err := errors.Join(run.Run(), g.Read(x, got)); err != nil {
		t.Fatal(err)
	}
	if got[0] >= 90000 || got[0] < 60000 {
		t.Errorf("%v of 90000 rounds, want about 65,535", got[0])
	}
}

// TestInFlight checks that Run waits where too much is queued.
func TestInFlight(t *testing.T) {
	g := open(t)
	in := prog.NewArena("in")
	rows := map[bool]int{false: 2048, true: 512}[runtime.GOOS == "js"]
	x, w := in.Add("x", prog.F32, rows, 512), in.Add("w", prog.F32, 512)
	run, err := g.Load(record(t, "p", func(r *prog.Recorder) {
		for range 4 {
			op.RMSNorm(r, x, w, 1e-6)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(run.Run(), g.Sync()); err != nil {
		t.Fatal(err)
	}
	for try := range 5 { // a system that is busy may hold up the last runs: one quiet try is enough, and there is none without a limit
		if total, left := queueRuns(t, g, run); left <= total/2 {
			return
		} else if try == 4 {
			t.Errorf("%v of %v were still to do when the last run was queued", left, total)
		}
	}
}

// queueRuns queues runs and returns how long they took, and how much of that came after the last one was queued.
func queueRuns(t *testing.T, g *Device, run prog.Runner) (total, left time.Duration) {
	t.Helper()
	const n = 40
	start := time.Now()
	for range n {
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
	}
	queued := time.Since(start)
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	total = time.Since(start)
	t.Logf("%d runs take %v; %v after the last was queued", n, total, total-queued)
	return total, total - queued
}
