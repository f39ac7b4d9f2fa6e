package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/train"
)

// keptFile says of a kept run what the page lists.
const keptFile = "run.json"

// keptRun is the content of run.json.
type keptRun struct {
	Name       string   `json:"name"`
	Created    string   `json:"created"` // RFC 3339
	Step       int      `json:"step"`    // of the newest checkpoint
	Loss       *float64 `json:"loss"`    // smoothed
	ValLoss    *float64 `json:"val_loss"`
	Parameters int      `json:"parameters"`
	Changes    []change `json:"changes,omitempty"` // while it was open, in the order of their steps
}

func readKept(dir string) (k keptRun, err error) {
	b, err := os.ReadFile(filepath.Join(dir, keptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, failf(codeData, "%s: no such run", filepath.Base(dir))
	}
	if err != nil {
		return k, fail(codeStorage, err)
	}
	if err := json.Unmarshal(b, &k); err != nil || k.Name == "" {
		return rebuilt(dir), nil
	}
	return k, nil
}

// rebuilt is what can be said of a run whose run.json is damaged: a run must not vanish from the list for it.
func rebuilt(dir string) keptRun {
	k := keptRun{Name: filepath.Base(dir), Created: timeNow().UTC().Format(time.RFC3339)}
	if st, err := os.Stat(filepath.Join(dir, train.RunConfigFile)); err == nil {
		k.Created = st.ModTime().UTC().Format(time.RFC3339)
	}
	if at, _, err := train.Latest(dir); err == nil {
		k.Step = at.Step
	}
	if past, err := train.ReadMetrics(dir, math.MaxInt, nil); err == nil {
		_ = k.measure(dir, past) // what cannot be read is not shown
	}
	return k
}

// measure takes the losses of the run in dir, whose metrics say past.
func (k *keptRun) measure(dir string, past train.Past) error {
	loss, err := smoothed(dir)
	if err != nil {
		return err
	}
	k.Loss = loss.value()
	if past.Eval != nil {
		k.ValLoss = &past.Eval.Loss
	}
	return nil
}

// write writes run.json, whole or not at all.
func (k keptRun) write(dir string) error {
	return safetensors.WriteFileAtomic(filepath.Join(dir, keptFile), 0o644, func(w io.Writer) error { return json.NewEncoder(w).Encode(k) })
}

func (k keptRun) info(id string, c train.Config, open bool) *runInfo {
	return &runInfo{ID: id, Name: k.Name, Created: k.Created, Step: k.Step, Steps: c.Train.Steps, Loss: k.Loss, ValLoss: k.ValLoss,
		Parameters: k.Parameters, Config: train.Flat(c), Open: open, Reached: k.Step, Changes: append([]change{}, k.Changes...)}
}

// The folders of a session.
const (
	runsDir    = "runs"
	importsDir = "imports"
)

func (s *Session) runDir(id string) string { return s.path(runsDir, id) }
func lockName(id string) string            { return "innerloop.run." + id }

// inNames says whether a character may stand in the name of a file anywhere.
func inNames(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// isRunID says whether id is what newID makes, or could have made.
func isRunID(id string) bool {
	other := strings.IndexFunc(id, func(r rune) bool { return !inNames(r) && !strings.ContainsRune("._-", r) })
	return len(id) >= 1 && len(id) <= 81 && other < 0 && inNames(rune(id[0]))
}

// kept returns a run's folder.
func (s *Session) kept(id string) (string, error) {
	if !isRunID(id) {
		return "", failf(codeUsage, "run %.90q: no name of a run", id)
	}
	dir := s.runDir(id)
	_, err := readKept(dir)
	return dir, err
}

// newID makes the folder of a new run.
func (s *Session) newID() (string, error) {
	if err := os.MkdirAll(s.path(runsDir), 0o755); err != nil {
		return "", fail(codeStorage, err)
	}
	at := timeNow().UTC().Format("20060102-150405")
	for n := 1; ; n++ {
		id := at
		if n > 1 {
			id = fmt.Sprintf("%s-%d", at, n)
		}
		err := os.Mkdir(s.runDir(id), 0o755)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return id, fail(codeStorage, err)
		}
	}
}

// create keeps a new run at step 0; fill, where it is not nil, puts more into its folder.
func (s *Session) create(name string, c train.Config, parameters int, fill func(dir string) error) (id string, err error) {
	if id, err = s.newID(); err != nil {
		return "", err
	}
	dir := s.runDir(id)
	defer func() {
		if err != nil {
			os.RemoveAll(dir) //nolint:errcheck // err is what matters
		}
	}()
	if name == "" {
		name = defaultName(c)
	}
	if fill != nil {
		if err := fill(dir); err != nil {
			return "", err
		}
	}
	if err := train.SaveConfig(dir, c); err != nil {
		return "", fail(codeStorage, err)
	}
	k := keptRun{Name: name, Created: timeNow().UTC().Format(time.RFC3339), Parameters: parameters}
	return id, fail(codeStorage, k.write(dir)) // last: a folder without it is none
}

// defaultName names a run by what is most often changed.
func defaultName(c train.Config) string {
	text := c.Data.Task
	if c.Data.File != "" {
		text = strings.TrimSuffix(filepath.Base(c.Data.File), filepath.Ext(c.Data.File))
	}
	return fmt.Sprintf("%s · %s %d×%d", text, c.Model.Name(), c.Model.NumHiddenLayers, c.Model.HiddenSize)
}

func (s *Session) start(p startParams) (any, error) {
	c, err := config(p.Config)
	if err != nil {
		return nil, err
	}
	var fill func(string) error
	if p.Weights != "" {
		from, err := s.kept(p.Weights)
		if err != nil {
			return nil, err
		}
		if s.open != nil && s.open.id == p.Weights && s.state != stateFailed {
			if err := s.open.saveNow(); err != nil {
				return nil, fail(codeStorage, err)
			}
		}
		fill = func(dir string) error { return s.copyWeights(from, filepath.Join(dir, initialDir)) }
	}
	// A text that will not do is refused while the run before is still open.
	if err := textThere(c.Data); err != nil {
		return nil, err
	}
	text, err := train.Corpus(c.Data)
	if err != nil {
		return nil, fail(codeData, err)
	}
	if _, _, err := train.Split(c, text); err != nil {
		return nil, fail(codeConfig, err)
	}
	s.shut()
	ready := s.prepare()
	s.revive()
	s.enter(stateLoading, nil)
	o, err := s.begin(p.Name, c, fill)
	ready()
	if err != nil {
		s.enter(stateIdle, nil)
		return nil, err
	}
	return s.opened(o, p.Paused)
}

// begin keeps a new run and opens it.
func (s *Session) begin(name string, c train.Config, fill func(string) error) (*openRun, error) {
	id, err := s.create(name, c, 0, fill)
	if err != nil {
		return nil, err
	}
	s.host.Lock(lockName(id))
	o, err := s.load(id, loadOptions{})
	if err != nil {
		s.host.Unlock(lockName(id))
		return nil, errors.Join(err, os.RemoveAll(s.runDir(id)))
	}
	return o, nil
}

func (s *Session) opened(o *openRun, paused bool) (any, error) {
	s.open = o
	state := stateRunning
	switch {
	case o.ended():
		state = stateFinished
	case paused:
		state = statePaused
	}
	s.enter(state, nil)
	for _, x := range o.samples.list {
		o.tell(x)
	}
	s.send("memory", s.memory())
	if state != stateRunning {
		if err := o.look(); err != nil {
			s.failed(err)
		}
	}
	return runResult{o.info()}, nil
}

func (s *Session) openKept(p openParams) (any, error) {
	if _, err := s.kept(p.Run); err != nil {
		return nil, err
	}
	s.shut()
	if !s.host.Lock(lockName(p.Run)) {
		return nil, failf(codeLocked, "the run is open in another tab: close it there first")
	}
	ready := s.prepare()
	s.revive()
	s.enter(stateLoading, nil)
	o, err := s.load(p.Run, loadOptions{text: p.Text, otherText: p.OtherText})
	ready()
	if err != nil {
		s.host.Unlock(lockName(p.Run))
		s.enter(stateIdle, nil)
		return nil, err
	}
	return s.opened(o, p.Paused)
}

func (s *Session) runs(empty) (any, error) {
	es, err := os.ReadDir(s.path(runsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(codeStorage, err)
	}
	list := []*runInfo{}
	for _, e := range es {
		id := e.Name()
		if !e.IsDir() || !isRunID(id) {
			continue
		}
		if s.open != nil && s.open.id == id {
			info := s.open.info()
			info.Bytes = size(s.open.dir)
			list = append(list, info)
			continue
		}
		dir := s.runDir(id)
		k, err := readKept(dir)
		if err != nil {
			continue // a tab that was closed while it made the run
		}
		c, err := train.LoadRun(dir)
		info := k.info(id, c, false)
		info.Bytes = size(dir)
		if err != nil {
			info.Problem = err.Error()
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b *runInfo) int { return strings.Compare(b.Created+b.ID, a.Created+a.ID) })
	return runsResult{list}, nil
}

// size is the number of bytes below dir.
func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what cannot be read counts nothing
		if err == nil && !d.IsDir() {
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}

// metrics are a kept run's curves, by column.
func (s *Session) metrics(id string) (map[string][]float64, error) {
	dir, err := s.kept(id)
	if err != nil {
		return nil, err
	}
	m := map[string][]float64{}
	for _, name := range []string{"step", "loss", "gradNorm", "lr", "tokensPerSecond", "valStep", "valLoss"} {
		m[name] = []float64{}
	}
	add := func(name string, v float64) { m[name] = append(m[name], v) }
	past, err := train.ReadMetrics(dir, math.MaxInt, func(x train.Metric) {
		if x.Eval != nil {
			add("valStep", float64(x.Eval.Step))
			add("valLoss", x.Eval.Loss)
			return
		}
		add("step", float64(x.Step.Step))
		add("loss", x.Step.Loss)
		add("gradNorm", x.Step.GradNorm)
		add("lr", x.Step.LR)
		add("tokensPerSecond", x.TokensPerSecond)
	})
	s.broken(past.Broken, train.MetricsFile)
	return m, fail(codeStorage, err)
}

// smoothing is how the page smooths its curves at first (SMOOTHING in ui/columns.js).
const smoothing = 0.8

// smooth is an exponential moving average without the bias of its start, as the page draws it of the losses.
type smooth struct{ mean, weight float64 }

// add takes the next number. One that is not finite is a gap.
func (m *smooth) add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	m.mean = smoothing*m.mean + (1-smoothing)*x
	m.weight = smoothing*m.weight + (1 - smoothing)
}

// value is the average; nil: of nothing.
func (m *smooth) value() *float64 {
	if m.weight == 0 {
		return nil
	}
	v := m.mean / m.weight
	return &v
}

// smoothed is the average of the losses that a run's metrics hold.
func smoothed(dir string) (m smooth, err error) {
	_, err = train.ReadMetrics(dir, math.MaxInt, func(x train.Metric) {
		if x.Eval == nil {
			m.add(x.Step.Loss)
		}
	})
	return m, err
}

// broken tells of lines of a run's file that were passed over.
func (s *Session) broken(b train.Broken, file string) {
	if text := b.In(file); text != "" {
		s.notice(failf(codeData, "%s", text))
	}
}

func (s *Session) rename(p renameParams) (any, error) {
	dir, err := s.kept(p.Run)
	if err != nil {
		return nil, err
	}
	if p.Name = strings.TrimSpace(p.Name); p.Name == "" || len(p.Name) > 800 {
		return nil, failf(codeUsage, "rename: a name of %d bytes, want 1 to 800", len(p.Name))
	}
	k, err := readKept(dir)
	if err != nil {
		return nil, err
	}
	k.Name = p.Name
	if s.open != nil && s.open.id == p.Run {
		s.open.kept.Name = p.Name
	}
	return nil, fail(codeStorage, k.write(dir))
}

func (s *Session) remove(p runParams) (any, error) {
	dir, err := s.kept(p.Run)
	if err != nil {
		return nil, err
	}
	if s.open != nil && s.open.id == p.Run {
		s.shut()
	}
	if !s.host.Lock(lockName(p.Run)) {
		return nil, failf(codeLocked, "the run is open in another tab: close it there first")
	}
	defer s.host.Unlock(lockName(p.Run))
	if err := os.Remove(filepath.Join(dir, keptFile)); err != nil { // from here on it is no run
		return nil, fail(codeStorage, err)
	}
	return nil, fail(codeStorage, os.RemoveAll(dir))
}

func (s *Session) download(p runParams) (any, error) {
	dir, err := s.kept(p.Run)
	if err != nil {
		return nil, err
	}
	if s.open != nil && s.open.id == p.Run && s.state != stateFailed {
		if err := s.open.saveNow(); err != nil {
			return nil, fail(codeStorage, err)
		}
	}
	k, err := readKept(dir)
	if err != nil {
		return nil, err
	}
	at, damaged, err := train.Latest(dir)
	s.passedOver(damaged, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf(codeData, "the run has no checkpoint yet: let it make a step first")
	}
	if err == nil { // the weights beside the checkpoints may be damaged where these are not
		err = train.Publish(at, dir)
	}
	if err != nil {
		return nil, fail(codeStorage, err)
	}
	d := downloadResult{Dir: dir, Name: fileName(k.Name)}
	step, err := filepath.Rel(dir, at.Dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{"", step} {
		es, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			return nil, fail(codeStorage, err)
		}
		for _, e := range es {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				d.Files = append(d.Files, filepath.ToSlash(filepath.Join(folder, e.Name())))
			}
		}
	}
	return d, nil
}

