//go:build !js

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"innerloop/gpu"
	"innerloop/prog"
)

// software is an adapter that is a processor.
type software struct{ prog.Executor }

func (software) Bytes() int64 { return 0 }
func (software) Cancel()      {}
func (s software) Info() prog.Info {
	i := s.Executor.Info()
	i.Name, i.Backend, i.Traits.Software = "SwiftShader Device", "webgpu", true
	return i
}

// An adapter that is software is never what auto takes, nor what stands in for one that was lost; who asks for it gets it.
func TestSoftwareAdapter(t *testing.T) {
	x := newTab(t, t.TempDir(), func() (Device, error) { return software{prog.NewCPU[float32](0)}, nil })
	for _, c := range []struct{ ask, backend, problem string }{{"auto", "go", "software"}, {"gpu", "webgpu", ""}, {"cpu", "go", "chosen"}, {"auto", "go", "software"}} {
		d := x.ask("hello", map[string]any{"device": c.ask})["device"].(map[string]any)
		if d["backend"] != c.backend || d["problem"] != c.problem || d["asked"] != c.ask {
			t.Errorf("%s: %v, want %s (%q)", c.ask, d, c.backend, c.problem)
		}
		if c.problem == "software" && !strings.Contains(d["message"].(string), "SwiftShader Device") {
			t.Errorf("which adapter was passed over is not told: %v", d["message"])
		}
	}
}

// changes are what the page is told of a run's, as "step key from to".
func changesOf(run map[string]any) (list []string) {
	for _, c := range run["changes"].([]any) {
		c := c.(map[string]any)
		list = append(list, fmt.Sprint(c["step"], " ", c["key"], " ", c["from"], " ", c["to"]))
	}
	return list
}

// What is changed while a run is open is kept with it: when, and from what to what. It outlives the tab, and a run that goes
// back to a checkpoint has it from there.
func TestChanges(t *testing.T) {
	root := t.TempDir()
	x := newTab(t, root, nil)
	id := idOf(x.ask("start", start(tiny(nil), true)))
	set := func(key string, value any) { x.ask("set", map[string]any{"key": key, "value": value}) }
	mine := func() []string { return changesOf(x.ask("runs", none)["runs"].([]any)[0].(map[string]any)) }
	x.step()
	x.step()
	set("train.lr", 0.01)
	set("train.lr", 0.02) // a slider
	set("train.clip", 3)
	set("train.clip", 1) // and back
	set("sample.temperature", 0.5)
	set("train.eval_every", 7) // neither has a part in what is learned
	x.step()
	set("train.steps", 40)
	want := []string{"2 train.lr 0.003 0.02", "3 train.steps 30 40"}
	if got := mine(); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	y := newTab(t, root, nil)
	r := y.ask("open", map[string]any{"run": id, "paused": true, "text": "", "otherText": false})["run"].(map[string]any)
	if got := changesOf(r); !slices.Equal(got, want) || r["config"].(map[string]any)["train.lr"] != 0.02 {
		t.Errorf("after a refresh: changes %v, want %v; lr %v", got, want, r["config"].(map[string]any)["train.lr"])
	}
	if got := back([]change{{2, "train.lr", 0.003, 0.02}, {9, "train.lr", 0.02, 0.03}, {9, "train.steps", 30.0, 40}}, 5); !slices.Equal(got, []change{{2, "train.lr", 0.003, 0.02}, {5, "train.lr", 0.02, 0.03}, {5, "train.steps", 30.0, 40}}) {
		t.Errorf("back at step 5: %v", got)
	}
}

// A run that has made all its steps is finished, whatever they are changed to and back.
func TestFinishedStays(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	from := x.count()
	x.ask("start", start(tiny(nil), false))
	x.state(from, stateFinished)
	from = x.count()
	x.ask("set", map[string]any{"key": "train.steps", "value": 50})
	x.state(from, statePaused)
	from = x.count()
	x.ask("set", map[string]any{"key": "train.steps", "value": 30})
	x.state(from, stateFinished)
}

// What a run showed is there again after the tab was closed: its samples, and how far it had come, of which what was not
// saved is said to be made again.
func TestShownAgain(t *testing.T) {
	root := t.TempDir()
	x := newTab(t, root, nil)
	id := idOf(x.ask("start", start(tiny(map[string]any{"train.steps": 100000, "train.log_every": 1}), false)))
	first := x.await("sample", func(m posted) bool { return m.Event == "sample" })
	x.ask("save", none) // the tab is hidden
	at := x.await("saved", func(m posted) bool { return m.Event == "saved" }).Data["step"].(float64)
	from := x.count()
	x.awaitFrom(from, "steps", func(m posted) bool { return m.Event == "steps" })
	quiet := make(chan struct{})
	x.mu.Lock()
	x.hold = func() { x.s.open.run.Saves.Every = 0; close(quiet) } // it saves no more
	x.mu.Unlock()
	x.ask("describe", map[string]any{"config": tiny(nil)}) // between two of its steps
	<-quiet
	for range 20 {
		from := x.count()
		x.awaitFrom(from, "steps", func(m posted) bool { return m.Event == "steps" })
	}

	// The tab dies: here it only stands still.
	block := make(chan struct{})
	held := make(chan struct{})
	x.mu.Lock()
	x.hold = func() { close(held); <-block }
	x.mu.Unlock()
	defer close(block)
	<-held
	y := newTab(t, root, nil)
	r := y.ask("open", map[string]any{"run": id, "paused": true, "text": "", "otherText": false})["run"].(map[string]any)
	step, reached := r["step"].(float64), r["reached"].(float64)
	if step < at || reached < step+15 {
		t.Errorf("opened at step %v, reached %v; saved at %v and twenty more were told", step, reached, at)
	}
	again := y.await("sample", func(m posted) bool { return m.Event == "sample" })
	if again.Data["run"] != id || again.Data["text"] != first.Data["text"] || again.Data["step"] != first.Data["step"] {
		t.Errorf("the first sample was %v, and is %v", first.Data, again.Data)
	}
}

