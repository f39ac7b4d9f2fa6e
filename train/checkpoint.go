package train

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"innerloop/data"
	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/prog"
)

// A run's folder holds the run's configuration, its metrics, the newest weights as others read them, and
// checkpoints/step-00000300 for each kept step: model and configuration, the optimiser, and state.json, which says what
// they are. A checkpoint is written to a hidden folder beside it and appears by one rename, so that whatever has the
// name is whole.
const (
	// RunConfigFile is a run's whole configuration.
	RunConfigFile = "config.toml"
	// MetricsFile has a line for every step and every validation.
	MetricsFile = "metrics.jsonl"
	// CheckpointsDir holds a run's checkpoints.
	CheckpointsDir = "checkpoints"
	// OldCheckpointsDir is what CheckpointsDir is called while another run takes its place; Clean removes it.
	OldCheckpointsDir = ".partial-checkpoints"

	stepPrefix    = "step-"
	partialPrefix = ".partial-" // being written, or being removed
	optimizerFile = "optimizer.safetensors"
	stateFile     = "state.json"
)

// checkpointFiles are the files that state.json vouches for.
var checkpointFiles = []string{model.ConfigFile, model.WeightsFile, optimizerFile, RunConfigFile}

// ErrOtherText is wrapped by Restore's error where the run's text is not the one that the checkpoint was trained on.
var ErrOtherText = errors.New("the text is not the one that it was trained on")

// ErrOtherConfig is wrapped by Restore's error where the run's configuration is of another run than the checkpoint.
var ErrOtherConfig = errors.New("a run cannot go on from it with another configuration")

// Checkpoint names a whole checkpoint on disk.
type Checkpoint struct {
	Dir  string
	Step int
}

// Save writes a checkpoint of the run to dir, whole or not at all, makes dir/model.safetensors and dir/config.json the
// same weights, and removes all but the newest keep checkpoints up to this step (0: none), and those of SavePassing.
func (r *Run) Save(dir string, keep int) (Checkpoint, error) {
	c, err := r.save(dir, false)
	if err != nil {
		return c, err
	}
	if keep == 0 {
		keep = math.MaxInt
	}
	return c, r.prune(dir, keep)
}

// SavePassing is Save for a checkpoint that nobody asked for, one made by time or because the run ends early: the next
// checkpoint takes its place, and it takes the place of none but one of its kind.
func (r *Run) SavePassing(dir string) (Checkpoint, error) {
	c, err := r.save(dir, true)
	if err != nil {
		return c, err
	}
	return c, r.prune(dir, math.MaxInt)
}

// save writes a checkpoint to dir, and its weights beside the checkpoints.
func (r *Run) save(dir string, passing bool) (Checkpoint, error) {
	root := filepath.Join(dir, CheckpointsDir)
	if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // dir itself is not made anew
		return Checkpoint{}, err
	}
	name := fmt.Sprintf("%s%08d", stepPrefix, r.step)
	c := Checkpoint{filepath.Join(root, name), r.step}
	// A step's checkpoint is the same whenever it is written: one that is there and whole stays.
	s, err := checkCheckpoint(c.Dir)
	switch {
	case err != nil:
		partial := filepath.Join(root, partialPrefix+name)
		if s, err = r.writeCheckpoint(partial, passing); err != nil {
			return c, errors.Join(fmt.Errorf("checkpoint of step %d: %w", r.step, err), os.RemoveAll(partial))
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
	case s.Passing && !passing:
		s.Passing = false
		if err := s.write(c.Dir); err != nil {
			return c, err
		}
	}
	return c, s.publish(c, dir)
}

// prune removes the checkpoints before this step that are passing, and of the others all but the newest keep.
func (r *Run) prune(dir string, keep int) error {
	all, err := listCheckpoints(dir)
	if err != nil {
		return err
	}
	for _, old := range all {
		// What is newer than this step is damaged, or the run would have gone on from there: no reason to drop others.
		if old.Step > r.step {
			continue
		}
		s, err := readState(old.Dir) // what cannot be read is damaged: it counts, and goes when it is old enough
		passing := err == nil && s.Passing
		if !passing {
			keep--
		}
		if old.Step == r.step || !passing && keep >= 0 || foreignFile(old.Dir) != "" { // somebody keeps something there
			continue
		}
		if err := discard(old.Dir); err != nil {
			return err
		}
	}
	return nil
}

