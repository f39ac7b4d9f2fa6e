package bench

import (
	"fmt"

	"innerloop/op"
	"innerloop/prog"
)

// Ceiling is what a device was measured to reach: the two roofs of the roofline model (Williams et al. 2009).
type Ceiling struct {
	CopyGBPerS   float64 `json:"copy_gb_per_second"` // read and written together
	MatMulGFLOPS float64 `json:"matmul_gflops"`
	MatMul       string  `json:"matmul"` // which product that was
}

// Floor is the least time, in seconds, of so much work, with bytes read and written counted together. What lies in
// caches comes faster than memory's bandwidth, and may take less.
func (c *Ceiling) Floor(flops, bytes float64) float64 {
	if c == nil || c.CopyGBPerS <= 0 || c.MatMulGFLOPS <= 0 {
		return 0
	}
	return max(flops/(1e9*c.MatMulGFLOPS), bytes/(1e9*c.CopyGBPerS))
}

// floor is the least time of steps, one after the other.
func (c *Ceiling) floor(steps []prog.Step) (seconds float64) {
	for _, s := range steps {
		seconds += c.Floor(s.Flops(), float64(s.Traffic()))
	}
	return seconds
}

// most is the larger of the product known and r.
func (c *Ceiling) most(r Result, flops float64) {
	if r.Best > 0 && flops/r.Best/1e9 > c.MatMulGFLOPS {
		c.MatMulGFLOPS, c.MatMul = flops/r.Best/1e9, r.Name
	}
}

// squares are the sizes that a device's best product is looked for among.
var squares = []int{256, 512, 1024, 2048, 4096}

// ceiling measures the roofline in about so many seconds and tells each, which may be nil, what it measures.
func (s *suite) ceiling(seconds float64, each func(Result)) (*Ceiling, error) {
	if each == nil {
		each = func(Result) {}
	}
	c := &Ceiling{}
	for _, kind := range []string{"copy", "add"} {
		r, bytes, err := s.stream(kind, seconds/4)
		if err != nil {
			return nil, fmt.Errorf("%s of %d bytes: %w", kind, s.o.CopyBytes, err)
		}
		c.CopyGBPerS = max(c.CopyGBPerS, bytes/r.Best/1e9)
		each(r.per(bytes/1e9, "GB/s"))
	}
	left, best := seconds/2, 0
	for _, n := range squares[1:] {
		r, f, err := s.product(square(n), min(left, seconds/8))
		if err != nil {
			return nil, err
		}
		before := c.MatMulGFLOPS
		c.most(r, f)
		each(r.per(f/1e9, "GFLOP/s"))
		left -= r.Seconds * float64(r.Runs)
		if c.MatMulGFLOPS > before {
			best = n
		}
		if 3*8*r.Seconds > left { // the next one is eight times the work, and run three times at least
			break
		}
	}
	for _, form := range []string{"nt", "tn"} {
		p := square(best)
		p.form = form
		r, f, err := s.product(p, min(max(left, 0), seconds/8))
		if err != nil {
			return nil, err
		}
		c.most(r, f)
		each(r.per(f/1e9, "GFLOP/s"))
	}
	return c, nil
}

// stream times a copy of a buffer, or the sum of two into a third, and returns the bytes of a run.
func (s *suite) stream(kind string, seconds float64) (Result, float64, error) {
	n := s.o.CopyBytes / 4
	from, other, to := prog.NewArena("from"), prog.NewArena("other"), prog.NewArena("to")
	x, y, z := from.Add("x", prog.F32, n), other.Add("y", prog.F32, n), to.Add("z", prog.F32, n)
	ctl := prog.NewArena("control")
	slot, ring := ctl.Add("slot", prog.U32, 1), prog.NewArena("ring")
	metrics := ring.Add("ring", prog.F32, 1, 2)
	arenas := []*prog.Arena{from, other, to, ctl, ring}
	touch, err := s.record("touch", nil, func(r *prog.Recorder) { // memory that was never written may not be there
		r.Clear(x)
		r.Clear(y)
		r.Clear(z)
	})
	if err != nil {
		return Result{}, 0, err
	}
	defer func() {
		for _, a := range arenas {
			s.ex.Free(a)
		}
	}()
	defer touch.close()
	if err := touch.runs(1); err != nil {
		return Result{}, 0, err
	}
	l, err := s.record(kind, nil, func(r *prog.Recorder) {
		if kind == "copy" {
			op.Snapshot(r, x, slot, metrics, z)
			return
		}
		op.Add(r, x, y)
	})
	if err != nil {
		return Result{}, 0, err
	}
	defer l.close()
	r, err := timed(s.ctx, seconds, l.runs)
	r.Name = kind
	return r, float64(l.p.Stats().Traffic), err
}

// need measures the roofline for the shares of a suite that takes s.o.Seconds itself.
func (s *suite) need() error {
	if s.o.NoRoofline {
		return nil
	}
	c, err := s.ceiling(min(4, s.o.Seconds/2), nil)
	if err != nil {
		return fmt.Errorf("roofline: %w", err)
	}
	s.r.Roofline = c
	return nil
}

// roofline is the suite of that name.
func (s *suite) roofline() (err error) {
	s.r.Roofline, err = s.ceiling(s.o.Seconds, s.add)
	return err
}
