package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/prog"
)

// A run's folder holds checkpoints/step-00000300 for each kept step: the model as others read it, the optimiser, and
// state.json, which says what they are. A checkpoint is written to a hidden folder beside it and appears by one rename,
// so that whatever has the name is whole.
const (
	checkpointsDir = "checkpoints"
	stepPrefix     = "step-"
	partialPrefix  = ".partial-" // being written, or being removed
	optimizerFile  = "optimizer.safetensors"
	stateFile      = "state.json"
)

// runState is the content of state.json.
type runState struct {
	Format string            `json:"format"`
	Step   int               `json:"step"`
	Tokens int64             `json:"tokens"` // read so far; with the seed and the step this fixes the data's position
	Seed   uint64            `json:"seed"`   // every random stream is a function of seed and step
	SHA256 map[string]string `json:"sha256"` // of the other files
}

const runStateFormat = "innerloop.run.1"

// Checkpoint names a whole checkpoint on disk.
type Checkpoint struct {
	Dir  string
	Step int
}

// Save writes a checkpoint of the run to dir, whole or not at all, makes dir/model.safetensors and dir/config.json the
// same weights, and removes all but the newest keep checkpoints (0: none).
func (r *Run) Save(dir string, keep int) (Checkpoint, error) {
	root := filepath.Join(dir, checkpointsDir)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return Checkpoint{}, err
	}
	name := fmt.Sprintf("%s%08d", stepPrefix, r.step)
	c := Checkpoint{filepath.Join(root, name), r.step}
	// A step's checkpoint is the same whenever it is written: one that is there and whole stays.
	if _, err := checkCheckpoint(c.Dir); err != nil {
		partial := filepath.Join(root, partialPrefix+name)
		if err := r.writeCheckpoint(partial); err != nil {
			return c, errors.Join(err, os.RemoveAll(partial))
		}
		if err := discard(c.Dir); err != nil {
			return c, err
		}
		if err := os.Rename(partial, c.Dir); err != nil {
			return c, errors.Join(err, os.RemoveAll(partial))
		}
		if err := syncDir(root); err != nil {
			return c, err
		}
	}
	for _, f := range []string{model.ConfigFile, model.WeightsFile} {
		if err := publish(filepath.Join(c.Dir, f), filepath.Join(dir, f)); err != nil {
			return c, err
		}
	}
	if keep > 0 {
		all, err := listCheckpoints(dir)
		if err != nil {
			return c, err
		}
		for _, old := range all[min(keep, len(all)):] {
			if err := discard(old.Dir); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func (r *Run) writeCheckpoint(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := r.Model.Save(r.ex, dir); err != nil {
		return err
	}
	var ts []safetensors.Tensor
	for _, a := range r.stateArenas() {
		for _, t := range a.Tensors() {
			v := make([]float32, t.Len())
			if err := r.ex.Read(t, v); err != nil {
				return err
			}
			ts = append(ts, safetensors.Float32(a.Name()+"."+t.Name(), t.Shape(), v))
		}
	}
	if err := safetensors.WriteFile(filepath.Join(dir, optimizerFile), nil, ts); err != nil {
		return err
	}
	s := runState{Format: runStateFormat, Step: r.step, Tokens: r.tokens(), Seed: r.Config.Train.Seed, SHA256: map[string]string{}}
	for _, f := range []string{model.ConfigFile, model.WeightsFile, optimizerFile} {
		sum, err := hashFile(filepath.Join(dir, f))
		if err != nil {
			return err
		}
		s.SHA256[f] = sum
	}
	if err := safetensors.WriteFileAtomic(filepath.Join(dir, stateFile), 0o644, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}); err != nil {
		return err
	}
	return syncDir(dir)
}

// stateArenas are the arenas that a run goes on with, beside the parameters.
func (r *Run) stateArenas() []*prog.Arena {
	m, v := r.train.Moments()
	as := []*prog.Arena{m, v}
	for _, mem := range r.train.Memory {
		as = append(as, mem.Arena)
	}
	return as
}

// Latest returns the newest whole checkpoint of a run's folder. Damaged ones are named in the second result and passed
// over; with no whole one the error wraps fs.ErrNotExist.
func Latest(dir string) (Checkpoint, []error, error) {
	all, err := listCheckpoints(dir)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	var damaged []error
	for _, c := range all {
		s, err := checkCheckpoint(c.Dir)
		if err == nil && s.Step != c.Step {
			err = fmt.Errorf("%s: step %d, want %d as in its name", filepath.Join(c.Dir, stateFile), s.Step, c.Step)
		}
		if err == nil {
			return c, damaged, nil
		}
		damaged = append(damaged, err)
	}
	return Checkpoint{}, damaged, fmt.Errorf("train: %s: no checkpoint to go on from: %w", filepath.Join(dir, checkpointsDir), fs.ErrNotExist)
}

// Clean removes what a killed process left half-written or half-removed in a run's folder.
func Clean(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, checkpointsDir)} {
		es, err := os.ReadDir(d)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range es {
			if strings.HasPrefix(e.Name(), partialPrefix) {
				if err := os.RemoveAll(filepath.Join(d, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Restore puts the run where a checkpoint of the same model and optimiser left it.
func (r *Run) Restore(c Checkpoint) error {
	s, err := checkCheckpoint(c.Dir)
	if err != nil {
		return err
	}
	if s.Seed != r.Config.Train.Seed {
		return fmt.Errorf("train: %s: seed %d, want the configuration's %d", c.Dir, s.Seed, r.Config.Train.Seed)
	}
	cfg, err := model.LoadConfig(filepath.Join(c.Dir, model.ConfigFile))
	if err != nil {
		return err
	}
	if cfg != r.Config.Model {
		return fmt.Errorf("train: %s: it is of another model than the configuration's: got %+v, want %+v", c.Dir, cfg, r.Config.Model)
	}
	f, err := safetensors.Open(filepath.Join(c.Dir, optimizerFile))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, a := range r.stateArenas() {
		for _, t := range a.Tensors() {
			v, err := f.Float32(a.Name() + "." + t.Name())
			if err != nil {
				return err
			}
			if err := r.ex.Write(t, v); err != nil {
				return fmt.Errorf("train: %s: %w", filepath.Join(c.Dir, optimizerFile), err)
			}
		}
	}
	if err := r.Model.Load(r.ex, filepath.Join(c.Dir, model.WeightsFile)); err != nil {
		return err
	}
	r.step = s.Step
	return nil
}

// listCheckpoints lists a run's checkpoints, newest first, whole or not.
func listCheckpoints(dir string) ([]Checkpoint, error) {
	es, err := os.ReadDir(filepath.Join(dir, checkpointsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var cs []Checkpoint
	for _, e := range es {
		n, ok := strings.CutPrefix(e.Name(), stepPrefix)
		step, err := strconv.Atoi(n)
		if ok && err == nil && e.IsDir() {
			cs = append(cs, Checkpoint{filepath.Join(dir, checkpointsDir, e.Name()), step})
		}
	}
	slices.SortFunc(cs, func(a, b Checkpoint) int { return b.Step - a.Step })
	return cs, nil
}

// checkCheckpoint reads a checkpoint's state and compares its files with it.
func checkCheckpoint(dir string) (runState, error) {
	var s runState
	path := filepath.Join(dir, stateFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if s.Format != runStateFormat || s.Step < 0 {
		return s, fmt.Errorf("%s: format %q at step %d, want %q", path, s.Format, s.Step, runStateFormat)
	}
	for _, f := range []string{model.ConfigFile, model.WeightsFile, optimizerFile} {
		sum, err := hashFile(filepath.Join(dir, f))
		if err != nil {
			return s, err
		}
		if sum != s.SHA256[f] {
			return s, fmt.Errorf("%s: damaged: SHA-256 %s, want %s", filepath.Join(dir, f), sum, s.SHA256[f])
		}
	}
	return s, nil
}

// publish makes dst the same file as src, by a rename.
func publish(src, dst string) error {
	tmp := filepath.Join(filepath.Dir(dst), partialPrefix+filepath.Base(dst))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(src, tmp); err != nil { // not every file system has links
		b, err := os.ReadFile(src)
		if err != nil {
			return err
		}
		return safetensors.WriteFileAtomic(dst, 0o644, func(w io.Writer) error { _, err := w.Write(b); return err })
	}
	if err := os.Rename(tmp, dst); err != nil {
		return err
	}
	// A rename of one link over another of the same file does nothing and leaves both.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// discard removes a checkpoint: hidden first, so that no half of it has its name.
func discard(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	hidden := filepath.Join(filepath.Dir(dir), partialPrefix+"old-"+filepath.Base(dir))
	if err := os.RemoveAll(hidden); err != nil {
		return err
	}
	if err := os.Rename(dir, hidden); err != nil {
		return err
	}
	return os.RemoveAll(hidden)
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// syncDir makes a folder's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
