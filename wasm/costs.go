package main

import (
	"encoding/json"
	"math"
	"os"
	"slices"

	"innerloop/prog"
	"innerloop/train"
)

// What a run takes in time is told from steps that were made on this device, in this tab or before; where there were none,
// it is not known.

// work is how much a step has to do. Its time is a sum of parts that grow with one or with the other.
type work struct {
	Flops      float64 `json:"flops"`
	Dispatches float64 `json:"dispatches"`
}

func workOf(st prog.Stats) work { return work{st.Flops, float64(st.Dispatches)} }

// cost is what a run took on a device.
type cost struct {
	work
	Step float64 `json:"step"` // seconds of a step
	Eval float64 `json:"eval"` // seconds of a validated token; 0: there was none
	Rest float64 `json:"rest"` // samples, probes and checkpoints, for each second of steps and validation
}

// costs are those of devices by their names, the newest last.
type costs map[string][]cost

// costsFile is where they are kept.
const costsFile = "device.json"

// mostCosts are remembered of a device.
const mostCosts = 8

// readCosts reads what is kept. What cannot be read is measured anew.
func readCosts(path string) costs {
	c := costs{}
	if b, err := os.ReadFile(path); err != nil || json.Unmarshal(b, &c) != nil {
		return costs{}
	}
	return c
}

// write keeps them. What is not kept is measured anew.
func (c costs) write(path string) {
	if b, err := json.Marshal(c); err == nil && len(c) > 0 {
		_ = os.WriteFile(path, b, 0o644) //nolint:gosec // it is no secret
	}
}

// put remembers what a program took, in the place of what it took before.
func (c costs) put(device string, x cost) {
	list := c[device]
	for i := range list {
		if list[i].work == x.work {
			if x.Eval == 0 {
				x.Eval = list[i].Eval
			}
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	list = append(list, x)
	c[device] = list[max(0, len(list)-mostCosts):]
}

// span is a time in seconds, from the least to the most; zero: not known.
type span struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

const (
	// widest is how far apart a span's ends may be: beyond it says nothing.
	widest = 8
	// slack is how far off a program may be that is not the one that was measured.
	slack = 1.3
)

// expected is what a step with that work takes on a device, and the whole run of c.
func (c costs) expected(device string, w work, conf train.Config) (step, run span) {
	near, low, high := cost{}, 0.0, math.Inf(1)
	for _, x := range slices.Backward(c[device]) {
		a, b := w.Flops/x.Flops, w.Dispatches/x.Dispatches
		l, h := min(a, b), max(a, b)
		if x.work != w {
			l, h = l/slack, h*slack
		}
		// The narrower the better, and of two that are as narrow the newer.
		if h/l < high/max(low, math.SmallestNonzeroFloat64) {
			near, low, high = x, l, h
		}
	}
	if math.IsInf(high, 1) || high/low > widest {
		return span{}, span{}
	}
	step = span{near.Step * low, near.Step * high}
	t := conf.Train
	all := func(s, scale float64) float64 {
		eval := near.Eval * scale
		if eval == 0 {
			eval = evalShare * s / float64(t.BatchSize*t.SeqLen*t.MicroBatches)
		}
		return (float64(t.Steps)*s + float64(evals(t, 0))*held(conf)*eval) * (1 + near.Rest)
	}
	return step, span{all(step.Low, low), all(step.High, high)}
}

// evalShare is what validating a token takes of training with it: there is no backward pass.
const evalShare = 1. / 3

// evals is how many validations a run makes after a step.
func evals(t train.Options, from int) int {
	if from >= t.Steps {
		return 0
	}
	if t.EvalEvery == 0 {
		return 1
	}
	n := t.Steps/t.EvalEvery - from/t.EvalEvery
	if t.Steps%t.EvalEvery != 0 {
		n++
	}
	return n
}

// held is about how many tokens a validation reads.
func held(c train.Config) float64 {
	n := float64(c.Data.StoryBytes)
	if c.Data.File != "" {
		st, err := os.Stat(c.Data.File)
		if err != nil {
			return 0
		}
		n = float64(st.Size())
	}
	return n * c.Data.ValFraction
}

// meter measures the seconds of steps, of which the older ones fade, and of validations.
type meter struct {
	reports        int
	steps, seconds float64
	eval           train.Eval // the last one that was made here
}

// fading is over how many seconds steps fade.
const fading = 10

// add takes a report of steps. The first steps have more to do than others and count only as long as there are no others.
func (m *meter) add(steps int, seconds float64) {
	if m.reports++; m.reports == 2 {
		m.steps, m.seconds = 0, 0
	}
	keep := math.Exp(-seconds / fading)
	m.steps, m.seconds = keep*m.steps+float64(steps), keep*m.seconds+seconds
}

// step is the seconds of one; 0: not known.
func (m *meter) step() float64 {
	if m.steps == 0 {
		return 0
	}
	return m.seconds / m.steps
}

// clock takes the time of steps.
func (o *openRun) clock(steps int, seconds float64) {
	o.speed.add(steps, seconds)
	x := cost{work: workOf(o.run.Program().Stats()), Step: o.speed.step(), Rest: o.rest()}
	if x.Step == 0 {
		return
	}
	if e := o.speed.eval; e.Tokens > 0 {
		x.Eval = e.Seconds / float64(e.Tokens)
	}
	o.s.costs.put(o.s.about.Name, x)
}

// rest is what samples, probes, checkpoints and the like take for each second of steps.
func (o *openRun) rest() float64 {
	return o.sample.Load() + o.inner.Load() + o.collect.Load() + o.norms.pace.Load() + o.run.Saves.Load()
}

// left is the seconds that the run takes from here to its end, all counted; 0: not known.
func (o *openRun) left() float64 {
	t, s := o.run.Config.Train, o.speed.step()
	_, held := o.run.Text()
	n := 0
	if held.Windows(t.SeqLen) > 0 {
		n = evals(t, o.run.Step())
		if o.run.EvalDue() && o.speed.eval.Step != o.run.Step() {
			n++ // it comes next
		}
	}
	tokens, eval := float64(held.Windows(t.SeqLen)*t.SeqLen), evalShare*s/float64(t.BatchSize*t.SeqLen*t.MicroBatches)
	if e := o.speed.eval; e.Seconds > 0 {
		tokens, eval = 1, e.Seconds
	}
	return (float64(t.Steps-o.run.Step())*s + float64(n)*tokens*eval) * (1 + o.rest())
}
