//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"innerloop/model"
	"innerloop/train"
)

// read starts a program and gives what it prints to stop, line by line, until that returns true; then nobody reads it.
func read(t *testing.T, c *exec.Cmd, stop func(line string) bool) *bytes.Buffer {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() }) //nolint:errcheck // it has ended by now, unless the test failed
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatalf("the output ended: %v; standard error: %s", lines.Err(), &stderr)
		}
		if stop(lines.Text()) {
			break
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return &stderr
}

// isStep is a line of a step.
func isStep(line string) bool { return strings.HasPrefix(line, "step ") }

// A reader of the output that goes away ends the printing alone: the run makes its steps, and a signal that comes with it
// saves as any other.
func TestReaderGone(t *testing.T) {
	for name, c := range map[string]struct {
		steps string
		sig   os.Signal
		code  int
	}{
		"train | head":              {"400", nil, exitOK},
		"Ctrl-C on train | tee":     {"1000000", os.Interrupt, exitInterrupted},
		"the terminal is gone, too": {"1000000", syscall.SIGHUP, exitInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			args := append(leastArgs(dir, 0), "--steps", c.steps, "--quiet=false", "--set", "train.save_every=0", "--set", "train.log_every=1")
			p := exec.Command("innerloop", args...)
			stderr := read(t, p, isStep)
			if c.sig != nil {
				if err := p.Process.Signal(c.sig); err != nil {
					t.Fatal(err)
				}
			}
			p.Wait() //nolint:errcheck // the code tells
			if got := p.ProcessState.ExitCode(); got != c.code {
				t.Fatalf("exit code %d, want %d; standard error: %s", got, c.code, stderr)
			}
			const note = "innerloop: nobody reads standard output any more (broken pipe): nothing more is printed, and training is not affected\n"
			if c.code == exitOK && stderr.String() != note {
				t.Errorf("standard error %q, want %q", stderr, note)
			}
			nothingLost(t, dir)
			e, err := train.ReadEnding(dir)
			if err != nil || e.Code != c.code || c.code == exitOK && e.Step != 400 {
				t.Errorf("%s: %+v, %v", train.ExitFile, e, err)
			}
		})
	}
}

// nothingLost checks that a run's newest checkpoint is of the last step that its metrics have.
func nothingLost(t *testing.T, dir string) {
	t.Helper()
	p, err := train.ReadMetrics(dir, math.MaxInt, nil)
	at, damaged, err2 := train.Latest(dir)
	if err != nil || err2 != nil || len(damaged) > 0 || at.Step != p.Last.Step || at.Step == 0 {
		t.Fatalf("the checkpoint is of step %d, the metrics' last is %d: %v, %v, %v", at.Step, p.Last.Step, err, err2, damaged)
	}
}

// Standard error, too, may lose its reader.
func TestBothReadersGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("innerloop", append(leastArgs(dir, 0), "--steps", "20", "--quiet=false")...)
	c.Stdout, c.Stderr = w, w
	if err := errors.Join(r.Close(), c.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if at, _, err := train.Latest(dir); err != nil || at.Step != 20 {
		t.Errorf("step %d, %v, want 20", at.Step, err)
	}
}

// What a command prints is its work, but for train: without a reader it ends as other programs do, silently and by SIGPIPE.
func TestReaderOfWorkGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if _, errs, code := innerloop(leastArgs(dir, 2)...); code != exitOK {
		t.Fatal(errs)
	}
	c := exec.Command("innerloop", "generate", "--model", dir, "--device", "cpu", "--prompt", "a\nb", "--tokens", "1000000")
	stderr := read(t, c, func(string) bool { return true })
	c.Wait() //nolint:errcheck // the state tells
	if st, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !st.Signaled() || st.Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("%v, standard error %q, want death by SIGPIPE and no word", c.ProcessState, stderr)
	}
}

