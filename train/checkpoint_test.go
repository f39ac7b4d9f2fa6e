package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/prog"
)

// least is the smallest run that has all that a checkpoint must hold.
func least(layer string, carry bool) Config {
	c := Default()
	m := &c.Model
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize, m.TTTLayerType = 8, 8, 1, 2, 4, layer
	t := &c.Train
	t.Steps, t.BatchSize, t.SeqLen, t.MicroBatches, t.WarmupSteps, t.LogEvery, t.EvalEvery, t.KeepCheckpoints = 60, 2, 16, 2, 5, 7, 0, 2
	c.Data.StoryBytes, c.Data.ValFraction = 3000, 0
	if t.CarryState = carry; carry {
		if layer == "mlp" {
			t.CarryTokens = 3 * t.SeqLen
		}
		c.Data.Document = "\n\n"
	}
	return c
}

// on prepares a run on ex, which closing leaves empty.
func on(t testing.TB, c Config, ex prog.Executor) *Run {
	t.Helper()
	text, err := Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(c, ex, text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cuts trains c in one go, and again with a stop after each of the steps at, where another run goes on from the
// checkpoint. All files of the last checkpoint must be the same.
func cuts(t *testing.T, c Config, ex prog.Executor, at []int) {
	t.Helper()
	whole, parts := t.TempDir(), t.TempDir()
	run := func(dir string, stop int) {
		t.Helper()
		r := on(t, c, ex)
		defer r.Close()
		if last, damaged, err := Latest(dir); err == nil {
			err = r.Restore(last)
			if err != nil || len(damaged) > 0 || r.Step() != last.Step {
				t.Fatal(err, damaged, r.Step())
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		r.StopAt = stop
		if err := r.Train(context.Background(), saver{r, dir}); err != nil {
			t.Fatal(err)
		}
	}
	run(whole, 0)
	for _, stop := range at {
		run(parts, stop)
	}
	run(parts, 0)
	a, _, err := Latest(whole)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := Latest(parts)
	if err != nil || a.Step != c.Train.Steps || b.Step != c.Train.Steps {
		t.Fatalf("%v, steps %d and %d, want %d", err, a.Step, b.Step, c.Train.Steps)
	}
	for _, f := range append([]string{stateFile}, checkpointFiles...) {
		if x, y := sum(t, filepath.Join(a.Dir, f)), sum(t, filepath.Join(b.Dir, f)); x != y {
			t.Errorf("%s: SHA-256 %s in one go, %s with stops at %v", f, x, y, at)
		}
	}
	if x, y := sum(t, filepath.Join(parts, model.WeightsFile)), sum(t, filepath.Join(b.Dir, model.WeightsFile)); x != y {
		t.Errorf("the folder's weights are not its newest checkpoint's")
	}
}

func sum(t testing.TB, path string) string {
	t.Helper()
	s, err := hashFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// saver saves what is due.
type saver struct {
	r   *Run
	dir string
}

func (saver) Steps([]Step, float64) error { return nil }
func (saver) Eval(Eval) error             { return nil }

func (s saver) Save(int) error {
	_, err := s.r.Save(s.dir, s.r.Config.Train.KeepCheckpoints)
	return err
}

// A run that stops and goes on, 20 times at random steps, is the run that does not, bit for bit.
func TestResumeIsExact(t *testing.T) {
	ex := prog.NewCPU[float32](2)
	defer ex.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, layer := range []string{"linear", "mlp"} {
		for _, carry := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,carry=%v", layer, carry), func(t *testing.T) {
				c := least(layer, carry)
				at := rng.Perm(c.Train.Steps - 1)[:20]
				for i := range at {
					at[i]++
				}
				slices.Sort(at)
				cuts(t, c, ex, at)
			})
		}
	}
}

// The same on the machine's WebGPU device.
func TestResumeIsExactOnGPU(t *testing.T) {
	ex := gputest.Device(t)
	for _, layer := range []string{"linear", "mlp"} {
		t.Run(layer, func(t *testing.T) {
			c := least(layer, true)
			c.Train.Steps, c.Train.MicroBatches = 9, 1
			cuts(t, c, ex, []int{2, 6})
		})
	}
}

// What a run cannot go on from is refused, and the error says what differs.
func TestRestoreRefuses(t *testing.T) {
	dir := t.TempDir()
	c := least("linear", true)
	r, ex := begin(t, c)
	r.StopAt = 2
	if err := r.Train(context.Background(), saver{r, dir}); err != nil {
		t.Fatal(err)
	}
	last, _, err := Latest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for assign, want := range map[string]string{
		"model.intermediate_size=16": "its model.intermediate_size is 8, not 16",
		"model.ttt_layer_type=mlp":   `its model.ttt_layer_type is "linear", not "mlp"`,
		"model.rms_norm_eps=1e-3":    "its model.rms_norm_eps is 1e-06, not 0.001",
		"train.seed=9":               "its train.seed is 1, not 9",
		"train.carry_state=false":    "its train.carry_state is true, not false",
		"train.batch_size=3":         "its train.batch_size is 2, not 3",
		"train.seq_len=20":           "its train.seq_len is 16, not 20",
		"data.document=.":            `its data.document is "\n\n", not "."`,
		"data.story_bytes=4000":      ErrOtherText.Error(),
		"data.task=copy":             ErrOtherText.Error(),
		"train.lr=1e-5":              "",
		"train.steps=70":             "",
		"train.log_every=1":          "",
	} {
		other := c
		if err := other.Set(assign); err != nil {
			t.Fatal(err)
		}
		r := on(t, other, ex)
		err := r.Restore(last)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: got %v, want %q", assign, err, want)
		}
		if errors.Is(err, ErrOtherText) {
			r.OtherText = true
			if err := r.Restore(last); err != nil {
				t.Errorf("another text that is allowed: %v", err)
			}
		}
		r.Close()
	}
}

// A checkpoint with any byte changed, cut short or missing is passed over and named; the one before it is taken. The
// damaged one takes no whole one's place.
func TestDamagedCheckpoints(t *testing.T) {
	for _, f := range append([]string{stateFile}, checkpointFiles...) {
		for how, damage := range map[string]func(path string, b []byte) error{
			"missing":  func(path string, _ []byte) error { return os.Remove(path) },
			"cut":      func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/2], 0o644) },
			"empty":    func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o644) },
			"one byte": func(path string, b []byte) error { b[3] ^= 1; return os.WriteFile(path, b, 0o644) },
		} {
			t.Run(f+" "+how, func(t *testing.T) {
				dir := t.TempDir()
				c := least("linear", false)
				c.Train.Steps, c.Train.SaveEvery = 4, 2
				r, ex := begin(t, c)
				if err := r.Train(context.Background(), saver{r, dir}); err != nil {
					t.Fatal(err)
				}
				want := sum(t, filepath.Join(dir, model.WeightsFile))
				path := filepath.Join(dir, CheckpointsDir, "step-00000004", f)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := damage(path, b); err != nil {
					t.Fatal(err)
				}
				if got := sum(t, filepath.Join(dir, model.WeightsFile)); got != want {
					t.Fatal("damage to the checkpoint is damage to the folder's weights")
				}
				last, damaged, err := Latest(dir)
				if err != nil || last.Step != 2 || len(damaged) != 1 || !strings.Contains(damaged[0].Error(), filepath.Join("step-00000004", f)) {
					t.Fatalf("got step %d, damaged %v, %v, want step 2 and the file's name", last.Step, damaged, err)
				}
				c.Train.SaveEvery, c.Train.KeepCheckpoints = 1, 1
				r = on(t, c, ex)
				defer r.Close()
				if err := r.Restore(last); err != nil {
					t.Fatal(err)
				}
				r.StopAt = 3
				if err := r.Train(context.Background(), saver{r, dir}); err != nil {
					t.Fatal(err)
				}
				if last, _, err := Latest(dir); err != nil || last.Step != 3 {
					t.Fatalf("%+v, %v: the damaged checkpoint took the whole one's place", last, err)
				}
				r.StopAt = 0
				if err := r.Train(context.Background(), saver{r, dir}); err != nil {
					t.Fatal(err)
				}
				if last, damaged, err := Latest(dir); err != nil || last.Step != 4 || len(damaged) > 0 {
					t.Errorf("%+v, %v, %v", last, damaged, err)
				}
				if got := sum(t, filepath.Join(dir, model.WeightsFile)); got != want {
					t.Error("the weights are others than before the damage")
				}
			})
		}
	}
}

