package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/model"
	"innerloop/train"
)

// trainFlags are the options of train.
type trainFlags struct {
	config   configFlags
	device   deviceFlags
	data     string
	out      string
	seed     uint64
	steps    int
	force    bool
	noSample bool
	quiet    bool
}

func (a *app) trainCommand() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use:   "train [options]",
		Short: "Train a model and write it to a folder",
		Long: `Train a TTT language model on a text: by default a small one on generated stories, on the best device.

The folder --out gets
  config.toml        the whole configuration of the run: --config takes it to run the same again
  metrics.jsonl      a line a step, and a line a validation
  model.safetensors  the weights, written whole or not at all
  config.json        the model's configuration, for this program and the official PyTorch code

One seed on one device gives one model, byte for byte. SIGINT and SIGTERM end the run after its step with a checkpoint
and exit code 7; a second signal ends it at once.`,
		Example: `  innerloop train
  innerloop train --data book.txt --steps 1000 --out runs/book
  innerloop train --config configs/opticks.toml --data opticks.txt --seed 1 --out runs/opticks
  innerloop train --set model.hidden_size=256 --set train.lr=1e-3 --device cpu`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return a.train(c, f) },
	}
	fl := c.Flags()
	f.config.add(c)
	fl.StringVar(&f.data, "data", "", "text to train on: any `FILE`, its bytes are the tokens (default: generated stories)")
	f.device.add(c)
	fl.Uint64Var(&f.seed, "seed", 0, "seed `N` for initial weights, batches and samples (default: the configuration's)")
	fl.IntVar(&f.steps, "steps", 0, "make `N` training steps (default: the configuration's)")
	fl.StringVar(&f.out, "out", "", "folder `DIR` for the run's files (default: runs/TEXT-DATE-TIME)")
	fl.BoolVar(&f.force, "force", false, "replace the run that --out holds")
	fl.BoolVar(&f.noSample, "no-sample", false, "generate no samples at the end")
	fl.BoolVar(&f.quiet, "quiet", false, "print nothing but the folder's name at the end; no samples")
	if err := c.MarkFlagDirname("out"); err != nil {
		panic(err)
	}
	return c
}

// resolve makes the run's configuration of the options.
func (f *trainFlags) resolve(c *cobra.Command) (train.Config, error) {
	cfg, err := f.config.load(train.Default())
	if err != nil {
		return cfg, err
	}
	if f.data != "" {
		cfg.Data.File = f.data
	}
	if c.Flags().Changed("data") && f.data == "" {
		return cfg, failf(exitUsage, "--data: empty, want a file")
	}
	if c.Flags().Changed("seed") {
		cfg.Train.Seed = f.seed
	}
	if c.Flags().Changed("steps") {
		cfg.Train.Steps = f.steps
	}
	if f.device.name != "" {
		cfg.Device = f.device.name
	}
	return cfg, fail(exitUsage, cfg.Validate())
}

func (a *app) train(c *cobra.Command, f trainFlags) (err error) {
	// All that can be wrong with the inputs comes first: bad input leaves nothing behind.
	cfg, err := f.resolve(c)
	if err != nil {
		return err
	}
	if c.Flags().Changed("out") && f.out == "" {
		return failf(exitUsage, "--out: empty, want a folder")
	}
	if f.out == "" {
		f.out = newName(cfg.Data.File, time.Now())
	}
	if err := checkFolder(f.out, f.force); err != nil {
		return err
	}
	text, err := train.Corpus(cfg.Data)
	if err != nil {
		return fail(exitData, err)
	}
	trainPart, val, err := text.Split(cfg.Data.ValFraction, cfg.Train.SeqLen)
	if err != nil {
		return fail(exitData, err)
	}
	if cfg.Data.File != "" { // the folder's configuration works from anywhere
		if cfg.Data.File, err = filepath.Abs(cfg.Data.File); err != nil {
			return err
		}
	}
	dev, err := f.device.open(cfg.Device)
	if err != nil {
		return err
	}
	defer dev.Close()
	run, err := train.New(cfg, dev, text)
	if err != nil {
		return fail(exitUsage, err) // the device's errors have their own code: this one is the configuration's
	}
	defer run.Close()
	out, err := createFolder(f.out, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal is the system's again: it kills

	if !f.quiet {
		a.header(cfg, dev, run, text, trainPart, val, f.out)
	}
	r := newReport(a, run, dev, out, f.quiet)
	err = run.Train(ctx, r)
	if err := r.finish(err); err != nil {
		return err
	}
	if f.quiet {
		a.out.printf("%s\n", f.out)
		return nil
	}
	r.summary()
	if f.noSample || cfg.Sample.Tokens == 0 {
		return nil
	}
	err = a.samples(ctx, cfg, run.Model, dev)
	if errors.Is(err, context.Canceled) {
		return failf(exitInterrupted, "interrupted while sampling: the run is complete and its checkpoint is in %s", f.out)
	}
	return err
}

// header says what is about to happen.
func (a *app) header(cfg train.Config, dev *device, run *train.Run, text *data.Corpus, trainPart, val data.Part, out string) {
	m, t := cfg.Model, cfg.Train
	held := "none held out"
	if val.Len() > 0 {
		held = count(val.Len()) + " held out"
	}
	sequences := plural(t.BatchSize, "sequence")
	if t.MicroBatches > 1 {
		sequences = plural(t.MicroBatches, "micro-batch") + " x " + sequences
	}
	a.out.printf("device  %s\n", dev)
	a.out.printf("model   %s parameters: TTT-%s, %s of %d, %s of %d, K=%d\n",
		count(run.Model.Count()), title(m.TTTLayerType), plural(m.NumHiddenLayers, "layer"), m.HiddenSize,
		plural(m.NumAttentionHeads, "head"), m.HeadDim(), m.MiniBatchSize)
	a.out.printf("data    %s: %s bytes to train on, %s\n", text.Name(), count(trainPart.Len()), held)
	a.out.printf("train   %s of %s tokens: %s x %d tokens; seed %d\n", plural(t.Steps, "step"),
		count(t.MicroBatches*t.BatchSize*t.SeqLen), sequences, t.SeqLen, t.Seed)
	a.out.printf("memory  %s\n", describe(run.Program().Stats()))
	a.out.printf("out     %s\n\n", out)
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// samples prints what the model makes of the configuration's prompts.
func (a *app) samples(ctx context.Context, cfg train.Config, m *model.LM, dev *device) error {
	o := model.SampleOptions{Temperature: cfg.Sample.Temperature, TopK: cfg.Sample.TopK}
	d := model.NewDecoder(m, dev)
	defer d.Close()
	for i, p := range cfg.Sample.Prompts {
		if p == "" {
			continue
		}
		a.out.printf("\nsample %d, temperature %g:\n", i+1, o.Temperature)
		s := model.NewSampler(o, cfg.Train.Seed+uint64(i))
		if err := a.stream(ctx, d, s, m.Config.VocabSize, []byte(p), cfg.Sample.Tokens); err != nil {
			return err
		}
	}
	return nil
}

// interrupted is the error of a run that a signal ended.
func interrupted(step, steps int, dir string) error {
	return failf(exitInterrupted, "interrupted after step %d of %d: its checkpoint is in %s", step, steps, dir)
}

// diverged adds to a NonFiniteError where the last good weights are.
func diverged(err error, saved int, dir string) error {
	if saved < 0 {
		return fmt.Errorf("%w. No checkpoint was written yet; the metrics are in %s", err, dir)
	}
	return fmt.Errorf("%w. The checkpoint of step %d is in %s", err, saved, dir)
}
