package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"innerloop/model"
	"innerloop/train"
)

// The files of a run's folder beside the checkpoint's.
const (
	runConfigFile = train.RunConfigFile
	metricsFile   = train.MetricsFile
)

// folder is where a run's files go. Its errors have the exit code of outputs.
type folder struct {
	dir     string
	lock    io.Closer
	metrics *train.Log
	step    int              // that the run goes on after
	events  *train.EventFile // nil: nothing was recorded yet
	norms   *train.NormLog
}

// newName is a folder for a run without --out: runs/book-20060102-150405, the time being t's.
func newName(file string, t time.Time) string {
	dir := filepath.Join("runs", textName(file)+"-"+t.Format("20060102-150405"))
	for n, name := 2, dir; ; n++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", dir, n)
	}
}

// checkFolder reports a folder that a run cannot use. It writes nothing.
func checkFolder(dir string, force bool) error {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failf(exitOutput, "--out %s: %w", dir, cause(err))
	case !st.IsDir():
		return failf(exitOutput, "--out %s: is a file, want a folder", dir)
	case force:
		return nil
	}
	for _, name := range []string{model.WeightsFile, metricsFile, runConfigFile, model.ConfigFile, train.CheckpointsDir} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return failf(exitUsage, "--out %s: holds a run already (%s): choose another folder, or --force to replace it", dir, name)
		}
	}
	return nil
}

// createFolder makes the folder of a run that is about to start and writes its configuration there; an earlier run's
// checkpoints, metrics, events and samples are removed. On an error it leaves nothing that was not there before.
func createFolder(dir string, c train.Config) (_ *folder, err error) {
	made, err := makeAll(dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	_, old := os.Lstat(at(runConfigFile))
	hidden := at(train.OldCheckpointsDir) // a run must never go on from another run's checkpoints
	defer func() {
		if err == nil {
			return
		}
		if old != nil {
			os.Remove(at(runConfigFile)) //nolint:errcheck // err is what matters
		}
		os.Rename(hidden, at(train.CheckpointsDir)) //nolint:errcheck // there may be none
		for _, d := range made {
			os.Remove(d) //nolint:errcheck // not empty: not ours alone
		}
	}()
	if err != nil {
		return nil, failf(exitOutput, "--out %s: %w", dir, cause(err))
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close() //nolint:errcheck // err is what matters
		}
	}()
	if err := train.Clean(dir); err != nil {
		return nil, fail(exitOutput, err)
	}
	if err := os.Rename(at(train.CheckpointsDir), hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitOutput, err)
	}
	if err := train.SaveConfig(dir, c); err != nil {
		return nil, fail(exitOutput, err)
	}
	gone := []string{at(model.WeightsFile), at(model.ConfigFile), at(metricsFile), at(train.NormsFile)}
	events, err := filepath.Glob(at("events.out.tfevents.*.innerloop.*"))
	if err != nil {
		return nil, err
	}
	for _, name := range sampleFiles {
		gone = append(gone, at(name))
	}
	for _, path := range append(gone, events...) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, failf(exitOutput, "%s: %w", path, cause(err))
		}
	}
	f := &folder{dir: dir, lock: lock}
	if _, err := f.open(0); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(hidden); err != nil {
		return nil, fail(exitOutput, err)
	}
	return f, nil
}

// open opens the metrics of a run that goes on after a step; 0 is a new one.
func (f *folder) open(after int) (train.Past, error) {
	l, p, err := train.OpenLog(f.dir, after)
	if err != nil {
		return p, failf(exitOutput, "%s: %w", filepath.Join(f.dir, metricsFile), cause(err))
	}
	f.metrics = l
	if f.norms, err = train.OpenNorms(f.dir, after); err != nil {
		return p, failf(exitOutput, "%s: %w", filepath.Join(f.dir, train.NormsFile), cause(err))
	}
	return p, nil
}

// resume opens the files of a run that goes on after step with configuration c: its metrics lose the lines of
// later steps, and what is half a line.
func (f *folder) resume(c train.Config, step int) (train.Past, error) {
	f.step = step
	p, err := f.open(step)
	if err != nil {
		return p, err
	}
	if old, err := train.Load(filepath.Join(f.dir, runConfigFile)); err != nil || len(train.Diff(old, c)) > 0 {
		if err := train.SaveConfig(f.dir, c); err != nil {
			return p, fail(exitOutput, err)
		}
	}
	return p, nil
}

// makeAll is os.MkdirAll that tells which folders it made, the innermost first.
func makeAll(dir string) (made []string, err error) {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || filepath.Dir(d) == d {
			break
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o755)
}

// written gives the error of writing metrics its place, and writes the events.
func (f *folder) written(err error) error {
	if err != nil {
		return failf(exitOutput, "%s: %w", filepath.Join(f.dir, metricsFile), cause(err))
	}
	if f.events == nil {
		return nil
	}
	if err := f.events.Flush(); err != nil {
		return failf(exitOutput, "%s: %w", f.events.Name(), cause(err))
	}
	return nil
}

// scalars adds values of a step to the events for TensorBoard, in a file that begins with the first of them.
func (f *folder) scalars(step int, values ...train.Scalar) error {
	if f.events == nil {
		var err error
		if f.events, err = train.CreateEventFile(f.dir, f.step); err != nil {
			return fail(exitOutput, err)
		}
	}
	f.events.Scalars(step, values...)
	return nil
}

// logNorms adds what the normalisers did in a step to the run's log of them.
func (f *folder) logNorms(step int, list []model.NormStats, headDim int, fault model.Fault) error {
	if err := f.norms.Add(step, list, headDim, fault); err != nil {
		return failf(exitOutput, "%s: %w", filepath.Join(f.dir, train.NormsFile), cause(err))
	}
	return nil
}

// close closes the files; what flush could not write, it leaves.
func (f *folder) close() error {
	var errs []error
	if f.metrics != nil {
		errs = append(errs, f.metrics.Close())
	}
	if f.norms != nil {
		errs = append(errs, f.norms.Close())
	}
	if f.events != nil {
		errs = append(errs, f.events.Close())
	}
	if err := errors.Join(append(errs, f.lock.Close())...); err != nil {
		return failf(exitOutput, "%s: %w", f.dir, cause(err))
	}
	return nil
}
