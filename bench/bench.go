// Package bench measures the speed of executors: matrix products, the inner loop, a training step, decoding, and what
// comes before the first step. It knows executors by their interface alone, so that the command line and the page
// measure the same way.
package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"innerloop/prog"
	"innerloop/train"
)

// The suites.
const (
	Roofline = "roofline" // what the device can do: copies, and the best matrix product
	MatMul   = "matmul"
	Scan     = "scan"
	Step     = "step"
	Decode   = "decode"
	Load     = "load"
)

// Suites lists the names of the suites, in the order in which they are run.
var Suites = []string{Roofline, MatMul, Scan, Step, Decode, Load}

// The kinds of inner model.
const (
	Linear = "linear"
	MLP    = "mlp"
)

// Options say what is measured. Default has the values that docs/benchmarks.md was made with.
type Options struct {
	Seconds    float64      // of timing, of a whole suite; loading, and one run of each measurement, come on top
	NoRoofline bool         // leave out the device's roofline, and with it all shares of it
	CopyBytes  int          // of each buffer of a copy that bandwidth is measured with
	Sizes      []int        // N of the square products [N,N]·[N,N]; nil: those of 256 to 4,096 that the time allows
	Kinds      []string     // of inner model, for scan and decode: Linear, MLP
	Scan       ScanShape    // what scan measures
	Lengths    []int        // L of the scans whose cost of a token is compared
	Contexts   []int        // tokens read before those that decode times, ascending
	Config     train.Config // of the model and the step, for matmul's shapes, step, decode and load

	Progress func(Result) // is told each result of a suite once it is there; nil: nobody is
}

// ScanShape is the size of a scan.
type ScanShape struct {
	Batch           int `json:"batch_size"`       // B, sequences
	Heads           int `json:"heads"`            // H
	HeadDim         int `json:"head_dim"`         // F
	MiniBatch       int `json:"mini_batch_size"`  // K
	SeqLen          int `json:"seq_len"`          // L
	CheckpointEvery int `json:"checkpoint_every"` // G, of the scan at SeqLen
}

// longCheckpoints is G of the scans whose cost of a token is compared over L: the checkpoints of the longest fit into one
// binding at WebGPU's default limits.
const longCheckpoints = 16

// Default measures TTT layers of 4 heads of 64 channels over 4 sequences of 512 tokens, and a model of 4 such layers.
func Default() Options {
	c := train.Default()
	m := &c.Model
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize = 256, 688, 4, 4, 16
	c.Train.BatchSize, c.Train.SeqLen, c.Train.LogEvery = 4, 512, 1
	return Options{
		Seconds: 10, CopyBytes: 128 << 20, Kinds: []string{Linear, MLP},
		Scan:    ScanShape{Batch: 4, Heads: 4, HeadDim: 64, MiniBatch: 16, SeqLen: 512, CheckpointEvery: 1},
		Lengths: []int{512, 1024, 2048, 4096, 8192}, Contexts: []int{256, 8192}, Config: c,
	}
}

// Validate reports the first value of o that cannot be measured.
func (o Options) Validate() error {
	if !(o.Seconds >= 0 && o.Seconds <= 3600) { // NaN too
		return fmt.Errorf("%g seconds, want 0 to 3600", o.Seconds)
	}
	if o.CopyBytes < 4096 || o.CopyBytes > 1<<30 || o.CopyBytes%256 != 0 {
		return fmt.Errorf("copies of %d bytes, want 4096 to %d, a multiple of 256", o.CopyBytes, 1<<30)
	}
	if len(o.Kinds) == 0 {
		return fmt.Errorf("no kind of inner model, want %s or %s", Linear, MLP)
	}
	for _, k := range o.Kinds {
		if k != Linear && k != MLP {
			return fmt.Errorf("kind of inner model %q, want %s or %s", k, Linear, MLP)
		}
	}
	s := o.Scan
	for _, v := range []struct {
		name        string
		values      []int
		least, most int
	}{
		{"size of a product", o.Sizes, 1, 16384},
		{"batch", []int{s.Batch}, 1, 4096},
		{"heads", []int{s.Heads}, 1, 256},
		{"width of a head", []int{s.HeadDim}, 2, 256},
		{"mini-batch", []int{s.MiniBatch}, 1, 256},
		{"length of a scan", append([]int{s.SeqLen}, o.Lengths...), 1, 1 << 20},
		{"mini-batches between checkpoints", []int{s.CheckpointEvery}, 1, 1 << 20},
		{"context", o.Contexts, 1, 1 << 20},
	} {
		for _, n := range v.values {
			if n < v.least || n > v.most {
				return fmt.Errorf("%s %d, want %d to %d", v.name, n, v.least, v.most)
			}
		}
	}
	if s.HeadDim%2 != 0 {
		return fmt.Errorf("width of a head %d, want an even number", s.HeadDim)
	}
	if !slices.IsSorted(o.Contexts) {
		return fmt.Errorf("contexts %v, want them ascending", o.Contexts)
	}
	return o.Config.Validate()
}

