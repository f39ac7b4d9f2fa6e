//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"innerloop/model"
)

// start runs innerloop train on a small model, on and on, and returns once its metrics have size bytes.
func start(t *testing.T, dir string, size int64, sets ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	args := []string{"train", "--device", "cpu", "--steps", "1000000", "--quiet", "--out", dir}
	for _, s := range append([]string{"model.hidden_size=32", "model.num_hidden_layers=1", "train.batch_size=2", "train.seq_len=32", "data.story_bytes=40000"}, sets...) {
		args = append(args, "--set", s)
	}
	c := exec.Command("innerloop", args...) // testscript.Main put it on the PATH
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

// TestInterrupt sends the signals of a terminal and of a batch scheduler: a checkpoint, whole metrics, a code.
func TestInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
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
			out, errs, code := innerloop("eval", "--model", dir, "--device", "cpu")
			if code != exitOK || !strings.Contains(out, "nats a token") {
				t.Errorf("eval of the checkpoint: exit code %d, %s", code, errs)
			}
		})
	}
}

// TestSecondSignal ends a run in the middle of a long step: the first signal waits for it, the second kills.
func TestSecondSignal(t *testing.T) {
	var err error
	var stderr *bytes.Buffer
	for try := range 5 { // on a fast machine the step may have ended in between
		dir := filepath.Join(t.TempDir(), "run")
		var c *exec.Cmd
		c, stderr = start(t, dir, 0, "model.hidden_size=64", "train.seq_len=2048", fmt.Sprintf("train.batch_size=%d", 8<<try))
		for range 2 {
			time.Sleep(100 * time.Millisecond)
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				break
			}
		}
		err = c.Wait()
		var e *exec.ExitError
		if errors.As(err, &e) {
			if st, ok := e.Sys().(syscall.WaitStatus); ok && st.Signaled() && st.Signal() == syscall.SIGTERM {
				if _, err := os.Stat(filepath.Join(dir, model.WeightsFile)); err == nil {
					t.Error("killed, but it wrote a checkpoint")
				}
				return
			}
		}
	}
	t.Errorf("%v, want death by SIGTERM; standard error: %s", err, stderr)
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
				if st, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !st.Signaled() || wait > 10*time.Second {
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
