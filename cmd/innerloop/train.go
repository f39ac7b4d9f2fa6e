package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/internal/symlink"
	"innerloop/model"
	"innerloop/rundir"
	"innerloop/train"
)

// trainFlags are the options of train.
type trainFlags struct {
	config    configFlags
	device    deviceFlags
	data      string
	out       string
	seed      uint64
	steps     int
	resume    resumeFlag
	stopAfter int
	force     bool
	noSample  bool
	quiet     bool
	fault     string
	brought   string    // the setting that the fault brings with it
	started   time.Time // of the program
}

// resumeFlag is a flag that may have a folder: --resume, --resume=DIR; or --resume=auto.
type resumeFlag struct {
	on   bool
	auto bool // go on where there is a run, begin where there is none
	dir  string
}

// String implements pflag.Value.
func (f *resumeFlag) String() string { return f.dir }

// Type implements pflag.Value: the value may be left out.
func (f *resumeFlag) Type() string { return "bool" }

// Set implements pflag.Value.
func (f *resumeFlag) Set(s string) error {
	switch s {
	case "true":
		f.on = true
	case "false":
		f.on = false
	case "":
		return errors.New("empty, want a folder")
	default:
		f.name(s)
	}
	return nil
}

// name takes the folder, or auto, that --resume names.
func (f *resumeFlag) name(s string) {
	if f.on = true; s == "auto" {
		f.auto = true
	} else {
		f.dir = s
	}
}

func (a *app) trainCommand() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use:   "train [options]",
		Short: "Train a model and write it to a folder",
		Long: `Train a TTT language model on a text: by default a small one on generated stories, on the best device. Without
--config the model has model.pre_conv, which helps so small a one most; a configuration file says itself what it wants.

A WAV file is a sound: its channels are mixed and brought to data.sample_rate, and its samples, 8-bit mu-law, are the
tokens. So is the generated data.task=sounds. At the end of such a run samples are written to its folder as WAV files:
sample-1.wav begins in silence, sample-2.wav goes on with what was held out. A sound of another kind, as MP3, has to be
converted first, and so has a text in UTF-16: its bytes would say little.

The folder --out gets
  config.toml        the whole configuration of the run: --config takes it to run the same again
  metrics.jsonl      a line a step, and a line a validation; events.out.tfevents.* is the same for TensorBoard
  model.safetensors  the newest weights, written whole or not at all
  config.json        the model's configuration, for this program and the official PyTorch code
  checkpoints        what --resume goes on from: train.save_every says after how many steps, and train.keep_checkpoints
                     how many of them stay; one every train.save_seconds beside them stays until the next
  exit.json          how the run ended: exit code, error, step, host, the batch system's job, begin and end
  files.json         the names of what the run wrote: nothing else that lies in the folder is overwritten or removed

One seed on one device gives one model, byte for byte, in one go or in parts. Whatever asks the run to end, a terminal's
Ctrl-C, its hanging up, or a batch system's SIGTERM, SIGUSR1, SIGUSR2 or SIGXCPU, ends it after its step with a checkpoint
and exit code 7; only a second SIGINT ends it at once. A kill loses what came after the last checkpoint. Where the output's
reader goes away, as in innerloop train | head, the run goes on in silence.

--resume goes on from the newest whole checkpoint of a run that was stopped or killed, with the run's own config.toml
unless --config names another: the command that began a run goes on with it once --resume is added. --steps, --set and
--device change it; a checkpoint of another model or seed is refused.

--resume=auto with --out goes on where there is a run, begins where there is none, and says so with code 0 where it is
complete: one command for every start of a job. A folder of the name auto is ./auto.`,
		Example: `  innerloop train
  innerloop train --data book.txt --steps 1000 --out runs/book
  innerloop train --config configs/opticks.toml --data opticks.txt --seed 1 --out runs/opticks
  innerloop train --out runs/long --set train.save_every=100 --stop-after 500
  innerloop train --resume runs/long
  innerloop train --config job.toml --out runs/job --resume=auto
  innerloop train --data piano.wav --out runs/piano
  innerloop train --set model.hidden_size=256 --set train.lr=1e-3 --device cpu`,
		Args: func(c *cobra.Command, args []string) error {
			if f.resume.on && f.resume.dir == "" && !f.resume.auto && len(args) == 1 { // --resume DIR
				return nil
			}
			return noArgs(c, args)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if f.resume.on && f.resume.dir == "" {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.resume.name(args[0])
			}
			return a.train(c, f)
		},
	}
	fl := c.Flags()
	f.config.add(c)
	fl.StringVar(&f.data, "data", "", "text to train on: any `FILE`, its bytes are the tokens; a WAV file is a sound (default: generated stories)")
	f.device.add(c)
	fl.Uint64Var(&f.seed, "seed", 0, "seed `N` for initial weights, batches and samples (default: the configuration's)")
	fl.IntVar(&f.steps, "steps", 0, "make `N` training steps (default: the configuration's)")
	fl.StringVar(&f.out, "out", "", "folder `DIR` for the run's files (default: runs/TEXT-DATE-TIME)")
	fl.Var(&f.resume, "resume", "go on with the run in `DIR`, or in that of --out; auto: begin where there is none")
	fl.Lookup("resume").NoOptDefVal = "true"
	fl.IntVar(&f.stopAfter, "stop-after", 0, "stop after `N` more steps, with a checkpoint: --resume goes on")
	fl.BoolVar(&f.force, "force", false, "replace the run that --out holds; what it removes is named")
	fl.StringVar(&f.fault, "fault", "", "put the known fault `NAME` into the layer; see innerloop help faults")
	fl.BoolVar(&f.noSample, "no-sample", false, "generate no samples at the end")
	fl.BoolVar(&f.quiet, "quiet", false, "print nothing but the folder's name at the end; no samples")
	if err := c.MarkFlagDirname("out"); err != nil {
		panic(err)
	}
	return c
}

