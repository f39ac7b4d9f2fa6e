package gpu

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"github.com/cogentcore/webgpu/wgpu"

	"innerloop/prog"
)

// dispatches is how many a step of these tests has; every one sets a pipeline and a bind group.
const dispatches = 600

// pairs are two kernels that a step alternates.
var pairs = [2]string{addOne, strings.Replace(addOne, "1.0", "2.0", 1)}

// replayed returns a run of the step on g.
func replayed(t testing.TB, g *Device) prog.Runner {
	t.Helper()
	var ks [2]prog.Typed[testC]
	for i, name := range []string{"one", "two"} {
		g.withSource(name, pairs[i])
		ks[i] = testKernel(name, 1, [3]int{4, 1, 1})
	}
	a := prog.NewArena("a")
	xs := make([]*prog.Tensor, dispatches)
	for i := range xs {
		xs[i] = a.Add("x"+strconv.Itoa(i), prog.F32, 4)
	}
	p, err := prog.Record("step", func(r *prog.Recorder) {
		for i, x := range xs {
			ks[i%2].Dispatch(r, testC{4}, x)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	run, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// bound returns a function that encodes the same step through the binding's Go methods, on the browser's device.
func bound(t testing.TB, device js.Value) func() {
	t.Helper()
	dev := wgpu.NewDevice(device)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	layout, err := dev.CreateBindGroupLayout(&wgpu.BindGroupLayoutDescriptor{Entries: []wgpu.BindGroupLayoutEntry{
		{Binding: 0, Visibility: wgpu.ShaderStageCompute, Buffer: wgpu.BufferBindingLayout{Type: wgpu.BufferBindingTypeStorage}},
	}})
	must(err)
	pl, err := dev.CreatePipelineLayout(&wgpu.PipelineLayoutDescriptor{BindGroupLayouts: []*wgpu.BindGroupLayout{layout}})
	must(err)
	var pipes [2]*wgpu.ComputePipeline
	for i, code := range pairs {
		m, err := dev.CreateShaderModule(&wgpu.ShaderModuleDescriptor{WGSLDescriptor: &wgpu.ShaderModuleWGSLDescriptor{Code: code}})
		must(err)
		pipes[i], err = dev.CreateComputePipeline(&wgpu.ComputePipelineDescriptor{
			Layout: pl, Compute: wgpu.ProgrammableStageDescriptor{Module: m, EntryPoint: "main"},
		})
		must(err)
	}
	buf, err := dev.CreateBuffer(&wgpu.BufferDescriptor{Size: 256 * dispatches, Usage: wgpu.BufferUsageStorage})
	must(err)
	groups := make([]*wgpu.BindGroup, dispatches)
	for i := range groups {
		groups[i], err = dev.CreateBindGroup(&wgpu.BindGroupDescriptor{
			Layout: layout, Entries: []wgpu.BindGroupEntry{{Binding: 0, Buffer: buf, Offset: uint64(256 * i), Size: 16}},
		})
		must(err)
	}
	queue := dev.GetQueue()
	return func() {
		e, err := dev.CreateCommandEncoder(nil)
		must(err)
		pass := e.BeginComputePass(nil)
		for i, g := range groups {
			pass.SetPipeline(pipes[i%2])
			pass.SetBindGroup(0, g, nil)
			pass.DispatchWorkgroups(4, 1, 1)
		}
		pass.End()
		c, err := e.Finish(nil)
		must(err)
		queue.Submit(c)
	}
}

// encoded compares what a step costs in Go and JavaScript up to its submission: replayed by one call of driver.js, and
// encoded through the binding. It takes turns and returns the medians. The queue's submit does nothing meanwhile, so
// that what the browser and the GPU do with a step is in neither.
func encoded(t testing.TB, rounds int) (replay, binding time.Duration) {
	t.Helper()
	g, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	run := replayed(t, g)
	queue := raw(g).Get("queue")
	encode := bound(t, raw(g))
	once := func() { // for real: both are valid
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
		encode()
		if err := g.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	once()
	submits := 0
	stub := js.FuncOf(func(js.Value, []js.Value) any { submits++; return nil })
	defer stub.Release()
	queue.Set("submit", stub)
	var rs, bs []time.Duration
	for range rounds {
		start := time.Now()
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
		rs = append(rs, time.Since(start))
		if err := g.Sync(); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		encode()
		bs = append(bs, time.Since(start))
	}
	if submits != 2*rounds {
		t.Fatalf("%d submissions of %d rounds", submits, rounds)
	}
	queue.Delete("submit")
	once()
	slices.Sort(rs)
	slices.Sort(bs)
	return rs[rounds/2], bs[rounds/2]
}

// TestTimingReplay checks that a step crosses into JavaScript once. The cost of one call into JavaScript is in both
// times, so that their ratio holds on any machine.
func TestTimingReplay(t *testing.T) {
	if os.Getenv("INNERLOOP_TIMING") != "1" {
		t.Skip("measures time: make timing runs it")
	}
	replay, binding := encoded(t, 101)
	ratio := float64(binding) / float64(replay)
	t.Logf("%d dispatches, up to the submission: replayed in %.3f ms, encoded through the binding in %.3f ms, %.1f times as long",
		dispatches, 1e3*replay.Seconds(), 1e3*binding.Seconds(), ratio)
	if ratio < 10 {
		t.Errorf("encoding through the binding takes %.1f times as long as the replay, want at least 10", ratio)
	}
}