// writeCheckpoint writes all files of a checkpoint to the new folder dir.
func (r *Run) writeCheckpoint(dir string, passing bool) (s runState, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return s, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return s, err
	}
	ex := finiteReader{r.ex, r}
	if err := r.Model.Save(ex, dir); err != nil {
		return s, err
	}
	var ts []safetensors.Tensor
	for _, a := range r.stateArenas() {
		for _, t := range a.Tensors() {
			v := make([]float32, t.Len())
			if err := ex.Read(t, v); err != nil {
				return s, err
			}
			ts = append(ts, safetensors.Float32(a.Name()+"."+t.Name(), t.Shape(), v))
		}
	}
	if err := safetensors.WriteFile(filepath.Join(dir, optimizerFile), nil, ts); err != nil {
		return s, err
	}
	if err := SaveConfig(dir, r.Config); err != nil {
		return s, err
	}
	text, err := r.textSum()
	if err != nil {
		return s, err
	}
	s = runState{Step: r.step, Tokens: r.Tokens(), Seed: r.Config.Train.Seed, Text: text, SHA256: map[string]string{}, Passing: passing}
	for _, f := range checkpointFiles {
		if s.SHA256[f], err = hashFile(filepath.Join(dir, f)); err != nil {
			return s, err
		}
	}
	if err := s.write(dir); err != nil {
		return s, err
	}
	return s, syncDir(dir)
}

// finiteReader refuses to read what is not finite: a checkpoint of it would be one from which no run can go on, in the place
// of one from which it can.
type finiteReader struct {
	prog.Executor
	r *Run
}

// Read implements prog.Executor.
func (f finiteReader) Read(t *prog.Tensor, dst []float32) error {
	if err := f.Executor.Read(t, dst); err != nil {
		return err
	}
	for i, v := range dst {
		if !finite(float64(v)) {
			o := f.r.given(t, i, v)
			o.Parameter, o.Given = t.Arena() == f.r.Model.Arena, t.Arena() != f.r.Model.Arena
			o.Loaded = o.Parameter && f.r.step == f.r.began
			return &NonFiniteError{Step: o.Step, Loss: math.NaN(), GradNorm: math.NaN(), Origin: o}
		}
	}
	return nil
}

