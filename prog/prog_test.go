package prog_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"innerloop/prog"
)

type mixC struct {
	N     int
	Scale float64
	Note  int `wgsl:"-"`
}

// mix is out = Scale*a + b, with b accumulated into where acc.
func mix[F prog.Float](c mixC, a *prog.Args[F], _ []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		a.F[2][i] += F(c.Scale)*a.F[0][i] + a.F[1][i]
	}
}

var mixK = prog.Define(prog.Spec[mixC]{
	Name:   "mix",
	Binds:  []prog.Binding{prog.In("a"), prog.In("b"), prog.Acc("out")},
	Lens:   func(c mixC) []int { return []int{c.N, c.N, c.N} },
	Items:  func(c mixC) int { return c.N },
	Flops:  func(c mixC) float64 { return 3 * float64(c.N) },
	Grid:   func(c mixC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
	F32:    mix[float32],
	F64:    mix[float64],
	Sample: func(*rand.Rand) mixC { return mixC{N: 1} },
})

func TestRecordRefuses(t *testing.T) {
	in := prog.NewArena("in")
	x, y, ids := in.Add("x", prog.F32, 4), in.Add("y", prog.F32, 5), in.Add("ids", prog.U32, 4)
	for _, c := range []struct {
		want string
		fn   func(r *prog.Recorder)
	}{
		{"mix(N=4 Scale=1 Note=0): b is y [5], 5 elements, want 4", func(r *prog.Recorder) { mixK.Dispatch(r, mixC{N: 4, Scale: 1}, x, y, r.Temp("t", 4)) }},
		{"a is ids [4] of u32, want f32", func(r *prog.Recorder) { mixK.Dispatch(r, mixC{N: 4}, ids, x, r.Temp("t", 4)) }},
		{"mix: 2 tensors for 3 bindings", func(r *prog.Recorder) { mixK.Dispatch(r, mixC{N: 4}, x, x) }},
		{"t [4] is used before it has a value", func(r *prog.Recorder) { mixK.Dispatch(r, mixC{N: 4}, x, r.Temp("t", 4), r.Temp("u", 4)) }},
		{"out and a are both in in, and out is written", func(r *prog.Recorder) { mixK.Dispatch(r, mixC{N: 4}, x, r.Temp("t", 4), x) }},
		{"t: shape [0]", func(r *prog.Recorder) { r.Temp("t", 0) }},
		{"gradient of x [4]: arena in has no gradients", func(r *prog.Recorder) { r.Grad(x) }},
		{"2 rows from 3 of x [4]: want them inside it", func(*prog.Recorder) { x.Part(3, 2) }},
		{"2 rows from 1 of x [4]: want them inside it, from a multiple of 64 words on", func(*prog.Recorder) { x.Part(1, 2) }},
		{"reshape of x [4] to [3]: 3 elements, want 4", func(*prog.Recorder) { x.Reshape(3) }},
	} {
		_, err := prog.Record("p", c.fn)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "prog: p: ") {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}

// A gradient that nothing reached is zero where it is read, one that is reached first is overwritten, and a backward
// function none of whose outputs has a gradient is not called.
func TestGradients(t *testing.T) {
	in := prog.NewArena("in")
	x := in.Add("x", prog.F32, 4)
	var sum *prog.Tensor
	reached, unreached := false, false
	p, err := prog.Record("p", func(r *prog.Recorder) {
		a, b := r.Temp("a", 4), r.Temp("b", 4)
		mixK.Dispatch(r, mixC{N: 4}, x, x, a)
		r.Tape(func() { unreached = true }, b)
		r.Tape(func() { reached = true }, a)
		mixK.Dispatch(r, mixC{N: 4, Scale: 1}, x, x, r.Grad(a)) // first: overwritten, 2x
		mixK.Dispatch(r, mixC{N: 4, Scale: 1}, x, x, r.Grad(a)) // then added to, 4x
		r.Backward()
		sum = r.Keep(r.Temp("sum", 4))
		mixK.Dispatch(r, mixC{N: 4, Scale: 1}, r.Grad(a), r.Grad(b), sum) // 4x + 0
	})
	if err != nil {
		t.Fatal(err)
	}
	if !reached || unreached {
		t.Errorf("backward of a, which has a gradient: %v, want true; of b, which has none: %v, want false", reached, unreached)
	}
	if !strings.Contains(p.String(), "out=da ") && !strings.Contains(p.String(), "out=da\n") || !strings.Contains(p.String(), "out+=da\n") {
		t.Errorf("the listing does not show which gradient is overwritten and which added to:\n%s", p)
	}
	for _, workers := range []int{1, 3} {
		ex := prog.NewCPU[float32](workers)
		run, err := ex.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := ex.Write(x, []float32{1, 2, 3, 4}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second run starts afresh
			if err := run.Run(); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]float32, 4)
		if err := run.Read(sum, got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, []float32{4, 8, 12, 16}) {
			t.Errorf("%d workers: got %v, want [4 8 12 16]", workers, got)
		}
		ex.Close()
	}
}

// Whatever the program: shared memory never changes a result. Every temporary of a random program is compared with
// the same program where each is kept, which shares nothing.
func TestSharedMemoryChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const n = 3
		steps := rapid.IntRange(1, 25).Draw(rt, "steps")
		var pick [][2]int
		var scale []float64
		for i := range steps {
			pick = append(pick, [2]int{rapid.IntRange(-1, i-1).Draw(rt, "a"), rapid.IntRange(-1, i-1).Draw(rt, "b")})
			scale = append(scale, rapid.Float64Range(-1, 1).Draw(rt, "s"))
		}
		build := func(keepAll bool) (last []float64, slots int) {
			in := prog.NewArena("in")
			x := in.Add("x", prog.F32, n)
			var out *prog.Tensor
			p, err := prog.Record("p", func(r *prog.Recorder) {
				ts := []*prog.Tensor{x}
				for i, ab := range pick {
					t := r.Temp("t", n)
					mixK.Dispatch(r, mixC{N: n, Scale: scale[i]}, ts[ab[0]+1], ts[ab[1]+1], t)
					if keepAll {
						r.Keep(t)
					}
					ts = append(ts, t)
				}
				out = r.Keep(ts[len(ts)-1])
			})
			if err != nil {
				rt.Fatal(err)
			}
			ex := prog.NewCPU[float64](1)
			defer ex.Close()
			run, err := ex.Load(p)
			if err != nil {
				rt.Fatal(err)
			}
			if err := ex.Write(x, []float32{1, -2, 3}); err != nil {
				rt.Fatal(err)
			}
			if err := run.Run(); err != nil {
				rt.Fatal(err)
			}
			return slices.Clone(run.(interface{ Data(*prog.Tensor) []float64 }).Data(out)), len(p.Slots)
		}
		want, all := build(true)
		got, shared := build(false)
		if !slices.Equal(got, want) {
			rt.Fatalf("with %d slots %v, with %d %v", shared, got, all, want)
		}
		if shared > all {
			rt.Fatalf("%d slots shared, %d unshared", shared, all)
		}
	})
}

