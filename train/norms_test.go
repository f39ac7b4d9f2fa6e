package train_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"innerloop/data"
	"innerloop/gpu/gputest"
	"innerloop/lab"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// watcher is an observer that holds every step's normalisers against their invariants.
type watcher struct {
	t    *testing.T
	run  *train.Run
	log  []byte
	loss []float64
	std  []float64 // mean standard deviation of each step, over layers and heads
	low  float64   // the smallest of all
	high float64
	seen map[int]int
}

func (w *watcher) Steps(steps []train.Step, _ float64) error {
	list, err := w.run.Norms()
	if err != nil {
		return err
	}
	for _, s := range steps {
		w.loss = append(w.loss, s.Loss)
	}
	mean := 0.0
	for _, s := range list {
		w.seen[s.Layer]++
		mean += s.Std.Mean / float64(len(list))
		if w.high == 0 || s.Std.Min < w.low {
			w.low = s.Std.Min
		}
		w.high = math.Max(w.high, s.Std.Max)
		if s.MaxZ > s.Bound*(1+1e-5) || s.MaxZ <= 0 || s.NonFinite != 0 || s.KeyMin < 1-1e-4 || s.KeyMax > 1+1e-4 || s.Std.Min < 0 || s.Gain > 1/s.Eps {
			w.t.Errorf("step %d: %+v", w.run.Step(), s)
		}
	}
	w.std = append(w.std, mean)
	w.log = train.AppendNorms(w.log, w.run.Step(), list, w.run.Config.Model.HeadDim(), model.NoFault)
	return nil
}
func (*watcher) Eval(train.Eval) error { return nil }
func (*watcher) Save(int) error        { return nil }

// deep is a model of 32 narrow layers with TTT in the last three, as the case had.
func deep(task string) train.Config {
	c := train.Default()
	m := &c.Model
	m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, m.NumAttentionHeads, m.MiniBatchSize, m.MaxPositionEmbeddings = 16, 32, 32, 2, 8, 64
	m.Block, m.Variant, m.Layers = model.BlockHybrid, model.VariantVideo, "29,30,31"
	c.Data.Task, c.Data.StoryBytes = task, 60000
	t := &c.Train
	t.Steps, t.BatchSize, t.SeqLen, t.MicroBatches, t.LogEvery, t.EvalEvery, t.WarmupSteps, t.LR = 100, 2, 48, 2, 1, 0, 10, 3e-3
	return c
}