// SaveConfig writes dir/config.toml, whole or not at all.
func SaveConfig(dir string, c Config) error {
	text, err := c.Text()
	if err != nil {
		return err
	}
	return safetensors.WriteFileAtomic(filepath.Join(dir, RunConfigFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// textSum is the SHA-256 of the run's text, training and validation.
func (r *Run) textSum() (string, error) {
	if r.textSHA != "" {
		return r.textSHA, nil
	}
	h := sha256.New()
	ids, b := make([]uint32, 1<<12), make([]byte, 1<<12)
	for _, p := range []data.Part{r.trainPart, r.val} {
		for at := 0; at < p.Len(); {
			n := len(ids)
			if at+n > p.Len() {
				n = 1 // the tail that fills no window
			}
			if err := p.Window(ids[:n], at/n); err != nil {
				return "", err
			}
			for i, id := range ids[:n] {
				b[i] = byte(id)
			}
			h.Write(b[:n])
			at += n
		}
	}
	r.textSHA = hex.EncodeToString(h.Sum(nil))
	return r.textSHA, nil
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
	return Checkpoint{}, damaged, fmt.Errorf("train: %s: no checkpoint to go on from: %w", filepath.Join(dir, CheckpointsDir), fs.ErrNotExist)
}

// What a killed process leaves: in the run's folder, temporary files that were about to be renamed to one of its own, and
// checkpoints of a run that another one replaced; among the checkpoints, what was being written or removed.
func leftInRun(name string) bool {
	if name == OldCheckpointsDir {
		return true
	}
	return slices.ContainsFunc([]string{RunConfigFile, MetricsFile, NormsFile, ExitFile, model.ConfigFile, model.WeightsFile}, func(f string) bool {
		rest, ok := strings.CutPrefix(name, "."+f)
		return ok && digits(rest)
	})
}

func leftInCheckpoints(name string) bool {
	rest, ok := strings.CutPrefix(name, partialPrefix)
	rest, step := strings.CutPrefix(strings.TrimPrefix(rest, "old-"), stepPrefix)
	return ok && step && digits(rest)
}

// digits says whether s is a number as file names have it.
func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Clean removes what a killed process left half-written or half-removed in a run's folder.
func Clean(dir string) error {
	for d, left := range map[string]func(string) bool{dir: leftInRun, filepath.Join(dir, CheckpointsDir): leftInCheckpoints} {
		es, err := os.ReadDir(d)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range es {
			if left(e.Name()) {
				if err := os.RemoveAll(filepath.Join(d, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Restore puts the run where a checkpoint left it. A model, a seed or a way of carrying states other than the
// checkpoint's are errors that name the keys; another text is one that wraps ErrOtherText, unless r.OtherText allows it.
func (r *Run) Restore(c Checkpoint) error {
	s, err := readState(c.Dir)
	if err == nil {
		err = s.compare(c.Dir, model.ConfigFile, RunConfigFile)
	}
	if err != nil {
		return err
	}
	old, err := Load(filepath.Join(c.Dir, RunConfigFile))
	if err != nil {
		return err
	}
	if old.Model, err = model.LoadConfig(filepath.Join(c.Dir, model.ConfigFile)); err != nil {
		return err
	}
	if old.Train.Seed != s.Seed { // the file has no check, or another program wrote it
		return fmt.Errorf("%s: damaged: seed %d, want the %d of its %s", filepath.Join(c.Dir, stateFile), s.Seed, old.Train.Seed, RunConfigFile)
	}
	var differ []string
	for _, d := range Diff(old, r.Config) {
		fixed := strings.HasPrefix(d.Key, "model.") && d.Key != "model.target_eps" || d.Key == "train.seed" || d.Key == "train.carry_state"
		if r.Config.Train.CarryState { // the streams that the state is of
			fixed = fixed || slices.Contains([]string{"train.batch_size", "train.micro_batches", "train.seq_len", "train.carry_tokens", "data.document", "data.val_fraction"}, d.Key)
		}
		if fixed {
			differ = append(differ, fmt.Sprintf("%s is %s, not %s", d.Key, d.A, d.B))
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("train: %s: %w: its %s", c.Dir, ErrOtherConfig, strings.Join(differ, ", "))
	}
	text, err := r.textSum()
	if err != nil {
		return err
	}
	if text != s.Text && !r.OtherText {
		if s.Format == uncheckedFormat {
			return fmt.Errorf("train: %s: %w, or its %s is damaged, which has no checksum", c.Dir, ErrOtherText, stateFile)
		}
		return fmt.Errorf("train: %s: %w", c.Dir, ErrOtherText)
	}
	// Opening holds a file to its own check, which is as good as the state's and is made once.
	f, err := safetensors.Open(filepath.Join(c.Dir, optimizerFile))
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := model.OpenWeights(filepath.Join(c.Dir, model.WeightsFile))
	if err != nil {
		return err
	}
	defer w.Close()
	if !f.Checked() || !w.Checked() {
		if err := s.compare(c.Dir, optimizerFile, model.WeightsFile); err != nil {
			return err
		}
	}
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
	if err := r.Model.LoadWeights(r.ex, w); err != nil {
		return err
	}
	r.step, r.began, r.read = s.Step, s.Step, s.Tokens
	return nil
}

// LatestStep is the step of the newest checkpoint of a run's folder, whole or not; -1: there is none.
func LatestStep(dir string) int {
	all, err := listCheckpoints(dir)
	if err != nil || len(all) == 0 {
		return -1
	}
	return all[0].Step
}

// listCheckpoints lists a run's checkpoints, newest first, whole or not.
func listCheckpoints(dir string) ([]Checkpoint, error) {
	es, err := os.ReadDir(filepath.Join(dir, CheckpointsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var cs []Checkpoint
	for _, e := range es {
		if step, ok := stepOfFolder(e.Name()); ok && e.IsDir() {
			cs = append(cs, Checkpoint{filepath.Join(dir, CheckpointsDir, e.Name()), step})
		}
	}
	slices.SortFunc(cs, func(a, b Checkpoint) int { return b.Step - a.Step })
	return cs, nil
}

// stepOfFolder is the step of a checkpoint by its folder's name.
func stepOfFolder(name string) (step int, ok bool) {
	n, ok := strings.CutPrefix(name, stepPrefix)
	step, err := strconv.Atoi(n)
	return step, ok && err == nil
}

// checkCheckpoint reads a checkpoint's state and compares its files with it.
func checkCheckpoint(dir string) (runState, error) {
	s, err := readState(dir)
	if err != nil {
		return s, err
	}
	return s, s.compare(dir, checkpointFiles...)
}

// compare compares files of the checkpoint in dir with what its state says of them.
func (s runState) compare(dir string, files ...string) error {
	for _, f := range files {
		sum, err := hashFile(filepath.Join(dir, f))
		if err != nil {
			return err
		}
		if sum != s.SHA256[f] {
			return fmt.Errorf("%s: damaged: SHA-256 %s, want %s", filepath.Join(dir, f), sum, s.SHA256[f])
		}
	}
	return nil
}

// Publish makes dir/model.safetensors and dir/config.json those of the checkpoint c, which is whole.
func Publish(c Checkpoint, dir string) error {
	s, err := readState(c.Dir)
	if err != nil {
		return err
	}
	return s.publish(c, dir)
}

func (s runState) publish(c Checkpoint, dir string) error {
	for _, f := range []string{model.ConfigFile, model.WeightsFile} {
		if err := publish(filepath.Join(c.Dir, f), filepath.Join(dir, f), s.SHA256[f]); err != nil {
			return err
		}
	}
	return nil
}

// publish makes dst a copy of src, whose SHA-256 is sum. It is no link: what people do to one must not damage the other.
func publish(src, dst, sum string) error {
	if have, err := hashFile(dst); err == nil && have == sum {
		return nil
	}
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // was only read
	return safetensors.WriteFileAtomic(dst, 0o644, func(w io.Writer) error { _, err := io.Copy(w, f); return err })
}

// discard removes a checkpoint: hidden first, so that no half of it has its name. One in which somebody else put something
// stays.
func discard(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if f := foreignFile(dir); f != "" {
		return fmt.Errorf("%s: holds %s, which no run wrote: move it away", dir, f)
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
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// syncDir makes a folder's entries durable, where folders can be.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
