package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"innerloop/data"
	"innerloop/prog"
)

// tiny is a run that takes milliseconds.
func tiny() Config {
	c := Default()
	m := &c.Model
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize = 32, 48, 1, 2, 8
	t := &c.Train
	t.Steps, t.BatchSize, t.SeqLen, t.WarmupSteps, t.EvalEvery = 6, 4, 32, 2, 0
	c.Data.StoryBytes = 4000
	return c
}

// notes is an observer that writes down what it is told.
type notes struct {
	steps  []Step
	evals  []Eval
	events []string
	fail   string             // the event that fails
	then   func(event string) // called after each event
}

func (n *notes) event(format string, a ...any) error {
	e := fmt.Sprintf(format, a...)
	n.events = append(n.events, e)
	if n.then != nil {
		n.then(e)
	}
	if e == n.fail {
		return errors.New(e + " failed")
	}
	return nil
}

func (n *notes) Steps(s []Step, seconds float64) error {
	n.steps = append(n.steps, s...)
	if seconds < 0 {
		return fmt.Errorf("%g seconds", seconds)
	}
	return n.event("steps to %d", s[len(s)-1].Step)
}

func (n *notes) Eval(e Eval) error {
	n.evals = append(n.evals, e)
	return n.event("eval %d", e.Step)
}

func (n *notes) Save(step int) error { return n.event("save %d", step) }