// A 32-layer model with TTT layers at 29, 30 and 31 goes through the backward pass of its micro-batches and trains for 100
// steps, on text and on a WAV file, every normalised value below its bound at every step. The standard deviations of the
// two are alike, and far from eps.
func TestLayers29To31(t *testing.T) {
	if testing.Short() {
		t.Skip("200 steps of 32 layers")
	}
	spread := map[string][4]float64{}
	for _, task := range []string{"stories", "sounds"} {
		t.Run(task, func(t *testing.T) {
			c := deep(task)
			if task == "sounds" {
				c.Data.File = filepath.Join(t.TempDir(), "notes.wav")
				if err := os.WriteFile(c.Data.File, data.EncodeWAV(data.Sounds(1, c.Data.StoryBytes, c.Data.SampleRate)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := train.Corpus(c.Data)
			if err != nil {
				t.Fatal(err)
			}
			r, err := train.New(c, prog.NewCPU[float32](0), text)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			w := &watcher{t: t, run: r, seen: map[int]int{}}
			if err := r.Train(context.Background(), w); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(w.seen) != "map[29:200 30:200 31:200]" {
				t.Errorf("layers and heads that were watched: %v, want 2 heads of 29, 30 and 31 in 100 steps", w.seen)
			}
			mean := func(x []float64) (s float64) {
				for _, v := range x {
					s += v / float64(len(x))
				}
				return s
			}
			if a, z := mean(w.loss[:10]), mean(w.loss[90:]); !(z < a-0.3) {
				t.Errorf("the loss went from %.3f to %.3f", a, z)
			}
			// The log says the same to whoever reads it.
			l, err := lab.ParseLog("norms.log", strings.NewReader(string(w.log)))
			if err != nil {
				t.Fatal(err)
			}
			if f := l.Findings(); len(f) != 0 || fmt.Sprint(l.Layers()) != "[29 30 31]" {
				t.Errorf("layers %v, findings %v", l.Layers(), f)
			}
			spread[task] = [4]float64{mean(w.std[:10]), mean(w.std[90:]), w.low, w.high}
		})
	}
	text, sound := spread["stories"], spread["sounds"]
	t.Logf("mean standard deviation of XV - XK, first and last ten steps: text %.3g, %.3g; sound %.3g, %.3g; all of them: text %.3g to %.3g, sound %.3g to %.3g",
		text[0], text[1], sound[0], sound[1], text[2], text[3], sound[2], sound[3])
	for i := range text {
		if !(text[i] > 0.5*sound[i] && text[i] < 2*sound[i]) || text[2] < 1e-2 {
			t.Errorf("standard deviations of text %v and of sound %v", text, sound)
			break
		}
	}
}

// A changed eps acts on the very next step of a run that is under way, with the programs that were loaded before.
func TestEpsActsAtOnce(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		c := deep("stories")
		c.Model.NumHiddenLayers, c.Model.Layers, c.Train.Steps = 2, "1", 6
		text, err := train.Corpus(c.Data)
		if err != nil {
			t.Fatal(err)
		}
		counted := &loads{Executor: ex}
		r, err := train.New(c, counted, text)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		loaded := counted.n
		w := &watcher{t: t, run: r, seen: map[int]int{}}
		var last float64
		for i, eps := range []float64{1e-8, 1e-2, 0.5, 1e-5} {
			r.Config.Model.TargetEps = eps
			r.StopAt = i + 1
			if err := r.Train(context.Background(), w); err != nil {
				t.Fatal(err)
			}
			list, err := r.Norms()
			if err != nil {
				t.Fatal(err)
			}
			// |z| is at most std's share of std + eps of its bound.
			z := list[0].MaxZ
			if limit := list[0].Bound * list[0].Std.Max / (list[0].Std.Max + eps); z > limit*1.001 || i > 0 && (eps == 0.5) != (z < 0.8*last) && eps == 0.5 {
				t.Errorf("eps %g: |z| %g, before %g, limit %g", eps, z, last, limit)
			}
			last = z
		}
		if counted.n != loaded {
			t.Errorf("%d programs were loaded for a change of eps", counted.n-loaded)
		}
	})
}

// What a log says of gains agrees with itself, also where a faulty normaliser divides by numbers below 0: the largest is
// above 100 where rows have such ones, and a number.
func TestGainsAgree(t *testing.T) {
	for _, fault := range []model.Fault{model.StdAliased, model.NearKeys, ""} {
		t.Run(string(fault), func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				c := deep("stories")
				c.Model.NumHiddenLayers, c.Model.Layers, c.Train.Steps, c.Train.Fault = 2, "1", 1, string(fault)
				text, err := train.Corpus(c.Data)
				if err != nil {
					t.Fatal(err)
				}
				r, err := train.New(c, ex, text)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				r.StopAt = 1
				if err := r.Train(context.Background(), silent{&watcher{}}); err != nil {
					t.Fatal(err)
				}
				list, err := r.Norms()
				if err != nil {
					t.Fatal(err)
				}
				below := false
				for _, s := range list {
					below = below || s.Std.Min < 0
					if math.IsInf(s.Gain, 0) || s.Gain > model.HighGain != (s.HighGain > 0) {
						t.Errorf("layer %d, head %d: std from %g to %g, a gain above %d in %g of the rows, but at most %g", s.Layer, s.Head, s.Std.Min, s.Std.Max, model.HighGain, s.HighGain, s.Gain)
					}
				}
				if below != (fault == model.StdAliased) {
					t.Errorf("std below 0: %v", below)
				}
			})
		})
	}
}

// silent is a watcher that does not ask whether the normaliser is right.
type silent struct{ *watcher }

func (silent) Steps([]train.Step, float64) error { return nil }

// loads counts the programs that are loaded.
type loads struct {
	prog.Executor
	n int
}

