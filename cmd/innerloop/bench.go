package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:               "bench COMMAND",
		Short:             "Measure speed",
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.AddCommand(a.benchStepCommand())
	return c
}

// benchFlags are the options of bench step.
type benchFlags struct {
	config  configFlags
	device  deviceFlags
	seconds float64
	json    bool
}

func (a *app) benchStepCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "step [options]",
		Short: "Time a training step, and each kind of kernel in it",
		Long: `Time whole training steps (upload of the batch, forward, backward, update) on random data, the median after a
warm-up; then each dispatch by itself, summed up by kernel. GB/s counts every binding of a dispatch once, so a kernel
that finds its data in caches can show more than the memory has.

By default: TTT-Linear of 4 layers, hidden size 256, 4 heads, intermediate size 688, mini-batch 16; 4 sequences of 512
tokens.`,
		Example: `  innerloop bench step
  innerloop bench step --device gpu --seconds 10
  innerloop bench step --set model.num_hidden_layers=2 --set train.seq_len=1024 --json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return a.benchStep(f) },
	}
	f.config.add(c)
	f.device.add(c)
	c.Flags().Float64Var(&f.seconds, "seconds", 5, "time steps for at least `S` seconds")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	return c
}

// benchConfig is what bench step measures by default.
func benchConfig() train.Config {
	c := train.Default()
	m := &c.Model
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize = 256, 688, 4, 4, 16
	c.Train.BatchSize, c.Train.SeqLen, c.Train.LogEvery = 4, 512, 1
	return c
}

// benchResult is what bench step --json prints. Rates are 0 where they cannot be told.
type benchResult struct {
	Device          string        `json:"device"`
	Backend         string        `json:"backend"`
	Parameters      int           `json:"parameters"`
	TokensPerStep   int           `json:"tokens_per_step"`
	TokensPerSecond float64       `json:"tokens_per_second"`
	MsPerStep       float64       `json:"ms_per_step"` // the median
	MsBest          float64       `json:"ms_per_step_best"`
	StepsTimed      int           `json:"steps_timed"`
	GFLOPS          float64       `json:"gflops"`
	Dispatches      int           `json:"dispatches"`
	PrepareSeconds  float64       `json:"prepare_seconds"`
	Memory          benchMemory   `json:"memory"`
	Kernels         []benchKernel `json:"kernels"`
	Config          benchShape    `json:"config"`
}

type benchMemory struct {
	Temporaries int64 `json:"temporaries_bytes"`
	Unshared    int64 `json:"temporaries_unshared_bytes"`
	Arenas      int64 `json:"arenas_bytes"`
}

type benchShape struct {
	model.Config
	Batch        int `json:"batch_size"`
	SeqLen       int `json:"seq_len"`
	MicroBatches int `json:"micro_batches"`
}

// benchKernel sums up the dispatches of one kernel in a step.
type benchKernel struct {
	Name       string  `json:"name"`
	Dispatches int     `json:"dispatches"`
	Ms         float64 `json:"ms_per_step"`
	Share      float64 `json:"share"` // of the sum of all
	GFLOPS     float64 `json:"gflops"`
	GBPerS     float64 `json:"gb_per_second"`
}

func (a *app) benchStep(f benchFlags) error {
	cfg, err := f.config.load(benchConfig())
	if err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return fail(exitUsage, err)
	}
	if !(f.seconds >= 0 && f.seconds <= 3600) { // NaN too
		return failf(exitUsage, "--seconds %g, want 0 to 3600", f.seconds)
	}
	dev, err := f.device.open(cfg.Device)
	if err != nil {
		return err
	}
	defer dev.Close()
	b, err := newBench(cfg, dev)
	if err != nil {
		return fail(exitUsage, err)
	}
	defer b.close()
	times, n, err := b.time(f.seconds)
	if err != nil {
		return err
	}
	r, err := b.result(times, n)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(a, r)
	}
	a.printBench(r, dev)
	return nil
}

// bench is a training step made ready, with random tokens.
type bench struct {
	cfg     train.Config
	dev     *device
	lm      *model.LM
	step    *model.TrainStep
	run     prog.Runner
	prepare float64
	n       int // steps made
}

func newBench(cfg train.Config, dev *device) (_ *bench, err error) {
	b := &bench{cfg: cfg, dev: dev}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	t := cfg.Train
	start := time.Now()
	if b.lm, err = model.New(cfg.Model, model.ScanOptions{CheckpointEvery: t.CheckpointEvery}); err != nil {
		return nil, err
	}
	if b.step, err = model.NewTrainStep(b.lm, model.StepOptions{Batch: t.BatchSize, SeqLen: t.SeqLen, Micro: t.MicroBatches, Half: t.Half()}); err != nil {
		return nil, err
	}
	if b.run, err = dev.Load(b.step.Program); err != nil {
		return nil, err
	}
	if err = b.lm.Prepare(dev); err != nil {
		return nil, err
	}
	if err = b.lm.Init(dev, t.Seed); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(t.Seed, 0))
	for i := range t.MicroBatches {
		ids := b.step.IDs(i)
		for j := range ids {
			ids[j] = uint32(r.IntN(cfg.Model.VocabSize))
		}
	}
	err = dev.Sync()
	b.prepare = time.Since(start).Seconds()
	return b, err
}

func (b *bench) close() {
	if b.run != nil {
		b.run.Close()
	}
	if b.step != nil {
		b.step.Free(b.dev)
	}
	if b.lm != nil {
		b.lm.Free(b.dev)
	}
}

// steps makes n training steps as train does and returns the seconds that they took.
func (b *bench) steps(n int) (float64, error) {
	t := b.cfg.Train
	start := time.Now()
	for range n {
		if err := b.step.SetBatch(); err != nil {
			return 0, err
		}
		b.n++
		b.step.SetHyper(model.AdamW{Beta1: t.Beta1, Beta2: t.Beta2, Eps: t.Eps, WeightDecay: t.WeightDecay, Clip: t.Clip}, 1e-4, b.n)
		if err := b.dev.Upload(b.step.Inputs); err != nil {
			return 0, err
		}
		if err := b.run.Run(); err != nil {
			return 0, err
		}
	}
	err := b.dev.Sync()
	return time.Since(start).Seconds(), err
}

// time makes steps for at least so many seconds and returns the seconds of one step, group by group: as many steps
// make a group as take 50 ms, so that waiting for the device weighs nothing.
func (b *bench) time(seconds float64) (times []float64, steps int, err error) {
	if _, err := b.steps(2); err != nil { // warm-up
		return nil, 0, err
	}
	one, err := b.steps(1)
	if err != nil {
		return nil, 0, err
	}
	group := max(1, min(1000, int(math.Ceil(0.05/max(one, 1e-6)))))
	for start := time.Now(); len(times) < 3 || time.Since(start).Seconds() < seconds; {
		t, err := b.steps(group)
		if err != nil {
			return nil, 0, err
		}
		times = append(times, t/float64(group))
		steps += group
	}
	return times, steps, nil
}

// result sums up the timed steps and the profile, which it takes.
func (b *bench) result(times []float64, n int) (benchResult, error) {
	slices.Sort(times)
	median := (times[(len(times)-1)/2] + times[len(times)/2]) / 2
	t, s := b.cfg.Train, b.step.Program.Stats()
	tokens := t.BatchSize * t.SeqLen * t.MicroBatches
	r := benchResult{
		Device: b.dev.label, Backend: b.dev.Info().Backend, Parameters: b.lm.Count(), TokensPerStep: tokens,
		TokensPerSecond: float64(tokens) / median, MsPerStep: 1e3 * median, MsBest: 1e3 * times[0], StepsTimed: n, GFLOPS: s.Flops / median / 1e9,
		Dispatches: s.Dispatches, PrepareSeconds: b.prepare, Memory: benchMemory{s.TempBytes, s.RawBytes, s.ArenaBytes},
		Config: benchShape{b.cfg.Model, t.BatchSize, t.SeqLen, t.MicroBatches},
	}
	profile, err := b.run.Profile()
	if err != nil {
		return r, err
	}
	r.Kernels = byKernel(b.step.Program.Steps, profile)
	return r, nil
}

// byKernel sums up the seconds of each step by kernel, the slowest first.
func byKernel(steps []prog.Step, seconds []float64) []benchKernel {
	type sum struct {
		n                       int
		seconds, flops, traffic float64
	}
	sums := map[string]*sum{}
	var all float64
	for i, st := range steps {
		name := "clear"
		if st.Kernel != nil {
			name = st.Kernel.Name
		}
		s := sums[name]
		if s == nil {
			s = &sum{}
			sums[name] = s
		}
		s.n++
		s.seconds += seconds[i]
		s.flops += st.Flops()
		s.traffic += float64(st.Traffic())
		all += seconds[i]
	}
	var out []benchKernel
	for name, s := range sums {
		k := benchKernel{Name: name, Dispatches: s.n, Ms: 1e3 * s.seconds}
		if s.seconds > 0 {
			k.Share, k.GFLOPS, k.GBPerS = s.seconds/all, s.flops/s.seconds/1e9, s.traffic/s.seconds/1e9
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b benchKernel) int { return cmp.Or(cmp.Compare(b.Ms, a.Ms), cmp.Compare(a.Name, b.Name)) })
	return out
}

func (a *app) printBench(r benchResult, dev *device) {
	p, c := a.out.printf, r.Config
	p("device   %s\n", dev)
	p("model    %s parameters: TTT-%s, %s of %d, %s of %d, K=%d\n", count(r.Parameters), title(c.TTTLayerType),
		plural(c.NumHiddenLayers, "layer"), c.HiddenSize, plural(c.NumAttentionHeads, "head"), c.HeadDim(), c.MiniBatchSize)
	p("step     %s tokens: %d sequences x %d tokens; %d dispatches\n", count(r.TokensPerStep), c.Batch*c.MicroBatches, c.SeqLen, r.Dispatches)
	p("memory   %s\n", describe(prog.Stats{TempBytes: r.Memory.Temporaries, RawBytes: r.Memory.Unshared, ArenaBytes: r.Memory.Arenas}))
	p("ready in %s\n\n", clock(r.PrepareSeconds))
	p("%s tokens/s, %.2f ms a step (median of %s, best %.2f), %.1f GFLOP/s\n\n", count(r.TokensPerSecond), r.MsPerStep,
		plural(r.StepsTimed, "step"), r.MsBest, r.GFLOPS)
	rows := [][]string{{"kernel", "dispatches", "ms/step", "share", "GFLOP/s", "GB/s"}}
	var n int
	var ms float64
	for _, k := range r.Kernels {
		flops := ""
		if k.GFLOPS > 0 {
			flops = fmt.Sprintf("%.1f", k.GFLOPS)
		}
		rows = append(rows, []string{k.Name, strconv.Itoa(k.Dispatches), fmt.Sprintf("%.3f", k.Ms), fmt.Sprintf("%.1f %%", 100*k.Share), flops, fmt.Sprintf("%.1f", k.GBPerS)})
		n, ms = n+k.Dispatches, ms+k.Ms
	}
	rows = append(rows, []string{"sum", strconv.Itoa(n), fmt.Sprintf("%.3f", ms), "", "", ""})
	p("%s", table(rows))
}
