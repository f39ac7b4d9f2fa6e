package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"innerloop/rundir"
	"innerloop/train"
)

// errPanic is what a run ended with that did not come to its end.
var errPanic = errors.New("internal error: see what it printed on standard error")

// jobVariables are what batch systems tell a job its name by: Slurm, PBS, LSF, HTCondor, Flux, OAR, Cobalt, AWS Batch,
// and, where SGE_O_HOST says so, Grid Engine.
var jobVariables = []string{"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "CONDOR_JOB_ID", "FLUX_JOB_ID", "OAR_JOB_ID", "COBALT_JOBID", "AWS_BATCH_JOB_ID"}

// jobID is the batch system's name for the job that this process is in; empty: it is in none.
func jobID() string {
	for _, v := range jobVariables {
		if id := os.Getenv(v); id != "" {
			return id
		}
	}
	if os.Getenv("SGE_O_HOST") != "" {
		return os.Getenv("JOB_ID")
	}
	return ""
}

// begin removes what the folder says of how its run ended before; end writes it anew. reached is the step that the run is
// at.
func (f *folder) begin(started time.Time, reached func() int) error {
	path := filepath.Join(f.dir, train.ExitFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failf(exitOutput, "%s: %w", path, cause(err))
	}
	host, _ := os.Hostname() // a name that cannot be told is empty
	f.ending, f.reached = &train.Ending{Host: host, Job: jobID(), Started: started.Round(time.Millisecond)}, reached
	return nil
}

// end says in the folder that the run ended with err. A folder that is another's by now is not told: the one that the
// run was saved in is.
func (f *folder) end(err error) error {
	dir := cmp.Or(f.beside, f.dir)
	if f.ending == nil || f.beside == "" && f.Check() != nil {
		return nil
	}
	e := f.ending
	e.Code, e.Step, e.Ended = exitCode(err), f.reached(), time.Now().Round(time.Millisecond)
	if err != nil {
		e.Error = oneLine(err)
	}
	return fail(exitOutput, e.Write(dir))
}

// endedAs is how the run of so many steps in a folder ended, in a word or two, and what the folder says of that. An error is
// that it cannot be read; the word then is "unknown".
func endedAs(dir string, steps int) (string, *train.Ending, error) {
	held, known := rundir.Locked(dir)
	if held {
		return "running", nil, nil
	}
	e, err := train.ReadEnding(dir)
	switch {
	case err == nil:
		return ending(e, steps), &e, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "unknown", nil, fmt.Errorf("%s: %w", filepath.Join(dir, train.ExitFile), cause(err))
	case train.LatestStep(dir) >= steps:
		return "done", nil, nil
	case fromPage(dir):
		return "in the page", nil, nil
	case !known:
		return "running or killed", nil, nil
	}
	return "killed", nil, nil
}

// fromPage says whether the page trained the run in a folder, and this program never did.
func fromPage(dir string) bool {
	es, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	page := false
	for _, e := range es {
		if strings.HasPrefix(e.Name(), "events.out.tfevents.") {
			return false
		}
		page = page || e.Name() == "run.json"
	}
	return page
}

// ending is an ending in a word or two.
func ending(e train.Ending, steps int) string {
	switch {
	case e.Step >= steps && (e.Code == exitOK || e.Code == exitInterrupted): // what was interrupted are the samples
		return "done"
	case e.Code == exitOK:
		return "stopped"
	case e.Code == exitInterrupted:
		return "interrupted"
	case e.Code == exitDiverged:
		return "diverged"
	}
	return "failed: " + cmp.Or(e.Error, fmt.Sprintf("exit code %d", e.Code))
}
