package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"innerloop/gpu"
	"innerloop/model"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/train"
)

// polite is an executor that lets messages arrive, which on one thread nothing else does while it computes.
type polite struct {
	prog.Executor
	host Host
	last time.Time
}

// turn is how long messages may wait for an executor that never blocks.
const turn = 10 * time.Millisecond

// Upload implements prog.Executor: it comes before every step.
func (p *polite) Upload(s *prog.Stage) error {
	if timeNow().Sub(p.last) > turn {
		p.host.Yield()
		p.last = timeNow()
	}
	return p.Executor.Upload(s)
}

// errNoWebGPU says that the browser has no WebGPU at all.
var errNoWebGPU = errors.New("navigator.gpu is missing: an old browser, or a page that is neither https nor localhost")

// openDevice opens what trains: "auto" and "gpu" the GPU if it opens, and else, or with "cpu", pure Go.
func (s *Session) openDevice(which string) {
	cpu := func(problem, message string) {
		c := prog.NewCPU[float32](0)
		s.dev = &polite{Executor: c, host: s.host}
		s.about = deviceInfo{Name: "pure Go", Backend: "go", Software: true, Problem: problem, Message: message}
	}
	if which == "cpu" {
		cpu("chosen", "")
		return
	}
	g, err := s.host.Open()
	switch {
	case errors.Is(err, errNoWebGPU):
		cpu("no-webgpu", err.Error())
	case errors.Is(err, gpu.ErrNoAdapter):
		cpu("no-adapter", err.Error())
	case err != nil:
		cpu("failed", err.Error())
	default:
		s.dev = &polite{Executor: g, host: s.host}
		i := g.Info()
		s.about = deviceInfo{Name: i.Name, Backend: i.Backend, Software: i.Traits.Software}
	}
}

func (s *Session) hello(p helloParams) (any, error) {
	if p.Device != "auto" && p.Device != "gpu" && p.Device != "cpu" {
		return nil, failf(codeUsage, "hello: device %.60q, want auto, gpu or cpu", p.Device)
	}
	s.shut()
	if s.dev != nil {
		s.dev.Close()
	}
	s.openDevice(p.Device)
	if err := s.calibrate(); err != nil {
		return nil, fail(codeDevice, err)
	}
	return helloResult{s.version, s.about, s.host.Storage(), train.Flat(defaults()), faults()}, nil
}

// defaults is the run that the page offers.
func defaults() train.Config {
	c := train.Demo()
	c.Data.ValFraction = 0.02 // validation should not take longer than what it validates
	c.Train.Steps, c.Train.EvalEvery, c.Train.KeepCheckpoints = 1000, 50, 2
	c.Sample.Prompts, c.Sample.Tokens = []string{"Once upon a time"}, 120
	return c
}

// rates are what is known of a device's speed.
type rates struct {
	Device     string  `json:"device"`
	Flops      float64 `json:"flops"`      // a second, of a matrix product
	Efficiency float64 `json:"efficiency"` // of the last run: time expected from Flops / time taken; 0: not known
}

// ratesFile is where they are kept.
const ratesFile = "device.json"

// calibrate times a matrix product.
func (s *Session) calibrate() error {
	const n = 192
	in := prog.NewArena("calibration")
	a, b := in.Add("a", prog.F32, n, n), in.Add("b", prog.F32, n, n)
	p, err := prog.Record("calibration", func(r *prog.Recorder) { r.Keep(op.Linear(r, a, b)) })
	if err != nil {
		return err
	}
	run, err := s.dev.Load(p)
	if err != nil {
		return err
	}
	defer s.dev.Free(in)
	defer run.Close()
	var best time.Duration
	for begin := timeNow(); timeNow().Sub(begin) < 100*time.Millisecond || best == 0; {
		start := timeNow()
		if err := run.Run(); err != nil {
			return err
		}
		if err := s.dev.Sync(); err != nil {
			return err
		}
		if d := timeNow().Sub(start); best == 0 || d < best {
			best = max(d, time.Microsecond)
		}
	}
	s.rate = rates{Device: s.about.Name, Flops: p.Stats().Flops / best.Seconds()}
	var kept rates
	if b, err := os.ReadFile(s.path(ratesFile)); err == nil && json.Unmarshal(b, &kept) == nil && kept.Device == s.rate.Device && kept.Efficiency > 0 {
		s.rate.Efficiency = kept.Efficiency
	}
	return nil
}

// unknownEfficiency stands for that of a device that has made no run.
const unknownEfficiency = 0.3

// expected is the time that a program should take, in seconds.
func (r rates) expected(st prog.Stats) float64 {
	if r.Flops == 0 {
		return 0
	}
	e := r.Efficiency
	if e == 0 {
		e = unknownEfficiency
	}
	return st.Flops / r.Flops / e
}

// measured learns from a run: each step of a program took so many seconds.
func (s *Session) measured(st prog.Stats, seconds float64) {
	if s.rate.Flops == 0 || seconds <= 0 {
		return
	}
	s.rate.Efficiency = st.Flops / s.rate.Flops / seconds
	if b, err := json.Marshal(s.rate); err == nil {
		_ = os.WriteFile(s.path(ratesFile), b, 0o644) // an estimate that is not kept is made anew
	}
}

// mostLayers bounds what a tab records.
const mostLayers = 256

// config makes a configuration of a request's keys.
func config(flat map[string]any) (train.Config, error) {
	set := train.Defaults(defaults())
	for k, v := range flat {
		if err := set.SetValue(k, v); err != nil {
			return defaults(), &failure{Code: codeConfig, Message: err.Error(), Key: k, Checkpoint: -1}
		}
	}
	c, _, err := set.Config()
	if err != nil {
		return c, fail(codeConfig, err)
	}
	if n := c.Model.NumHiddenLayers * c.Train.MicroBatches; n > mostLayers {
		return c, failf(codeConfig, "num_hidden_layers %d * micro_batches %d, want at most %d in a browser", c.Model.NumHiddenLayers, c.Train.MicroBatches, mostLayers)
	}
	return c, nil
}

func (s *Session) describe(p describeParams) (any, error) {
	c, err := config(p.Config)
	d := description{Config: train.Flat(c)}
	if err == nil {
		err = s.measure(&d, c)
	}
	if err != nil {
		d.Problem = asFailure(err)
	}
	return d, nil
}

// measure records the training step of a configuration to tell its size.
func (s *Session) measure(d *description, c train.Config) error {
	t := c.Train
	m, err := model.New(c.Model, model.ScanOptions{CheckpointEvery: t.CheckpointEvery})
	if err != nil {
		return fail(codeConfig, err)
	}
	step, err := model.NewTrainStep(m, model.StepOptions{
		Batch: t.BatchSize, SeqLen: t.SeqLen, Micro: t.MicroBatches, Ring: t.LogEvery, Positions: true, Carry: t.CarryState, Half: t.Half(),
	})
	if err != nil {
		return fail(codeConfig, err)
	}
	st := step.Program.Stats()
	d.Parameters, d.Bytes, d.Dispatches, d.Flops = m.Count(), st.TempBytes+st.ArenaBytes, st.Dispatches, st.Flops
	d.Tokens, d.Seconds = t.BatchSize*t.SeqLen*t.MicroBatches, s.rate.expected(st)
	return nil
}
