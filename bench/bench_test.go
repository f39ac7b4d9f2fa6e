package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"innerloop/bench"
	"innerloop/gpu"
	"innerloop/gpu/gputest"
	"innerloop/prog"
)

// tiny are options whose suites take milliseconds.
func tiny() bench.Options {
	o := bench.Default()
	o.Seconds, o.CopyBytes, o.Sizes, o.Lengths, o.Contexts = 0, 1<<16, []int{16, 32}, []int{16, 32}, []int{8, 24}
	o.Scan = bench.ScanShape{Batch: 1, Heads: 2, HeadDim: 8, MiniBatch: 4, SeqLen: 10, CheckpointEvery: 2}
	m, t := &o.Config.Model, &o.Config.Train
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize = 16, 24, 1, 2, 4
	t.BatchSize, t.SeqLen = 1, 16
	return o
}

// opener opens a device of its own where again, else lends the test binary's.
func opener(ex prog.Executor, again bool) bench.Opener {
	if !again {
		return bench.Keep(ex)
	}
	if ex.Info().Backend == "go" {
		return func() (prog.Executor, error) { return prog.NewCPU[float32](2), nil }
	}
	return func() (prog.Executor, error) { return gpu.Open(gpu.Options{}) }
}

// names are what a suite measures with the tiny options.
var names = map[string][]string{
	bench.Roofline: {"copy", "add", "square/nn/512x512x512", "square/nt/512x512x512", "square/tn/512x512x512"},
	bench.MatMul: {"forward/nt/16x16x16", "dx/nn/16x16x16", "dw/tn/16x16x16", "forward/nt/16x24x16", "dx/nn/16x16x24", "dw/tn/24x16x16",
		"forward/nt/16x16x24", "dx/nn/16x24x16", "dw/tn/16x24x16", "square/nn/16x16x16", "square/nn/32x32x32"},
	bench.Scan: {"linear/forward/10", "linear/both/10", "mlp/forward/10", "mlp/both/10", "linear/long/16", "linear/long/32", "mlp/long/16", "mlp/long/32"},
	bench.Step: {"step"}, bench.Decode: {"linear/8", "linear/24", "mlp/8", "mlp/24"},
	bench.Load: {"open", "record", "compile", "fill", "first step", "second step", "to the first step"},
}

// Every suite measures what it should on every executor, tells each result as it comes, and leaves nothing on the device.
func TestSuites(t *testing.T) {
	for _, ex := range gputest.Executors(t) {
		for _, suite := range bench.Suites {
			t.Run(ex.Name+"/"+suite, func(t *testing.T) {
				o := tiny()
				var told []string
				o.Progress = func(r bench.Result) { told = append(told, r.Name) }
				device, _ := ex.Executor.(*gpu.Device)
				var before int64
				if device != nil {
					before = device.Bytes()
				}
				r, err := bench.Run(context.Background(), suite, opener(ex.Executor, suite == bench.Load), o)
				if err != nil {
					t.Fatal(err)
				}
				if device != nil && device.Bytes() > before+1<<12 { // what copies pass through stays
					t.Errorf("%d bytes are left on the device", device.Bytes()-before)
				}
				var got []string
				for _, x := range r.Results {
					got = append(got, x.Name)
					if !(x.Seconds > 0 && x.Best <= x.Q1 && x.Q1 <= x.Seconds && x.Seconds <= x.Q3 && x.Runs > 0) || x.Skipped != "" {
						t.Errorf("%s: %+v", x.Name, x)
					}
				}
				if !slices.Equal(got, names[suite]) {
					t.Errorf("measured %q, want %q", got, names[suite])
				}
				if !slices.Equal(told, got) {
					t.Errorf("told of %q, want %q", told, got)
				}
				check(t, r)
			})
		}
	}
}

