package op_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// xentRig is a program whose logits are RMSNorm(x, w), with the gradients of x.
type xentRig[F prog.Float] struct {
	cpu   *prog.CPU[F]
	run   prog.Runner
	x, dx []F
	loss  *prog.Tensor
}

func newXentRig[F prog.Float](t *testing.T, n, v int, targets []uint32, scale float32, evaluation bool) *xentRig[F] {
	t.Helper()
	ps, in := prog.NewArena("params"), prog.NewArena("in")
	x, w := ps.Add("x", prog.F32, n, v), ps.Add("w", prog.F32, v)
	gs := ps.Mirror("grads")
	ps.WithGrad(gs)
	ts, sc := in.Add("targets", prog.U32, n), in.Add("scale", prog.F32, 1)
	g := &xentRig[F]{}
	g.cpu, g.run = loadOn[F](t, func(r *prog.Recorder) {
		for _, d := range gs.Tensors() {
			r.Clear(d)
		}
		logits := op.RMSNorm(r, x, w, 1e-3)
		if evaluation {
			g.loss = r.Keep(op.EvalCrossEntropy(r, logits, ts))
		} else {
			g.loss = r.Keep(op.CrossEntropy(r, logits, ts, sc))
		}
		r.Backward()
	})
	st := prog.NewStage(in)
	copy(st.U32(ts), targets)
	st.F32(sc)[0] = scale
	if err := g.cpu.Upload(st); err != nil {
		t.Fatal(err)
	}
	g.x, g.dx = dataOf(t, g.cpu, x), dataOf(t, g.cpu, gs.In(x))
	wd := dataOf(t, g.cpu, w)
	for i := range wd {
		wd[i] = F(1 + float64(i%3)/2)
	}
	return g
}

// losses runs the program and returns the loss of every row.
func (g *xentRig[F]) losses(t *testing.T) []float64 {
	t.Helper()
	runOnce(t, g.run)
	var out []float64
	for _, v := range g.run.(interface{ Data(*prog.Tensor) []F }).Data(g.loss) {
		out = append(out, float64(v))
	}
	return out
}

func TestCrossEntropyGradient(t *testing.T) {
	const scale = 0.25
	for _, s := range []struct{ n, v int }{{1, 2}, {5, 7}, {3, 33}} {
		rnd := rand.New(rand.NewPCG(7, uint64(s.v)))
		targets := make([]uint32, s.n)
		for i := range targets {
			targets[i] = uint32(rnd.IntN(s.v))
		}
		if s.n > 3 {
			targets[1] = op.IgnoreIndex
		}
		g := newXentRig[float64](t, s.n, s.v, targets, scale, false)
		for i := range g.x {
			g.x[i] = rnd.NormFloat64()
		}
		total := func() (sum float64) {
			for _, l := range g.losses(t) {
				sum += scale * l
			}
			return sum
		}
		total()
		got := slices.Clone(g.dx)
		want := make([]float64, len(g.x))
		for i, o := range g.x {
			const h = 1e-5
			g.x[i] = o + h
			up := total()
			g.x[i] = o - h
			want[i] = (up - total()) / (2 * h)
			g.x[i] = o
		}
		check.Within(t, "dlogits through rmsnorm", got, want, 1e-7)
	}
}

func TestCrossEntropyOddRows(t *testing.T) {
	for _, evaluation := range []bool{false, true} {
		g := newXentRig[float32](t, 4, 3, []uint32{2, op.IgnoreIndex, 3, 0}, 1, evaluation)
		for i := range g.x {
			g.x[i] = float32(i%5) - 2
		}
		l := g.losses(t)
		if !(l[0] > 0) || l[1] != 0 || !math.IsNaN(l[2]) || !(l[3] > 0) {
			t.Errorf("evaluation %v: losses %v, want positive, 0 where ignored, NaN outside the vocabulary, positive", evaluation, l)
		}
		for i, d := range g.dx {
			if zero := evaluation || i/3 == 1 || i/3 == 2; (d == 0) != zero {
				t.Errorf("evaluation %v: gradient at row %d: %g", evaluation, i/3, d)
			}
		}
	}
}

// TestCrossEntropyOfLargeLogits: exp of none of these logits is a float32.
func TestCrossEntropyOfLargeLogits(t *testing.T) {
	in := prog.NewArena("in")
	x, ts, sc := in.Add("x", prog.F32, 3, 3), in.Add("targets", prog.U32, 3), in.Add("scale", prog.F32, 1)
	var loss, eval, logits *prog.Tensor
	cpu, run := loadOn[float32](t, func(r *prog.Recorder) {
		zero := r.Temp("zero", 3, 3)
		r.Clear(zero)
		logits = r.Keep(op.Add(r, x, zero))
		eval = r.Keep(op.EvalCrossEntropy(r, logits, ts))
		loss = r.Keep(op.CrossEntropy(r, logits, ts, sc))
	})
	st := prog.NewStage(in)
	copy(st.F32(x), []float32{1000, 999, -1000, -5000, -5000, -5000, 1e30, -1e30, 0})
	copy(st.U32(ts), []uint32{1, 2, 0})
	st.F32(sc)[0] = 2
	if err := cpu.Upload(st); err != nil {
		t.Fatal(err)
	}
	runOnce(t, run)
	e := math.Exp(-1)
	want := []float64{1 + math.Log1p(e), math.Log(3), 0}
	third := 2.0 / 3
	dwant := []float64{2 / (1 + e), 2*e/(1+e) - 2, 0, third, third, third - 2, 0, 0, 0}
	got, ev, d := make([]float32, 3), make([]float32, 3), make([]float32, 9)
	for _, c := range []struct {
		t   *prog.Tensor
		dst []float32
	}{{loss, got}, {eval, ev}, {logits, d}} {
		if err := run.Read(c.t, c.dst); err != nil {
			t.Fatal(err)
		}
	}
	check.Within(t, "loss", got, want, 1e-6)
	check.Within(t, "evaluated loss", ev, want, 1e-6)
	check.Within(t, "dlogits", d, dwant, 1e-6)
}

func TestCrossEntropyWantsTemporary(t *testing.T) {
	in := prog.NewArena("in")
	x, ts, sc := in.Add("x", prog.F32, 3, 3), in.Add("targets", prog.U32, 3), in.Add("scale", prog.F32, 1)
	_, err := prog.Record("xent", func(r *prog.Recorder) { op.CrossEntropy(r, x, ts, sc) })
	if err == nil || !strings.Contains(err.Error(), "want a temporary") {
		t.Errorf("logits of an arena: error %v", err)
	}
}