// resolve makes the run's configuration of the options.
func (f *trainFlags) resolve(c *cobra.Command) (cfg train.Config, err error) {
	s := train.Defaults(train.Demo())
	if err := f.config.load(s); err != nil {
		return cfg, err
	}
	if f.data != "" {
		s.Put("data.file", f.data)
	}
	if c.Flags().Changed("data") && f.data == "" {
		return cfg, failf(exitUsage, "--data: empty, want a file")
	}
	if c.Flags().Changed("seed") {
		s.Put("train.seed", f.seed)
	}
	if c.Flags().Changed("steps") {
		s.Put("train.steps", f.steps)
	}
	if f.device.name != "" {
		s.Put("device", f.device.name)
	}
	if c.Flags().Changed("fault") {
		s.Put("train.fault", f.fault)
	}
	if c.Flags().Changed("stop-after") && f.stopAfter < 1 {
		return cfg, failf(exitUsage, "--stop-after %d, want at least 1", f.stopAfter)
	}
	if c.Flags().Changed("out") && f.out == "" {
		return cfg, failf(exitUsage, "--out: empty, want a folder")
	}
	cfg, f.brought, err = s.Config()
	return cfg, fail(exitUsage, err)
}

// findRun makes --out name the run that --resume goes on with, and --config, where it is not given, the run's own.
func (f *trainFlags) findRun() error {
	switch {
	case f.force:
		return failf(exitUsage, "--resume and --force: want one of them")
	case f.resume.auto && f.out == "":
		return failf(exitUsage, "--resume=auto: which run? Want its folder in --out, where it goes on or begins; a folder of the name auto is ./auto")
	case f.resume.dir != "" && f.out != "" && filepath.Clean(f.resume.dir) != filepath.Clean(f.out):
		return failf(exitUsage, "--resume %s and --out %s: a run goes on in its own folder", f.resume.dir, f.out)
	case f.resume.dir != "":
		f.out = f.resume.dir
	case f.out == "":
		return failf(exitUsage, "--resume: which run? Want its folder, as in innerloop train --resume runs/book; innerloop runs lists them")
	}
	if st, err := os.Stat(f.out); err == nil && !st.IsDir() {
		return failf(exitData, "%s: is a file, want the folder of a run", f.out)
	}
	if err := symlink.Dangling(f.out); err != nil {
		return fail(exitOutput, err)
	}
	_ = rundir.Repair(f.out) // what cannot be repaired shows when it is read
	_, err := train.LoadRun(f.out)
	if errors.Is(err, fs.ErrNotExist) {
		if at, _, err := train.Latest(f.out); err == nil { // to begin would lose it
			return failf(exitData, "%s: has checkpoints, but no %s: copy that of %s there", f.out, runConfigFile, at.Dir)
		}
		if f.resume.auto {
			f.resume.on = false
			return nil
		}
		return failf(exitData, "%s: no run to go on with: it has no %s", f.out, runConfigFile)
	}
	if f.config.file == "" {
		f.config.file = filepath.Join(f.out, runConfigFile)
	}
	return fail(exitData, err)
}