// The newest checkpoints stay, as many as asked for, and no other file is left beside them.
// TestCheckpointOfNoNumbers: weights, moments and memories that are not finite are not written, and the last checkpoint stays.
func TestCheckpointOfNoNumbers(t *testing.T) {
	for _, what := range []string{"model.layers.0.ffn_norm.weight", "m.model.norm.weight", "memory"} {
		r := on(t, least("linear", true), prog.NewCPU[float32](1))
		if bad, err := steps(r, 2); bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		dir := t.TempDir()
		good, err := r.Save(dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		if bad, err := steps(r, 1); bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		x := r.Model.Lookup(what)
		for _, a := range r.stateArenas() {
			for _, y := range a.Tensors() {
				if a.Name()+"."+y.Name() == what || strings.HasPrefix(a.Name(), what) {
					x = y
				}
			}
		}
		v := make([]float32, x.Len())
		v[1] = float32(math.Inf(-1))
		if err := r.ex.Write(x, v); err != nil {
			t.Fatal(err)
		}
		_, err = r.Save(dir, 1)
		var bad *NonFiniteError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "checkpoint of step 3: ") || !strings.Contains(err.Error(), "is -Inf") {
			t.Errorf("%s: error %v", what, err)
		}
		if last, damaged, err := Latest(dir); err != nil || len(damaged) > 0 || last != good {
			t.Errorf("%s: the last checkpoint is %v (%v, %v), want %v", what, last, damaged, err, good)
		}
		r.Close()
	}
}

