package prog_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/prog"
)

func TestSummarize(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a := prog.NewArena("a")
	x := a.Add("x", prog.F32, 8)
	for _, c := range []struct {
		x                []float32
		min, max         float32
		at, bad, started int
	}{
		{[]float32{1, nan, -3, 2, inf, 3, 0, -inf}, -3, 3, 2, 3, 6},
		{[]float32{nan, -inf}, 0, 0, -1, 2, 2},
		{[]float32{5}, 5, 5, 0, 0, 1},
	} {
		v := prog.Summarize("b", x, c.x)
		if v.Name != "b" || v.Tensor != x || v.Min != c.min || v.Max != c.max || v.At != c.at || v.NonFinite != c.bad || len(v.First) != c.started {
			t.Errorf("%v: %+v", c.x, v)
		}
		was := v.First[0]
		c.x[0] = 77
		if v.First[0] != was && was == was {
			t.Errorf("the summary's first values are the tensor's own memory")
		}
	}
}

// An element of a window of an arena belongs to the tensor that lies there.
func TestLocate(t *testing.T) {
	a := prog.NewArena("a")
	a.Add("x", prog.F32, 3)
	y := a.Add("y", prog.F32, 2, 3, 4)
	all := a.Window("all", 0, a.Words())
	for _, c := range []struct {
		t    *prog.Tensor
		i    int
		name string
		at   []int
	}{
		{all, 2, "x", []int{2}},
		{all, 3, "all", []int{3}}, // padding
		{all, prog.Align + 17, "y", []int{1, 1, 1}},
		{y, 23, "y", []int{1, 2, 3}},
	} {
		x, i := prog.Locate(c.t, c.i)
		if x.Name() != c.name || !slices.Equal(x.Index(i), c.at) {
			t.Errorf("element %d of %v: %v of %v, want %v of %s", c.i, c.t, x.Index(i), x, c.at, c.name)
		}
	}
}