func TestCopiesAreChecked(t *testing.T) {
	in := prog.NewArena("in")
	x, ids := in.Add("x", prog.F32, 4), in.Add("ids", prog.U32, 4)
	var temp *prog.Tensor
	p, err := prog.Record("p", func(r *prog.Recorder) {
		temp = r.Temp("t", 4)
		mixK.Dispatch(r, mixC{N: 4}, x, x, temp)
	})
	if err != nil {
		t.Fatal(err)
	}
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	run, err := ex.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"wrong length": ex.Write(x, make([]float32, 3)),
		"of u32":       ex.Read(ids, make([]float32, 4)),
		"not kept":     run.Read(temp, make([]float32, 4)),
		"arena":        run.Read(x, make([]float32, 4)),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "prog: copy of ") {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
	in.Add("late", prog.F32, 4)
	if err := ex.Write(x, make([]float32, 4)); err == nil || !strings.Contains(err.Error(), "grew from 128 to 192 words") {
		t.Errorf("an arena that grew: got %v", err)
	}
}

func TestGrid(t *testing.T) {
	for _, n := range []int{0, 1, 65535, 65536, 200000, 1 << 30} {
		g := prog.Grid1(n, prog.DefaultTraits)
		if g[0]*g[1] < n || g[0] > 65535 || g[1] > 65535 || g[2] != 1 || g[0]*g[1]-n >= max(g[0], 1)+1 {
			t.Errorf("grid of %d: %v", n, g)
		}
	}
}

func TestStats(t *testing.T) {
	in := prog.NewArena("in")
	x := in.Add("x", prog.F32, 4)
	p, err := prog.Record("p", func(r *prog.Recorder) {
		a, b, c := r.Temp("a", 4), r.Temp("b", 4), r.Temp("c", 4)
		mixK.Dispatch(r, mixC{N: 4}, x, x, a)
		mixK.Dispatch(r, mixC{N: 4}, a, a, b)
		mixK.Dispatch(r, mixC{N: 4}, b, b, c) // c may lie where a did
	})
	if err != nil {
		t.Fatal(err)
	}
	want := prog.Stats{Dispatches: 3, Flops: 36, Traffic: 3 * 3 * 16, TempBytes: 32, RawBytes: 48, ArenaBytes: 256}
	if got := p.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReplayAllocatesNothing(t *testing.T) {
	in := prog.NewArena("in")
	x := in.Add("x", prog.F32, 1<<17) // large enough for all workers
	p, err := prog.Record("p", func(r *prog.Recorder) {
		mixK.Dispatch(r, mixC{N: x.Len()}, x, x, r.Temp("t", x.Len()))
	})
	if err != nil {
		t.Fatal(err)
	}
	ex := prog.NewCPU[float32](4)
	defer ex.Close()
	run, err := ex.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { _ = run.Run() }); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}
