//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"innerloop/model"
	"innerloop/rundir"
	"innerloop/train"
)

// leastArgs make a run of the smallest model, which saves after every step.
func leastArgs(dir string, steps int) []string {
	args := []string{"train", "--device", "cpu", "--threads", "1", "--quiet", "--out", dir, "--steps", strconv.Itoa(steps)}
	for _, s := range []string{
		"model.hidden_size=8", "model.intermediate_size=8", "model.num_hidden_layers=1", "model.num_attention_heads=1", "model.mini_batch_size=4",
		"train.batch_size=1", "train.seq_len=8", "train.save_every=1", "train.eval_every=50", "train.carry_state=true", "train.log_every=3",
		"data.story_bytes=400", "data.val_fraction=0.05", "data.document=. ",
	} {
		args = append(args, "--set", s)
	}
	return args
}

// endState is what a complete run leaves, but for times: the sums of its weights and its last checkpoint, its
// metrics, and the names of its files.
func endState(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || strings.Contains(path, "tfevents") || filepath.Base(path) == rundir.ManifestFile { // it names those
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || info.IsDir() {
			fmt.Fprintln(&s, name)
			return err
		}
		b, err := os.ReadFile(path)
		if name == metricsFile || name == train.ExitFile {
			b = times.ReplaceAll(b, nil)
		}
		fmt.Fprintf(&s, "%s %x\n", name, sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

var times = regexp.MustCompile(`"(tokens_per_second|val_seconds|started|ended)":[^,}]*`)

// TestKill kills runs 200 times at random moments, starts included, and lets them go on: they end as one that nobody
// killed, file by file, and leave nothing else behind.
func TestKill(t *testing.T) {
	const steps = 250
	kills := 200
	if testing.Short() {
		kills = 8
	}
	root := t.TempDir()
	whole := filepath.Join(root, "whole")
	timed := func(args ...string) time.Duration {
		begin := time.Now()
		if b, err := exec.Command("innerloop", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return time.Since(begin)
	}
	all := timed(leastArgs(whole, steps)...)
	most := 2*timed("train", "--resume", whole, "--quiet") + all/20 // that a process may live
	want := endState(t, whole)
	rng := rand.New(rand.NewPCG(3, 4))
	killed, ended, left := 0, 0, 0
	for dir := ""; killed < kills || dir != ""; {
		args := []string{"train", "--resume", dir, "--quiet"}
		if dir == "" {
			dir = filepath.Join(root, fmt.Sprint("run", ended))
			args = leastArgs(dir, steps)
		} else if err := rundir.Repair(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		} else if _, err := os.Stat(filepath.Join(dir, runConfigFile)); err != nil {
			args = leastArgs(dir, steps) // killed before it began
		}
		c := exec.Command("innerloop", args...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if killed < kills {
			time.Sleep(time.Duration(rng.Int64N(int64(most))))
			c.Process.Kill() //nolint:errcheck // it may have ended
		}
		err := c.Wait()
		var e *exec.ExitError
		if errors.As(err, &e) {
			if st, ok := e.Sys().(syscall.WaitStatus); ok && st.Signaled() {
				killed++
				for _, pattern := range []string{".*[0-9]", "checkpoints/.partial-*"} {
					names, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is good
					left += len(names)
				}
				if stderr.Len() > 0 {
					t.Errorf("standard error %q, want none", &stderr)
				}
				continue
			}
		}
		if err != nil {
			t.Fatalf("after %d kills: %v: %s", killed, err, &stderr)
		}
		if got := endState(t, dir); got != want {
			t.Fatalf("after %d kills in %d runs the run is\n%s\nwant\n%s", killed, ended+1, got, want)
		}
		ended++
		dir = ""
	}
	t.Logf("processes lived %v at most; %d kills in %d runs left %d partial files and folders for the next start to remove", most, killed, ended, left)
	if left == 0 && !testing.Short() {
		t.Error("no kill hit a checkpoint")
	}
}

// A signal in the middle of a validation or a checkpoint ends the run like any other, and the run that goes on is the
// one that was not interrupted: the validation is made up for.
func TestSignalAnywhere(t *testing.T) {
	const steps = 60
	root := t.TempDir()
	args := func(dir string) []string {
		// Most of the time goes into validations of many windows and into checkpoints.
		return append(leastArgs(dir, steps), "--set", "data.story_bytes=20000", "--set", "data.val_fraction=0.5", "--set", "train.eval_every=5")
	}
	whole := filepath.Join(root, "whole")
	if _, errs, code := innerloop(args(whole)...); code != exitOK {
		t.Fatal(errs)
	}
	want := endState(t, whole)
	dir := filepath.Join(root, "run")
	rng := rand.New(rand.NewPCG(5, 6))
	interrupted := 0
	for a := args(dir); ; a = []string{"train", "--resume", dir, "--quiet"} {
		c := exec.Command("innerloop", a...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		var err error
		running := true
		for before := size(dir); running && size(dir) == before; { // not yet under way
			select {
			case err = <-done:
				running = false
			case <-time.After(time.Millisecond):
			}
		}
		if running {
			if interrupted < 20 {
				time.Sleep(time.Duration(rng.IntN(15)) * time.Millisecond)
				c.Process.Signal([]os.Signal{syscall.SIGTERM, os.Interrupt}[rng.IntN(2)]) //nolint:errcheck // it may have ended
			}
			err = <-done
		}
		var e *exec.ExitError
		if err == nil {
			break
		}
		if !errors.As(err, &e) || e.ExitCode() != exitInterrupted {
			t.Fatalf("%v, want exit code %d: %s", err, exitInterrupted, &stderr)
		}
		interrupted++
		at, damaged, err := train.Latest(dir)
		if err != nil || len(damaged) > 0 || !strings.Contains(stderr.String(), fmt.Sprintf("interrupted after step %d of %d: ", at.Step, steps)) {
			t.Fatalf("step %d, %v, %v: %s", at.Step, damaged, err, &stderr)
		}
	}
	if interrupted == 0 {
		t.Error("the run was never interrupted")
	}
	t.Logf("interrupted %d times", interrupted)
	if got := endState(t, dir); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func size(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, metricsFile))
	if err != nil {
		return -1
	}
	return st.Size()
}

// Two processes do not train one run.
func TestOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c, _ := start(t, dir, 1)
	_, errs, code := innerloop("train", "--resume", dir)
	if code != exitOutput || errs != "innerloop: "+dir+": another process is training this run\n" {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, model.WeightsFile)); err == nil {
		t.Error("the second process wrote weights")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("the first process ended by itself")
	}
	if _, errs, code := innerloop("train", "--resume", dir, "--stop-after", "1", "--quiet"); code != exitOK {
		t.Errorf("after it was killed: exit code %d, %s", code, errs)
	}
}