func TestKeepCheckpoints(t *testing.T) {
	for keep, want := range map[int]string{
		1: "step-00000005",
		3: "step-00000003 step-00000004 step-00000005",
		0: "step-00000001 step-00000002 step-00000003 step-00000004 step-00000005",
	} {
		dir := t.TempDir()
		c := least("linear", false)
		c.Train.Steps, c.Train.SaveEvery, c.Train.KeepCheckpoints = 5, 1, keep
		r, _ := begin(t, c)
		if err := r.Train(context.Background(), saver{r, dir}); err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Join(dir, CheckpointsDir)); got != want {
			t.Errorf("keep %d: got %s, want %s", keep, got, want)
		}
		if got := names(t, dir); got != "checkpoints config.json model.safetensors" {
			t.Errorf("the folder holds %s", got)
		}
	}
}

func names(t testing.TB, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range es {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// Clean removes what a killed process leaves, and nothing else.
func TestClean(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{
		".config.toml123", ".metrics.jsonl0", ".config.json77", ".model.safetensors8261", "checkpoints/.partial-step-00000003/x",
		"checkpoints/.partial-old-step-00000001/x", ".partial-checkpoints/step-00000002/x",
		".config.toml", ".notes1", ".partial-download", "config.toml", "checkpoints/step-00000002/x", "checkpoints/.keep",
	} {
		path := filepath.Join(dir, filepath.FromSlash(f))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir)+"; "+names(t, filepath.Join(dir, CheckpointsDir)), ".config.toml .notes1 .partial-download checkpoints config.toml; .keep step-00000002"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := Clean(filepath.Join(dir, "missing")); err != nil {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	a, b := Default(), Default()
	if d := Diff(a, b); len(d) != 0 {
		t.Errorf("%v, want none", d)
	}
	for _, s := range []string{"model.hidden_size=64", "train.lr=1e-4", "train.carry_state=true", `sample.prompts=["a"]`, "data.file=x y"} {
		if err := b.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, d := range Diff(a, b) {
		if err := a.Set(d.Key + "=" + d.B); err != nil {
			t.Errorf("Set does not take %+v: %v", d, err)
		}
		got = append(got, d.Key+"="+d.B)
	}
	if s, want := strings.Join(got, " "), `model.hidden_size=64 data.file="x y" train.lr=0.0001 train.carry_state=true sample.prompts=["a"]`; s != want {
		t.Errorf("got %s, want %s", s, want)
	}
	if d := Diff(a, b); len(d) != 0 {
		t.Errorf("%v remain", d)
	}
}
