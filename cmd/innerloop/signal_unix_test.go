//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start runs innerloop train on a small model, on and on, and returns once it has made steps.
func start(t *testing.T, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	args = append([]string{"train", "--device", "cpu", "--steps", "1000000", "--quiet", "--out", dir, "--set", "model.hidden_size=32",
		"--set", "model.num_hidden_layers=1", "--set", "train.batch_size=2", "--set", "train.seq_len=32", "--set", "data.story_bytes=4000"}, args...)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "innerloop") // testscript.Main runs the command of that name
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(link, args...)
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() }) //nolint:errcheck // it has ended by now, unless the test failed
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if st, err := os.Stat(filepath.Join(dir, metricsFile)); err == nil && st.Size() > 0 {
			return c, &stderr
		}
		if time.Now().After(end) {
			t.Fatalf("no steps within a minute; standard error: %s", &stderr)
		}
	}
}

// TestInterrupt sends the signals of a terminal and of a batch scheduler: a checkpoint, whole metrics, a code.
func TestInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			c, stderr := start(t, dir)
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var e *exec.ExitError
			if err := c.Wait(); !errors.As(err, &e) || e.ExitCode() != exitInterrupted {
				t.Fatalf("%v, want exit code %d; standard error: %s", err, exitInterrupted, stderr)
			}
			if s := stderr.String(); !strings.HasPrefix(s, "innerloop: interrupted after step ") || !strings.HasSuffix(s, " of 1000000: its checkpoint is in "+dir+"\n") {
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

// TestSecondSignal kills a run that does not come to the end of its step, by stopping it between the two signals.
func TestSecondSignal(t *testing.T) {
	// Validation of a long text at every step: the first signal is seen between two windows of many.
	dir := filepath.Join(t.TempDir(), "run")
	c, stderr := start(t, dir)
	for range 1000 { // until it has died of one, whether or not the first was dealt with already
		if c.Process.Signal(syscall.SIGTERM) != nil {
			break
		}
	}
	err := c.Wait()
	var e *exec.ExitError
	if !errors.As(err, &e) {
		t.Fatalf("%v; standard error: %s", err, stderr)
	}
	if st, ok := e.Sys().(syscall.WaitStatus); !ok || !(st.Signaled() && st.Signal() == syscall.SIGTERM) && e.ExitCode() != exitInterrupted {
		t.Errorf("%v, want death by SIGTERM", err)
	}
}
