package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"innerloop/rundir"
	"innerloop/train"
)

// report is a run's observer: it prints progress, writes metrics and saves checkpoints.
type report struct {
	app *app
	run *train.Run
	out *folder

	quiet   bool
	bar     *bar // on the terminal, if out is one
	start   time.Time
	first   train.Step // the last one of an earlier part of the run, where this one goes on
	last    train.Step
	eval    *train.Eval // the last one
	seconds float64     // of training, without validation, in this process
	speed   float64     // of the last steps, tokens/s
	saved   int         // the step of the last checkpoint; -1: none
	unsaved bool        // the last one could not be written
}

func newReport(a *app, run *train.Run, out *folder, quiet bool) *report {
	r := &report{app: a, run: run, out: out, quiet: quiet, saved: -1, start: time.Now(), eval: out.past.Eval}
	if n := run.Step(); n > 0 {
		r.saved = n
		r.first = out.past.Last // its loss, where the metrics have it
		r.first.Step, r.first.Tokens = n, run.Tokens()
		r.last = r.first
	}
	if a.tty != nil && drawsBars(os.Getenv) && !quiet && run.Config.Train.Steps > 0 {
		r.bar = newBar(a.tty)
		r.draw()
	}
	return r
}

// Steps implements train.Observer.
func (r *report) Steps(steps []train.Step, seconds float64) error {
	if err := r.out.Check(); err != nil { // what is recorded in a folder that is gone is lost
		return err
	}
	first := r.last.Tokens
	now := steps[len(steps)-1]
	r.seconds += seconds
	r.speed = rate(now.Tokens-first, seconds)
	for _, s := range steps {
		if err := r.out.scalars(s.Step, train.Scalar{Tag: "loss/train", Value: s.Loss}, train.Scalar{Tag: "grad_norm", Value: s.GradNorm},
			train.Scalar{Tag: "learning_rate", Value: s.LR}, train.Scalar{Tag: "tokens_per_second", Value: r.speed}); err != nil {
			return err
		}
	}
	if err := r.out.written(r.out.metrics.Steps(steps, r.speed)); err != nil {
		return err
	}
	norms, err := r.run.Norms()
	if err != nil {
		return err
	}
	if err := r.out.logNorms(now.Step, norms, r.run.Config.Model.HeadDim(), r.run.Model.Fault()); err != nil {
		return err
	}
	r.last = now
	every, all := r.run.Config.Train.LogEvery, r.run.Config.Train.Steps
	switch {
	case r.quiet:
	case r.bar != nil:
		r.draw()
	default:
		for _, s := range steps {
			if s.Step == 1 || s.Step%every == 0 || s.Step == all {
				r.line(s)
			}
		}
	}
	return nil
}

// line prints a step where there is no terminal.
func (r *report) line(s train.Step) {
	r.app.out.printf("step %*d/%d  loss %.4f  grad norm %.3f  lr %.3g  %s tokens/s\n", digits(r.run.Config.Train.Steps), s.Step, r.run.Config.Train.Steps, s.Loss, s.GradNorm, s.LR, count(r.speed))
}

func digits(n int) int { return len(strconv.Itoa(n)) }

func rate(tokens int64, seconds float64) float64 {
	if tokens <= 0 || seconds <= 0 {
		return 0
	}
	return float64(tokens) / seconds
}

// Eval implements train.Observer.
func (r *report) Eval(e train.Eval) error {
	if err := r.out.scalars(e.Step, train.Scalar{Tag: "loss/validation", Value: e.Loss}); err != nil {
		return err
	}
	if err := r.out.written(r.out.metrics.Eval(e)); err != nil {
		return err
	}
	r.eval = &e
	if !r.quiet {
		r.above("step %*d/%d  validation loss %.4f nats a token, %.4f bits a byte\n", digits(r.run.Config.Train.Steps), e.Step,
			r.run.Config.Train.Steps, e.Loss, e.BitsPerByte)
	}
	return nil
}

// catchUp does what a killed process may have left undone at the step that the run goes on after: it makes the folder's
// weights those of the checkpoint, and validates where that was due and is not in the metrics.
func (r *report) catchUp(ctx context.Context, restored bool) error {
	if !restored {
		return nil
	}
	if err := r.Save(r.run.Step()); err != nil {
		return err
	}
	if !r.run.EvalDue() || r.eval != nil && r.eval.Step == r.run.Step() {
		return nil
	}
	e, err := r.run.Evaluate(ctx)
	if err != nil {
		return err
	}
	return r.Eval(e)
}

