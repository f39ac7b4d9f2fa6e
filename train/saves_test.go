package train

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"innerloop/model"
	"innerloop/prog"
)

// watched is a run whose clock its steps and its checkpoints move.
type watched struct {
	t          *testing.T
	r          *Run
	dir        string
	now        time.Time
	step, save time.Duration // what they take
	saved      time.Time     // when the last checkpoint was
	longest    time.Duration // between two of them
	timed      time.Duration // that those made by time took
	said       []string
}

// slow is a step that takes its time by the clock.
type slow struct {
	prog.Runner
	w *watched
}

func (s slow) Run() error {
	s.w.now = s.w.now.Add(s.w.step)
	s.w.longest = max(s.w.longest, s.w.now.Sub(s.w.saved))
	return s.Runner.Run()
}

func (*watched) Steps([]Step, float64) error { return nil }
func (*watched) Eval(Eval) error             { return nil }

func (w *watched) Save(step int) (err error) {
	what := ""
	if w.now = w.now.Add(w.save); w.r.SaveDue() {
		_, err = w.r.Save(w.dir, w.r.Config.Train.KeepCheckpoints)
	} else {
		what, w.timed = "~", w.timed+w.save
		_, err = w.r.SavePassing(w.dir)
	}
	w.saved = w.now
	w.said = append(w.said, fmt.Sprintf("%s%d: %s", what, step, strings.ReplaceAll(names(w.t, filepath.Join(w.dir, CheckpointsDir)), "step-000000", "")))
	return err
}

// watch trains c to its end, a step each 10 s.
func watch(t *testing.T, c Config, save time.Duration) *watched {
	t.Helper()
	ex := prog.NewCPU[float32](1)
	t.Cleanup(ex.Close)
	w := &watched{t: t, r: on(t, c, ex), dir: t.TempDir(), now: time.Unix(1e9, 0), step: 10 * time.Second, save: save}
	t.Cleanup(w.r.Close)
	w.saved = w.now
	w.r.trainR = slow{w.r.trainR, w}
	w.r.Saves.Now = func() time.Time { return w.now }
	if err := w.r.Train(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

// A run saves by time beside what save_every asks for. Such a checkpoint goes with the next one, and pushes out none that
// is kept; the weights are the same bits as without.
func TestSaveSeconds(t *testing.T) {
	c := least("linear", true)
	c.Train.SaveEvery, c.Train.KeepCheckpoints = 25, 2
	c.Train.SaveSeconds = 0
	plain := watch(t, c, 0)
	if got, want := strings.Join(plain.said, "; "), "25: 25; 50: 25 50; 60: 50 60"; got != want {
		t.Errorf("without: %s, want %s", got, want)
	}
	c.Train.SaveSeconds = Default().Train.SaveSeconds
	timed := watch(t, c, 0)
	// 120 s are 12 steps; a checkpoint of either kind begins them anew.
	if got, want := strings.Join(timed.said, "; "), "~12: 12; ~24: 24; 25: 25; ~37: 25 37; ~49: 25 49; 50: 25 50; 60: 50 60"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, f := range []string{model.WeightsFile, optimizerFile} {
		last := filepath.Join(CheckpointsDir, "step-00000060", f)
		if sum(t, filepath.Join(plain.dir, last)) != sum(t, filepath.Join(timed.dir, last)) {
			t.Errorf("%s is another with checkpoints made by time", f)
		}
	}
	// All that a process that is killed loses are save_seconds and a step.
	c.Train.SaveEvery, c.Train.Steps, c.Train.SaveSeconds = 0, 200, 77
	if w := watch(t, c, time.Second); w.longest > 77*time.Second+w.step {
		t.Errorf("%v without a checkpoint, want at most 77 s and a step", w.longest)
	}
}

// Checkpoints that take long are made so seldom that they take 5 % of the time at most.
func TestSaveSecondsCost(t *testing.T) {
	c := least("linear", false)
	c.Train.Steps = 300
	w := watch(t, c, 30*time.Second)
	if n := len(w.said); n < 4 {
		t.Errorf("%d checkpoints in %v: %v", n, w.now.Sub(time.Unix(1e9, 0)), w.said)
	}
	if all := w.now.Sub(time.Unix(1e9, 0)); w.timed.Seconds() > 0.05*all.Seconds() {
		t.Errorf("%v of %v went into checkpoints made by time, want at most 5 %%", w.timed, all)
	}
}

// A passing checkpoint that is asked for in the end stays, as one that was asked for from the start.
func TestPassing(t *testing.T) {
	c := least("linear", false)
	c.Train.KeepCheckpoints = 2
	r, _ := begin(t, c)
	dir := t.TempDir()
	to := func(step int, save func() error, want string) {
		t.Helper()
		if bad, err := steps(r, step-r.Step()); bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		if err := save(); err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Join(dir, CheckpointsDir)); got != want {
			t.Errorf("after step %d: %s, want %s", step, got, want)
		}
		if last, damaged, err := Latest(dir); err != nil || len(damaged) > 0 || last.Step != step {
			t.Errorf("after step %d the newest is %+v, %v, %v", step, last, damaged, err)
		}
	}
	passing := func() error { _, err := r.SavePassing(dir); return err }
	asked := func() error { _, err := r.Save(dir, 2); return err }
	to(1, asked, "step-00000001")
	to(2, passing, "step-00000001 step-00000002")
	to(2, passing, "step-00000001 step-00000002")
	to(2, asked, "step-00000001 step-00000002")
	to(3, passing, "step-00000001 step-00000002 step-00000003")
	to(4, passing, "step-00000001 step-00000002 step-00000004")
	to(5, asked, "step-00000002 step-00000005")
	to(5, passing, "step-00000002 step-00000005")
	to(6, asked, "step-00000005 step-00000006")
}
