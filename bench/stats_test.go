package bench

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"innerloop/model"
	"innerloop/op"
	"innerloop/prog"
)

func TestSummarise(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want Spread
	}{
		{[]float64{3}, Spread{3, 3, 3, 3, 3}},
		{[]float64{4, 1}, Spread{2.5, 1, 1.75, 3.25, 4}},
		{[]float64{5, 1, 3, 2, 4}, Spread{3, 1, 2, 4, 5}},
		{[]float64{10, 20, 40, 30}, Spread{25, 10, 17.5, 32.5, 40}},
	} {
		if got := Summarise(c.x); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.x, got, c.want)
		}
	}
	x := []float64{2, 1}
	Summarise(x)
	if x[0] != 2 {
		t.Error("the numbers were changed")
	}
}

func TestFloor(t *testing.T) {
	c := &Ceiling{CopyGBPerS: 10, MatMulGFLOPS: 100}
	for _, x := range []struct{ flops, bytes, want float64 }{
		{2e11, 1e9, 2},  // arithmetic
		{1e9, 5e10, 5},  // memory
		{1e11, 1e10, 1}, // where the roofs meet
		{0, 1e9, 0.1},   // no arithmetic at all
	} {
		if got := c.Floor(x.flops, x.bytes); math.Abs(got-x.want) > 1e-12 {
			t.Errorf("%g operations, %g bytes: %g s, want %g", x.flops, x.bytes, got, x.want)
		}
	}
	for _, c := range []*Ceiling{nil, {}, {CopyGBPerS: 1}} {
		if got := c.Floor(1, 1); got != 0 {
			t.Errorf("%v: %g, want none", c, got)
		}
	}
}

// A kernel's share is the floor of its dispatches, one by one, in the time of all of them.
func TestByKernel(t *testing.T) {
	in := prog.NewArena("in")
	a, b := in.Add("a", prog.F32, 64, 32), in.Add("b", prog.F32, 32, 128)
	p, err := prog.Record("p", func(r *prog.Recorder) {
		x := op.MatMul(r, a, b, false, false)
		op.Add(r, x, op.MatMul(r, a, b, false, false))
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &Ceiling{CopyGBPerS: 1, MatMulGFLOPS: 1}
	got := byKernel(p.Steps, []float64{2e-3, 4e-3, 1e-3}, c)
	if len(got) != 2 || got[0].Name != "matmul_nn" || got[0].Dispatches != 2 || got[1].Name != "add_fwd" {
		t.Fatalf("%+v", got)
	}
	flops, add := 2.0*64*32*128, 4*3*64*128.0
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s %g, want %g", what, got, want)
		}
	}
	near("time", got[0].Ms, 6)
	near("share", got[0].Share, 6.0/7)
	near("GFLOP/s", got[0].GFLOPS, 2*flops/6e-3/1e9)
	near("share of the roofline", got[0].Roofline, 2*flops/1e9/6e-3)
	near("GB/s", got[1].GBPerS, add/1e-3/1e9)
	near("share of the roofline", got[1].Roofline, add/1e9/1e-3)
}