// An output that fails is a failure, but for one whose reader has gone where the output is not the work.
func TestSink(t *testing.T) {
	for _, c := range []struct {
		err         error
		work, aside bool // fails the command whose work it is, and the other
	}{{syscall.EPIPE, true, false}, {syscall.EIO, true, false}, {syscall.ENOSPC, true, true}} {
		broken := writerFunc(func([]byte) (int, error) { return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: c.err} })
		told := 0
		work, aside := sink{w: broken}, sink{w: broken, gone: func(error) { told++ }}
		for range 2 {
			work.printf("x")
			aside.printf("x")
		}
		if exitCode(work.failure()) != exitOutput || (aside.failure() != nil) != c.aside || (told == 1) == c.aside || told > 1 {
			t.Errorf("%v: %v, %v, told %d times", c.err, work.failure(), aside.failure(), told)
		}
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestEndings ends a run 60 times at random moments and lets it go on. A hang-up, a batch system's signal and a reader that
// goes away lose nothing; after a kill it goes on from a whole checkpoint. In the end it is the run that nobody ended.
func TestEndings(t *testing.T) {
	endings := 60
	if testing.Short() {
		endings = 12
	}
	root := t.TempDir()
	args := func(dir string, more ...string) []string {
		a := append(leastArgs(dir, 1000000), "--quiet=false", "--no-sample")
		for _, s := range []string{"train.save_every=0", "train.save_seconds=0.02", "train.eval_every=0"} {
			a = append(a, "--set", s)
		}
		return append(a, more...)
	}
	dir := filepath.Join(root, "run")
	rng := rand.New(rand.NewPCG(7, 8))
	lost := 0 // steps, by kills
	for n := range endings {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command("innerloop", args(dir, "--resume=auto")...)
		var stderr bytes.Buffer
		c.Stdout, c.Stderr = w, &stderr
		if err := errors.Join(c.Start(), w.Close()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill() }) //nolint:errcheck // it has ended by now, unless the test failed
		for lines, trains := bufio.NewScanner(r), false; !trains && lines.Scan(); {
			trains = isStep(lines.Text())
		}
		go io.Copy(io.Discard, r) //nolint:errcheck // until it is closed
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		sig := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE, syscall.SIGKILL}[n%4]
		if sig == syscall.SIGPIPE { // it trains on, until another signal
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			for before, end := size(dir), time.Now().Add(15*time.Minute); size(dir) == before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("ending %d: without a reader it trains no more: %s", n, &stderr)
				}
			}
			err = c.Process.Signal(syscall.SIGTERM)
		} else {
			err = c.Process.Signal(sig)
		}
		if err != nil {
			t.Fatalf("ending %d: %v: %s", n, err, &stderr)
		}
		c.Wait()  //nolint:errcheck // the code tells
		r.Close() //nolint:errcheck // it may be closed already
		if sig == syscall.SIGKILL {
			word, _, err := endedAs(dir, 1000000)
			at, damaged, err2 := train.Latest(dir)
			if word != "killed" || err != nil || len(damaged) > 0 || err2 != nil {
				t.Fatalf("ending %d: it ended %q, %v, step %d, %v, %v", n, word, err, at.Step, damaged, err2)
			}
			p, err := train.ReadMetrics(dir, math.MaxInt, nil)
			if err != nil {
				t.Fatal(err)
			}
			lost += p.Last.Step - at.Step
			continue
		}
		if code := c.ProcessState.ExitCode(); code != exitInterrupted {
			t.Fatalf("ending %d, %v: %v, want exit code %d: %s", n, sig, c.ProcessState, exitInterrupted, &stderr)
		}
		nothingLost(t, dir)
		if word, e, err := endedAs(dir, 1000000); word != "interrupted" || err != nil || e.Code != exitInterrupted {
			t.Fatalf("ending %d, %v: %q, %+v, %v", n, sig, word, e, err)
		}
	}
	if _, errs, code := innerloop(args(dir, "--resume", "--stop-after", "1")...); code != exitOK {
		t.Fatal(errs)
	}
	at, _, err := train.Latest(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(root, "whole")
	if _, errs, code := innerloop(args(whole, "--stop-after", strconv.Itoa(at.Step), "--set", "train.save_seconds=0")...); code != exitOK {
		t.Fatal(errs)
	}
	for _, f := range []string{model.WeightsFile, "optimizer.safetensors"} {
		name := filepath.Join(train.CheckpointsDir, filepath.Base(at.Dir), f)
		a, err := os.ReadFile(filepath.Join(dir, name))
		b, err2 := os.ReadFile(filepath.Join(whole, name))
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is another than that of the run that nobody ended: %v, %v", name, err, err2)
		}
	}
	t.Logf("%d endings in %d steps; kills lost %d steps", endings, at.Step, lost)
}
