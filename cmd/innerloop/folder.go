package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/train"
)

// The files of a run's folder beside the checkpoint's.
const (
	runConfigFile = "config.toml"
	metricsFile   = "metrics.jsonl"
)

// folder is where a run's files go. Its errors have the exit code of outputs.
type folder struct {
	dir     string
	metrics *os.File
	lines   []byte // not yet written
	size    int64  // bytes of the whole lines in metrics
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
	for _, name := range []string{model.WeightsFile, metricsFile, runConfigFile, model.ConfigFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return failf(exitUsage, "--out %s: holds a run already (%s): choose another folder, or --force to replace it", dir, name)
		}
	}
	return nil
}

// createFolder makes the folder of a run that is about to start and writes its configuration there; an earlier run's
// checkpoint and metrics are removed. On an error it leaves nothing that was not there before.
func createFolder(dir string, c train.Config) (_ *folder, err error) {
	text, err := c.Text()
	if err != nil {
		return nil, err
	}
	made, err := makeAll(dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	_, old := os.Lstat(at(runConfigFile))
	defer func() {
		if err == nil {
			return
		}
		if old != nil {
			os.Remove(at(runConfigFile)) //nolint:errcheck // err is what matters
		}
		for _, d := range made {
			os.Remove(d) //nolint:errcheck // not empty: not ours alone
		}
	}()
	if err != nil {
		return nil, failf(exitOutput, "--out %s: %w", dir, cause(err))
	}
	err = safetensors.WriteFileAtomic(at(runConfigFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return nil, fail(exitOutput, err)
	}
	for _, name := range []string{model.WeightsFile, model.ConfigFile, metricsFile} {
		if err := os.Remove(at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, failf(exitOutput, "%s: %w", at(name), cause(err))
		}
	}
	f, err := os.OpenFile(at(metricsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, failf(exitOutput, "%s: %w", at(metricsFile), cause(err))
	}
	return &folder{dir: dir, metrics: f}, nil
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

// add appends v to the metrics, one line, which flush writes.
func (f *folder) add(v any) error {
	b, err := json.Marshal(v)
	f.lines = append(append(f.lines, b...), '\n')
	return err
}

// flush writes the lines that were added: whole or, where the disk is full, not at all.
func (f *folder) flush() error {
	n, err := f.metrics.Write(f.lines)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, f.metrics.Truncate(f.size))
		}
		return failf(exitOutput, "%s: %w", f.metrics.Name(), cause(err))
	}
	f.size += int64(n)
	f.lines = f.lines[:0]
	return nil
}

func (f *folder) close() error {
	if err := f.metrics.Close(); err != nil {
		return failf(exitOutput, "%s: %w", f.metrics.Name(), cause(err))
	}
	return nil
}
