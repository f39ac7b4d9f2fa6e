package main

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"innerloop/data"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// openRun is the run that is open. It is the run's observer.
type openRun struct {
	s    *Session
	id   string
	dir  string
	kept keptRun // what run.json says
	run  *train.Run
	log  *train.Log
	ctx  context.Context // of the slice under way
	rate int             // of a sound, samples a second; 0: the run reads a text

	last     train.Step  // zero: none yet
	loss     smooth      // of the steps to last
	eval     *train.Eval // nil: none yet
	saved    int         // the step of the newest checkpoint; -1: none
	reached  int         // the last step that its metrics had when it was opened: later ones than it was opened at are made again
	losses   int         // of devices
	unlogged bool        // metrics wait for room in the storage
	norms    normLog
	samples  shownSamples
	sampler  *sampler
	probe    *probe
	looked   bool        // the probe was used
	gen      *generation // the last one; nil: none

	sample, inner, memory, collect train.Budget
	speed                          meter
}

// loadOptions say how a kept run is opened.
type loadOptions struct {
	text      string // the file to read instead of the configuration's; empty: none
	otherText bool   // though it is not the one that the run was trained on
}

// pace is a budget by the clock of this package.
func pace(every time.Duration, share float64) train.Budget {
	return train.Budget{Every: every, Share: share, Now: func() time.Time { return timeNow() }}
}

// initialDir is where the weights lie with which a run begins, if they are not random.
const initialDir = "initial"

// load opens a kept run at its newest checkpoint.
func (s *Session) load(id string, lo loadOptions) (_ *openRun, err error) {
	o := &openRun{
		s: s, id: id, dir: s.runDir(id), saved: -1,
		sample: pace(3*time.Second, 0.2), inner: pace(2*time.Second, 0.1), memory: pace(time.Second, 1), collect: pace(time.Second, 0.1),
		norms: normLog{pace: pace(time.Second, 0.02)},
	}
	if o.kept, err = readKept(o.dir); err != nil {
		return nil, err
	}
	if err := train.Clean(o.dir); err != nil {
		return nil, fail(codeStorage, err)
	}
	c, err := train.LoadRun(o.dir)
	if err != nil {
		return nil, fail(codeData, err)
	}
	if lo.text != "" {
		c.Data.File = lo.text
	}
	if err := textThere(c.Data); err != nil {
		return nil, err
	}
	reached := lastLogged(o.dir)
	at, damaged, err := train.Latest(o.dir)
	s.passedOver(damaged, o.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(codeStorage, err)
	}
	var from *train.Checkpoint
	if err == nil {
		from = &at
	}
	if err := s.preparing(stageText); err != nil {
		return nil, err
	}
	text, err := train.Corpus(c.Data)
	if err != nil {
		return nil, fail(codeData, err)
	}
	o.rate = text.Rate()
	if err := s.preparing(stagePrograms); err != nil {
		return nil, err
	}
	if o.run, err = train.New(c, s.dev, text); err != nil {
		return nil, fail(codeConfig, err)
	}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	o.run.OtherText, o.run.Breathe = lo.otherText, s.breathe
	every := 5 * time.Second // a tab is closed without a word: what the configuration has for a process is too long here
	if s := c.Train.SaveSeconds; s > 0 {
		every = min(every, time.Duration(s*float64(time.Second)))
	}
	o.run.Saves = pace(every, 0.05)
	o.run.Saves.Wait(2 * time.Second)
	initial := filepath.Join(o.dir, initialDir)
	switch _, e := os.Stat(initial); {
	case from != nil:
		if err := s.preparing(stageCheckpoint); err != nil {
			return nil, err
		}
		if err := o.run.Restore(*from); errors.Is(err, train.ErrOtherText) {
			return nil, &failure{Code: codeNeedsText, Message: err.Error(), Key: "data.file", Checkpoint: from.Step, err: err}
		} else if err != nil {
			return nil, fail(codeData, err)
		}
		o.saved = from.Step
	case e == nil:
		if err := o.run.Model.Load(s.dev, initial); err != nil {
			return nil, fail(codeData, err)
		}
	}
	var past train.Past
	if o.log, past, err = train.OpenLog(o.dir, o.run.Step()); err != nil {
		return nil, fail(codeStorage, err)
	}
	s.broken(past.Broken, train.MetricsFile)
	o.last, o.eval = past.Last, past.Eval
	o.last.Tokens = o.run.Tokens() // the metrics may be gone
	if o.loss, err = smoothed(o.dir); err != nil {
		return nil, fail(codeStorage, err)
	}
	o.reached = max(o.run.Step(), reached)
	o.kept.Changes = back(o.kept.Changes, o.run.Step())
	o.samples = readSamples(o.dir, o.run.Step())
	var broken train.Broken
	if o.norms.log, broken, err = train.OpenNorms(o.dir, o.run.Step()); err != nil {
		return nil, fail(codeStorage, err)
	}
	s.broken(broken, train.NormsFile)
	o.norms.kept = o.run.Step()
	if lo.text != "" {
		if err := train.SaveConfig(o.dir, c); err != nil {
			return nil, fail(codeStorage, err)
		}
	}
	if o.probe, err = o.newProbe(); err != nil { // its kernels are compiled before the run is said to train
		return nil, fail(codeDevice, err)
	}
	return o, nil
}

