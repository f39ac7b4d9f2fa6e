//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"innerloop/internal/check"
	"innerloop/model"
	"innerloop/train"
)

// A test under nohup sends signals that its programs hear all the same. The program that the tests run is this binary under
// another name, and takes signals as it finds them.
func init() {
	if filepath.Base(os.Args[0]) != "innerloop" {
		check.HearSignals()
	}
}

// start runs innerloop train on a small model, on and on, and returns once its metrics have size bytes.
func start(t *testing.T, dir string, size int64, sets ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	return startIn(t, nil, dir, size, sets...)
}

// startIn is start with a command before it that becomes it.
func startIn(t *testing.T, in []string, dir string, size int64, sets ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	args := append(slices.Clone(in), "innerloop", "train", "--device", "cpu", "--steps", "1000000", "--quiet", "--out", dir)
	for _, s := range append([]string{"model.hidden_size=32", "model.num_hidden_layers=1", "train.batch_size=2", "train.seq_len=32", "data.story_bytes=40000"}, sets...) {
		args = append(args, "--set", s)
	}
	c := exec.Command(args[0], args[1:]...) // testscript.Main put it on the PATH
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() }) //nolint:errcheck // it has ended by now, unless the test failed
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if st, err := os.Stat(filepath.Join(dir, metricsFile)); err == nil && st.Size() >= size {
			return c, &stderr
		}
		if time.Now().After(end) {
			t.Fatalf("no metrics came; standard error: %s", &stderr)
		}
	}
}

// TestInterrupt sends the signals of terminals and of batch systems: a checkpoint, whole metrics, a code.
func TestInterrupt(t *testing.T) {
	t.Setenv("SLURM_JOB_ID", "4711")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGXCPU, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			c, stderr := start(t, dir, 1)
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var e *exec.ExitError
			if err := c.Wait(); !errors.As(err, &e) || e.ExitCode() != exitInterrupted {
				t.Fatalf("%v, want exit code %d; standard error: %s", err, exitInterrupted, stderr)
			}
			if s := stderr.String(); !strings.HasPrefix(s, "innerloop: interrupted after step ") || !strings.HasSuffix(s, " of 1000000: to go on: innerloop train --resume "+dir+"\n") {
				t.Errorf("standard error %q", s)
			}
			if b, err := os.ReadFile(filepath.Join(dir, metricsFile)); err != nil || !bytes.HasSuffix(b, []byte("}\n")) {
				t.Errorf("metrics: %v, %d bytes, want whole lines", err, len(b))
			}
			e1, err := train.ReadEnding(dir)
			at, _, err2 := train.Latest(dir)
			host, _ := os.Hostname()
			if err != nil || err2 != nil || e1.Code != exitInterrupted || "innerloop: "+e1.Error+"\n" != stderr.String() || e1.Step != at.Step || e1.Step == 0 ||
				e1.Host != host || e1.Job != "4711" || e1.Started.IsZero() || e1.Ended.Before(e1.Started) {
				t.Errorf("%s: %+v, %v, %v", train.ExitFile, e1, err, err2)
			}
			out, errs, code := innerloop("eval", "--model", dir, "--device", "cpu")
			if code != exitOK || !strings.Contains(out, "nats a token") {
				t.Errorf("eval of the checkpoint: exit code %d, %s", code, errs)
			}
		})
	}
}

