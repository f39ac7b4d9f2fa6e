package op_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// piecesRig is a small program with a backward pass: y = rmsnorm(x + x) * w twice over, and the gradients of both.
type piecesRig struct {
	in, grads, seeds *prog.Arena
	p                *prog.Program
	outs             [2]*prog.Tensor
}

func newPieces(t *testing.T) *piecesRig {
	t.Helper()
	g := &piecesRig{in: prog.NewArena("in"), seeds: prog.NewArena("seeds")}
	x, w := g.in.Add("x", prog.F32, 3, 16), g.in.Add("w", prog.F32, 16)
	g.grads = g.in.Mirror("grads")
	g.in.WithGrad(g.grads)
	var err error
	g.p, err = prog.Record("pieces", func(r *prog.Recorder) {
		r.Clear(g.grads.Window("grads", 0, g.grads.Words()))
		y := op.Add(r, x, x)
		for i := range g.outs {
			r.Scope("layers."+string(rune('0'+i)), func() { y = op.RMSNorm(r, y, w, 0) })
			g.outs[i] = y
		}
		r.Scope("end", func() {
			r.SetGrad(y, g.seeds.Add("seed", prog.F32, y.Shape()...))
			r.Backward()
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fill puts the program's inputs on ex.
func (g *piecesRig) fill(t *testing.T, ex prog.Executor) {
	t.Helper()
	for _, a := range []*prog.Arena{g.in, g.seeds} {
		for _, x := range a.Tensors() {
			v := make([]float32, x.Len())
			for i := range v {
				v[i] = float32(1+i%5) * float32(1-2*(i%2))
			}
			if err := ex.Write(x, v); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func load(t *testing.T, ex prog.Executor, g *piecesRig) prog.Runner {
	t.Helper()
	run, err := ex.Load(g.p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run.Close()
		for _, a := range g.p.Arenas {
			ex.Free(a)
		}
	})
	g.fill(t, ex)
	return run
}

// A program run in pieces is the program, and what lies in its temporaries between them can be read.
func TestRunSteps(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		g := newPieces(t)
		run := load(t, ex, g)
		read := func() []float32 {
			v := make([]float32, g.grads.Words())
			if err := ex.Read(g.grads.Window("grads", 0, len(v)), v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
		want := read()
		n := len(g.p.Steps)
		for first := 0; first < n; first += 2 {
			if err := run.RunSteps(first, min(2, n-first)); err != nil {
				t.Fatal(err)
			}
			if first == 2 {
				v := make([]float32, g.outs[0].Len())
				if err := run.Peek(g.outs[0], v); err != nil || slices.Min(v) < 0.3 || slices.Max(v) < 7.7 || slices.Max(v) > 7.8 {
					t.Errorf("%v: %v", v, err)
				}
			}
		}
		if !slices.Equal(read(), want) || slices.Max(want) == 0 {
			t.Error("in pieces the program does something else")
		}
		if err := run.RunSteps(n, 0); err != nil {
			t.Error(err)
		}
		if err := run.Reset(); err != nil {
			t.Fatal(err)
		}
		for _, o := range g.outs {
			v := make([]float32, o.Len())
			if err := run.Peek(o, v); err != nil || !slices.Equal(v, make([]float32, len(v))) {
				t.Errorf("%v after a reset: %v, %v", o, v, err)
			}
		}
		for _, c := range []struct {
			err  error
			want string
		}{
			{run.RunSteps(-1, 1), "pieces: 1 steps from step -1, want them within its"},
			{run.RunSteps(n-1, 2), "2 steps from step"},
			{run.RunSteps(1, math.MaxInt), "want them within its"},
			{run.Peek(g.outs[0], make([]float32, 3)), "got 3 elements, want 48"},
			{run.Peek(g.in.Lookup("x"), make([]float32, 48)), "it is no temporary of pieces"},
		} {
			if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("got %v, want %q", c.err, c.want)
			}
		}
	})
}

// Steps know where they were recorded, those of the backward pass where their forward ones were.
func TestScopes(t *testing.T) {
	var got []string
	for _, s := range newPieces(t).p.Steps {
		d := ">"
		if s.Backward {
			d = "<"
		}
		got = append(got, d+s.Scope)
	}
	want := "> > >layers.0 >layers.1 <layers.1 <layers.1 <layers.0 <layers.0 < <" // x + x has two gradients
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// The first value that is not finite is found where it was given or made, with what went in; twice over the same, and
// though the temporaries hold what a failed run left.
func TestProgramTrace(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		g := newPieces(t)
		run := load(t, ex, g)
		x, w, seed := g.in.Lookup("x"), g.in.Lookup("w"), g.seeds.Lookup("seed")
		plant := func(x *prog.Tensor, i int, v float32) func() error {
			return func() error {
				g.fill(t, ex)
				all := make([]float32, x.Len())
				if err := ex.Read(x, all); err != nil {
					return err
				}
				all[i] = v
				return ex.Write(x, all)
			}
		}
		inf := float32(math.Inf(1))
		for _, c := range []struct {
			restore func() error
			want    string // kernel, tensor, index, value, whether it was given
			reads   string
		}{
			{plant(x, 18, -inf), "add_fwd x [1 2] -Inf true", "x:1"},
			{plant(w, 3, inf), "rmsnorm_fwd w [3] +Inf true", "w:1"},
			{plant(seed, 7, inf), "rmsnorm_bwd_x seed [0 7] +Inf true", "seed:1"},
			{plant(x, 17, 3e38), "add_fwd add [1 1] +Inf false", "x:0 x:0"},
			{plant(w, 4, 3e38), "rmsnorm_fwd layers.0.rmsnorm [0 4] +Inf false", "add:0 w:0"},
		} {
			for range 2 {
				bad, err := prog.Trace(ex, run, g.p, len(g.p.Steps), c.restore)
				if err != nil || bad == nil {
					t.Fatal(bad, err)
				}
				got := fmt.Sprint(g.p.Steps[bad.Step].Kernel.Name, " ", bad.Tensor.Name(), " ", bad.Tensor.Index(bad.Index), " ", bad.Value, " ", bad.Input)
				if got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				var reads []string
				for _, v := range bad.Reads {
					reads = append(reads, fmt.Sprintf("%s:%d", v.Tensor.Name(), v.NonFinite))
				}
				if s := strings.Join(reads, " "); s != c.reads {
					t.Errorf("%s: it read %s, want %s", c.want, s, c.reads)
				}
				if err := run.Run(); err != nil { // leaves what is not finite everywhere
					t.Fatal(err)
				}
			}
		}
		bad, err := prog.Trace(ex, run, g.p, len(g.p.Steps), func() error { g.fill(t, ex); return nil })
		if bad != nil || err != nil {
			t.Errorf("everything is finite: %+v, %v", bad, err)
		}
		// The seed is read by later steps than those asked for.
		if bad, err := prog.Trace(ex, run, g.p, 4, plant(seed, 7, inf)); bad != nil || err != nil {
			t.Errorf("of the forward pass alone: %+v, %v", bad, err)
		}
		if _, err := prog.Trace(ex, run, g.p, len(g.p.Steps)+1, func() error { return nil }); err == nil {
			t.Error("more steps than there are: no error")
		}
	})
}