func (a *app) train(c *cobra.Command, f trainFlags) (err error) {
	f.started = time.Now()
	outliveReaders()
	asked := takeSignals(func() { endInterrupted("interrupted before training began") })
	defer asked.stop()
	a.out.gone = func(err error) {
		if asked.ctx.Err() == nil { // a signal that ends who reads the output is meant for this program, too
			fmt.Fprintf(a.err, "innerloop: nobody reads standard output any more (%s): nothing more is printed, and training is not affected\n", cause(err))
		}
	}
	// All that can be wrong with the inputs comes first: bad input leaves nothing behind.
	if f.resume.on {
		if err := f.findRun(); err != nil {
			return err
		}
	}
	cfg, err := f.resolve(c)
	if err != nil {
		return err
	}
	if f.resume.on {
		out, err := resumeFolder(f.out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.unlock()) }()
		from, err := a.newest(f.out, cfg.Train.Steps)
		if err != nil {
			return err
		}
		if filepath.Clean(f.config.file) == filepath.Join(f.out, runConfigFile) {
			a.edited(f.out)
		}
		return a.trainIn(c, f, cfg, from, out, nil, asked)
	}
	var place *rundir.Place
	if f.out == "" {
		f.out = newName(cmp.Or(cfg.Data.File, cfg.Data.Task), time.Now())
		place = rundir.ReserveNew(f.out, cfg)
	} else if place, err = rundir.Reserve(f.out, cfg, f.force); err != nil {
		return folderError("--out ", f.out, err)
	}
	defer place.Close()
	return a.trainIn(c, f, cfg, nil, nil, place, asked)
}

// unwritable says whether err is that a place is for others to write, or for nobody.
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// complete says of a run in a folder that cannot be written that there is nothing left to write.
func (a *app) complete(f trainFlags, steps int) error {
	if f.quiet {
		a.out.printf("%s\n", a.named(f.out))
	} else {
		a.out.printf("%s: the run is complete: it made all of its %s\n", shown(f.out), plural(steps, "step"))
	}
	return a.out.failure()
}

// newest finds the checkpoint that a run goes on from, and cleans its folder; nil is a run that was ended before it made
// one.
func (a *app) newest(dir string, steps int) (*train.Checkpoint, error) {
	if err := train.Clean(dir); err != nil && !unwritable(err) { // who cannot remove it cannot train there either: that has its own sentence
		return nil, fail(exitOutput, err)
	}
	at, damaged, err := train.Latest(dir)
	for _, d := range damaged {
		fmt.Fprintf(a.err, "innerloop: passed over a damaged checkpoint: %s\n", oneLine(d))
	}
	if errors.Is(err, fs.ErrNotExist) {
		_, weights := os.Lstat(filepath.Join(dir, model.WeightsFile))
		if len(damaged) == 0 && weights != nil {
			return nil, nil
		}
		return nil, failf(exitData, "%s: no whole checkpoint to go on from", filepath.Join(dir, train.CheckpointsDir))
	}
	if err != nil {
		return nil, fail(exitData, err)
	}
	if at.Step > steps {
		return nil, failf(exitUsage, "%s: the run is at step %d, past the %d that are asked for: --steps takes more", dir, at.Step, steps)
	}
	return &at, nil
}

