package gpu

import (
	"errors"
	"runtime"
	"slices"
	"syscall/js"
	"testing"
	"time"

	"innerloop/prog"
)

// tiny returns a run of one small dispatch and its input.
func tiny(t *testing.T, g *Device) (prog.Runner, *prog.Stage, *prog.Tensor) {
	t.Helper()
	g.withSource("tiny", addOne)
	in := prog.NewArena("in")
	x := in.Add("x", prog.F32, 4)
	run, err := g.Load(record(t, "tiny", func(r *prog.Recorder) { testKernel("tiny", 1, [3]int{4, 1, 1}).Dispatch(r, testC{4}, x) }))
	if err != nil {
		t.Fatal(err)
	}
	return run, prog.NewStage(in), x
}

// TestMessagesAreHeard sends messages while thousands of steps run that wait for nothing but the steps in flight. Go
// shares its thread with the event loop, which must get its turn.
func TestMessagesAreHeard(t *testing.T) {
	g := open(t)
	run, stage, _ := tiny(t, g)
	channel := js.Global().Get("MessageChannel").New()
	var gaps []time.Duration
	last := time.Now()
	again := js.FuncOf(func(js.Value, []js.Value) any {
		gaps = append(gaps, time.Since(last))
		last = time.Now()
		channel.Get("port2").Call("postMessage", 0)
		return nil
	})
	defer again.Release()
	channel.Get("port1").Set("onmessage", again)
	channel.Get("port2").Call("postMessage", 0)
	const n = 3000
	start := time.Now()
	for range n {
		if err := errors.Join(g.Upload(stage), run.Run()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	channel.Get("port1").Call("close")
	slices.Sort(gaps)
	t.Logf("%d steps in %v: %d messages, of which the median waited %v, one in a hundred %v and the last %v",
		n, took, len(gaps), gaps[len(gaps)/2], gaps[len(gaps)*99/100], gaps[len(gaps)-1])
	if len(gaps) < n/10 {
		t.Errorf("%d messages were heard in %d steps", len(gaps), n)
	}
}

// TestMemoryStays uploads, replays and reads a small program, and looks at what wasm, Go and the device hold.
func TestMemoryStays(t *testing.T) {
	g := open(t)
	run, stage, x := tiny(t, g)
	got := make([]float32, 4)
	steps := func(n int) {
		for i := range n {
			stage.F32(x)[0] = float32(i)
			if err := errors.Join(g.Upload(stage), run.Run()); err != nil {
				t.Fatal(err)
			}
			if i%100 == 99 {
				runtime.GC() // the collector would wait for 4 MiB, more than all of this
			}
			if i%10 != 9 {
				continue
			}
			if err := g.Read(x, got); err != nil {
				t.Fatal(err)
			}
			if got[0] != float32(i+1) {
				t.Fatalf("step %d: got %v", i, got)
			}
		}
	}
	type memory struct {
		wasm, heap, objects uint64
		gpu                 int64
	}
	now := func() memory {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return memory{m.Sys, m.HeapAlloc, m.HeapObjects, g.Bytes()}
	}
	steps(100)
	before := now()
	steps(2000)
	after := now()
	t.Logf("before %+v, after %+v", before, after)
	// 16 KiB are 8 bytes a step.
	if after.wasm > before.wasm+before.wasm/100 || after.heap > before.heap+16<<10 {
		t.Errorf("wasm and Go's heap hold %d and %d bytes, %d and %d before", after.wasm, after.heap, before.wasm, before.heap)
	}
	if after.gpu != before.gpu {
		t.Errorf("%d bytes on the device, %d before", after.gpu, before.gpu)
	}
}