// begin prepares a run on an executor of the test's own.
func begin(t testing.TB, c Config) (*Run, *prog.CPU[float32]) {
	t.Helper()
	ex := prog.NewCPU[float32](2)
	t.Cleanup(ex.Close)
	text, err := Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(c, ex, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, ex
}

// weights reads all parameters of a run.
func weights(t *testing.T, r *Run) []float32 {
	t.Helper()
	var all []float32
	for _, n := range r.Model.Names() {
		v := make([]float32, r.Model.Lookup(n).Len())
		if err := r.ex.Read(r.Model.Lookup(n), v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v...)
	}
	return all
}

func TestTrain(t *testing.T) {
	c := tiny()
	c.Train.Steps = 40
	r, _ := begin(t, c)
	before, err := r.Evaluate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var n notes
	if err := r.Train(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	if len(n.steps) != 40 || r.Step() != 40 {
		t.Fatalf("%d steps told, %d made, want 40", len(n.steps), r.Step())
	}
	for i, s := range n.steps {
		if s.Step != i+1 || s.Tokens != int64(i+1)*4*32 || s.LR != c.Train.Schedule(i+1) || s.GradNorm <= 0 {
			t.Errorf("step %d: %+v", i+1, s)
		}
	}
	first, last := n.steps[0].Loss, n.steps[39].Loss
	if math.Abs(first-math.Log(256)) > 0.2 || last > first-1.5 {
		t.Errorf("loss %.3f to %.3f, want from about ln 256 = 5.545 down by 1.5 and more", first, last)
	}
	after := n.evals[0]
	if len(n.evals) != 1 || after.Step != 40 || after.Loss > before.Loss-1.5 || math.Abs(after.BitsPerByte-after.Loss/math.Ln2) > 1e-12 || after.Tokens != before.Tokens {
		t.Errorf("validations %+v, before the run %+v", n.evals, before)
	}
}

// Logs, validations and checkpoints come where the configuration asks for them, and at the end.
func TestOrder(t *testing.T) {
	c := tiny()
	c.Train.Steps, c.Train.LogEvery, c.Train.EvalEvery, c.Train.SaveEvery = 7, 3, 4, 5
	r, _ := begin(t, c)
	var n notes
	if err := r.Train(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	want := "steps to 3, steps to 4, eval 4, steps to 5, save 5, steps to 6, steps to 7, eval 7, save 7"
	if got := strings.Join(n.events, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Without a held-out part there is nothing to validate on.
	c.Data.ValFraction = 0
	r, _ = begin(t, c)
	n = notes{}
	if err := r.Train(context.Background(), &n); err != nil || len(n.evals) > 0 {
		t.Errorf("%v, %d validations, want 0", err, len(n.evals))
	}
}

// A context that ends ends the run after its step, with all steps told; another call goes on.
func TestCancel(t *testing.T) {
	c := tiny()
	c.Train.LogEvery, c.Train.SaveEvery = 10, 3
	whole, _ := begin(t, c)
	if err := whole.Train(context.Background(), &notes{}); err != nil {
		t.Fatal(err)
	}
	r, _ := begin(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	n := notes{then: func(e string) {
		if e == "save 3" {
			cancel()
		}
	}}
	if err := r.Train(ctx, &n); !errors.Is(err, context.Canceled) || r.Step() != 3 || len(n.steps) != 3 {
		t.Fatalf("%v after %d steps, %d told, want 3", err, r.Step(), len(n.steps))
	}
	if _, err := r.Evaluate(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a validation goes on: %v", err)
	}
	if err := r.Train(context.Background(), &n); err != nil || len(n.steps) != 6 {
		t.Errorf("%v, %d steps, want 6", err, len(n.steps))
	}
	if !slices.Equal(weights(t, r), weights(t, whole)) {
		t.Error("an interruption changed the weights")
	}
}

// What an observer refuses ends the run.
func TestObserverFails(t *testing.T) {
	for _, e := range []string{"steps to 6", "eval 6", "save 6"} {
		r, _ := begin(t, tiny())
		if err := r.Train(context.Background(), &notes{fail: e}); err == nil || err.Error() != e+" failed" {
			t.Errorf("got %v, want %s failed", err, e)
		}
	}
}

// Micro-batches are rows of one batch, summed up in another order.
func TestMicroBatches(t *testing.T) {
	c := tiny()
	c.Train.BatchSize, c.Train.MicroBatches = 8, 1
	one, _ := begin(t, c)
	c.Train.BatchSize, c.Train.MicroBatches = 4, 2
	two, _ := begin(t, c)
	var a, b notes
	if err := errors.Join(one.Train(context.Background(), &a), two.Train(context.Background(), &b)); err != nil {
		t.Fatal(err)
	}
	for i := range a.steps {
		x, y := a.steps[i], b.steps[i]
		if math.Abs(x.Loss-y.Loss) > 1e-5*x.Loss || math.Abs(x.GradNorm-y.GradNorm) > 1e-4*x.GradNorm || x.Tokens != y.Tokens {
			t.Errorf("one batch %+v, two micro-batches %+v", x, y)
		}
	}
	if a.steps[0] == a.steps[1] || math.Abs(a.steps[0].Loss-a.steps[5].Loss) < 0.01 {
		t.Errorf("nothing was learnt: %+v", a.steps)
	}
}

// A run depends on its seed, and on nothing else.
func TestSeed(t *testing.T) {
	var all [][]float32
	for _, seed := range []uint64{5, 5, 6} {
		c := tiny()
		c.Train.Seed = seed
		r, _ := begin(t, c)
		if err := r.Train(context.Background(), &notes{}); err != nil {
			t.Fatal(err)
		}
		all = append(all, weights(t, r))
	}
	if !slices.Equal(all[0], all[1]) || slices.Equal(all[0], all[2]) {
		t.Error("seeds 5 and 5 differ, or 5 and 6 agree")
	}
}

// A gradient that is not finite ends the run, names the step, and changes no weight.
func TestNonFinite(t *testing.T) {
	c := tiny()
	c.Train.Steps, c.Train.LogEvery = 50, 1
	c.Train.LR, c.Train.WarmupSteps, c.Train.Clip = 1000, 0, 0
	r, _ := begin(t, c)
	var before []float32
	n := notes{then: func(string) { before = weights(t, r) }}
	err := r.Train(context.Background(), &n)
	var bad *NonFiniteError
	if !errors.As(err, &bad) {
		t.Fatalf("%v, want a NonFiniteError", err)
	}
	if bad.Step != len(n.steps)+1 || finite(bad.Loss) && finite(bad.GradNorm) {
		t.Errorf("%+v after %d good steps", bad, len(n.steps))
	}
	for _, part := range []string{fmt.Sprintf("train: step %d: loss ", bad.Step), "not finite", "lower train.lr"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	after := weights(t, r)
	if !slices.Equal(before, after) {
		t.Error("the step that is not finite changed weights")
	}
	for _, w := range after {
		if !finite(float64(w)) {
			t.Fatalf("a weight is %g", w)
		}
	}
}

// The batch's size does not change what a text scores, the last and unfilled batch included.
func TestScore(t *testing.T) {
	r, ex := begin(t, tiny())
	corpus, err := data.NewCorpus("stories", data.Stories(2, 1500))
	if err != nil {
		t.Fatal(err)
	}
	part, _, err := corpus.Split(0, 32)
	if err != nil {
		t.Fatal(err)
	}
	var sums []float64
	for _, b := range []int{1, 4, 7, 64} {
		s, err := NewScorer(r.Model, data.Documents{}, b, 32)
		if err != nil {
			t.Fatal(err)
		}
		run, err := ex.Load(s.Program)
		if err != nil {
			t.Fatal(err)
		}
		sum, n, err := Score(context.Background(), ex, s, run, part, data.Documents{}, 32)
		if err != nil || n != part.Windows(32)*31 {
			t.Fatalf("%v, %d tokens, want %d", err, n, part.Windows(32)*31)
		}
		sums = append(sums, sum)
		if _, _, err := Score(context.Background(), ex, s, run, data.Part{}, data.Documents{}, 32); err == nil {
			t.Error("nothing to score, and no error")
		}
		run.Close()
		s.Free(ex)
	}
	for _, s := range sums {
		if math.Abs(s-sums[0]) > 1e-5*sums[0] || s <= 0 {
			t.Fatalf("sums %v, want the same", sums)
		}
	}
}

// A validation reads documents as training does: each in a window of its own costs what it costs among others, and the
// first token of none is predicted.
func TestScoreDocuments(t *testing.T) {
	r, ex := begin(t, tiny())
	score := func(text, separator string, b, l int) (float64, int) {
		t.Helper()
		corpus, err := data.NewCorpus("documents", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		part, _, err := corpus.Split(0, l)
		if err != nil {
			t.Fatal(err)
		}
		docs := part.Documents(separator)
		s, err := NewScorer(r.Model, docs, b, l)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free(ex)
		run, err := ex.Load(s.Program)
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
		sum, n, err := Score(context.Background(), ex, s, run, part, docs, l)
		if err != nil {
			t.Fatal(err)
		}
		return sum, n
	}
	list := []string{"The cat sat.", "A dog.", "It was raining all the day."}
	var want float64
	tokens := 0
	for _, d := range list {
		sum, n := score(d, ".", 1, len(d))
		want, tokens = want+sum, tokens+n
	}
	text := strings.Join(list, "")
	got, n := score(text, ".", 1, len(text))
	if math.Abs(got-want) > 1e-5*want || n != tokens || n != len(text)-len(list) {
		t.Errorf("%v for %d tokens in one window, %v for %d document by document", got, n, want, tokens)
	}
	if whole, n := score(text, "", 1, len(text)); math.Abs(whole-want) < 1e-4 || n != len(text)-1 {
		t.Errorf("%v for %d tokens as one document, which is what three cost", whole, n)
	}
	// In windows, each alone: one that begins in a document begins a new one.
	if _, n := score(text, ".", 2, 15); n != 45-3-2 {
		t.Errorf("%d tokens predicted in three windows of 15, in which two documents begin", n)
	}
}

// A run's validation is of documents where its configuration says so.
func TestEvaluateDocuments(t *testing.T) {
	loss := func(document string) Eval {
		t.Helper()
		c := tiny()
		c.Data.Document = document
		r, _ := begin(t, c)
		e, err := r.Evaluate(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if one, many := loss(""), loss(". "); many.Tokens >= one.Tokens || many.Loss == one.Loss {
		t.Errorf("validation of documents %+v, of one text %+v", many, one)
	}
}

// Bad input is an error of New, and leaves nothing on the executor.
func TestNewErrors(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	text, err := data.NewCorpus("short", make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ assign, want string }{
		{"train.seq_len=64", "data: short: 100 bytes split into 90 for training and 10 for validation"},
		{"train.lr=-1", "train: train.lr -1, want"},
		{"model.num_attention_heads=5", "model: hidden_size 32, want a multiple of"},
	} {
		conf := tiny()
		if err := conf.Set(c.assign); err != nil {
			t.Fatal(err)
		}
		if _, err := New(conf, ex, text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.assign, err, c.want)
		}
	}
}

func TestCorpus(t *testing.T) {
	for _, task := range data.Tasks() {
		c, err := Corpus(Data{Task: task.Name, StoryBytes: 1000, SampleRate: 8000})
		if err != nil || c.Name() != task.Name || c.Len() < 1000 {
			t.Errorf("%v, %v", c, err)
		}
		if f, _ := reflect.TypeFor[Data]().FieldByName("Task"); !strings.Contains(f.Tag.Get("comment"), task.Name) {
			t.Errorf("the comment of data.task does not name %s", task.Name)
		}
	}
	if _, err := Corpus(Data{Task: "storys", StoryBytes: 1000}); err == nil || err.Error() != `data: task "storys", want one of stories, recall, copy, sums, sounds` {
		t.Error(err)
	}
	if _, err := Corpus(Data{File: t.TempDir()}); err == nil {
		t.Error("a folder is a text")
	}
	// A file is a sound where it is one, whatever it is called, at the rate that is asked for.
	path := filepath.Join(t.TempDir(), "x")
	for _, f := range []struct {
		content    []byte
		rate, want int
		length     int
	}{{data.EncodeWAV(data.FromTokens(16000, make([]byte, 4000))), 8000, 8000, 2000}, {[]byte("a text"), 8000, 0, 6}, {[]byte("a text"), 0, 0, 6}} {
		if err := os.WriteFile(path, f.content, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Corpus(Data{File: path, Task: "stories", SampleRate: f.rate})
		if err != nil || c.Rate() != f.want || c.Len() != f.length || c.Name() != path {
			t.Errorf("%.10q: %v, %v, want %d tokens at %d", f.content, c, err, f.length, f.want)
		}
	}
}

// A step that is replayed allocates nothing.
func TestReplayAllocates(t *testing.T) {
	c := tiny()
	c.Train.BatchSize, c.Train.SeqLen = 8, 64 // large enough that all workers take part
	r, _ := begin(t, c)
	if err := r.advance(); err != nil { // fills the inputs, as Evaluate does
		t.Fatal(err)
	}
	if _, err := r.Evaluate(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name string
		run  prog.Runner
	}{{"train step", r.trainR}, {"eval step", r.evalR}} {
		n := testing.AllocsPerRun(20, func() {
			if err := x.run.Run(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %g allocations a run, want 0", x.name, n)
		}
	}
}