// gated is a device that holds a program's pieces back until the test lets them go.
type gated struct {
	prog.Executor
	piece chan struct{} // a piece waits; nil: none does any more
	let   chan struct{}
	mu    sync.Mutex
	made  int
}

func (*gated) Bytes() int64 { return 0 }
func (*gated) Cancel()      {}

func (g *gated) Load(p *prog.Program) (prog.Runner, error) {
	r, err := g.Executor.Load(p)
	return gatedRunner{r, g}, err
}

type gatedRunner struct {
	prog.Runner
	g *gated
}

func (r gatedRunner) RunSteps(first, count int) error {
	g := r.g
	g.mu.Lock()
	g.made++
	wait := g.piece
	g.mu.Unlock()
	if wait != nil {
		wait <- struct{}{}
		<-g.let
	}
	return r.Runner.RunSteps(first, count)
}

// A press of Pause ends a long step in its middle, and the run goes on as if nothing had been.
func TestPauseInStep(t *testing.T) {
	whole := newTab(t, t.TempDir(), nil)
	from := whole.count()
	id := idOf(whole.ask("start", start(tiny(nil), false)))
	whole.state(from, stateFinished)
	want := whole.losses(id)

	g := &gated{Executor: prog.NewCPU[float32](0), piece: make(chan struct{}), let: make(chan struct{})}
	x := newTab(t, t.TempDir(), func() (Device, error) { return g, nil })
	from = x.count()
	id = idOf(x.ask("start", start(tiny(nil), false)))
	for range 3 {
		<-g.piece
		if g.made == 3 {
			x.post("runs", none) // what does not end a run does not end its step
		}
		g.let <- struct{}{}
	}
	<-g.piece
	x.post("pause", none)
	g.let <- struct{}{}
	if r := x.state(from, statePaused).Data["run"].(map[string]any); r["step"] != 0.0 {
		t.Errorf("paused at step %v, in the middle of the first", r["step"])
	}
	if g.made != 4 {
		t.Errorf("%d pieces of the step were made, want the one that was under way to be the last", g.made)
	}
	g.mu.Lock()
	g.piece = nil
	g.mu.Unlock()
	from = x.count()
	x.ask("resume", none)
	x.state(from, stateFinished)
	if got := x.losses(id); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
}

// compiling is a device whose compilers end when they are told to.
type compiling struct {
	prog.Executor
	p     *page
	stop  chan struct{}
	loads int
}

func (*compiling) Bytes() int64 { return 0 }
func (c *compiling) Cancel()    { close(c.stop) }

func (c *compiling) Load(p *prog.Program) (prog.Runner, error) {
	if c.loads++; c.loads > 1 && c.stop != nil { // the first one calibrates
		c.p.done(7, 80)
		<-c.stop
		c.stop = nil
		return nil, fmt.Errorf("gpu: %w", gpu.ErrCancelled)
	}
	return c.Executor.Load(p)
}

// What a run waits for while it is made ready is told, and the person need not wait for it: nothing is kept of a new run
// then, a kept one stays as it was, and the next start is not cancelled too.
func TestPreparing(t *testing.T) {
	c := &compiling{Executor: prog.NewCPU[float32](0), stop: make(chan struct{})}
	x := newTab(t, t.TempDir(), func() (Device, error) { return c, nil })
	c.p = x.page
	from := x.count()
	id := x.post("start", start(tiny(nil), false))
	x.awaitFrom(from, "kernels", func(m posted) bool {
		return m.Event == "preparing" && m.Data["what"] == "kernels" && m.Data["done"] == 7.0 && m.Data["total"] == 80.0
	})
	x.post("cancel", none)
	if a := x.await("answer", func(m posted) bool { return m.ID == id }); a.Error == nil || a.Error.Code != codeCancelled {
		t.Errorf("start: %+v, want it to be cancelled", a.Error)
	}
	x.state(from, stateIdle)
	if r := x.ask("runs", none)["runs"].([]any); len(r) != 0 {
		t.Errorf("runs are kept of what was given up: %v", r)
	}

	from = x.count()
	run := idOf(x.ask("start", start(tiny(nil), true)))
	stages := map[string]bool{}
	for _, m := range x.all[from:] {
		if m.Event == "preparing" {
			stages[m.Data["what"].(string)] = true
		}
	}
	if got := slices.Sorted(maps.Keys(stages)); !slices.Equal(got, []string{"kernels", "programs", "text", "weights"}) {
		t.Errorf("told of %v", got)
	}
	x.step()
	x.ask("stop", none)
	c.stop, c.loads = make(chan struct{}), 1
	from = x.count()
	id = x.post("open", map[string]any{"run": run, "paused": true, "text": "", "otherText": false})
	x.awaitFrom(from, "kernels", func(m posted) bool { return m.Event == "preparing" && m.Data["done"] == 7.0 })
	x.post("cancel", none)
	if a := x.await("answer", func(m posted) bool { return m.ID == id }); a.Error == nil || a.Error.Code != codeCancelled {
		t.Errorf("open: %+v, want it to be cancelled", a.Error)
	}
	if r := x.ask("open", map[string]any{"run": run, "paused": true, "text": "", "otherText": false})["run"].(map[string]any); r["step"] != 1.0 {
		t.Errorf("opened at step %v, want 1", r["step"])
	}
}