// fileName makes a name for files of a run's name.
func fileName(name string) string {
	words := strings.FieldsFunc(strings.ReplaceAll(name, "×", "x"), func(r rune) bool { return !inNames(r) })
	if n := strings.Join(words, "-"); n != "" {
		return n[:min(len(n), 80)]
	}
	return "run"
}

// openWeights opens the weights of a run's or another checkpoint's folder and tells the page what it should know of them.
func (s *Session) openWeights(dir string) (*model.Checkpoint, error) {
	c, notes, err := train.OpenModel(dir)
	if err != nil {
		return nil, fail(codeData, err)
	}
	if err := c.Check(safetensors.F32); err != nil {
		c.Close()
		return nil, fail(codeData, err)
	}
	for _, n := range notes {
		s.notice(failf(codeData, "%s", inUpload(n, dir)))
	}
	return c, nil
}

// copyWeights copies the weights of a checkpoint's folder, once they are found to be a model's.
func (s *Session) copyWeights(from, to string) error {
	c, err := s.openWeights(from)
	if err != nil {
		return err
	}
	defer c.Close()
	return writeWeights(c, to)
}

func writeWeights(c *model.Checkpoint, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fail(codeStorage, err)
	}
	if err := c.Write(to, safetensors.F32); err != nil {
		return fail(codeStorage, err)
	}
	return nil
}

