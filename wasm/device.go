package main

import (
	"errors"

	"innerloop/gpu"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// errNoWebGPU says that the browser has no WebGPU at all.
var errNoWebGPU = errors.New("navigator.gpu is missing: an old browser, or a page that is neither https nor localhost")

// openDevice opens what trains. "auto" is a GPU if one opens and else pure Go, as on the command line: an adapter that is
// software starts slowly and outruns nothing. "gpu" is any adapter, of software too where there is no other. "cpu" is pure
// Go, which also stands in for what does not open.
func (s *Session) openDevice(which string) {
	s.asked = which
	cpu := func(problem, message string) {
		c := prog.NewCPU[float32](0)
		s.dev = s.polite(c)
		s.about = deviceInfo{Name: "pure Go", Backend: "go", Software: true, Problem: problem, Message: message, Asked: which}
	}
	if which == "cpu" {
		cpu("chosen", "")
		return
	}
	g, err := s.host.Open(which == "auto", s.compiled)
	switch {
	case errors.Is(err, errNoWebGPU):
		cpu("no-webgpu", err.Error())
	case errors.Is(err, gpu.ErrNoAdapter):
		cpu("no-adapter", err.Error())
	case errors.Is(err, gpu.ErrSoftware):
		cpu("software", err.Error())
	case err != nil:
		cpu("failed", err.Error())
	default:
		s.dev = s.polite(g)
		i := g.Info()
		s.about = deviceInfo{Name: i.Name, Backend: i.Backend, Software: i.Traits.Software, Asked: which}
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
	s.costs = readCosts(s.path(costsFile))
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
	d.Tokens = t.BatchSize * t.SeqLen * t.MicroBatches
	d.Step, d.Run = s.costs.expected(s.about.Name, workOf(st), c)
	return nil
}
