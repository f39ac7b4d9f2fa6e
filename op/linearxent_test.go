package op_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// headRig is the loss of x·wᵀ, in tiles of so many words, with the gradients of both.
type headRig[F prog.Float] struct {
	run   prog.Runner
	prog  *prog.Program
	loss  *prog.Tensor
	x, w  []F
	grads []F
}

func newHeadRig[F prog.Float](t *testing.T, n, c, v, words int, evaluation bool) *headRig[F] {
	t.Helper()
	ps, in := prog.NewArena("params"), prog.NewArena("in")
	x, w := ps.Add("x", prog.F32, n, c), ps.Add("w", prog.F32, v, c)
	gs := ps.Mirror("grads")
	ps.WithGrad(gs)
	ts, sc := in.Add("targets", prog.U32, n), in.Add("scale", prog.F32, 1)
	g := &headRig[F]{}
	build := func(r *prog.Recorder) {
		r.Clear(gs.Window("grads", 0, gs.Words()))
		scale := sc
		if evaluation {
			scale = nil
		}
		g.loss = r.Keep(op.LinearXent(r, x, w, ts, scale, words))
		r.Backward()
	}
	var err error
	if g.prog, err = prog.Record("head", build); err != nil {
		t.Fatal(err)
	}
	var cpu *prog.CPU[F]
	cpu, g.run = loadOn[F](t, build)
	st := prog.NewStage(in)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range st.U32(ts) {
		st.U32(ts)[i] = uint32(rnd.IntN(v))
	}
	st.U32(ts)[n/2] = op.IgnoreIndex
	st.F32(sc)[0] = 0.25
	if err := cpu.Upload(st); err != nil {
		t.Fatal(err)
	}
	g.x, g.w = dataOf(t, cpu, x), dataOf(t, cpu, w)
	for _, d := range [][]F{g.x, g.w} {
		for i := range d {
			d[i] = F(rnd.NormFloat64())
		}
	}
	g.grads = dataOf(t, cpu, gs.Window("grads", 0, gs.Words()))
	return g
}

func (g *headRig[F]) losses(t *testing.T) []F {
	t.Helper()
	runOnce(t, g.run)
	return slices.Clone(g.run.(interface{ Data(*prog.Tensor) []F }).Data(g.loss))
}

func double[F prog.Float](x []F) []float64 {
	d := make([]float64, len(x))
	for i, v := range x {
		d[i] = float64(v)
	}
	return d
}

func TestLinearCrossEntropyInTiles(t *testing.T) {
	const n, c, v = 200, 12, 40 // tiles of 64 rows, and 8 left over
	whole, tiled := newHeadRig[float32](t, n, c, v, 1<<20, false), newHeadRig[float32](t, n, c, v, v, false)
	loss := whole.losses(t)
	if got := tiled.losses(t); !slices.Equal(got, loss) {
		t.Errorf("losses in tiles differ: %v, want %v", got[:4], loss[:4])
	}
	check.Within(t, "gradients in tiles", tiled.grads, double(whole.grads), 1e-5)
	if a, b := len(whole.prog.Steps), len(tiled.prog.Steps); b <= a+8 {
		t.Errorf("%d steps in tiles, %d in one: it was not cut", b, a)
	}
	check.Within(t, "evaluated losses in tiles", newHeadRig[float32](t, n, c, v, v, true).losses(t), double(loss), 1e-6)
}

func TestLinearCrossEntropyGradient(t *testing.T) {
	const n, c, v = 70, 3, 5
	g := newHeadRig[float64](t, n, c, v, v, false)
	total := func() (sum float64) {
		for _, l := range g.losses(t) {
			sum += 0.25 * l
		}
		return sum
	}
	total()
	got := slices.Clone(g.grads)
	for _, p := range []struct {
		name string
		x    []float64
		at   int // of its gradients in those of all
	}{{"x", g.x, 0}, {"w", g.w, 256}} {
		want := make([]float64, len(p.x))
		for i, o := range p.x {
			const h = 1e-5
			p.x[i] = o + h
			up := total()
			p.x[i] = o - h
			want[i] = (up - total()) / (2 * h)
			p.x[i] = o
		}
		check.Within(t, "d"+p.name, got[p.at:p.at+len(p.x)], want, 1e-7)
	}
}

// The logits of a vocabulary of 50,000 subwords would take 781 MiB; no more than a tile of them is there.
func TestLinearCrossEntropyMemory(t *testing.T) {
	const n, c, v = 4096, 64, 50_000
	ps, in := prog.NewArena("params"), prog.NewArena("in")
	w := ps.Add("w", prog.F32, v, c)
	ps.WithGrad(ps.Mirror("grads"))
	x, ts, sc := in.Add("x", prog.F32, n, c), in.Add("targets", prog.U32, n), in.Add("scale", prog.F32, 1)
	p, err := prog.Record("head", func(r *prog.Recorder) {
		zero := r.Temp("zero", n, c)
		r.Clear(zero)
		op.LinearCrossEntropy(r, op.Add(r, x, zero), w, ts, sc)
		r.Backward()
	})
	if err != nil {
		t.Fatal(err)
	}
	logits, rest := int64(4*n*v), int64(4*3*n*c+4*n)
	if got := p.Stats().TempBytes; got > 64<<20+rest || got < 32<<20 {
		t.Errorf("temporaries of %d bytes, want one tile of at most %d beside %d; all logits are %d", got, 64<<20, rest, logits)
	}
}

func TestLinearCrossEntropyShapes(t *testing.T) {
	in := prog.NewArena("in")
	x, w, ts := in.Add("x", prog.F32, 4, 8), in.Add("w", prog.F32, 5, 6), in.Add("targets", prog.U32, 4)
	_, err := prog.Record("head", func(r *prog.Recorder) { op.EvalLinearCrossEntropy(r, x, w, ts) })
	if err == nil || !strings.Contains(err.Error(), "want [N C], [V C], [N]") {
		t.Errorf("weights of another width: error %v", err)
	}
}
