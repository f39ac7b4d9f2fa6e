package train

import (
	"fmt"
	"path/filepath"

	"innerloop/model"
)

// OpenModel opens the model in dir, a run's folder or any other checkpoint. Where its files are damaged and dir is a run's,
// it opens the newest whole checkpoint of the run instead. What a person should know of that comes with the model, a line
// each: what is damaged, what was read, what has no check. The error is that of dir's own files.
func OpenModel(dir string) (*model.Checkpoint, []string, error) {
	c, err := model.OpenCheckpoint(dir)
	if err == nil {
		return c, c.Notes, nil
	}
	at, damaged, e := Latest(dir)
	if e != nil {
		return nil, nil, err
	}
	if c, e = model.OpenCheckpoint(at.Dir); e != nil {
		return nil, nil, err
	}
	notes := []string{err.Error()}
	for _, d := range damaged {
		notes = append(notes, fmt.Sprintf("passed over a damaged checkpoint: %v", d))
	}
	return c, append(append(notes, fmt.Sprintf("read instead: %s, the newest whole checkpoint", at.Dir)), c.Notes...), nil
}

// Edited tells in what a run's config.toml differs from that of its newest checkpoint whose own is whole: A is the
// checkpoint's value, B the file's. A run without a checkpoint, and a file that is none, has no differences.
func Edited(dir string) (Checkpoint, []Difference) {
	all, err := listCheckpoints(dir)
	if err != nil {
		return Checkpoint{}, nil
	}
	for _, c := range all {
		s, err := readState(c.Dir)
		if err == nil {
			err = s.compare(c.Dir, RunConfigFile)
		}
		if err != nil {
			continue
		}
		if sum, err := hashFile(filepath.Join(dir, RunConfigFile)); err != nil || sum == s.SHA256[RunConfigFile] {
			return c, nil
		}
		was, err := Load(filepath.Join(c.Dir, RunConfigFile))
		if err != nil {
			return c, nil
		}
		is, err := Load(filepath.Join(dir, RunConfigFile))
		if err != nil {
			return c, nil
		}
		return c, Diff(was, is)
	}
	return Checkpoint{}, nil
}
