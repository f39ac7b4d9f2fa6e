package bench

import (
	"fmt"

	"innerloop/prog"
	"innerloop/ttt"
)

// scan is the suite of that name: the inner loop alone, forward, and forward and backward; then the cost of a token over
// the length of the sequence, on one sequence.
func (s *suite) scan() error {
	if err := s.need(); err != nil {
		return err
	}
	shape := s.o.Scan
	s.r.Scan = &shape
	share := s.o.Seconds / float64(len(s.o.Kinds)*(2+len(s.o.Lengths)))
	for _, kind := range s.o.Kinds {
		for _, backward := range []bool{false, true} {
			name := fmt.Sprintf("%s/forward/%d", kind, shape.SeqLen)
			if backward {
				name = fmt.Sprintf("%s/both/%d", kind, shape.SeqLen)
			}
			if _, err := s.oneScan(name, kind, shape, backward, share, 0); err != nil {
				return err
			}
		}
	}
	for _, kind := range s.o.Kinds {
		one, first := shape, 0.0
		one.Batch, one.CheckpointEvery = 1, longCheckpoints
		for _, one.SeqLen = range s.o.Lengths {
			seconds, err := s.oneScan(fmt.Sprintf("%s/long/%d", kind, one.SeqLen), kind, one, true, share, first)
			if err != nil {
				return err
			}
			if first == 0 {
				first = seconds / float64(one.SeqLen)
			}
		}
	}
	return s.measured()
}

// oneScan adds a scan's time and returns it, 0 where it was skipped. first is the cost of a token, in seconds, that this
// one's is compared with; 0: none.
func (s *suite) oneScan(name, kind string, c ScanShape, backward bool, seconds, first float64) (float64, error) {
	l, err := s.loadScan(name, kind, c, backward)
	if err != nil {
		return 0, s.skip(name, err)
	}
	defer l.close()
	flops := l.p.Stats().Flops
	if why := s.tooLong(flops); why != "" {
		s.add(Result{Name: name, Skipped: why})
		return 0, nil
	}
	r, err := timed(s.ctx, seconds, l.runs)
	if err != nil {
		return 0, s.skip(name, err)
	}
	tokens := float64(c.Batch * c.SeqLen)
	r.Name = name
	if first > 0 {
		r.Note = fmt.Sprintf("a token costs %.3f of the shortest's", r.Seconds/tokens/first)
	}
	r = r.per(tokens, "tokens/s").work(flops, s.r.Roofline.floor(l.p.Steps))
	s.add(r)
	s.pace = r.GFLOPS
	return r.Seconds, nil
}

// loadScan makes a scan of kind with random inputs ready. With backward, an upstream gradient is given.
func (s *suite) loadScan(name, kind string, c ScanShape, backward bool) (*loaded, error) {
	in, seed := prog.NewArena("scan"), prog.NewArena("seed")
	tokens, row := c.Batch*c.SeqLen, ttt.Row(c.Heads, c.HeadDim)
	xs := in.Add("xs", prog.F32, tokens, row)
	tok := in.Add("tok", prog.F32, c.MiniBatch)
	h, f := c.Heads, c.HeadDim
	var p ttt.Params
	var weights []*prog.Tensor
	add := func(name string, shape ...int) *prog.Tensor {
		t := in.Add(name, prog.F32, shape...)
		weights = append(weights, t)
		return t
	}
	if kind == MLP {
		p = ttt.MLPParams{W1: add("W1", h, f, 4*f), B1: add("b1", h, 1, 4*f), W2: add("W2", h, 4*f, f), B2: add("b2", h, 1, f), Gamma: in.Add("gamma", prog.F32, h, f), Beta: add("beta", h, f)}
	} else {
		p = ttt.LinearParams{W1: add("W1", h, f, f), B1: add("b1", h, 1, f), Gamma: in.Add("gamma", prog.F32, h, f), Beta: add("beta", h, f)}
	}
	grads := in.Mirror("grads")
	in.WithGrad(grads)
	dout := seed.Add("dout", prog.F32, tokens, h*f)
	l, err := s.record(name, []*prog.Arena{in, grads, seed}, func(r *prog.Recorder) {
		out := p.Scan(r, xs, tok, nil, ttt.Options{Heads: h, SeqLen: c.SeqLen, MiniBatch: c.MiniBatch, CheckpointEvery: c.CheckpointEvery}).Out
		if backward {
			r.SetGrad(out, dout)
			r.Backward()
		}
	})
	if err != nil {
		return nil, err
	}
	gamma, _ := p.Norm()
	ones := make([]float32, gamma.Len())
	for i := range ones {
		ones[i] = 1
	}
	values := map[*prog.Tensor][]float32{xs: scanRows(c), tok: make([]float32, tok.Len()), gamma: ones}
	if backward {
		values[dout] = normal(dout.Len(), 2, 1)
	}
	for i, w := range weights {
		values[w] = normal(w.Len(), uint64(3+i), 0.02) // as a model begins with
	}
	for t, v := range values {
		if err := s.ex.Write(t, v); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// scanRows are the rows of a scan's input: queries, keys and values, a head's inner rates, the place code.
func scanRows(c ScanShape) []float32 {
	row, width := ttt.Row(c.Heads, c.HeadDim), 3*c.Heads*c.HeadDim
	v := normal(c.Batch*c.SeqLen*row, 1, 1)
	for i := range c.Batch * c.SeqLen {
		x := v[i*row : (i+1)*row]
		for h := range c.Heads {
			x[width+h] = 0.5 / float32(c.HeadDim)
		}
		x[row-1] = float32(ttt.PlaceCode(i%c.SeqLen, c.MiniBatch))
	}
	return v
}
