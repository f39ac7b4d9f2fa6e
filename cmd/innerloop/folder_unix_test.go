//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"innerloop/rundir"
	"innerloop/train"
)

// ended waits for processes and returns their exit codes.
func ended(t *testing.T, cs []*exec.Cmd) (codes []int) {
	t.Helper()
	for _, c := range cs {
		var e *exec.ExitError
		if err := c.Wait(); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		codes = append(codes, c.ProcessState.ExitCode())
	}
	return codes
}

// Runs that begin at once without --out have a folder each.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	const n = 6
	var cs []*exec.Cmd
	outs := make([]bytes.Buffer, n)
	for i := range n {
		args := leastArgs("", 2)
		c := exec.Command("innerloop", append(args[:len(args):len(args)], "--seed", fmt.Sprint(i+1))...)
		for j, a := range c.Args {
			if a == "--out" {
				c.Args = append(c.Args[:j:j], c.Args[j+2:]...)
				break
			}
		}
		c.Dir, c.Stdout, c.Stderr = dir, &outs[i], os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		cs = append(cs, c)
	}
	for i, code := range ended(t, cs) {
		if code != exitOK {
			t.Errorf("run %d: exit code %d", i, code)
		}
		c, err := train.LoadRun(filepath.Join(dir, strings.TrimSpace(outs[i].String())))
		if err != nil || c.Train.Seed != uint64(i+1) {
			t.Errorf("run %d says that it is in %q, where there is one of seed %d, %v", i, &outs[i], c.Train.Seed, err)
		}
	}
}

// Of runs that begin at once in one folder, one has it; the others say why not, and change nothing of it.
func TestOneFolderAtOnce(t *testing.T) {
	for _, there := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "run")
		if there {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		var cs []*exec.Cmd
		for i := range 3 {
			c := exec.Command("innerloop", append(leastArgs(dir, 30), "--seed", fmt.Sprint(i+1))...)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			cs = append(cs, c)
		}
		won := -1
		for i, code := range ended(t, cs) {
			switch {
			case code == exitOK && won < 0:
				won = i
			case code != exitUsage && code != exitOutput: // there is one already, or it is being trained
				t.Errorf("run %d: exit code %d", i, code)
			}
		}
		c, err := train.LoadRun(dir)
		at, damaged, err2 := train.Latest(dir)
		if err != nil || err2 != nil || len(damaged) > 0 || won < 0 || c.Train.Seed != uint64(won+1) || at.Step != 30 {
			t.Errorf("the folder has a run of seed %d at step %d, want that of run %d: %v, %v, %v", c.Train.Seed, at.Step, won, err, err2, damaged)
		}
	}
}

// A run whose folder is moved away or removed ends, with its checkpoint in a new folder next to it; a run that has begun in
// the old name's folder since is not touched.
func TestMoved(t *testing.T) {
	for _, how := range []string{"moved", "replaced", "removed", "removed with what it lies in"} {
		t.Run(how, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "runs")
			dir := filepath.Join(root, "a")
			c, stderr := start(t, dir, 1)
			var other string
			var err error
			switch how {
			case "moved", "replaced":
				err = os.Rename(dir, filepath.Join(root, "b"))
				if how == "replaced" && err == nil {
					if _, errs, code := innerloop(append(leastArgs(dir, 2), "--seed", "7")...); code != exitOK {
						t.Fatal(errs)
					}
					other = endState(t, dir)
				}
			case "removed":
				err = removeAll(dir)
			default:
				err = removeAll(root)
			}
			if err != nil {
				t.Fatal(err)
			}
			if codes := ended(t, []*exec.Cmd{c}); codes[0] != exitOutput {
				t.Fatalf("exit code %d, want %d: %s", codes[0], exitOutput, stderr)
			}
			beside := dir + "-saved"
			at, damaged, err := train.Latest(beside)
			want := fmt.Sprintf("innerloop: %s: the folder was moved away or removed while the run trained: it stopped after step %d of 1000000; its checkpoint is in %s: to go on: innerloop train --resume %s\n",
				dir, at.Step, beside, beside)
			if err != nil || len(damaged) > 0 || stderr.String() != want {
				t.Errorf("%v, %v, standard error\n%s\nwant\n%s", err, damaged, stderr, want)
			}
			if how == "replaced" {
				if now := endState(t, dir); now != other {
					t.Errorf("the other run is\n%s\nwas\n%s", now, other)
				}
			} else if _, err := os.Lstat(dir); err == nil {
				t.Error("a folder of the old name was made")
			}
			if how == "moved" {
				if es, err := os.ReadDir(filepath.Join(root, "b", train.CheckpointsDir)); err == nil {
					t.Errorf("the moved folder has checkpoints: %v", es)
				}
			}
			if out, errs, code := innerloop("train", "--resume", beside, "--stop-after", "1", "--quiet"); code != exitOK {
				t.Errorf("it does not go on: exit code %d, %s%s", code, out, errs)
			}
		})
	}
}

// removeAll removes a folder in which files are being made.
func removeAll(dir string) (err error) {
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
	}
	return err
}

// A pipe that has the name of one of a run's files does not keep those waiting who read the folder.
func TestPipes(t *testing.T) {
	root := t.TempDir()
	whole := filepath.Join(root, "whole")
	if _, errs, code := innerloop(append(leastArgs(whole, 2), "--set", "model.variant=video", "--set", "model.pre_conv=false", "--set", "train.carry_state=false")...); code != exitOK {
		t.Fatal(errs)
	}
	files := []string{"config.toml", "metrics.jsonl", "norms.log", "config.json", "model.safetensors", "model.safetensors.index.json", rundir.ManifestFile, train.ExitFile}
	for _, f := range []string{"state.json", "config.toml", "config.json", "model.safetensors", "optimizer.safetensors"} {
		files = append(files, filepath.Join("checkpoints", "step-00000002", f))
	}
	for i, name := range files {
		dir := filepath.Join(root, fmt.Sprint(i))
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		os.Remove(path) //nolint:errcheck // not every run has each
		if err := syscall.Mkfifo(path, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"runs", dir}, {"runs", root}, {"eval", "--device", "cpu", "--model", dir}, {"generate", "--device", "cpu", "--model", dir, "--prompt", "x", "--tokens", "1"},
			{"diagnose", "--device", "cpu", dir}, {"export", "--model", dir, "--out", filepath.Join(root, "to")}, {"export", "--model", whole, "--out", dir, "--force"},
			append(leastArgs(dir, 2), "--force"), {"train", "--resume", dir, "--steps", "3", "--quiet"},
		} {
			ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute) // for ever, if at all
			b, err := exec.CommandContext(ctx, "innerloop", args...).CombinedOutput()
			if ctx.Err() != nil {
				t.Errorf("%s is a pipe: innerloop %s waits for ever: %s", name, strings.Join(args, " "), b)
			}
			if strings.Contains(string(b), "goroutine") {
				t.Errorf("%s is a pipe: innerloop %s: %v, %s", name, strings.Join(args, " "), err, b)
			}
			stop()
		}
		if err := os.RemoveAll(filepath.Join(root, "to")); err != nil {
			t.Fatal(err)
		}
	}
}
