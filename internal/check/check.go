// Package check holds what tests share: error norms, finite differences, kernel conformance, goldens.
package check

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"innerloop/prog"
)

// RelErr is the relative Frobenius error ||got-want||/||want||, NaN if the lengths differ or a value is not finite,
// and the plain ||got|| where want is all zero.
func RelErr[G, W prog.Float](got []G, want []W) float64 {
	if len(got) != len(want) {
		return math.NaN()
	}
	var d, w float64
	for i, g := range got {
		e := float64(g) - float64(want[i])
		d += e * e
		w += float64(want[i]) * float64(want[i])
	}
	if w == 0 {
		return math.Sqrt(d)
	}
	return math.Sqrt(d / w)
}

// Within fails the test unless RelErr(got, want) <= tol.
func Within[G, W prog.Float](t testing.TB, name string, got []G, want []W, tol float64) {
	t.Helper()
	if e := RelErr(got, want); !(e <= tol) {
		t.Errorf("%s: relative error %.3g, want at most %.3g (%d elements, want %d)", name, e, tol, len(got), len(want))
	}
}

// Input is a tensor of a gradient check.
type Input struct {
	Name  string
	Shape []int
	U32   []uint32            // values of a tensor of u32, which has no gradient
	Scale float64             // standard deviation of the random values; 0: 1
	Fill  func(i int) float64 // values instead of random ones
	Fixed bool                // not differentiated
}

// Gradients records build in float64, takes the loss sum_o sum(out_o * seed_o) with random seeds, and compares the
// recorded backward pass with central differences at every element of every input (at most 200 of each, chosen at
// random). tol is relative to the largest gradient of the input.
func Gradients(t *testing.T, seed uint64, tol float64, ins []Input, build func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 7))
	arena := prog.NewArena("in")
	fixed := prog.NewArena("fixed")
	var ts []*prog.Tensor
	for _, in := range ins {
		switch {
		case in.U32 != nil:
			ts = append(ts, fixed.Add(in.Name, prog.U32, in.Shape...))
		case in.Fixed:
			ts = append(ts, fixed.Add(in.Name, prog.F32, in.Shape...))
		default:
			ts = append(ts, arena.Add(in.Name, prog.F32, in.Shape...))
		}
	}
	grads := arena.Mirror("grad")
	arena.WithGrad(grads)
	seeds := prog.NewArena("seeds")
	var outs, seedT []*prog.Tensor
	p, err := prog.Record(t.Name(), func(r *prog.Recorder) {
		for _, g := range grads.Tensors() {
			r.Clear(g)
		}
		outs = build(r, ts)
		for _, o := range outs {
			s := seeds.Add("seed."+o.Name(), prog.F32, o.Shape()...)
			seedT = append(seedT, s)
			r.Keep(o)
			r.SetGrad(o, s)
		}
		r.Backward()
	})
	if err != nil {
		t.Fatal(err)
	}
	cpu := prog.NewCPU[float64](1)
	defer cpu.Close()
	run, err := cpu.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	stage := prog.NewStage(fixed)
	for i, in := range ins {
		n := ts[i].Len()
		switch {
		case in.U32 != nil:
			copy(stage.U32(ts[i]), in.U32)
		case in.Fixed:
			for j, f := range draw(rnd, in, n) {
				stage.F32(ts[i])[j] = float32(f)
			}
		default:
			d := must(cpu.Data(ts[i]))(t)
			copy(d, draw(rnd, in, n))
		}
	}
	if err := cpu.Upload(stage); err != nil {
		t.Fatal(err)
	}
	for _, s := range seedT {
		copy(must(cpu.Data(s))(t), draw(rnd, Input{}, s.Len()))
	}
	data := run.(interface{ Data(*prog.Tensor) []float64 }).Data
	loss := func() (sum float64) {
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
		for i, o := range outs {
			s := must(cpu.Data(seedT[i]))(t)
			for j, v := range data(o) {
				sum += v * s[j]
			}
		}
		return sum
	}
	for i, in := range ins {
		if in.U32 != nil || in.Fixed {
			continue
		}
		loss()
		got := slices.Clone(must(cpu.Data(grads.In(ts[i])))(t))
		x := must(cpu.Data(ts[i]))(t)
		idx := rnd.Perm(len(x))
		idx = idx[:min(len(idx), 200)]
		want := make([]float64, len(idx))
		var largest float64
		for j, e := range idx {
			o := x[e]
			h := 1e-5 * max(1, math.Abs(o))
			x[e] = o + h
			up := loss()
			x[e] = o - h
			down := loss()
			x[e] = o
			want[j] = (up - down) / (2 * h)
			largest = max(largest, math.Abs(want[j]))
		}
		if largest == 0 {
			t.Errorf("%s: all differences are zero: the check checks nothing", in.Name)
		}
		for j, e := range idx {
			if !(math.Abs(got[e]-want[j]) <= tol*largest) {
				t.Errorf("gradient of %s[%d]: got %.9g, central difference %.9g (largest %.3g)", in.Name, e, got[e], want[j], largest)
				break
			}
		}
	}
}

func draw(r *rand.Rand, in Input, n int) []float64 {
	out := make([]float64, n)
	scale := in.Scale
	if scale == 0 {
		scale = 1
	}
	for i := range out {
		if in.Fill != nil {
			out[i] = in.Fill(i)
		} else {
			out[i] = scale * r.NormFloat64()
		}
	}
	return out
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