// close releases what the run holds. It does not save.
func (o *openRun) close() {
	if o.sampler != nil {
		o.sampler.close()
	}
	if o.probe != nil {
		o.probe.close()
	}
	if o.gen != nil {
		o.gen.decoder.Close()
	}
	if o.log != nil {
		o.log.Close() //nolint:errcheck // every line is written already
	}
	if o.norms.log != nil {
		o.norms.log.Close() //nolint:errcheck // the same
	}
	o.run.Close()
}

// train goes on with the run until ctx ends or the run does.
func (o *openRun) train(ctx context.Context) error {
	o.ctx = ctx
	// A request may have come in the middle of a validation.
	if o.run.EvalDue() && (o.eval == nil || o.eval.Step != o.run.Step()) {
		e, err := o.run.Evaluate(ctx)
		if err == nil {
			err = o.Eval(e)
		}
		if err != nil {
			return err
		}
	}
	if !o.looked {
		if err := o.look(); err != nil {
			return err
		}
	}
	if err := o.run.Train(ctx, o); err != nil {
		return err
	}
	if o.run.Step() < o.run.Config.Train.Steps {
		return nil
	}
	if err := o.show(); err != nil { // how it ended
		return err
	}
	return o.saveNow()
}

// Steps implements train.Observer.
func (o *openRun) Steps(steps []train.Step, seconds float64) error {
	first, now := o.last.Tokens, steps[len(steps)-1]
	if seconds > 0 {
		o.logged(o.log.Steps(steps, float64(now.Tokens-first)/seconds))
	}
	d := stepsData{Run: o.id, Seconds: seconds, Rows: make([]stepRow, len(steps))}
	for i, x := range steps {
		d.Rows[i] = stepRow{x.Step, x.Loss, x.GradNorm, x.LR, x.Tokens}
		o.loss.add(x.Loss)
	}
	o.last = now
	o.clock(len(steps), seconds)
	d.Left = o.left()
	o.s.send("steps", d)
	if o.collect.Due() {
		// Only a collection lets go of what Go refers to in JavaScript, and Go, which does not see its size, puts that off.
		start := timeNow()
		runtime.GC()
		o.collect.Spent(start)
	}
	if err := o.sendNorms(); err != nil {
		return err
	}
	if o.memory.Due() {
		o.memory.Spent(timeNow())
		o.s.send("memory", o.s.memory())
	}
	return o.show()
}

// show lets the page see what the model has learned, as often as its time allows.
func (o *openRun) show() error {
	if o.inner.Due() || o.ended() {
		if err := o.look(); err != nil {
			return err
		}
	}
	if o.sample.Due() || o.ended() && !o.samples.at(o.run.Step()) {
		return o.speak()
	}
	return nil
}

func (o *openRun) ended() bool { return o.run.Step() >= o.run.Config.Train.Steps }

// Eval implements train.Observer.
func (o *openRun) Eval(e train.Eval) error {
	if math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0) {
		return failf(codeNonFinite, "the validation loss after step %d is %v: the model's weights are damaged", e.Step, e.Loss)
	}
	o.eval, o.speed.eval = &e, e
	o.logged(o.log.Eval(e))
	o.s.send("eval", evalData{o.id, e.Step, e.Loss, e.BitsPerByte, e.Tokens, e.Seconds})
	return nil
}

// logged is told how writing metrics went. Those that could not be written are with the next: one notice is enough.
func (o *openRun) logged(err error) {
	if err != nil && !o.unlogged {
		o.s.notice(fail(codeStorage, err))
	}
	o.unlogged = err != nil
}

// Save implements train.Observer: the configuration's save_every, what the tab adds, and the end.
func (o *openRun) Save(int) error { return o.saveNow() }

