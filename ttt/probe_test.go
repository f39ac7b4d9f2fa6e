package ttt_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/prog"
	"innerloop/ttt"
)

// probe runs a probe in float64.
func probe(t *testing.T, s shape, in [][]float64) (out, state, loss, drift []float64) {
	t.Helper()
	arena, results := prog.NewArena("in"), prog.NewArena("probe")
	var ts []*prog.Tensor
	for _, x := range inputs(s, 1, nil) {
		ts = append(ts, arena.Add(x.Name, prog.F32, x.Shape...))
	}
	l := results.Add("loss", prog.F32, s.b*s.h, ttt.ProbeStates, s.l)
	d := results.Add("drift", prog.F32, s.b*s.h, prog.CeilDiv(s.l, s.k))
	var y ttt.Scan
	p, err := prog.Record("probe", func(r *prog.Recorder) {
		p, tok := s.params(ts)
		y = p.Probe(r, ts[0], tok, l, d, s.options())
		r.Keep(y.Out)
		r.Keep(y.State)
	})
	if err != nil {
		t.Fatal(err)
	}
	cpu := prog.NewCPU[float64](2)
	t.Cleanup(cpu.Close)
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
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	kept := run.(interface{ Data(*prog.Tensor) []float64 })
	return kept.Data(y.Out), kept.Data(y.State), data(l), data(d)
}

// gains follows the inner loop as the paper defines it, token by token, and takes the losses by their definition.
func gains(s shape, in [][]float64) (loss, drift []float64) {
	xs, tok := in[0], in[1]
	params, gamma, beta := in[2:len(in)-2], in[len(in)-2], in[len(in)-1]
	d, row := s.h*s.f, ttt.Row(s.h, s.f)
	for it := range s.b * s.h {
		b, h := it/s.h, it%s.h
		var start [][]float64
		for _, p := range params {
			n := len(p) / s.h
			start = append(start, p[h*n:(h+1)*n])
		}
		ga, be := gamma[h*s.f:][:s.f], beta[h*s.f:][:s.f]
		key := func(i int) []float64 { return xs[(b*s.l+i)*row+d+h*s.f:][:s.f] }
		target := func(i int) (v []float64) {
			for j, k := range key(i) {
				v = append(v, xs[(b*s.l+i)*row+2*d+h*s.f+j]-k)
			}
			return v
		}
		of := func(w [][]float64, i int) (sum float64) {
			z, _, _ := innerModel(s, w, key(i))
			xhat, _ := layerNorm(z)
			for j, v := range target(i) {
				e := ga[j]*xhat[j] + be[j] - v
				sum += e * e / 2
			}
			return sum
		}
		var lines [ttt.ProbeStates][]float64
		w := start
		for t0 := 0; t0 < s.l; t0 += s.k {
			n := min(s.k, s.l-t0)
			next := make([][]float64, len(w))
			for p := range w {
				next[p] = append([]float64(nil), w[p]...)
			}
			rate := s.rate(tok, n-1)
			for i := t0; i < t0+n; i++ {
				for p, g := range innerGradient(s, w, key(i), target(i), ga, be) {
					for j := range g {
						next[p][j] -= rate * xs[(b*s.l+i)*row+3*d+h] * g[j]
					}
				}
			}
			var far, norm float64
			for p := range start {
				for j, v := range start[p] {
					far += (next[p][j] - v) * (next[p][j] - v)
					norm += v * v
				}
			}
			drift = append(drift, math.Sqrt(far/norm))
			for i := t0; i < t0+n; i++ {
				for j, w := range [...][][]float64{start, w, next} {
					lines[j] = append(lines[j], of(w, i))
				}
			}
			w = next
		}
		for _, l := range lines {
			loss = append(loss, l...)
		}
	}
	return loss, drift
}

// A probe's losses and drift are those of the inner loop's definition, and its scan is the plain scan: with short last
// mini-batches, mini-batches of one token and of more than the row, several rows, and however seldom the scan was asked
// to keep its state.
func TestProbe(t *testing.T) {
	for _, s := range []shape{{1, 16, 2, 4, 4, 1, false, lm}, {2, 11, 2, 6, 4, 3, false, lm}, {1, 5, 3, 4, 1, 2, false, lm}, {1, 3, 1, 8, 16, 1, false, lm}, {1, 20, 1, 4, 7, 1, false, lm},
		{1, 8, 2, 4, 4, 1, true, lm}, {2, 11, 2, 6, 4, 2, true, lm}, {1, 3, 1, 4, 16, 1, true, lm}, {2, 11, 2, 6, 4, 1, false, video}, {1, 10, 1, 4, 4, 1, true, video}} {
		in := values(s, nil)
		out, state, loss, drift := probe(t, s, in)
		wantLoss, wantDrift := gains(s, in)
		check.Within(t, fmt.Sprintf("%+v loss", s), loss, wantLoss, 1e-11)
		check.Within(t, fmt.Sprintf("%+v drift", s), drift, wantDrift, 1e-11)
		wantOut, wantState := forward(t, s, in, nil, 0)
		check.Within(t, fmt.Sprintf("%+v out", s), out, wantOut, 0)
		check.Within(t, fmt.Sprintf("%+v state", s), state, wantState, 0)
	}
}

// A learned start of all zeros has no norm to measure by: the drift is then the distance itself.
func TestProbeOfZeroStart(t *testing.T) {
	for _, mlp := range []bool{false, true} {
		s := shape{1, 6, 1, 4, 4, 1, mlp, lm}
		in := values(s, nil)
		for _, p := range in[2 : len(in)-2] {
			clear(p)
		}
		_, state, _, drift := probe(t, s, in)
		var norm float64
		for _, v := range state {
			norm += v * v
		}
		if norm == 0 {
			t.Fatal("the inner loop did not learn")
		}
		check.Within(t, "drift", drift[1:], []float64{math.Sqrt(norm)}, 1e-14)
	}
}

func TestProbeRefusesDocumentsInsideRows(t *testing.T) {
	for _, mlp := range []bool{false, true} {
		s := shape{1, 8, 1, 4, 4, 1, mlp, lm}
		arena := prog.NewArena("in")
		var ts []*prog.Tensor
		for _, x := range inputs(s, 1, nil) {
			ts = append(ts, arena.Add(x.Name, prog.F32, x.Shape...))
		}
		_, err := prog.Record("probe", func(r *prog.Recorder) {
			l, d := r.Temp("loss", s.h, ttt.ProbeStates, s.l), r.Temp("drift", s.h, 3)
			p, tok := s.params(ts)
			o := s.options()
			o.MaxMiniBatches = 3
			p.Probe(r, ts[0], tok, l, d, o)
		})
		if want := "ttt: a probe of rows of up to 3 mini-batches, want 2: one document each"; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