// takeOver makes a run of an upload. Errors name its files without the folder that it lies in.
func (s *Session) takeOver(p importParams) (any, error) {
	run, err := s.takeUpload(p)
	if err != nil {
		f := asFailure(err)
		f.Message = inUpload(f.Message, p.Dir)
		return nil, f
	}
	return run, nil
}

// inUpload takes the folder of an upload off the names in a message.
func inUpload(message, dir string) string {
	return strings.ReplaceAll(message, strings.TrimSuffix(dir, "/")+"/", "")
}

func (s *Session) takeUpload(p importParams) (any, error) {
	root := s.path(importsDir)
	dir := filepath.Clean(p.Dir)
	if s.root != "/" {
		dir = s.path(p.Dir)
	}
	if rel, err := filepath.Rel(root, dir); err != nil || rel == "." || strings.HasPrefix(rel, "..") {
		return nil, failf(codeUsage, "import: %.80q is no upload", p.Dir)
	}
	dir, err := uploaded(dir)
	if err != nil {
		return nil, err
	}
	has := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	var id string
	if has(train.RunConfigFile) && has(train.CheckpointsDir) {
		id, err = s.importRun(dir, p.Name)
	} else {
		id, err = s.importWeights(dir, p.Name)
	}
	if err != nil {
		return nil, err
	}
	k, err := readKept(s.runDir(id))
	if err != nil {
		return nil, err
	}
	c, err := train.LoadRun(s.runDir(id))
	return runResult{k.info(id, c, false)}, fail(codeData, err)
}