// What took no time has no rates, and every step is counted.
func TestByKernelOfStep(t *testing.T) {
	cfg := small().Config
	m, err := model.New(cfg.Model, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := model.NewTrainStep(m, model.StepOptions{Batch: 2, SeqLen: 16})
	if err != nil {
		t.Fatal(err)
	}
	steps := s.Program.Steps
	seconds := make([]float64, len(steps))
	var flops float64
	n := 0
	for i, st := range steps {
		if st.Kernel != nil && st.Kernel.Name == "matmul_nt" {
			seconds[i] = 0.5
			flops += st.Flops()
			n++
		}
	}
	ks := byKernel(steps, seconds, nil)
	k := ks[0]
	if k.Name != "matmul_nt" || k.Dispatches != n || k.Ms != 500*float64(n) || k.Share != 1 || math.Abs(k.GFLOPS-flops/(0.5*float64(n))/1e9) > 1e-9 {
		t.Errorf("%+v, want %d dispatches with %g operations", k, n, flops)
	}
	all := 0
	for _, k := range ks {
		all += k.Dispatches
		if k.Name != "matmul_nt" && (k.Share != 0 || k.GFLOPS != 0 || k.GBPerS != 0) {
			t.Errorf("%+v, want no rates: it took no time", k)
		}
	}
	if all != len(steps) {
		t.Errorf("%d dispatches, want %d", all, len(steps))
	}
}

// timed groups what is short, and makes no more of what is long than it has to.
func TestTimed(t *testing.T) {
	synctest.Test(t, testTimed) // the clock is the test's own: a busy machine sleeps longer
}

func testTimed(t *testing.T) {
	var groups []int
	r, err := timed(context.Background(), 0, func(n int) error {
		groups = append(groups, n)
		time.Sleep(time.Duration(n) * time.Millisecond)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 5 || groups[0] != 1 || groups[1] != 1 || groups[2] < 10 || groups[2] > 50 || r.Runs != groups[2]+groups[3]+groups[4] {
		t.Errorf("groups of %v, %d runs", groups, r.Runs)
	}
	if r.Seconds < 1e-3 || r.Best > r.Seconds {
		t.Errorf("%+v", r)
	}
	made := 0
	if r, err = timed(context.Background(), 0, func(n int) error {
		made += n
		time.Sleep(300 * time.Millisecond)
		return nil
	}); err != nil || made != 2 || r.Runs != 1 {
		t.Errorf("a long one: %d made, %d counted, %v", made, r.Runs, err)
	}
	bad := errors.New("bad")
	if _, err := timed(context.Background(), 1, func(int) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("%v, want %v", err, bad)
	}
}

// The loop that is timed allocates nothing.
func TestTimedAllocates(t *testing.T) {
	s := &suite{ctx: context.Background(), ex: prog.NewCPU[float32](2), r: &Report{}}
	defer s.ex.Close()
	b, err := newTrainStep(small().Config, s.ex)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if n := testing.AllocsPerRun(20, func() {
		if err := b.runs(3); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%g allocations in three steps", n)
	}
}

func small() Options {
	o := Default()
	m, t := &o.Config.Model, &o.Config.Train
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize = 16, 24, 1, 2, 4
	t.BatchSize, t.SeqLen = 1, 16
	return o
}

func TestCompare(t *testing.T) {
	report := func(device string, a, b float64, kernels ...Kernel) *Report {
		r := &Report{Suite: Step, Device: device, Version: "v-" + device, Results: []Result{{Name: "a", Seconds: a}, {Name: "b", Seconds: b}}, StepReport: &StepReport{Kernels: kernels}}
		if b == 0 {
			r.Results[1] = Result{Name: "b", Skipped: "no room"}
		}
		return r
	}
	k := func(name string, ms float64) Kernel { return Kernel{Name: name, Ms: ms} }
	c, err := Compare(
		[]*Report{report("x", 1, 1, k("scan", 10), k("old", 1)), report("x", 2, 1, k("scan", 10), k("old", 1)), report("x", 4, 1, k("scan", 10), k("old", 1))},
		[]*Report{report("y", 2, 0, k("scan", 5), k("new", 1)), report("y", 6, 0, k("scan", 20), k("new", 1)), report("y", 4, 0, k("scan", 5), k("new", 1))})
	if err != nil {
		t.Fatal(err)
	}
	if c.Rounds != 3 || c.First.Device != "x" || c.Second.Version != "v-y" || len(c.Results) != 2 || len(c.Kernels) != 1 {
		t.Fatalf("%+v", c)
	}
	if a := c.Results[0]; a.Ratio != (Spread{2, 1, 1.5, 2.5, 3}) || a.Seconds[0].Median != 2 || a.Seconds[1].Median != 4 || len(a.Ratios) != 3 {
		t.Errorf("%+v", a)
	}
	if b := c.Results[1]; b.Skipped != "the second: no room" || b.Ratios != nil {
		t.Errorf("%+v", b)
	}
	if s := c.Kernels[0]; s.Name != "scan" || s.Ratio != (Spread{0.5, 0.5, 0.5, 1.25, 2}) {
		t.Errorf("%+v", s)
	}
	other := report("y", 1, 1)
	other.Results[1].Name = "c"
	for want, second := range map[string][]*Report{
		"only the first has b; only the second has c": {other},
		"suite step against matmul":                   {{Suite: MatMul}},
		"1 rounds against 0":                          nil,
	} {
		if _, err := Compare([]*Report{report("x", 1, 1)}, second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Reports of builds from before there were results are read too.
func TestReadReport(t *testing.T) {
	r, err := ReadReport([]byte(`{"device": "d", "ms_per_step": 20, "ms_per_step_best": 10, "steps_timed": 7, "kernels": [{"name": "scan", "ms_per_step": 3}]}`))
	if err != nil || r.Suite != Step || len(r.Results) != 1 || r.Results[0].Seconds != 0.02 || r.Results[0].Best != 0.01 || r.Results[0].Runs != 7 || r.Kernels[0].Name != "scan" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, text := range []string{``, `[]`, `{}`, `{"suite": "step", "results": []}`} {
		if _, err := ReadReport([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
