package bench

import (
	"cmp"
	"slices"
	"time"

	"innerloop/prog"
)

// Pipeline sums up what one kernel's pipelines cost before a step is as fast as it will be.
type Pipeline struct {
	Kernel string  `json:"kernel"`
	Count  int     `json:"count"`             // specialisations in the step
	Load   float64 `json:"load_seconds"`      // until Load returns
	First  float64 `json:"first_run_seconds"` // that the first run takes longer than the second: drivers may compile then
}

// phases are the parts of load, in order, and their sum.
var phases = []string{"open", "record", "compile", "fill", "first step", "second step", "to the first step"}

// load is the suite of that name: from opening a device to the first step's end, time and again on fresh devices. The
// first time counts like the others, though the driver may keep what it compiled for the next.
func (s *suite) load(open Opener) error {
	times := make(map[string][]float64, len(phases))
	for start := time.Now(); ; {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.loadOnce(open, times); err != nil {
			return err
		}
		if n := len(times[phases[0]]); time.Since(start).Seconds() >= s.o.Seconds || n == 100 {
			break
		}
	}
	for _, phase := range phases {
		x := Summarise(times[phase])
		s.add(Result{Name: phase, Seconds: x.Median, Best: x.Min, Q1: x.Q1, Q3: x.Q3, Runs: len(times[phase])})
	}
	return s.pipelines(open)
}

// loadOnce times the phases once.
func (s *suite) loadOnce(open Opener, times map[string][]float64) error {
	begin := time.Now()
	ex, err := open()
	if err != nil {
		return err
	}
	defer ex.Close()
	took := []float64{time.Since(begin).Seconds()}
	s.on(ex)
	b, err := newTrainStep(s.o.Config, ex)
	if err != nil {
		return err
	}
	defer b.close()
	took = append(took, b.record, b.load, b.fill)
	var steps [2]float64
	for i := range steps {
		start := time.Now()
		if err := b.runs(1); err != nil {
			return err
		}
		steps[i] = time.Since(start).Seconds()
	}
	took = append(took, steps[0], steps[1], took[0]+took[1]+took[2]+took[3]+steps[0])
	for i, phase := range phases {
		times[phase] = append(times[phase], took[i])
	}
	return nil
}

// pipelines tells by kernel what compiling costs: it loads each specialisation on a fresh device by itself, and then runs
// the step twice, dispatch by dispatch.
func (s *suite) pipelines(open Opener) error {
	ex, err := open()
	if err != nil {
		return err
	}
	defer ex.Close()
	b, err := newTrainStep(s.o.Config, deferred{ex})
	if err != nil {
		return err
	}
	defer b.close()
	p := b.step.Program
	sums := map[string]*Pipeline{}
	type special struct {
		label string
		fresh uint32
	}
	seen := map[special]bool{}
	for i := range p.Steps {
		st := &p.Steps[i]
		key := special{st.Label(), st.Fresh}
		if st.Kernel == nil || seen[key] {
			continue
		}
		seen[key] = true
		x := sums[st.Kernel.Name]
		if x == nil {
			x = &Pipeline{Kernel: st.Kernel.Name}
			sums[st.Kernel.Name] = x
		}
		x.Count++
		if err := s.ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		run, err := ex.Load(single(p, i))
		if err != nil {
			return err
		}
		x.Load += time.Since(start).Seconds()
		run.Close() // the device keeps the pipeline
	}
	run, err := ex.Load(p)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := b.upload(); err != nil {
		return err
	}
	for round := range 2 {
		for i := range p.Steps {
			start := time.Now()
			if err := run.RunSteps(i, 1); err != nil {
				return err
			}
			if err := ex.Sync(); err != nil {
				return err
			}
			if x := sums[kernelName(&p.Steps[i])]; x != nil {
				x.First += float64(1-2*round) * time.Since(start).Seconds()
			}
		}
	}
	for _, x := range sums {
		x.First = max(0, x.First)
		s.r.Pipelines = append(s.r.Pipelines, *x)
	}
	slices.SortFunc(s.r.Pipelines, func(a, b Pipeline) int {
		return cmp.Or(cmp.Compare(b.Load+b.First, a.Load+a.First), cmp.Compare(a.Kernel, b.Kernel))
	})
	return nil
}

// single is the i-th step of p by itself, with as little memory as that needs.
func single(p *prog.Program, i int) *prog.Program {
	one := &prog.Program{Name: p.Name, Steps: p.Steps[i : i+1], Slots: make([]int, len(p.Slots)), Arenas: p.Arenas}
	for _, t := range p.Steps[i].Tensors {
		if t.Arena() == nil {
			one.Slots[t.Slot()] = p.Slots[t.Slot()]
		}
	}
	return one
}

// deferred is an executor that loads nothing yet.
type deferred struct{ prog.Executor }

// Load implements prog.Executor.
func (deferred) Load(*prog.Program) (prog.Runner, error) { return idle{}, nil }

// idle is the program that was not loaded.
type idle struct{ prog.Runner }

// Close implements prog.Runner.
func (idle) Close() {}
