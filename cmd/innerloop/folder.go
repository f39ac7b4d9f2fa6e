package main

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"innerloop/model"
	"innerloop/rundir"
	"innerloop/train"
)

// The files of a run's folder beside the checkpoint's.
const (
	runConfigFile = train.RunConfigFile
	metricsFile   = train.MetricsFile
)

// folder is where a run's files go. Its errors have the exit code of outputs.
type folder struct {
	*rundir.Folder
	dir     string
	metrics *train.Log
	step    int              // that the run goes on after
	events  *train.EventFile // nil: nothing was recorded yet
	norms   *train.NormLog
	past    train.Past    // what the metrics say of an earlier part of the run
	gone    []string      // the files of an earlier run that this one took the place of
	ending  *train.Ending // what the folder is going to say of how the run ended; nil: it has not begun
	reached func() int    // the step that it is at
	broken  []string      // lines of its files that were passed over, in a line each
	beside  string        // the folder that the run was saved in when this one was gone; empty: it was not
}

// newName is a folder for a run without --out: runs/book-20060102-150405, the time being t's.
func newName(file string, t time.Time) string {
	return filepath.Join("runs", textName(file)+"-"+t.Format("20060102-150405"))
}

// folderError gives an error of a run's folder its exit code; option is how the command line names the folder.
func folderError(option, dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rundir.ErrTaken):
		return failf(exitUsage, "%s%w", option, err)
	case errors.Is(err, rundir.ErrLocked), errors.Is(err, rundir.ErrMoved):
		return fail(exitOutput, err)
	}
	var p *fs.PathError
	if errors.As(err, &p) && strings.HasPrefix(err.Error(), p.Op+" ") { // package os itself: no place of its own
		return failf(exitOutput, "%s%s: %w", option, cmp.Or(p.Path, dir), p.Err)
	}
	return fail(exitOutput, err)
}

// createFolder makes a place the folder of a run that is about to start. On an error it leaves what was there before.
func createFolder(p *rundir.Place, dir string, c train.Config) (*folder, error) {
	at, gone, err := p.Begin(c)
	if err != nil {
		return nil, folderError("--out ", dir, err)
	}
	f := &folder{Folder: at, dir: at.Dir, gone: gone}
	if err := f.open(0); err != nil {
		return nil, errors.Join(f.close(err), f.unlock())
	}
	return f, nil
}

// resumeFolder opens the folder of a run that goes on.
func resumeFolder(dir string) (*folder, error) {
	at, err := rundir.Resume(dir)
	if err != nil {
		return nil, folderError("", dir, err)
	}
	return &folder{Folder: at, dir: dir}, nil
}

// open opens the metrics of a run that goes on after a step; 0 is a new one.
func (f *folder) open(after int) (err error) {
	if f.metrics, f.past, err = train.OpenLog(f.dir, after); err != nil {
		return failf(exitOutput, "%s: %w", filepath.Join(f.dir, metricsFile), cause(err))
	}
	f.broken = []string{f.past.Broken.In(filepath.Join(f.dir, metricsFile))}
	if !f.Owns(train.NormsFile) { // the run logs no normalisers; a file of that name is somebody else's
		return nil
	}
	norms, broken, err := train.OpenNorms(f.dir, after)
	if err != nil {
		return failf(exitOutput, "%s: %w", filepath.Join(f.dir, train.NormsFile), cause(err))
	}
	f.norms, f.broken = norms, append(f.broken, broken.In(filepath.Join(f.dir, train.NormsFile)))
	return nil
}

// resume opens the files of a run that goes on after step with configuration c: its metrics lose the lines of
// later steps, and what is half a line.
func (f *folder) resume(c train.Config, step int) error {
	f.step = step
	if err := f.GoOn(c); err != nil {
		return folderError("", f.dir, err)
	}
	if err := f.open(step); err != nil {
		return err
	}
	if old, err := train.LoadRun(f.dir); err != nil || len(train.Diff(old, c)) > 0 {
		if err := train.SaveConfig(f.dir, c); err != nil {
			return fail(exitOutput, err)
		}
	}
	return nil
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
		if err := f.Check(); err != nil {
			return err
		}
		e, err := train.CreateEventFile(f.dir, f.step) // never one that is there already
		if err != nil {
			return fail(exitOutput, err)
		}
		f.events = e
		if err := f.Claim(filepath.Base(e.Name())); err != nil { // it is empty as yet
			return folderError("", f.dir, err)
		}
	}
	f.events.Scalars(step, values...)
	return nil
}

// logNorms adds what the normalisers did in a step to the run's log of them.
func (f *folder) logNorms(step int, list []model.NormStats, headDim int, fault model.Fault) error {
	if f.norms == nil || len(list) == 0 {
		return nil
	}
	if err := f.Check(); err != nil { // the log's file is made with its first lines
		return err
	}
	if err := f.norms.Add(step, list, headDim, fault); err != nil {
		return failf(exitOutput, "%s: %w", filepath.Join(f.dir, train.NormsFile), cause(err))
	}
	return nil
}

// close closes the files of a run that ended with err, and says in the folder how it ended; what flush could not write, it
// leaves. It returns err with what failed here.
func (f *folder) close(err error) error {
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
	if failed := errors.Join(errs...); failed != nil {
		err = errors.Join(err, failf(exitOutput, "%s: %w", f.dir, cause(failed)))
	}
	if failed := f.end(err); failed != nil {
		err = errors.Join(err, failed)
	}
	return err
}

// unlock lets other processes train in the folder.
func (f *folder) unlock() error {
	if err := f.Close(); err != nil {
		return failf(exitOutput, "%s: %w", f.dir, cause(err))
	}
	return nil
}
