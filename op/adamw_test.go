package op_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// TestAdamW compares 30 steps of a changing learning rate with the textbook's algorithm, element by element in float64.
func TestAdamW(t *testing.T) {
	const (
		n, decay          = 301, 200
		beta1, beta2, eps = 0.9, 0.999, 1e-8
		wd                = 0.1
	)
	ps, gs, ms, vs, in := prog.NewArena("p"), prog.NewArena("g"), prog.NewArena("m"), prog.NewArena("v"), prog.NewArena("in")
	p, g, m, v := ps.Add("p", prog.F32, n), gs.Add("g", prog.F32, n), ms.Add("m", prog.F32, n), vs.Add("v", prog.F32, n)
	hyper, scale := in.Add("hyper", prog.F32, op.HyperLen), in.Add("scale", prog.F32, 1)
	build := func(r *prog.Recorder) { op.AdamW(r, p, g, m, v, hyper, scale, decay) }
	cpu64, run64 := loadOn[float64](t, build)
	cpu32, run32 := loadOn[float32](t, build)

	rnd := rand.New(rand.NewPCG(10, 10))
	var wp, wm, wv [n]float64
	for i := range wp {
		wp[i] = float64(float32(rnd.NormFloat64()))
		dataOf(t, cpu64, p)[i] = wp[i]
		dataOf(t, cpu32, p)[i] = float32(wp[i])
	}
	start := wp
	st := prog.NewStage(in)
	for step := 1; step <= 30; step++ {
		lr := 1e-2 * min(1, float64(step)/10)
		factor := 1 / float64(1+step%4)
		op.FillHyper(st.F32(hyper), lr, beta1, beta2, eps, wd, step)
		st.F32(scale)[0] = float32(factor)
		if err := cpu64.Upload(st); err != nil {
			t.Fatal(err)
		}
		if err := cpu32.Upload(st); err != nil {
			t.Fatal(err)
		}
		for i := range wp {
			raw := float64(float32(math.Pow(10, float64(i%7)-3) * (rnd.NormFloat64() + 0.3)))
			dataOf(t, cpu64, g)[i] = raw
			dataOf(t, cpu32, g)[i] = float32(raw)

			grad := raw * float64(float32(factor))
			if i < decay {
				wp[i] -= lr * wd * wp[i]
			}
			wm[i] += (grad - wm[i]) * (1 - beta1)
			wv[i] += (grad*grad - wv[i]) * (1 - beta2)
			mhat := wm[i] / (1 - math.Pow(beta1, float64(step)))
			vhat := wv[i] / (1 - math.Pow(beta2, float64(step)))
			wp[i] -= lr * mhat / (math.Sqrt(vhat) + eps)
		}
		runOnce(t, run64)
		runOnce(t, run32)
	}
	moved := func(p []float64) []float64 {
		d := make([]float64, n)
		for i := range d {
			d[i] = p[i] - start[i]
		}
		return d
	}
	// The hyper-parameters are float32 in either precision.
	check.Within(t, "update, float64", moved(dataOf(t, cpu64, p)), moved(wp[:]), 1e-6)
	check.Within(t, "m", dataOf(t, cpu64, m), wm[:], 1e-6)
	check.Within(t, "v", dataOf(t, cpu64, v), wv[:], 1e-6)
	check.Within(t, "p, float32", dataOf(t, cpu32, p), wp[:], 1e-6)
	for i, d := range moved(wp[:]) {
		if d == 0 {
			t.Fatalf("element %d did not move: the test tests nothing", i)
		}
	}
}

// TestAdamWSplit: any split of the elements, also across the end of the decay, gives the same bits.
func TestAdamWSplit(t *testing.T) {
	const n, decay = 100_003, 50_001
	var want []float32
	for _, workers := range []int{1, 3} {
		ps, gs, ms, vs, in := prog.NewArena("p"), prog.NewArena("g"), prog.NewArena("m"), prog.NewArena("v"), prog.NewArena("in")
		p, g, m, v := ps.Add("p", prog.F32, n), gs.Add("g", prog.F32, n), ms.Add("m", prog.F32, n), vs.Add("v", prog.F32, n)
		hyper, scale := in.Add("hyper", prog.F32, op.HyperLen), in.Add("scale", prog.F32, 1)
		pr, err := prog.Record("adamw", func(r *prog.Recorder) { op.AdamW(r, p, g, m, v, hyper, scale, decay) })
		if err != nil {
			t.Fatal(err)
		}
		cpu := prog.NewCPU[float32](workers)
		defer cpu.Close()
		run, err := cpu.Load(pr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			dataOf(t, cpu, p)[i], dataOf(t, cpu, g)[i] = 1, float32(i%13)-6
		}
		op.FillHyper(dataOf(t, cpu, hyper), 0.1, 0.9, 0.99, 1e-8, 0.5, 1)
		dataOf(t, cpu, scale)[0] = 1
		runOnce(t, run)
		got := dataOf(t, cpu, p)
		if want == nil {
			want = got
			// Elements of zero gradient (i%13 == 6) show the decay alone.
			if got[6] != 0.95 || got[13*7000+6] != 1 {
				t.Errorf("zero gradient: got %g, %g, want 0.95 before the end of the decay and 1 after it", got[6], got[13*7000+6])
			}
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("p[%d] = %g on %d workers, %g on one", i, got[i], workers, want[i])
			}
		}
	}
}

func TestAdamWWantsDecayWithin(t *testing.T) {
	a := prog.NewArena("a")
	x := a.Add("x", prog.F32, 3)
	_, err := prog.Record("adamw", func(r *prog.Recorder) { op.AdamW(r, x, x, x, x, x, x, 4) })
	if err == nil || !strings.Contains(err.Error(), "first 4 of 3 elements decay") {
		t.Errorf("decay beyond the end: error %v", err)
	}
}
