package main

import (
	"fmt"
	"path/filepath"

	"innerloop/model"
	"innerloop/rundir"
	"innerloop/train"
)

// note tells what is worth knowing and no failure, in a line of its own on standard error; an empty one is none.
func (a *app) note(format string, args ...any) {
	if text := oneLine(fmt.Errorf(format, args...)); text != "" { //nolint:err113 // only its text is wanted
		fmt.Fprintf(a.err, "innerloop: %s\n", text)
	}
}

// openCheckpoint opens the model in a folder; of a run whose own files are damaged, that of its newest whole checkpoint. It
// says what a person should know of the files.
func (a *app) openCheckpoint(dir string) (*model.Checkpoint, error) {
	_ = rundir.Repair(dir) // what cannot be repaired shows when it is read
	c, notes, err := train.OpenModel(dir)
	if err != nil {
		return nil, checkpointError(dir, err)
	}
	a.notes(notes)
	return c, nil
}

func (a *app) notes(lines []string) {
	for _, l := range lines {
		a.note("%s", l)
	}
}

// openModel puts a checkpoint's model on dev.
func openModel(dev *device, c *model.Checkpoint) (*model.LM, error) {
	m, err := c.Model(dev, model.ScanOptions{})
	return m, fail(exitData, err)
}

// edited says in what a run's config.toml is not what its newest checkpoint was trained with.
func (a *app) edited(dir string) {
	at, differences := train.Edited(dir)
	for i, d := range differences {
		const most = 8
		if i == most {
			a.note("and %s more", plural(len(differences)-most, "key"))
			return
		}
		a.note("%s is not as it was at the checkpoint of step %d: %s is %s, was %s", filepath.Join(dir, runConfigFile), at.Step, d.Key, short(d.B), short(d.A))
	}
}