// check looks at what a suite adds to its results.
func check(t *testing.T, r *bench.Report) {
	t.Helper()
	if hasRoof := r.Suite != bench.Decode && r.Suite != bench.Load; hasRoof != (r.Roofline != nil) {
		t.Errorf("roofline %v", r.Roofline)
	} else if hasRoof && !(r.Roofline.CopyGBPerS > 0 && r.Roofline.MatMulGFLOPS > 0 && r.Roofline.MatMul != "") {
		t.Errorf("roofline %+v", r.Roofline)
	}
	for _, x := range r.Results {
		if share := r.Suite == bench.MatMul || r.Suite == bench.Scan || r.Suite == bench.Step; share != (x.Share > 0) {
			t.Errorf("%s: share %g of the roofline", x.Name, x.Share)
		}
		if x.Rate > 0 && x.Unit == "" {
			t.Errorf("%s: a rate of no unit", x.Name)
		}
	}
	if (r.Suite == bench.Step) != (r.StepReport != nil) {
		t.Fatalf("step report %v", r.StepReport)
	}
	if r.Suite == bench.Step {
		var ms, share float64
		for _, k := range r.Kernels {
			ms, share = ms+k.Ms, share+k.Share
			if k.Ms > 0 && !(k.Roofline > 0) {
				t.Errorf("%s: share %g of the roofline", k.Name, k.Roofline)
			}
		}
		if math.Abs(share-1) > 1e-9 || !(ms > 0) || r.TokensPerStep != 16 || math.Abs(r.TokensPerSecond*r.MsPerStep/16e3-1) > 1e-9 {
			t.Errorf("shares sum to %g; %+v", share, r.StepReport)
		}
	}
	if (r.Suite == bench.Load) != (r.Pipelines != nil) {
		t.Errorf("pipelines %v", r.Pipelines)
	}
	for _, p := range r.Pipelines {
		if p.Count < 1 || !(p.Load >= 0) || !(p.First >= 0) || p.Kernel == "clear" {
			t.Errorf("pipeline %+v", p)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := bench.ReadReport(b)
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("read back (%v):\n%+v\nwant\n%+v", err, back, r)
	}
}

// A suite ends with its context, which ends once the device is open, and measures nothing more.
func TestCancelled(t *testing.T) {
	for _, suite := range bench.Suites {
		ctx, cancel := context.WithCancel(context.Background())
		o := tiny()
		o.Seconds = 3600
		open := opener(gputest.Executors(t)[0].Executor, true)
		cancelled := func() (prog.Executor, error) { cancel(); return open() }
		if _, err := bench.Run(ctx, suite, cancelled, o); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", suite, err, context.Canceled)
		}
		cancel()
	}
}

// What a device cannot do is skipped, with the reason, unless that is all there is.
func TestSkips(t *testing.T) {
	ex := &refusing{Executor: prog.NewCPU[float32](1), words: 600}
	defer ex.Close()
	o := tiny()
	o.NoRoofline = true
	r, err := bench.Run(context.Background(), bench.MatMul, bench.Keep(ex), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		if large := x.Name == "square/nn/32x32x32"; large != (x.Skipped != "") || x.Share != 0 || large && x.Skipped != "too large" {
			t.Errorf("%+v", x)
		}
	}
	ex.words = 10
	if _, err := bench.Run(context.Background(), bench.MatMul, bench.Keep(ex), o); err == nil || !strings.Contains(err.Error(), "nothing could be measured: forward/nt/16x16x16: too large") {
		t.Errorf("%v", err)
	}
}

// refusing is an executor of little memory.
type refusing struct {
	prog.Executor
	words int
}

func (x *refusing) Load(p *prog.Program) (prog.Runner, error) {
	for _, w := range p.Slots {
		if w > x.words {
			return nil, errors.New("too large")
		}
	}
	return x.Executor.Load(p)
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(o *bench.Options){
		"NaN seconds, want 0 to 3600":                     func(o *bench.Options) { o.Seconds = math.NaN() },
		"-1 seconds":                                      func(o *bench.Options) { o.Seconds = -1 },
		"copies of 100 bytes":                             func(o *bench.Options) { o.CopyBytes = 100 },
		"no kind of inner model":                          func(o *bench.Options) { o.Kinds = nil },
		`kind of inner model "cubic", want linear or mlp`: func(o *bench.Options) { o.Kinds = []string{"linear", "cubic"} },
		"size of a product 0, want 1 to 16384":            func(o *bench.Options) { o.Sizes = []int{64, 0} },
		"width of a head 7, want an even number":          func(o *bench.Options) { o.Scan.HeadDim = 7 },
		"length of a scan -4":                             func(o *bench.Options) { o.Lengths = []int{-4} },
		"contexts [8192 256], want them ascending":        func(o *bench.Options) { o.Contexts = []int{8192, 256} },
		"mini-batches between checkpoints 0":              func(o *bench.Options) { o.Scan.CheckpointEvery = 0 },
		"hidden_size":                                     func(o *bench.Options) { o.Config.Model.HiddenSize = -1 },
	} {
		o := bench.Default()
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := bench.Run(context.Background(), bench.MatMul, nil, o); err == nil {
			t.Errorf("%s: it runs", want)
		}
	}
	if err := bench.Default().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := bench.Run(context.Background(), "none", nil, bench.Default()); err == nil || !strings.Contains(err.Error(), `no suite "none"`) {
		t.Errorf("%v", err)
	}
}