// What no later step reads causes nothing, whatever it holds: a measurement of a step is not its origin.
func TestTracePassesOverMeasurements(t *testing.T) {
	in, out := prog.NewArena("in"), prog.NewArena("out")
	x, seen, sum := in.Add("x", prog.F32, 4), out.Add("seen", prog.F32, 4), out.Add("sum", prog.F32, 4)
	p, err := prog.Record("p", func(r *prog.Recorder) {
		r.Clear(seen)
		r.Clear(sum)
		mixK.Dispatch(r, mixC{N: 4, Scale: 1e30}, x, x, seen) // overflows, and nobody reads it
		y, z := r.Temp("y", 4), r.Temp("z", 4)
		mixK.Dispatch(r, mixC{N: 4, Scale: 2}, x, x, y)
		mixK.Dispatch(r, mixC{N: 4, Scale: 1e30}, y, x, z) // overflows
		mixK.Dispatch(r, mixC{N: 4, Scale: 1}, z, x, sum)
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
	bad, err := prog.Trace(ex, run, p, len(p.Steps), func() error { return ex.Write(x, []float32{1, -2, 1e10, 4}) })
	if err != nil || bad == nil || bad.Tensor.Name() != "z" || bad.Index != 2 || bad.Step != 4 || bad.Count != 1 || bad.Input {
		t.Fatalf("%+v, %v, want element 2 of z", bad, err)
	}
	if len(bad.Reads) != 2 || bad.Reads[0].Tensor.Name() != "y" || !slices.Equal(bad.Reads[0].Same, []float32{3e10}) || !slices.Equal(bad.Reads[1].Same, []float32{1e10}) {
		t.Errorf("it read %+v", bad.Reads)
	}
	if bad, err := prog.Trace(ex, run, p, 4, func() error { return nil }); bad != nil || err != nil {
		t.Errorf("of the steps before: %+v, %v", bad, err)
	}
}

// halveK copies x, rounded.
var halveK = prog.Define(prog.Spec[mixC]{
	Name:   "halve",
	Binds:  []prog.Binding{prog.In("x"), {Name: "out", Access: prog.Write, DType: prog.F16}},
	Lens:   func(c mixC) []int { return []int{c.N, c.N} },
	Items:  func(c mixC) int { return c.N },
	Grid:   func(c mixC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
	Copies: true,
	F32:    halve[float32],
	F64:    halve[float64],
	Sample: func(*rand.Rand) mixC { return mixC{N: 2} },
})

func halve[F prog.Float](_ mixC, a *prog.Args[F], _ []F, lo, hi int) {
	copy(a.F[1][lo:hi], a.F[0][lo:hi])
}

// unhalveK makes float32 of what halveK made.
var unhalveK = prog.Define(prog.Spec[mixC]{
	Name:   "unhalve",
	Binds:  []prog.Binding{{Name: "x", Access: prog.Read, DType: prog.F16}, prog.Out("out")},
	Lens:   func(c mixC) []int { return []int{c.N, c.N} },
	Items:  func(c mixC) int { return c.N },
	Grid:   func(c mixC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
	F32:    halve[float32],
	F64:    halve[float64],
	Sample: func(*rand.Rand) mixC { return mixC{N: 2} },
})

// What was not finite before the run is said to be read by the step that computes with it, not by one that copies it.
func TestTraceLooksThroughCopies(t *testing.T) {
	w := prog.NewArena("w")
	names := []string{"direct", "packed", "both", "copied", "last"}
	x := map[string]*prog.Tensor{}
	for _, name := range names {
		x[name] = w.Add(name, prog.F32, 6)
		w.Pad(2 * prog.Align)
	}
	all := w.Window("all", 0, w.Words())
	p, err := prog.Record("p", func(r *prog.Recorder) {
		half := r.TempOf(prog.F16, "half", all.Len())
		halveK.Dispatch(r, mixC{N: all.Len()}, all, half) // step 0
		r.UseHalf(all, half)
		use := func(name string) *prog.Tensor {
			y := r.Temp("y", 6)
			unhalveK.Dispatch(r, mixC{N: 6}, r.Half(x[name]), y)
			return y
		}
		a := use("last")                                                     // 1, and 6 by itself
		b := use("packed")                                                   // 2
		mixK.Dispatch(r, mixC{N: 6}, x["both"], x["direct"], r.Temp("z", 6)) // 3
		c := use("both")                                                     // 4
		mixK.Dispatch(r, mixC{N: 6}, a, b, c)                                // 5
		mixK.Dispatch(r, mixC{N: 6}, x["last"], c, r.Temp("z", 6))           // 6
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
	want := map[string]int{"direct": 3, "packed": 2, "both": 3, "copied": 0, "last": 1}
	kernels := []string{"halve", "unhalve", "unhalve", "mix", "unhalve"}
	for _, name := range names {
		bad, err := prog.Trace(ex, run, p, len(p.Steps), func() error {
			if err := ex.Write(all, make([]float32, all.Len())); err != nil {
				return err
			}
			return ex.Write(x[name], []float32{0, 0, 0, 0, 0, float32(math.Inf(1))})
		})
		if err != nil || bad == nil || !bad.Input || bad.Tensor != x[name] || bad.Index != 5 {
			t.Fatalf("%s: %+v, %v", name, bad, err)
		}
		if bad.Step != want[name] || p.Steps[bad.Step].Kernel.Name != kernels[bad.Step] {
			t.Errorf("%s: first read by step %d, %s, want %d", name, bad.Step, p.Steps[bad.Step].Label(), want[name])
		}
	}
}

func TestPeekRefuses(t *testing.T) {
	in := prog.NewArena("in")
	x := in.Add("x", prog.F32, 4)
	var unused, ids *prog.Tensor
	p, err := prog.Record("p", func(r *prog.Recorder) {
		unused, ids = r.Temp("unused", 4), r.TempU("ids", 4)
		mixK.Dispatch(r, mixC{N: 4}, x, x, r.Temp("y", 4))
		r.Clear(ids)
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
	for _, c := range []struct {
		t    *prog.Tensor
		want string
	}{
		{unused, "prog: copy of unused [4]: it is no temporary of p"},
		{ids, "prog: copy of ids [4]: it is of u32, want f32"},
		{x, "prog: copy of x [4]: it is no temporary of p"},
	} {
		if err := run.Peek(c.t, make([]float32, 4)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
