package gpu

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"innerloop/op"
	"innerloop/prog"
)

func TestWinner(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name string
		of   []contender // variant and best
		want int
	}{
		{"none", nil, 0},
		{"one", []contender{{variant: 0, best: 1}}, 0},
		{"much faster", []contender{{variant: 0, best: 1}, {variant: 1, best: 0.5}, {variant: 2, best: 0.6}}, 1},
		{"a little faster", []contender{{variant: 0, best: 1}, {variant: 1, best: 0.95}}, 0},
		{"slower", []contender{{variant: 0, best: 1}, {variant: 1, best: 2}}, 0},
		{"the first does not compile", []contender{{variant: 1, best: 2}, {variant: 2, best: 1}}, 2},
		{"never measured", []contender{{variant: 0, best: inf}, {variant: 1, best: inf}}, 0},
	} {
		var cs []*contender
		for i := range c.of {
			cs = append(cs, &c.of[i])
		}
		if got := winner(cs, trialGain); got != c.want {
			t.Errorf("%s: variant %d, want %d", c.name, got, c.want)
		}
	}
}

// A file that is missing, damaged or cannot be written costs the choices that it would hold, and no more; other
// adapters' choices in it stay.
func TestTuneFile(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("there is no file to write in the browser's test")
	}
	a, b := Adapter{Name: "one"}, Adapter{Name: "two"}
	file := filepath.Join(t.TempDir(), "new", "tune.json")
	open := func(a Adapter) *tuner { return newTuner(Options{Tune: true, TuneFile: file}, a) }
	for name, v := range map[string]string{"one": "8x8", "two": "4x4"} {
		u := open(Adapter{Name: name})
		if len(u.chosen) != 0 {
			t.Errorf("%s: %v before any trial", name, u.chosen)
		}
		u.chosen["k"] = v
		u.save(Adapter{Name: name}.identity())
	}
	if x, y := open(a).chosen["k"], open(b).chosen["k"]; x != "8x8" || y != "4x4" {
		t.Errorf("kept %q and %q, want 8x8 and 4x4", x, y)
	}
	if u := newTuner(Options{TuneFile: file}, a); len(u.chosen) != 0 || u.left != 0 {
		t.Errorf("%v, %v without Tune", u.chosen, u.left)
	}
	if es, err := os.ReadDir(filepath.Dir(file)); err != nil || len(es) != 1 {
		t.Errorf("beside the file: %v %v", es, err)
	}
	for _, text := range []string{"", "{", "null", "[]", `{"one, , , ": 3}`, `{"one, , , ": {"k": 3}}`, strings.Repeat(" ", tuneFileBytes) + "{}"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		u := open(a)
		if len(u.chosen) != 0 {
			t.Errorf("%.20q: %v", text, u.chosen)
		}
		u.chosen["k"] = "16x8"
		u.save(a.identity())
		if got := open(a).chosen["k"]; got != "16x8" {
			t.Errorf("%.20q: kept %q afterwards", text, got)
		}
	}
	u := open(a)
	u.file = filepath.Join(file, "in a file") // cannot be
	u.save(a.identity())
	u.file = ""
	u.save(a.identity())
}

// A trial finds one of the variants, keeps it for shapes alike and the next device, and changes neither what the
// program's memory holds nor what the program computes.
func TestTrial(t *testing.T) {
	file := ""
	if runtime.GOOS != "js" {
		file = filepath.Join(t.TempDir(), "tune.json")
	}
	const m, n, k = 256, 264, 512
	in := prog.NewArena("in")
	x, y, out := in.Add("a", prog.F32, m, k), in.Add("b", prog.F32, n, k), in.Add("out", prog.F32, m, n)
	p := record(t, "tried", func(r *prog.Recorder) {
		r.Keep(op.Linear(r, x, y))
		r.Clear(out)
	})
	st := &p.Steps[0]
	values := make([]float32, in.Words())
	for i := range values {
		values[i] = float32(i%97)/97 - 0.5
	}
	run := func(o Options) (*Device, []float32) {
		t.Helper()
		g, err := Open(o)
		if errors.Is(err, ErrNoAdapter) && os.Getenv("INNERLOOP_REQUIRE_GPU") != "1" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		for _, w := range []*prog.Tensor{x, y, out} {
			if err := g.Write(w, values[w.Offset():][:w.Len()]); err != nil {
				t.Fatal(err)
			}
		}
		r, err := g.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []*prog.Tensor{x, y, out} {
			got := make([]float32, w.Len())
			if err := g.Read(w, got); err != nil || !slices.Equal(got, values[w.Offset():][:w.Len()]) {
				t.Errorf("%v is not what it was before the program was loaded (%v)", w, err)
			}
		}
		got := make([]float32, m*n)
		if err := errors.Join(r.Run(), r.Read(st.Tensors[2], got)); err != nil {
			t.Fatal(err)
		}
		return g, got
	}
	plain, want := run(Options{})
	if len(plain.tune.chosen) != 0 || plain.tune.left != 0 {
		t.Errorf("without Tune: %v, %v left", plain.tune.chosen, plain.tune.left)
	}
	vs := st.Kernel.Variants(st.C, plain.Info().Traits)
	if len(vs) < 2 {
		t.Fatalf("%d variants", len(vs))
	}
	key := plain.tune.key(st.Kernel, st.C)

	tuned, got := run(Options{Tune: true, TuneFile: file})
	if !slices.Equal(got, want) {
		t.Error("a program that was tried gives other bits")
	}
	found := tuned.tune.chosen[key]
	if !slices.ContainsFunc(vs, func(v prog.Variant) bool { return v.Name == found }) {
		t.Errorf("the trial chose %q of %v", found, vs)
	}
	if full := newTuner(Options{Tune: true}, tuned.adapter).left; tuned.tune.left >= full {
		t.Errorf("%v left of %v", tuned.tune.left, full)
	}
	if v := tuned.pick(st, tuned.Info().Traits); v.Name != found {
		t.Errorf("takes %q, chose %q", v.Name, found)
	}
	if file == "" {
		return
	}

	// What the file holds is taken, untried.
	last := vs[len(vs)-1].Name
	kept := newTuner(Options{Tune: true, TuneFile: file}, plain.adapter)
	if kept.chosen[key] != found {
		t.Errorf("the file holds %q, want %q", kept.chosen[key], found)
	}
	for k := range kept.chosen {
		kept.chosen[k] = last
	}
	kept.chosen[key] = last
	kept.save(plain.adapter.identity())
	next, got := run(Options{Tune: true, TuneFile: file})
	if v := next.pick(st, next.Info().Traits); v.Name != last || !slices.Equal(got, want) {
		t.Errorf("takes %q, the file says %q; the same bits: %v", v.Name, last, slices.Equal(got, want))
	}
}

// Constants of a like size are one class.
func TestTuneKey(t *testing.T) {
	u := newTuner(Options{}, Adapter{})
	keys := map[string]string{}
	for _, d := range [][2]int{{512, 264}, {300, 512}, {512, 256}} {
		in := prog.NewArena("in")
		x, y := in.Add("a", prog.F32, 256, d[0]), in.Add("b", prog.F32, d[1], d[0])
		p := record(t, "key", func(r *prog.Recorder) { r.Keep(op.Linear(r, x, y)) })
		keys[u.key(p.Steps[0].Kernel, p.Steps[0].C)] = ""
	}
	if len(keys) != 2 {
		t.Errorf("%d classes, want 2: %v", len(keys), keys)
	}
}
