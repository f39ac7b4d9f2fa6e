//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
		c := exec.Command("innerloop", append(args[:len(args):len(args)], "--seed", strconv.Itoa(i+1))...)
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
			c := exec.Command("innerloop", append(leastArgs(dir, 30), "--seed", strconv.Itoa(i+1))...)
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
	for _, how := range []string{"moved", "moved and interrupted", "replaced", "removed", "removed with what it lies in"} {
		t.Run(how, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "runs")
			dir := filepath.Join(root, "a")
			c, stderr := start(t, dir, 1)
			var other string
			var err error
			switch how {
			case "moved", "moved and interrupted", "replaced":
				err = os.Rename(dir, filepath.Join(root, "b"))
				if how == "moved and interrupted" && err == nil {
					err = c.Process.Signal(syscall.SIGTERM)
				}
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
			e, err := train.ReadEnding(beside)
			if err != nil || e.Code != exitOutput || e.Step != at.Step || "innerloop: "+e.Error+"\n" != want {
				t.Errorf("the folder beside says %+v, %v, want code %d, step %d and what the program said", e, err, exitOutput, at.Step)
			}
			shows := fmt.Sprintf(" %d/1000000  failed: ", at.Step)
			if out, errs, code := innerloop("runs", beside); code != exitOK || !strings.Contains(out, shows) {
				t.Errorf("runs: exit code %d, want %q in\n%s%s", code, shows, out, errs)
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
		dir := filepath.Join(root, strconv.Itoa(i))
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
			ctx, stop := context.WithTimeout(context.Background(), 15*time.Minute) // for ever, if at all
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

// An export that is killed at a random moment leaves the old model, the new one, or one without weights that the next
// command brings back: never the configuration of one with the weights of the other.
func TestExportKilled(t *testing.T) {
	root := t.TempDir()
	models := map[string]string{} // config.json and weights of the two, by name
	read := func(dir string) (config, weights string) {
		c, _ := os.ReadFile(filepath.Join(dir, model.ConfigFile))
		w, _ := os.ReadFile(filepath.Join(dir, model.WeightsFile))
		return string(c), string(w)
	}
	for i, size := range []string{"64", "128"} {
		run := filepath.Join(root, fmt.Sprint("run", i))
		if _, errs, code := innerloop(append(leastArgs(run, 1), "--set", "model.hidden_size="+size, "--set", "model.intermediate_size=512")...); code != exitOK {
			t.Fatal(errs)
		}
		c, w := read(run)
		models[c] = w
	}
	dir := filepath.Join(root, "hf")
	export := func(i int) *exec.Cmd {
		return exec.Command("innerloop", "export", "--model", filepath.Join(root, fmt.Sprint("run", i%2)), "--out", dir, "--force")
	}
	begin := time.Now()
	if b, err := export(0).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	most := time.Since(begin)
	rng := rand.New(rand.NewPCG(7, 8))
	kills, want := 0, 40
	if testing.Short() {
		want = 8
	}
	for i := 1; kills < want; i++ {
		c := export(i)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(most))))
		c.Process.Kill() //nolint:errcheck // it may have ended
		if c.Wait() != nil {
			kills++
		}
		if config, weights := read(dir); config != "" && weights != "" && models[config] != weights {
			t.Fatalf("after %d kills: the configuration of one model with other weights", kills)
		}
		if out, errs, code := innerloop("generate", "--device", "cpu", "--model", dir, "--prompt", "x", "--tokens", "1"); code != exitOK {
			t.Fatalf("after %d kills: exit code %d, %s%s", kills, code, out, errs)
		}
		if config, weights := read(dir); weights == "" || models[config] != weights {
			t.Fatalf("after %d kills: no whole model", kills)
		}
	}
	es, err := os.ReadDir(dir)
	if err != nil || len(es) != 2 {
		t.Errorf("left %v, %v", es, err)
	}
}

// A run that is killed while it takes the place of another, again and again, leaves the one or the other.
func TestForceKilledAnywhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	args := append(leastArgs(dir, 3), "--force")
	begin := time.Now()
	if b, err := exec.Command("innerloop", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	most := time.Since(begin)
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(9, 10))
	kills, want := 0, 40
	if testing.Short() {
		want = 8
	}
	for i := 0; kills < want; i++ {
		c := exec.Command("innerloop", append(args, "--seed", strconv.Itoa(i+2))...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(most))))
		c.Process.Kill() //nolint:errcheck // it may have ended
		if c.Wait() != nil {
			kills++
		}
		out, errs, code := innerloop("train", "--resume", dir, "--quiet")
		if code != exitOK {
			t.Fatalf("after %d kills: exit code %d, %s%s", kills, code, out, errs)
		}
		// Of one seed, and whole: the checkpoint vouches for the rest.
		cfg, err := train.LoadRun(dir)
		at, damaged, err2 := train.Latest(dir)
		old, err3 := train.LoadRun(at.Dir)
		if err != nil || err2 != nil || err3 != nil || len(damaged) > 0 || at.Step != 3 || cfg.Train.Seed != old.Train.Seed {
			t.Fatalf("after %d kills: seeds %d and %d, step %d, %v, %v, %v, %v", kills, cfg.Train.Seed, old.Train.Seed, at.Step, damaged, err, err2, err3)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
}
