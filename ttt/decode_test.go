package ttt_test

import (
	"fmt"
	"testing"

	"innerloop/internal/check"
	"innerloop/prog"
	"innerloop/ttt"
)

// Tokens decoded one by one, from any state that a scan left at a mini-batch's end, give what the scan gives.
func TestDecodeEqualsScan(t *testing.T) {
	for _, m := range []mode{lm, flat} {
		for i, k := range []int{1, 4, 5, 1, 4, 5} {
			s := shape{2, 23, 2, 6, k, 1, i >= 3, m}
			in := values(s, nil)
			wantOut, _ := forward(t, s, in, nil, 0)
			d, row := s.h*s.f, ttt.Row(s.h, s.f)
			for _, cut := range []int{0, k, 2 * k} {
				// The first part in one scan.
				state := make([]float64, s.b*s.h*s.stateLen())
				if cut > 0 {
					first := s
					first.l = cut
					head := append([][]float64{nil}, in[1:]...)
					for b := range s.b {
						head[0] = append(head[0], in[0][b*s.l*row:][:cut*row]...)
					}
					_, state = forward(t, first, head, nil, 0)
				}
				sum := make([]float64, len(state))
				for i := cut; i < s.l; i++ {
					var xs []float64
					for b := range s.b {
						xs = append(xs, in[0][(b*s.l+i)*row:][:row]...)
					}
					var out []float64
					out, state, sum = decode(t, s, append([][]float64{xs}, in[1:]...), state, sum)
					for b := range s.b {
						check.Within(t, fmt.Sprintf("%+v cut %d token %d of %d", s, cut, i, b), out[b*d:(b+1)*d], wantOut[(b*s.l+i)*d:][:d], 1e-12)
					}
				}
			}
		}
	}
}

// decode runs one decoding step in float64.
func decode(t *testing.T, s shape, in [][]float64, state, sum []float64) (out, newState, newSum []float64) {
	t.Helper()
	one := s
	one.l = 1
	arena, mem := prog.NewArena("in"), prog.NewArena("memory")
	var ts []*prog.Tensor
	for _, x := range inputs(one, 1, nil) {
		ts = append(ts, arena.Add(x.Name, prog.F32, x.Shape...))
	}
	st, sm := mem.Add("state", prog.F32, s.b*s.h, s.stateLen()), mem.Add("sum", prog.F32, s.b*s.h, s.stateLen())
	var y *prog.Tensor
	p, err := prog.Record("decode", func(r *prog.Recorder) {
		p, tok := s.params(ts)
		y = r.Keep(p.Decode(r, ts[0], tok, st, sm, s.options()))
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
	data := func(ten *prog.Tensor) []float64 {
		d, err := cpu.Data(ten)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for i := range in {
		copy(data(ts[i]), in[i])
	}
	copy(data(st), state)
	copy(data(sm), sum)
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	return run.(interface{ Data(*prog.Tensor) []float64 }).Data(y), data(st), data(sm)
}
