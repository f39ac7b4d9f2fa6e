package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"innerloop/op"
	"innerloop/prog"
)

// product is a matrix product of M x K by K x N elements: form nn, nt (the second transposed in memory) or tn (the
// first).
type product struct {
	name    string // what it is for
	form    string
	m, n, k int
}

func square(n int) product { return product{"square", "nn", n, n, n} }

// String is the product's stable name.
func (p product) String() string { return fmt.Sprintf("%s/%s/%dx%dx%d", p.name, p.form, p.m, p.n, p.k) }

func (p product) flops() float64 { return 2 * float64(p.m) * float64(p.n) * float64(p.k) }

// inStep are the products of a linear layer from in to out channels in a training step over so many tokens: forward,
// gradient of the input, gradient of the weight.
func inStep(tokens, in, out int) []product {
	return []product{{"forward", "nt", tokens, out, in}, {"dx", "nn", tokens, in, out}, {"dw", "tn", out, in, tokens}}
}

// product times p and returns its floating-point operations.
func (s *suite) product(p product, seconds float64) (Result, float64, error) {
	sa, sb := []int{p.m, p.k}, []int{p.k, p.n}
	switch p.form {
	case "nt":
		sb = []int{p.n, p.k}
	case "tn":
		sa = []int{p.k, p.m}
	}
	in := prog.NewArena("matrices")
	a, b := in.Add("a", prog.F32, sa...), in.Add("b", prog.F32, sb...)
	l, err := s.record(p.String(), []*prog.Arena{in}, func(r *prog.Recorder) { op.MatMul(r, a, b, p.form == "tn", p.form == "nt") })
	if err != nil {
		return Result{}, 0, err
	}
	defer l.close()
	for i, t := range []*prog.Tensor{a, b} {
		if err := s.ex.Write(t, normal(t.Len(), uint64(i), 1)); err != nil {
			return Result{}, 0, err
		}
	}
	r, err := timed(s.ctx, seconds, l.runs)
	r.Name = p.String()
	return r, p.flops(), err
}

// normal are n numbers with mean 0 and the given standard deviation.
func normal(n int, seed uint64, scale float32) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		// Uniform ones do here, and come ten times as fast.
		v[i] = scale * 1.7320508 * (2*r.Float32() - 1)
	}
	return v
}

// matmul is the suite of that name: squares, and the shapes of the step.
func (s *suite) matmul() error {
	sizes, chosen := s.o.Sizes, s.o.Sizes != nil
	if !chosen {
		sizes = squares
	}
	var ps []product
	m, t := s.o.Config.Model, s.o.Config.Train
	tokens := t.BatchSize * t.SeqLen
	for _, l := range [][2]int{{m.HiddenSize, m.HiddenSize}, {m.HiddenSize, m.IntermediateSize}, {m.IntermediateSize, m.HiddenSize}} {
		for _, p := range inStep(tokens, l[0], l[1]) {
			if !slices.Contains(ps, p) {
				ps = append(ps, p)
			}
		}
	}
	own := len(ps)
	for _, n := range sizes {
		if !slices.Contains(ps, square(n)) {
			ps = append(ps, square(n))
		}
	}
	c := &Ceiling{}
	if !s.o.NoRoofline {
		for _, kind := range []string{"copy", "add"} {
			r, bytes, err := s.stream(kind, s.o.Seconds/20)
			if err != nil {
				return fmt.Errorf("roofline: %w", err)
			}
			c.CopyGBPerS = max(c.CopyGBPerS, bytes/r.Best/1e9)
		}
	}
	share := 0.9 * s.o.Seconds / float64(len(ps))
	work := make([]float64, len(ps))
	for i, p := range ps {
		if !chosen && i >= own {
			if why := s.tooLong(p.flops()); why != "" {
				s.add(Result{Name: p.String(), Skipped: why})
				continue
			}
		}
		r, f, err := s.product(p, share)
		if err != nil {
			if err := s.skip(p.String(), err); err != nil {
				return err
			}
			continue
		}
		if i >= own {
			s.pace = f / r.Seconds / 1e9
		}
		c.most(r, f)
		work[i] = f
		s.add(r.per(f/1e9, "GFLOP/s"))
	}
	if !s.o.NoRoofline {
		s.r.Roofline = c
	}
	for i, p := range ps { // only now is the best known
		bytes := 4 * float64(p.m*p.k+p.k*p.n+p.m*p.n)
		if r := &s.r.Results[i]; r.Skipped == "" {
			*r = r.work(work[i], s.r.Roofline.Floor(work[i], bytes))
		}
	}
	return s.measured()
}