func (l *loads) Load(p *prog.Program) (prog.Runner, error) {
	l.n++
	return l.Executor.Load(p)
}

// The log of the normalisers reads back as it was written, goes on after a step without what came later, and keeps no
// half line.
func TestNormLog(t *testing.T) {
	dir := t.TempDir()
	stats := func(layer, head int, f float64) model.NormStats {
		r := func(a float64) model.Range { return model.Range{Min: -a * f, Max: 2 * a * f, Mean: a} }
		return model.NormStats{Layer: layer, Head: head, XV: r(1), XK: r(2), Out: r(3), Std: model.Range{Min: f, Max: 3 * f, Mean: 2 * f}, HighGain: f / 100, MaxZ: f, Bound: 4,
			KeyMin: 1 / f, KeyMax: f, NonFinite: int(math.Min(f, 99)), Gain: 10 * f, Weight: r(5), Bias: r(6), Eps: 1e-8}
	}
	step := func(n float64) []model.NormStats {
		return []model.NormStats{stats(2, 0, n), stats(2, 1, n+1), stats(30, 0, n+2), stats(30, 1, math.Inf(1))}
	}
	add := func(after int, fault model.Fault, steps ...int) {
		t.Helper()
		l, _, err := train.OpenNorms(dir, after)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range steps {
			if err := l.Add(n, step(float64(n)), 16, fault); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := train.ReadNorms(dir, func(train.NormPoint) { t.Error("a point where there is no log") }); err != nil {
		t.Fatal(err)
	}
	add(0, "", 1, 2, 3)
	path := filepath.Join(dir, train.NormsFile)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("anything: else\nstep 2 Layer 2: XV inp"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	add(2, model.RawKeys, 4)
	var got []string
	_, err = train.ReadNorms(dir, func(p train.NormPoint) {
		got = append(got, fmt.Sprintf("%d/%d%s", p.Step, p.Stats.Layer, p.Fault))
		if p.Stats.Layer != 2 {
			if !math.IsInf(p.Stats.MaxZ, 1) || !math.IsInf(p.Stats.Out.Max, 1) {
				t.Errorf("an infinite value was read as %+v", p.Stats)
			}
			return
		}
		a, b := step(float64(p.Step))[0], step(float64(p.Step))[1]
		both := func(x, y model.Range) model.Range {
			return model.Range{Min: math.Min(x.Min, y.Min), Max: math.Max(x.Max, y.Max), Mean: (x.Mean + y.Mean) / 2}
		}
		want := b
		want.Head, want.XV, want.XK, want.Out, want.Std = -1, both(a.XV, b.XV), both(a.XK, b.XK), both(a.Out, b.Out), both(a.Std, b.Std)
		want.Weight, want.Bias, want.KeyMin = both(a.Weight, b.Weight), both(a.Bias, b.Bias), p.Stats.KeyMin
		if math.Abs(p.Stats.KeyMin-b.KeyMin) > 1e-5 || p.Stats != want {
			t.Errorf("step %d: read\n%+v, wrote\n%+v", p.Step, p.Stats, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(got); s != "[1/2 1/30 2/2 2/30 4/2raw-keys 4/30raw-keys]" {
		t.Errorf("points %s", s)
	}
	l, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if p, err := lab.ParseLog(path, l); err != nil || p.N != 16 || p.Eps != 1e-8 {
		t.Errorf("logs compare reads it as %+v, %v", p, err)
	}
}

// A log of a version that counted rows with std < eps is read without taking them for rows of a high gain: their share is
// unknown, unless the largest gain says that there is none.
func TestOldNormLog(t *testing.T) {
	dir := t.TempDir()
	var old strings.Builder
	for i, rest := range []string{
		"eps=1e-05 head_dim=16, std < eps in 0.25 of the rows, gain at most 99009.9, |z| at most 3 of 3.87298, not finite 2; worst head: small 0.5, bad 2",
		"eps=1 head_dim=16, std < eps in 1 of the rows, gain at most 0.833333, |z| at most 3 of 3.87298, not finite 0; worst head: small 1, bad 0, fault near-keys",
		"eps=1e-05 head_dim=16, gain above 100 in 0.25 of the rows, gain at most 99009.9, |z| at most 3 of 3.87298, not finite 0; worst head: high gain 0.5, bad 0",
	} {
		for _, name := range []string{"XV input", "XK", "XK length", "std", "z", "XV output", "weight", "bias"} {
			mean := ", mean=0.3"
			if name == "XK length" || name == "z" {
				mean = ""
			}
			fmt.Fprintf(&old, "step %d Layer 0: %s: min=1e-07, max=0.4%s\n", i+1, name, mean)
		}
		fmt.Fprintf(&old, "step %d Layer 0: %s\n", i+1, rest)
	}
	if err := os.WriteFile(filepath.Join(dir, train.NormsFile), []byte(old.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := train.ReadNorms(dir, func(p train.NormPoint) {
		got = append(got, fmt.Sprintf("%d %g %g %d %g%s", p.Step, p.Stats.HighGain, p.Stats.Gain, p.Stats.NonFinite, p.Stats.Bound, p.Fault))
	}); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, "; "); s != "1 NaN 99009.9 2 3.87298; 2 0 0.833333 0 3.87298near-keys; 3 0.5 99009.9 0 3.87298" {
		t.Errorf("read %s", s)
	}
}

// A broken line of the log takes its layer's point of that step with it, is named once, and is gone once the run goes on.
func TestBrokenNormLog(t *testing.T) {
	list := func(step int) []model.NormStats {
		r := model.Range{Min: -1, Max: float64(step), Mean: 0.5}
		return []model.NormStats{{XV: r, XK: r, Out: r, Std: r, Weight: r, Bias: r, Gain: 4, Bound: 4, Eps: 1e-5, MaxZ: 1}}
	}
	var whole []byte
	for step := 1; step <= 3; step++ {
		whole = train.AppendNorms(whole, step, list(step), 16, "")
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for what, c := range map[string]struct {
		line  int // from 1
		to    string
		named string
	}{
		"zero bytes":       {11, strings.Repeat("\x00", 40) + "\n", ":11: is no line of the normalisers: passed over, and 8 other lines"},
		"a flipped step":   {11, strings.Replace(lines[10], "step 2", "step 3", 1), ":10: a layer's lines end after it, before all are there: passed over, and 8 other lines"},
		"a flipped name":   {13, strings.Replace(lines[12], "std", "sud", 1), ":13: want std of the layer: passed over, and 8 other lines"},
		"a flipped number": {13, strings.Replace(lines[12], "max=2", "max=r", 1), `:13: want a number after "max=": passed over, and 8 other lines`},
		"half a line":      {18, lines[17][:40] + lines[18], `:18: want a number after "gain at most": passed over, and 16 other lines`},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, train.NormsFile)
		changed := slices.Clone(lines)
		changed[c.line-1] = c.to
		if what == "half a line" {
			changed = slices.Delete(changed, 18, 19)
		}
		if err := os.WriteFile(path, []byte(strings.Join(changed, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		read := func() (train.Broken, string) {
			var steps []string
			b, err := train.ReadNorms(dir, func(p train.NormPoint) {
				steps = append(steps, fmt.Sprintf("%d:%g", p.Step, p.Stats.Std.Max))
			})
			if err != nil {
				t.Fatal(err)
			}
			return b, strings.Join(steps, " ")
		}
		want := "1:1 3:3"
		if what == "half a line" { // which has swallowed the next step's first line
			want = "1:1"
		}
		b, steps := read()
		if steps != want || !strings.Contains(b.In("norms.log"), "norms.log"+c.named) {
			t.Errorf("%s: points %s, want %s; named: %s, want %s", what, steps, want, b.In("norms.log"), c.named)
		}
		l, again, err := train.OpenNorms(dir, 3)
		if err != nil || again != b {
			t.Errorf("%s: %+v, %v, want %+v", what, again, err, b)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if b, steps := read(); steps != want || b.Count != 0 {
			t.Errorf("%s: after the run went on, points %s, want %s; %+v", what, steps, want, b)
		}
	}
}