// trainIn trains with a configuration until it is asked to end: where out is not nil, on with the run in that folder, from a
// checkpoint if there is one; else in a new folder at place.
func (a *app) trainIn(c *cobra.Command, f trainFlags, cfg train.Config, from *train.Checkpoint, out *folder, place *rundir.Place, asked *stopper) (err error) {
	text, err := corpus(cfg.Data)
	if err != nil {
		return fail(exitData, err)
	}
	if _, _, err := train.Split(cfg, text); err != nil {
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
	if err := dev.room("a checkpoint", checkpointBytes*int64(run.Model.Count())); err != nil {
		return err // else the first one would end the run
	}
	if from != nil {
		run.OtherText = c.Flags().Changed("data")
		if err := run.Restore(*from); errors.Is(err, train.ErrOtherText) {
			return failf(exitData, "%w: %s has changed since; with --data the run goes on with it all the same", err, text.Name())
		} else if errors.Is(err, train.ErrOtherConfig) {
			return fail(exitUsage, err)
		} else if err != nil {
			return fail(exitData, err)
		}
	}
	asked.begin()
	if out != nil {
		if err = out.resume(cfg, run.Step()); err == nil {
			err = out.begin(f.started, run.Step)
		}
		if finished := from != nil && from.Step == cfg.Train.Steps; err != nil && unwritable(err) {
			if err = errors.Join(err, out.close(nil)); !finished {
				return failf(exitOutput, "%w: the run is at step %d of %d and can only go on where it may write: make its folder writable, or go on in a copy of it", err, run.Step(), cfg.Train.Steps)
			}
			return a.complete(f, run.Step())
		}
	} else if out, err = createFolder(place, f.out, cfg); err == nil {
		f.out = out.dir
		defer func() { err = errors.Join(err, out.unlock()) }()
		err = out.begin(f.started, run.Step)
	}
	if out != nil {
		defer func() {
			if err == nil {
				err = a.out.failure()
			}
			err = out.close(err)
		}()
	}
	if err != nil {
		return err
	}
	err = errPanic // is what close is told where the rest panics
	return a.trainOn(asked.ctx, f, dev, run, text, from != nil, out)
}

// trainOn trains a run to its end or until ctx ends, and says how it went.
func (a *app) trainOn(ctx context.Context, f trainFlags, dev *device, run *train.Run, text *data.Corpus, restored bool, out *folder) error {
	cfg := run.Config
	trainPart, val := run.Text()
	a.notes(out.broken)
	started := run.Step()
	finished := restored && started == cfg.Train.Steps
	a.checkSeparator(text, cfg.Data.Document)
	if !f.quiet {
		if t := cfg.Train; t.Fault != "" {
			a.out.printf("%s", faultLine(t.Fault, f.brought))
		}
		a.header(cfg, dev, run, text, trainPart, val)
		a.aboutFolder(out, text.Rate() > 0 && !f.noSample && cfg.Sample.Seconds > 0)
		switch {
		case finished:
			a.out.printf("the run is complete: it made all of its %s; --steps N makes it longer\n", plural(started, "step"))
		case restored:
			a.out.printf("going on after step %d of %d\n\n", started, cfg.Train.Steps)
		case f.resume.on:
			a.out.printf("the run was ended before its first checkpoint: it begins anew\n\n")
		}
	}
	if f.stopAfter > 0 {
		run.StopAt = started + f.stopAfter
	}
	r := newReport(a, run, out, f.quiet)
	err := r.catchUp(ctx, restored)
	if err == nil {
		err = run.Train(ctx, r)
	}
	if err := r.finish(err); err != nil {
		return err
	}
	if f.quiet {
		a.out.printf("%s\n", a.named(f.out))
		return nil
	}
	r.summary()
	if run.Step() < cfg.Train.Steps {
		a.out.printf("stopped after step %d of %d; to go on: %s\n", run.Step(), cfg.Train.Steps, resumeCommand(f.out))
		return nil
	}
	if finished || f.noSample {
		return nil
	}
	if text.Rate() > 0 {
		err = a.soundSamples(ctx, cfg, run.Model, dev, val, text.Rate(), out)
	} else {
		err = a.samples(ctx, cfg, run.Model, dev)
	}
	if errors.Is(err, context.Canceled) {
		return failf(exitInterrupted, "interrupted while sampling: the run is complete and its checkpoint is in %s", f.out)
	}
	return err
}

// header says what is about to happen.
func (a *app) header(cfg train.Config, dev *device, run *train.Run, text *data.Corpus, trainPart, val data.Part) {
	m, t := cfg.Model, cfg.Train
	what, length := "", func(n int) string { return count(n) + " bytes" }
	if rate := text.Rate(); rate > 0 {
		what, length = fmt.Sprintf("sound, %s samples/s, ", count(rate)), func(n int) string { return lasting(n, rate) }
	}
	held := "none held out"
	if val.Len() > 0 {
		held = strings.TrimSuffix(length(val.Len()), " bytes") + " held out"
	}
	sequences := plural(t.BatchSize, "sequence")
	if t.MicroBatches > 1 {
		sequences = plural(t.MicroBatches, "micro-batch") + " x " + sequences
	}
	a.out.printf("device  %s\n", dev)
	a.out.printf("model   %s parameters: %s, %s of %d, %s of %d, K=%d\n",
		count(run.Model.Count()), m.Name(), plural(m.NumHiddenLayers, "layer"), m.HiddenSize,
		plural(m.NumAttentionHeads, "head"), m.HeadDim(), m.MiniBatchSize)
	a.out.printf("data    %s: %s%s to train on, %s%s\n", shown(text.Name()), what, length(trainPart.Len()), held, documents(text, cfg.Data.Document))
	a.out.printf("train   %s of %s tokens: %s x %d tokens; seed %d\n", plural(t.Steps, "step"),
		count(t.MicroBatches*t.BatchSize*t.SeqLen), sequences, t.SeqLen, t.Seed)
	a.out.printf("memory  %s\n", describe(run.Program().Stats()))
}

// aboutFolder says where the run goes, what of an earlier run is gone, and what lies there that is somebody else's; sound:
// samples are going to be written there.
func (a *app) aboutFolder(out *folder, sound bool) {
	a.out.printf("out     %s\n", shown(out.dir))
	if len(out.gone) > 0 {
		a.out.printf("removed %s\n", shown(strings.Join(out.gone, ", ")))
	}
	for _, name := range sampleFiles {
		if sound && !out.MayWrite(name) {
			a.out.printf("note    %s there is not this run's: it stays, and the run's sample gets another name\n", name)
		}
	}
	a.out.printf("\n")
}

// documents says in how many documents a separator parts a text; nothing where there is none.
func documents(text *data.Corpus, separator string) string {
	if separator == "" {
		return ""
	}
	return ", " + plural(text.Documents(separator).Len(), "document")
}

// checkSeparator says on standard error that a text is one document because its separator does not occur.
func (a *app) checkSeparator(text *data.Corpus, separator string) {
	if why := text.CheckSeparator(separator); why != "" {
		fmt.Fprintf(a.err, "innerloop: %s\n", shown(why))
	}
}

// samples prints what the model makes of the configuration's prompts.
func (a *app) samples(ctx context.Context, cfg train.Config, m *model.LM, dev *device) error {
	if cfg.Sample.Tokens == 0 {
		return nil
	}
	o := model.SampleOptions{Temperature: cfg.Sample.Temperature, TopK: cfg.Sample.TopK}
	d := model.NewDecoder(m, dev)
	defer d.Close()
	for i, p := range cfg.Sample.Prompts {
		if p == "" {
			continue
		}
		d.Reset()
		n, cut := fitting(d, len(p), cfg.Sample.Tokens)
		a.out.printf("\nsample %d, temperature %g%s:\n", i+1, o.Temperature, cut)
		if n == 0 {
			continue
		}
		s := model.NewSampler(o, cfg.Train.Seed+uint64(i))
		if err := a.stream(ctx, d, s, m.Config.VocabSize, []byte(p), n); err != nil {
			return err
		}
	}
	return nil
}

// fitting is how many of n tokens d can make after a prompt of given ones, and where not all, words about it. What is made
// last is not read.
func fitting(d *model.Decoder, given, n int) (fits int, cut string) {
	if fits = max(0, d.Left()-given+1); fits >= n {
		return n, ""
	}
	if d.Left() < given {
		fits = 0
	}
	return fits, fmt.Sprintf(", cut after %d of %d: model.max_position_embeddings ends there", fits, n)
}

// interrupted is the error of a run that a signal ended.
func interrupted(step, steps int, dir string) error {
	return failf(exitInterrupted, "interrupted after step %d of %d: to go on: %s", step, steps, resumeCommand(dir))
}
