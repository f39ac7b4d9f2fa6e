//go:build !js

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"innerloop/prog"
	"innerloop/train"
)

// What was measured, and settings, give a time; the page's words for it are ui/test/estimates.test.js's part.
func TestExpected(t *testing.T) {
	b, err := os.ReadFile("testdata/estimates.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name      string
		Costs     []cost
		Work      work
		Set       map[string]any
		Step, Run span
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	near := func(a, b span) bool {
		return math.Abs(a.Low-b.Low) <= 1e-5*b.Low && math.Abs(a.High-b.High) <= 1e-5*b.High
	}
	for _, c := range cases {
		conf, err := config(c.Set)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		all := costs{"another": {{work: c.Work, Step: 1000}}}
		for _, x := range c.Costs {
			all.put("this", x)
		}
		if step, run := all.expected("this", c.Work, conf); !near(step, c.Step) || !near(run, c.Run) {
			t.Errorf("%s: a step %v, the run %v, want %v and %v", c.Name, step, run, c.Step, c.Run)
		}
	}
}

// Costs outlive the tab; the newest of a program counts, few are kept, and what is damaged is no error.
func TestCostsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), costsFile)
	c := costs{}
	for i := range 20 {
		c.put("gpu", cost{work: work{float64(i % 10), 1}, Step: float64(i)})
	}
	c.put("gpu", cost{work: work{9, 1}, Step: 0.5, Eval: 0.25})
	c.put("gpu", cost{work: work{9, 1}, Step: 0.75})
	c.write(file)
	got := readCosts(file)["gpu"]
	if len(got) != mostCosts || got[len(got)-1] != (cost{work: work{9, 1}, Step: 0.75, Eval: 0.25}) || got[0].Flops != 2 {
		t.Errorf("kept: %+v", got)
	}
	for _, text := range []string{"", "{", `{"device":"x","flops":1e9,"efficiency":0.3}`, `{"gpu":3}`} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := readCosts(file); len(got) != 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// A run of a given length validates so often.
func TestEvals(t *testing.T) {
	for _, c := range []struct{ steps, every, from, want int }{
		{100, 0, 0, 1}, {100, 0, 99, 1}, {100, 0, 100, 0}, {100, 50, 0, 2}, {100, 50, 50, 1}, {100, 30, 0, 4}, {100, 30, 90, 1}, {100, 30, 29, 4},
	} {
		o := train.Options{Steps: c.steps, EvalEvery: c.every}
		if got := evals(o, c.from); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// slowly is a device whose programs take a time of their own, whatever else the machine does.
type slowly struct{ prog.Executor }

func (slowly) Bytes() int64 { return 0 }
func (slowly) Cancel()      {}

// Load implements prog.Executor.
func (d slowly) Load(p *prog.Program) (prog.Runner, error) {
	r, err := d.Executor.Load(p)
	return slowRunner{r, time.Duration(p.Stats().Flops / 1e5 * float64(time.Millisecond))}, err
}

type slowRunner struct {
	prog.Runner
	takes time.Duration
}

// Run implements prog.Runner.
func (r slowRunner) Run() error {
	time.Sleep(r.takes)
	return r.Runner.Run()
}

// What the page is told after ten steps about the time that is left is what it then takes, within a factor of two, where
// validation takes several times what the steps do; and the next run of the kind is told it before its first step.
func TestTimeLeft(t *testing.T) {
	open := func() (Device, error) { return slowly{prog.NewCPU[float32](1)}, nil }
	c := tiny(map[string]any{"train.steps": 60, "train.eval_every": 5, "train.log_every": 5, "data.val_fraction": 0.1})
	within := func(a, b float64) bool { return a > 0 && b > 0 && max(a/b, b/a) <= 2 }
	// A machine that is busy for a part of the run only makes another try.
	for try := 1; ; try++ {
		x := newTab(t, t.TempDir(), open)
		if d := x.ask("describe", map[string]any{"config": c}); d["step"].(map[string]any)["high"] != 0.0 || d["run"].(map[string]any)["high"] != 0.0 {
			t.Fatalf("before any step: a step takes %v, the run %v", d["step"], d["run"])
		}
		from := x.count()
		begin := time.Now()
		x.ask("start", start(c, false))
		var left float64
		m := x.awaitFrom(from, "ten steps", func(m posted) bool {
			if m.Event != "steps" {
				return false
			}
			rows := m.Data["rows"].([]any)
			return rows[len(rows)-1].(map[string]any)["step"].(float64) >= 10
		})
		at := time.Now()
		left = m.Data["left"].(float64)
		x.state(from, stateFinished)
		took, whole := time.Since(at).Seconds(), time.Since(begin).Seconds()
		d := x.ask("describe", map[string]any{"config": c})
		run := d["run"].(map[string]any)
		next := (run["low"].(float64) + run["high"].(float64)) / 2
		if within(left, took) && within(next, whole) {
			return
		}
		if try == 3 {
			t.Fatalf("after 10 steps %.2f s were said to be left, and it took %.2f; the next run is said to take %.2f s, and this one took %.2f", left, took, next, whole)
		}
	}
}