// TestRepeatedSignals sends signals in the middle of a long step. All wait for it, however often they come, and save; only
// a second SIGINT does not, and kills.
func TestRepeatedSignals(t *testing.T) {
	for _, c := range []struct {
		name    string
		signals []syscall.Signal
		kills   bool
	}{
		{"twice each", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGHUP, syscall.SIGXCPU, syscall.SIGQUIT, syscall.SIGQUIT, syscall.SIGINT}, false},
		{"SIGINT", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, true},
		{"SIGTERM first", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGINT}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for try := range 5 { // on a fast machine the step may have ended in between
				dir := filepath.Join(t.TempDir(), "run")
				p, stderr := start(t, dir, 0, "model.hidden_size=64", "train.seq_len=2048", fmt.Sprintf("train.batch_size=%d", 8<<try))
				all := true
				for _, s := range c.signals {
					time.Sleep(30 * time.Millisecond)
					all = p.Process.Signal(s) == nil && all
				}
				err := p.Wait()
				st, ok := p.ProcessState.Sys().(syscall.WaitStatus)
				_, saved := os.Stat(filepath.Join(dir, model.WeightsFile))
				_, told := os.Stat(filepath.Join(dir, train.ExitFile))
				switch {
				case !ok:
					t.Fatal(err)
				case st.Signaled() && st.Signal() == syscall.SIGINT && c.kills:
					if saved == nil || told == nil {
						t.Error("killed, but it wrote a checkpoint, or how it ended")
					}
					if word, _, err := endedAs(dir, 1000000); word != "killed" || err != nil {
						t.Errorf("it ended %q, %v, want killed", word, err)
					}
					return
				case st.Exited() && st.ExitStatus() == exitInterrupted && !c.kills:
					if saved != nil || told != nil {
						t.Errorf("no checkpoint (%v), or not how it ended (%v)", saved, told)
					}
					if all {
						return
					}
				case !st.Exited() || st.ExitStatus() != exitInterrupted:
					t.Fatalf("%v; standard error: %s", err, stderr)
				}
			}
			t.Error("no step took as long as the signals")
		})
	}
}

// What the parent set to be ignored stays ignored: nohup's SIGHUP, and the SIGINT of what a shell has in the background.
func TestIgnoredSignals(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			c, stderr := startIn(t, []string{"sh", "-c", "trap '' " + name + `; exec "$@"`, "sh"}, dir, 1)
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			for before, end := size(dir), time.Now().Add(15*time.Minute); size(dir) == before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("it trains no more")
				}
			}
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			var e *exec.ExitError
			if err := c.Wait(); !errors.As(err, &e) || e.ExitCode() != exitInterrupted {
				t.Errorf("%v, want exit code %d; standard error: %s", err, exitInterrupted, stderr)
			}
		})
	}
}

// A signal that comes before there is anything to save ends the program with the same code.
func TestSignalBefore(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "text") // who reads it waits
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		sig  syscall.Signal
		want string
	}{
		{[]string{"train", "--device", "cpu", "--config", fifo, "--out", filepath.Join(t.TempDir(), "run")}, syscall.SIGTERM, "innerloop: interrupted before training began\n"},
		{[]string{"train", "--device", "cpu", "--config", fifo, "--out", filepath.Join(t.TempDir(), "run")}, syscall.SIGQUIT, "innerloop: interrupted before training began\n"},
		{[]string{"logs", "compare", fifo, fifo}, syscall.SIGQUIT, "innerloop: interrupted\n"},
	} {
		var stderr bytes.Buffer
		p := exec.Command("innerloop", c.args...)
		p.Stderr = &stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		// It opens its end of the pipe once it has begun.
		w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err == nil {
			err = p.Process.Signal(c.sig)
		}
		if err != nil {
			t.Fatal(err)
		}
		var e *exec.ExitError
		if err := p.Wait(); !errors.As(err, &e) || e.ExitCode() != exitInterrupted || stderr.String() != c.want {
			t.Errorf("%v, %v: %v, %q, want exit code %d, %q", c.args[0], c.sig, err, &stderr, exitInterrupted, c.want)
		}
		w.Close() //nolint:errcheck // nobody reads it any more
	}
}

// TestInterruptBench ends a measurement, and one of two builds in turns with its child.
func TestInterruptBench(t *testing.T) {
	for name, args := range map[string][]string{
		"step":   {"bench", "step", "--device", "cpu", "--seconds", "3600", "--copy-mib", "1"},
		"builds": {"bench", "compare", "--device", "cpu", "--seconds", "3600", "--build", "innerloop", "--build", "innerloop"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			var err error
			for wait := 500 * time.Millisecond; ; wait *= 4 { // before the program takes signals, they kill it
				c := exec.Command("innerloop", append(args, "--set", "model.hidden_size=32", "--set", "train.seq_len=32")...)
				c.Stdout, c.Stderr = &stdout, &stderr
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(wait)
				if err := c.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				err = c.Wait()
				if st, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !st.Signaled() || wait > 10*time.Minute {
					break
				}
			}
			var e *exec.ExitError
			if !errors.As(err, &e) || e.ExitCode() != exitInterrupted {
				t.Errorf("%v, want exit code %d", err, exitInterrupted)
			}
			if stderr.String() != "innerloop: bench: interrupted\n" || stdout.Len() > 0 {
				t.Errorf("standard error %q, output %q", &stderr, &stdout)
			}
		})
	}
}