// Save implements train.Observer.
func (r *report) Save(step int) (err error) {
	if err := r.out.Check(); err != nil {
		return err
	}
	if r.run.SaveDue() {
		_, err = r.run.Save(r.out.dir, r.run.Config.Train.KeepCheckpoints)
	} else {
		_, err = r.run.SavePassing(r.out.dir)
	}
	if moved := r.out.Check(); moved != nil { // meanwhile
		return moved
	}
	if r.unsaved = err != nil; r.unsaved {
		return fail(exitOutput, err)
	}
	r.saved = step
	return nil
}

// saveBeside saves the step that a run has reached whose folder is gone, in a new one next to where it was.
func (r *report) saveBeside(why error) error {
	c := r.run.Config
	why = fmt.Errorf("%w: it stopped after step %d of %d", why, r.run.Step(), c.Train.Steps)
	dir, err := r.out.Beside(c)
	if err == nil {
		_, err = r.run.SavePassing(dir)
	}
	if err != nil {
		return failf(exitOutput, "%w, and its checkpoint cannot be written beside it: %w", why, err)
	}
	r.out.beside = dir
	return failf(exitOutput, "%w; its checkpoint is in %s: to go on: %s", why, dir, resumeCommand(dir))
}

// rescue saves the step that a failing run has reached, where that has weights that can be gone on from. It returns what
// is told of the checkpoints with why it fails.
func (r *report) rescue() string {
	step := r.run.Step()
	if step > 0 && r.saved != step && !r.unsaved {
		var bad *train.NonFiniteError
		if err := r.Save(step); err != nil && !errors.As(err, &bad) {
			return fmt.Sprintf("The checkpoint of step %d could not be written: %s", step, oneLine(err))
		}
	}
	if r.saved < 0 {
		return "No checkpoint was written yet; the metrics are in " + r.out.dir
	}
	return fmt.Sprintf("The checkpoint of step %d is in %s", r.saved, r.out.dir)
}

// finish ends a run that ended with err, and turns err into what people are told.
func (r *report) finish(err error) error {
	r.stopBar()
	if !errors.Is(err, rundir.ErrMoved) {
		err = r.end(err)
	}
	if errors.Is(err, rundir.ErrMoved) {
		if moved := r.out.Check(); moved != nil && errors.Is(err, context.Canceled) { // a signal came first: it was obeyed
			err = moved
		}
		return r.saveBeside(err)
	}
	return err
}

// end is finish for a folder that is still there.
func (r *report) end(err error) error {
	var bad *train.NonFiniteError
	var f *failure
	switch {
	case errors.As(err, &f) && f.code == exitOutput && !r.unsaved: // metrics, say: there may be room for weights
		return fmt.Errorf("%w. %s", err, r.rescue())
	case errors.As(err, &f):
		return err
	case errors.As(err, &bad):
		if bad.Origin != nil && !r.quiet {
			r.app.out.printf("\n%s", bad.Origin.Details())
		}
		return fmt.Errorf("%w. %s", bad, r.rescue())
	case err != nil && !errors.Is(err, context.Canceled):
		return err
	}
	if r.saved != r.run.Step() {
		if err := r.Save(r.run.Step()); err != nil {
			return err
		}
	}
	if err != nil {
		return interrupted(r.run.Step(), r.run.Config.Train.Steps, r.out.dir)
	}
	return nil
}

// summary says how the run ended.
func (r *report) summary() {
	p := r.app.out.printf
	if n := r.last.Step - r.first.Step; n > 0 {
		p("\n%s in %s, %s tokens/s\n", plural(n, "step"), clock(r.seconds), count(rate(r.last.Tokens-r.first.Tokens, r.seconds)))
	}
	if r.last.Loss > 0 {
		p("training loss    %.4f nats a token (last step)\n", r.last.Loss)
	}
	if r.eval != nil {
		p("validation loss  %.4f nats a token, %.4f bits a byte (%s tokens held out)\n", r.eval.Loss, r.eval.BitsPerByte, count(r.eval.Tokens))
	}
	p("saved to         %s\n", shown(r.out.dir))
}