// uploaded finds the folder of an upload that holds a run or weights: it or one within it.
func uploaded(dir string) (string, error) {
	es, err := os.ReadDir(dir)
	if err != nil {
		return "", fail(codeStorage, err)
	}
	var names, folders []string
	for _, e := range es {
		names = append(names, e.Name())
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
		if e.Name() == train.RunConfigFile || e.Name() == model.ConfigFile {
			return dir, nil
		}
	}
	if len(folders) == 1 {
		return uploaded(filepath.Join(dir, folders[0]))
	}
	return "", failf(codeData, "no checkpoint: got %s; want the folder or .zip of a run (config.toml, checkpoints), or %s with %s",
		strings.Join(names[:min(len(names), 8)], ", "), model.ConfigFile, model.WeightsFile)
}

// passedOver tells of checkpoints in dir that were not whole.
func (s *Session) passedOver(damaged []error, dir string) {
	for _, d := range damaged {
		s.notice(failf(codeData, "passed over a damaged checkpoint: %s", inUpload(d.Error(), dir)))
	}
}

// importRun takes over what train.Save wrote.
func (s *Session) importRun(dir, name string) (string, error) {
	c, err := train.LoadRun(dir)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return "", fail(codeData, err)
	}
	at, damaged, err := train.Latest(dir)
	if len(damaged) > 0 && err != nil {
		err = damaged[0]
	} else if len(damaged) > 0 {
		s.passedOver(damaged, dir)
	}
	if err != nil {
		return "", fail(codeData, err)
	}
	m, err := model.New(c.Model, model.ScanOptions{})
	if err != nil {
		return "", fail(codeData, err)
	}
	past, err := train.ReadMetrics(dir, at.Step, nil)
	if err != nil {
		return "", fail(codeStorage, err)
	}
	s.broken(past.Broken, train.MetricsFile)
	if c, differences := train.Edited(dir); len(differences) > 0 {
		texts := make([]string, len(differences))
		for i, d := range differences {
			texts[i] = d.Key + " is " + d.B + ", was " + d.A
		}
		s.notice(failf(codeData, "%s is not as it was at the checkpoint of step %d: %s", train.RunConfigFile, c.Step, strings.Join(texts, "; ")))
	}
	old, err := readKept(dir)
	if err == nil && name == "" {
		name = old.Name
	}
	id, err := s.create(name, c, m.Count(), func(to string) error {
		if err := os.MkdirAll(filepath.Join(to, train.CheckpointsDir), 0o755); err != nil {
			return fail(codeStorage, err)
		}
		rel, err := filepath.Rel(dir, at.Dir)
		if err != nil {
			return err
		}
		for _, f := range []string{train.MetricsFile, train.NormsFile, samplesFile, rel} {
			if err := os.Rename(filepath.Join(dir, f), filepath.Join(to, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fail(codeStorage, err)
			}
		}
		at.Dir = filepath.Join(to, rel)
		return fail(codeStorage, train.Publish(at, to)) // what lay beside the checkpoints may be damaged, or another's
	})
	if err != nil {
		return "", err
	}
	k, err := readKept(s.runDir(id))
	if err != nil {
		return "", err
	}
	k.Step, k.Changes = at.Step, back(old.Changes, at.Step)
	if err := k.measure(s.runDir(id), past); err != nil {
		return "", fail(codeStorage, err)
	}
	return id, fail(codeStorage, k.write(s.runDir(id)))
}

// importWeights begins a run with the weights of another program.
func (s *Session) importWeights(dir, name string) (string, error) {
	from, err := s.openWeights(dir)
	if err != nil {
		return "", err
	}
	defer from.Close()
	c := defaults()
	c.Model = from.Params.Config
	if err := c.Validate(); err != nil {
		return "", fail(codeData, err)
	}
	return s.create(name, c, from.Params.Count(), func(to string) error { return writeWeights(from, filepath.Join(to, initialDir)) })
}