// saveNow writes a checkpoint where there is something new. One that cannot be written is a notice: the run goes on.
func (o *openRun) saveNow() error {
	if err := o.samples.write(o.dir); err != nil {
		o.s.notice(fail(codeStorage, err))
	}
	if o.saved == o.run.Step() {
		return nil
	}
	o.logNorms()
	start := timeNow()
	_, err := o.run.Save(o.dir, o.run.Config.Train.KeepCheckpoints)
	o.run.Saves.Spent(start)
	if err != nil {
		if isFile(err) {
			o.s.notice(failf(codeStorage, "the checkpoint of step %d could not be written: %w", o.run.Step(), plain(err)))
			return nil
		}
		return err
	}
	o.saved = o.run.Step()
	o.s.costs.write(o.s.path(costsFile))
	o.describeKept()
	if err := o.kept.write(o.dir); err != nil {
		o.s.notice(fail(codeStorage, err))
	}
	o.s.send("saved", savedData{o.id, o.saved, timeNow().Sub(start).Seconds()})
	return nil
}

// describeKept brings what run.json says up to date.
func (o *openRun) describeKept() {
	k := &o.kept
	k.Step, k.Parameters = o.run.Step(), o.run.Model.Count()
	if o.last.Step > 0 {
		k.Loss = o.loss.value()
	}
	if o.eval != nil {
		loss := o.eval.Loss
		k.ValLoss = &loss
	}
}

// info describes the run to the page.
func (o *openRun) info() *runInfo {
	o.describeKept()
	i := o.kept.info(o.id, o.run.Config, true)
	i.Reached = max(o.reached, o.run.Step())
	return i
}

func (s *Session) memory() memoryData {
	d := memoryData{Wasm: s.host.Memory()}
	if p, ok := s.dev.(*polite); ok {
		if g, ok := p.Executor.(Device); ok {
			d.GPU = g.Bytes()
		}
	}
	return d
}

// probe looks into the inner loop of held-out text.
type probe struct {
	ex     prog.Executor
	step   *model.ProbeStep
	run    prog.Runner
	text   data.Part
	length int
	one    model.Probe
	sum    map[string][]float64 // by column, the mean over the sequences
}

// probeRows are the sequences whose losses are averaged.
const probeRows = 4

func (o *openRun) newProbe() (*probe, error) {
	if ttt, err := o.run.Config.Model.TTTLayers(); err != nil || !slices.Contains(ttt, true) {
		return nil, err // attention alone has no inner loop
	}
	t, held := o.run.Text()
	l := o.run.Config.Train.SeqLen
	if held.Windows(l) == 0 {
		held = t
	}
	p := &probe{ex: o.run.Executor(), text: held, length: l, sum: map[string][]float64{}}
	var err error
	if p.step, err = model.NewProbeStep(o.run.Model, l); err != nil {
		return nil, err
	}
	if p.run, err = p.ex.Load(p.step.Program); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *probe) close() {
	if p.run != nil {
		p.run.Close()
	}
	p.step.Free(p.ex)
}

// look sends the page the inner loop's losses.
func (o *openRun) look() (err error) {
	start, done := timeNow(), o.inner.Spent
	defer func() { done(start) }()
	p := o.probe
	if p == nil {
		return nil
	}
	rows := min(probeRows, p.text.Windows(p.length))
	for i := range rows {
		if i > 0 && o.ctx != nil && o.ctx.Err() != nil && !o.ended() {
			done = o.inner.Paid // a request waits, and that with a large model takes long: another time
			return nil
		}
		if err := p.text.Window(p.step.IDs(), i); err != nil {
			return err
		}
		if err := p.step.Run(p.ex, p.run); err != nil {
			return err
		}
		if err := p.step.Read(p.ex, &p.one); err != nil {
			return err
		}
		for name, from := range map[string][]float64{"start": p.one.Start, "before": p.one.Before, "after": p.one.After, "drift": p.one.Drift} {
			if i == 0 {
				p.sum[name] = slices.Grow(p.sum[name][:0], len(from))[:len(from)]
				clear(p.sum[name])
			}
			for k, v := range from {
				p.sum[name][k] += v / float64(rows)
			}
		}
	}
	o.looked = true
	o.s.host.Post(event{"inner", innerData{o.id, o.run.Step(), p.one.Layers, p.one.Heads, p.one.MiniBatches, p.one.MiniBatchSize}}, p.sum)
	return nil
}

// textThere is an error where the file that a run reads is not in this browser.
func textThere(d train.Data) error {
	if d.File == "" {
		return nil
	}
	if _, err := os.Stat(d.File); errors.Is(err, fs.ErrNotExist) {
		return &failure{Code: codeNeedsText, Message: "the run reads " + filepath.Base(d.File) + ", which is not in this browser: add the text to go on", Key: "data.file", Checkpoint: -1}
	}
	return nil
}
