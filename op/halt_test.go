package op_test

import (
	"math"
	"slices"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// haltRig is a step that needs no model: its loss and its gradient are given.
type haltRig struct {
	t             *testing.T
	ex            prog.Executor
	run           prog.Runner
	in            *prog.Stage
	loss, g, slot *prog.Tensor
	p, ring       *prog.Tensor
	state, before *prog.Tensor // the memory and its snapshot
}

func newHaltRig(t *testing.T, ex prog.Executor, rows int) *haltRig {
	t.Helper()
	h := &haltRig{t: t, ex: ex}
	in, params, metrics, memory, kept := prog.NewArena("in"), prog.NewArena("p"), prog.NewArena("metrics"), prog.NewArena("memory"), prog.NewArena("kept")
	h.loss, h.g, h.slot = in.Add("loss", prog.F32, 1), in.Add("g", prog.F32, 70), in.Add("slot", prog.U32, 1)
	hyper, most := in.Add("hyper", prog.F32, op.HyperLen), in.Add("clip", prog.F32, 1)
	h.p, h.ring = params.Add("p", prog.F32, 70), metrics.Add("ring", prog.F32, rows, 2)
	h.state, h.before = memory.Add("state", prog.F32, 300), kept.Add("state", prog.F32, 300)
	m, v := params.Mirror("m"), params.Mirror("v")
	program, err := prog.Record("step", func(r *prog.Recorder) {
		op.Snapshot(r, h.state, h.slot, h.ring, h.before)
		norm, scale := r.Temp("norm", 1), r.Temp("scale", 1)
		op.ClipNorm(r, []*prog.Tensor{h.g}, most, norm, scale)
		op.PushRow(r, h.loss, norm, h.slot, scale, h.ring)
		op.AdamW(r, h.p, h.g, m.In(h.p), v.In(h.p), hyper, scale, 70)
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.run, err = ex.Load(program); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.run.Close)
	for _, a := range []*prog.Arena{in, params, metrics, memory, kept, m, v} {
		t.Cleanup(func() { ex.Free(a) })
	}
	h.in = prog.NewStage(in)
	op.FillHyper(h.in.F32(hyper), 0.1, 0.9, 0.99, 1e-8, 0, 1)
	h.in.F32(most)[0] = 1
	return h
}

// step makes one with that loss, a gradient of that element, the row and a memory full of state, and returns the
// parameters.
func (h *haltRig) step(loss, g float64, slot uint32, state float32) []float32 {
	h.t.Helper()
	h.in.F32(h.loss)[0], h.in.U32(h.slot)[0] = float32(loss), slot
	for i := range h.in.F32(h.g) {
		h.in.F32(h.g)[i] = 1
	}
	h.in.F32(h.g)[20] = float32(g)
	s := make([]float32, h.state.Len())
	for i := range s {
		s[i] = state
	}
	if err := h.ex.Write(h.state, s); err != nil {
		h.t.Fatal(err)
	}
	if err := h.ex.Upload(h.in); err != nil {
		h.t.Fatal(err)
	}
	if err := h.run.Run(); err != nil {
		h.t.Fatal(err)
	}
	return h.read(h.p)
}

func (h *haltRig) read(x *prog.Tensor) []float32 {
	h.t.Helper()
	v := make([]float32, x.Len())
	if err := h.ex.Read(x, v); err != nil {
		h.t.Fatal(err)
	}
	return v
}

// A step whose loss or gradient is not finite halts all steps of the ring's rows after it, and the snapshot stays what
// the memory was when it began.
func TestPushRowHalts(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		nan, inf := math.NaN(), math.Inf(1)
		for _, bad := range []struct{ loss, g float64 }{{nan, 1}, {-inf, 1}, {1, nan}, {1, 1e30}, {inf, -inf}} {
			h := newHaltRig(t, ex, 5)
			h.step(1, 1, 0, 10)
			before := h.step(2, 1, 1, 11)
			if before[0] == 0 || h.read(h.before)[0] != 11 {
				t.Fatal("a good step changed nothing: the test tests nothing")
			}
			for slot := uint32(2); slot < 5; slot++ {
				loss, g := 3.0, 1.0
				if slot == 2 {
					loss, g = bad.loss, bad.g
				}
				if !slices.Equal(h.step(loss, g, slot, 10+float32(slot)), before) {
					t.Errorf("%+v: the step of row %d changed the weights", bad, slot)
				}
			}
			if b := h.read(h.before); b[0] != 12 || b[299] != 12 {
				t.Errorf("%+v: the snapshot is of step %g, want 12", bad, b[0])
			}
			ring := h.read(h.ring)
			if l, n := float64(ring[4]), float64(ring[5]); ring[0] != 1 || ring[2] != 2 || !same(l, bad.loss) || bad.g == 1 && math.Abs(n-math.Sqrt(70)) > 1e-4 || bad.g != 1 && n-n == 0 {
				t.Errorf("%+v: ring %v", bad, ring)
			}
			if n := float64(ring[7]); ring[6] != 3 || !math.IsNaN(n) || !math.IsNaN(float64(ring[9])) {
				t.Errorf("%+v: ring %v, want norms of NaN after the bad step", bad, ring)
			}
			// Once the host has looked, the first row begins anew.
			if slices.Equal(h.step(1, 1, 0, 20), before) || h.read(h.before)[7] != 20 {
				t.Errorf("%+v: the ring's first row is halted", bad)
			}
		}
	})
}

// A slot past the ring's last row is ignored, but a bad step is halted all the same.
func TestPushRowBeyond(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		h := newHaltRig(t, ex, 2)
		before := h.step(1, 1, 5, 3)
		if before[0] == 0 || !slices.Equal(h.read(h.ring), make([]float32, 4)) || h.read(h.before)[0] != 3 {
			t.Errorf("ring %v, snapshot %v, want no change and one of 3", h.read(h.ring), h.read(h.before)[0])
		}
		if !slices.Equal(h.step(math.NaN(), 1, 5, 4), before) {
			t.Error("a bad loss changed the weights")
		}
	})
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
