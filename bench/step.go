package bench

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// StepReport is what the suite step adds to a Report. Rates are 0 where they cannot be told.
type StepReport struct {
	Parameters      int      `json:"parameters"`
	TokensPerStep   int      `json:"tokens_per_step"`
	TokensPerSecond float64  `json:"tokens_per_second"`
	MsPerStep       float64  `json:"ms_per_step"` // the median
	MsBest          float64  `json:"ms_per_step_best"`
	StepsTimed      int      `json:"steps_timed"`
	GFLOPS          float64  `json:"gflops"`
	Dispatches      int      `json:"dispatches"`
	PrepareSeconds  float64  `json:"prepare_seconds"`
	Memory          Memory   `json:"memory"`
	Kernels         []Kernel `json:"kernels"`
	Config          Shape    `json:"config"`
}

// Memory is what a step needs of the device, in bytes.
type Memory struct {
	Temporaries int64 `json:"temporaries_bytes"`
	Unshared    int64 `json:"temporaries_unshared_bytes"`
	Arenas      int64 `json:"arenas_bytes"`
}

// Shape is the model and the batch of a step.
type Shape struct {
	model.Config
	Batch        int `json:"batch_size"`
	SeqLen       int `json:"seq_len"`
	MicroBatches int `json:"micro_batches"`
}

// Kernel sums up the dispatches of one kernel in a step, each timed by itself.
type Kernel struct {
	Name       string  `json:"name"`
	Dispatches int     `json:"dispatches"`
	Ms         float64 `json:"ms_per_step"`
	Share      float64 `json:"share"` // of the sum of all
	GFLOPS     float64 `json:"gflops"`
	GBPerS     float64 `json:"gb_per_second"`
	Roofline   float64 `json:"roofline_share,omitempty"` // Ceiling.Floor of each dispatch together / time; 0: not known
}

// trainStep is a training step made ready, with random tokens.
type trainStep struct {
	cfg  train.Config
	ex   prog.Executor
	lm   *model.LM
	step *model.TrainStep
	run  prog.Runner
	n    int // steps made

	record, load, fill float64 // seconds that its parts took
}

// newTrainStep records a step, loads it and gives it weights and tokens.
func newTrainStep(cfg train.Config, ex prog.Executor) (_ *trainStep, err error) {
	b := &trainStep{cfg: cfg, ex: ex}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	t := cfg.Train
	start := time.Now()
	lap := func() float64 {
		was := start
		start = time.Now()
		return start.Sub(was).Seconds()
	}
	if b.lm, err = model.New(cfg.Model, model.ScanOptions{CheckpointEvery: t.CheckpointEvery}); err != nil {
		return nil, err
	}
	if b.step, err = model.NewTrainStep(b.lm, model.StepOptions{Batch: t.BatchSize, SeqLen: t.SeqLen, Micro: t.MicroBatches, Half: t.Half()}); err != nil {
		return nil, err
	}
	b.record = lap()
	if b.run, err = ex.Load(b.step.Program); err != nil {
		return nil, err
	}
	b.load = lap()
	if err = b.lm.Prepare(ex); err != nil {
		return nil, err
	}
	if err = b.lm.Init(ex, t.Seed); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(t.Seed, 0))
	for i := range t.MicroBatches {
		ids := b.step.IDs(i)
		for j := range ids {
			ids[j] = uint32(r.IntN(cfg.Model.VocabSize))
		}
	}
	err = ex.Sync()
	b.fill = lap()
	return b, err
}

func (b *trainStep) close() {
	if b.run != nil {
		b.run.Close()
	}
	if b.step != nil {
		b.step.Free(b.ex)
	}
	if b.lm != nil {
		b.lm.Free(b.ex)
	}
}

// upload crosses the inputs of the next step to the device.
func (b *trainStep) upload() error {
	t := b.cfg.Train
	if err := b.step.SetBatch(); err != nil {
		return err
	}
	b.n++
	b.step.SetHyper(model.AdamW{Beta1: t.Beta1, Beta2: t.Beta2, Eps: t.Eps, WeightDecay: t.WeightDecay, Clip: t.Clip}, 1e-4, b.n)
	return b.ex.Upload(b.step.Inputs)
}

// runs makes n training steps as train does and waits for them.
func (b *trainStep) runs(n int) error {
	for range n {
		if err := b.upload(); err != nil {
			return err
		}
		if err := b.run.Run(); err != nil {
			return err
		}
	}
	return b.ex.Sync()
}

// step is the suite of that name: whole steps, then each dispatch by itself.
func (s *suite) step() error {
	if err := s.need(); err != nil {
		return err
	}
	b, err := newTrainStep(s.o.Config, s.ex)
	if err != nil {
		return err
	}
	defer b.close()
	r, err := timed(s.ctx, s.o.Seconds, b.runs)
	if err != nil {
		return err
	}
	t, st, steps := b.cfg.Train, b.step.Program.Stats(), b.step.Program.Steps
	tokens := t.BatchSize * t.SeqLen * t.MicroBatches
	r.Name = "step"
	r = r.per(float64(tokens), "tokens/s").work(st.Flops, s.r.Roofline.floor(steps))
	s.add(r)
	if err := s.ctx.Err(); err != nil {
		return err
	}
	profile, err := b.run.Profile()
	if err != nil {
		return err
	}
	s.r.StepReport = &StepReport{
		Parameters: b.lm.Count(), TokensPerStep: tokens, TokensPerSecond: r.Rate, MsPerStep: 1e3 * r.Seconds, MsBest: 1e3 * r.Best,
		StepsTimed: r.Runs, GFLOPS: r.GFLOPS, Dispatches: st.Dispatches, PrepareSeconds: b.record + b.load + b.fill,
		Memory: Memory{st.TempBytes, st.RawBytes, st.ArenaBytes}, Kernels: byKernel(steps, profile, s.r.Roofline),
		Config: Shape{b.cfg.Model, t.BatchSize, t.SeqLen, t.MicroBatches},
	}
	return nil
}

// kernelName is the name that a step is summed up under.
func kernelName(st *prog.Step) string {
	if st.Kernel == nil {
		return "clear"
	}
	return st.Kernel.Name
}

// byKernel sums up the seconds of each step by kernel, the slowest first.
func byKernel(steps []prog.Step, seconds []float64, c *Ceiling) []Kernel {
	type sum struct {
		n                              int
		seconds, flops, traffic, floor float64
	}
	sums := map[string]*sum{}
	var all float64
	for i := range steps {
		name := kernelName(&steps[i])
		s := sums[name]
		if s == nil {
			s = &sum{}
			sums[name] = s
		}
		s.n++
		s.seconds += seconds[i]
		s.flops += steps[i].Flops()
		s.traffic += float64(steps[i].Traffic())
		s.floor += c.floor(steps[i : i+1])
		all += seconds[i]
	}
	var out []Kernel
	for name, s := range sums {
		k := Kernel{Name: name, Dispatches: s.n, Ms: 1e3 * s.seconds}
		if s.seconds > 0 {
			k.Share, k.GFLOPS, k.GBPerS, k.Roofline = s.seconds/all, s.flops/s.seconds/1e9, s.traffic/s.seconds/1e9, s.floor/s.seconds
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Kernel) int { return cmp.Or(cmp.Compare(b.Ms, a.Ms), cmp.Compare(a.Name, b.Name)) })
	return out
}