// Result is one measurement: the time of one run of something, and what comes of it.
type Result struct {
	Name    string  `json:"name"`    // stable, unique in its suite
	Seconds float64 `json:"seconds"` // of one run, the median
	Best    float64 `json:"seconds_best"`
	Q1      float64 `json:"seconds_q1"` // quartiles
	Q3      float64 `json:"seconds_q3"`
	Runs    int     `json:"runs"`
	Rate    float64 `json:"rate,omitempty"` // at the median; 0: the time itself is what counts
	Unit    string  `json:"unit,omitempty"` // of Rate
	GFLOPS  float64 `json:"gflops,omitempty"`
	Share   float64 `json:"roofline_share,omitempty"` // of the roofline; 0: not known
	Note    string  `json:"note,omitempty"`
	Skipped string  `json:"skipped,omitempty"` // why it was not measured; all but Name is empty then
}

// Report is what a suite found out.
type Report struct {
	Suite    string `json:"suite"`
	Device   string `json:"device"`
	Backend  string `json:"backend"`
	Software bool   `json:"software"` // a CPU that plays a GPU
	Version  string `json:"version"`  // of innerloop
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Command  string `json:"command"` // that measures this again

	Roofline *Ceiling `json:"roofline,omitempty"`
	Results  []Result `json:"results"`

	*StepReport            // of step
	Scan        *ScanShape `json:"scan,omitempty"`      // of scan
	Pipelines   []Pipeline `json:"pipelines,omitempty"` // of load
}

// Opener opens the device that is measured; the caller closes it.
type Opener func() (prog.Executor, error)

// Keep is an opener of ex, which stays open.
func Keep(ex prog.Executor) Opener {
	return func() (prog.Executor, error) { return kept{ex}, nil }
}

type kept struct{ prog.Executor }

// Close implements prog.Executor.
func (kept) Close() {}

// suite is a suite at work.
type suite struct {
	ctx context.Context
	o   Options
	ex  prog.Executor
	r   *Report

	pace float64 // GFLOP/s of the last measurement of the kind; 0: there was none
}

// Run runs a suite on the device that open opens; load opens it several times. It ends early, with the context's error,
// where ctx ends.
func Run(ctx context.Context, name string, open Opener, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	run := map[string]func(*suite) error{
		Roofline: (*suite).roofline, MatMul: (*suite).matmul, Scan: (*suite).scan, Step: (*suite).step, Decode: (*suite).decode,
	}[name]
	if run == nil && name != Load {
		return nil, fmt.Errorf("no suite %q, want one of %v", name, Suites)
	}
	s := &suite{ctx: ctx, o: o, r: &Report{Suite: name, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}}
	if name == Load {
		run = func(s *suite) error { return s.load(open) }
	} else {
		ex, err := open()
		if err != nil {
			return nil, err
		}
		defer ex.Close()
		s.on(ex)
	}
	if err := run(s); err != nil {
		return nil, err
	}
	return s.r, nil
}

// on makes ex the device that is measured.
func (s *suite) on(ex prog.Executor) {
	s.ex = ex
	i := ex.Info()
	s.r.Device, s.r.Backend, s.r.Software = i.Name, i.Backend, i.Traits.Software
}

// add adds a result.
func (s *suite) add(r Result) {
	s.r.Results = append(s.r.Results, r)
	if s.o.Progress != nil {
		s.o.Progress(r)
	}
}

// skip adds a result that there is not; the context's end, and a device that is broken, are errors all the same.
func (s *suite) skip(name string, why error) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.ex.Sync(); err != nil {
		return errors.Join(why, err)
	}
	s.add(Result{Name: name, Skipped: why.Error()})
	return nil
}

// tooLong says why work of so many floating-point operations is not measured, judged by the pace of the last measurement:
// the least number of runs would take longer than the whole suite should.
func (s *suite) tooLong(flops float64) string {
	const least, leeway = 3, 1 // runs; seconds that are always there
	if s.pace <= 0 {
		return ""
	}
	if expected := least * flops / (1e9 * s.pace); expected > max(s.o.Seconds, leeway) {
		return fmt.Sprintf("would take %.0f s", expected)
	}
	return ""
}

// measured reports an error where nothing could be measured: what kept the first measurement from being made.
func (s *suite) measured() error {
	for _, r := range s.r.Results {
		if r.Skipped == "" {
			return nil
		}
	}
	return fmt.Errorf("nothing could be measured: %s: %s", s.r.Results[0].Name, s.r.Results[0].Skipped)
}

// loaded is a program made ready and run once.
type loaded struct {
	p    *prog.Program
	run  prog.Runner
	ex   prog.Executor
	free []*prog.Arena
}

// record records a program over arenas and makes it ready.
func (s *suite) record(name string, arenas []*prog.Arena, build func(r *prog.Recorder)) (*loaded, error) {
	p, err := prog.Record(name, build)
	if err != nil {
		return nil, err
	}
	l := &loaded{p: p, ex: s.ex, free: arenas}
	if l.run, err = s.ex.Load(p); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// runs runs the program n times and waits.
func (l *loaded) runs(n int) error {
	for range n {
		if err := l.run.Run(); err != nil {
			return err
		}
	}
	return l.ex.Sync()
}

func (l *loaded) close() {
	if l.run != nil {
		l.run.Close()
	}
	for _, a := range l.free {
		l.ex.Free(a)
	}
}
