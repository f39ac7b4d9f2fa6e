package ttt_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"innerloop/internal/check"
	"innerloop/prog"
	"innerloop/ttt"
)

type shape struct{ b, l, h, f, k, g int }

// record builds a scan whose inputs are ts: xs, tok, W1, b1, gamma, beta.
func record(r *prog.Recorder, s shape, ts []*prog.Tensor) (out, state *prog.Tensor) {
	return ttt.LinearScan(r, ts[0], ts[1], ttt.LinearParams{W1: ts[2], B1: ts[3], Gamma: ts[4], Beta: ts[5]},
		ttt.Options{Heads: s.h, SeqLen: s.l, MiniBatch: s.k, CheckpointEvery: s.g})
}

func inputs(s shape, seed uint64) []check.Input {
	r := rand.New(rand.NewPCG(seed, 3))
	row := 3*s.h*s.f + s.h
	return []check.Input{
		{Name: "xs", Shape: []int{s.b * s.l, row}, Fill: func(i int) float64 {
			if i%row >= 3*s.h*s.f {
				return (0.1 + r.Float64()) / float64(s.f)
			}
			return r.NormFloat64()
		}},
		{Name: "tok", Shape: []int{s.k}, Fill: func(i int) float64 {
			if i == 1 {
				return -0.9 // below -1/2: the rate is held at 0
			}
			return 0.1 * r.NormFloat64()
		}},
		{Name: "W1", Shape: []int{s.h, s.f, s.f}, Scale: 0.2},
		{Name: "b1", Shape: []int{s.h, 1, s.f}, Scale: 0.2},
		{Name: "gamma", Shape: []int{s.h, s.f}, Fill: func(int) float64 { return 1 + 0.2*r.NormFloat64() }},
		{Name: "beta", Shape: []int{s.h, s.f}, Scale: 0.2},
	}
}

func TestLinearGradient(t *testing.T) {
	for i, s := range []shape{{1, 4, 1, 4, 4, 1}, {2, 11, 2, 6, 4, 1}, {1, 14, 1, 4, 3, 2}, {2, 7, 1, 4, 1, 3}, {1, 3, 2, 4, 8, 1}, {1, 13, 1, 4, 2, 4}} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			check.Gradients(t, uint64(i), 2e-6, inputs(s, uint64(i)), func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				out, _ := record(r, s, in)
				return []*prog.Tensor{out}
			})
		})
	}
}

// The dual form equals the definition: token by token, W_i = W - sum_{j<=i} eta_ij k_jᵀ g_j within a mini-batch, with
// every g_j taken at the mini-batch's first state (paper, section 2.4).
func TestLinearIsGradientDescent(t *testing.T) {
	for _, s := range []shape{{2, 11, 2, 6, 4, 1}, {1, 18, 3, 4, 4, 2}, {1, 5, 1, 8, 16, 1}} {
		arena := prog.NewArena("in")
		var ts []*prog.Tensor
		for _, in := range inputs(s, 1) {
			ts = append(ts, arena.Add(in.Name, prog.F32, in.Shape...))
		}
		var out, state *prog.Tensor
		p, err := prog.Record("scan", func(r *prog.Recorder) {
			out, state = record(r, s, ts)
			r.Keep(out)
			r.Keep(state)
		})
		if err != nil {
			t.Fatal(err)
		}
		cpu := prog.NewCPU[float64](2)
		defer cpu.Close()
		run, err := cpu.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		var in [][]float64
		for i, x := range inputs(s, 1) {
			d, _ := cpu.Data(ts[i])
			r := rand.New(rand.NewPCG(9, uint64(i)))
			for j := range d {
				if x.Fill != nil {
					d[j] = x.Fill(j)
				} else {
					d[j] = x.Scale * r.NormFloat64()
				}
			}
			in = append(in, d)
		}
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
		data := run.(interface{ Data(*prog.Tensor) []float64 }).Data
		wantOut, wantState := descend(s, in)
		check.Within(t, fmt.Sprint(s, " out"), data(out), wantOut, 1e-13)
		got := data(state)
		n := s.f*s.f + s.f
		per := len(got) / (s.b * s.h)
		for i := range s.b * s.h {
			check.Within(t, fmt.Sprint(s, " final state"), got[(i+1)*per-n:(i+1)*per], wantState[i], 1e-13)
		}
	}
}

// descend runs the inner loop as the paper defines it, one token at a time.
func descend(s shape, in [][]float64) (out []float64, states [][]float64) {
	xs, tok, w1, b1, gamma, beta := in[0], in[1], in[2], in[3], in[4], in[5]
	d, row := s.h*s.f, 3*s.h*s.f+s.h
	out = make([]float64, s.b*s.l*d)
	ln := func(z []float64) (xhat []float64, sd float64) {
		var m, v float64
		for _, x := range z {
			m += x / float64(s.f)
		}
		for _, x := range z {
			v += (x - m) * (x - m) / float64(s.f)
		}
		sd = math.Sqrt(v + 1e-6)
		for _, x := range z {
			xhat = append(xhat, (x-m)/sd)
		}
		return xhat, sd
	}
	apply := func(w, b, x []float64) []float64 {
		z := append([]float64(nil), b...)
		for i, v := range x {
			for j := range z {
				z[j] += v * w[i*s.f+j]
			}
		}
		return z
	}
	for it := range s.b * s.h {
		b, h := it/s.h, it%s.h
		w := append([]float64(nil), w1[h*s.f*s.f:][:s.f*s.f]...)
		bias := append([]float64(nil), b1[h*s.f:][:s.f]...)
		ga, be := gamma[h*s.f:][:s.f], beta[h*s.f:][:s.f]
		for t0 := 0; t0 < s.l; t0 += s.k {
			var gw, gb [][]float64 // lr_j k_jᵀ g_j and lr_j g_j, in order
			for i := 0; i < s.k && t0+i < s.l; i++ {
				x := xs[(b*s.l+t0+i)*row:][:row]
				q, k, v, lr := x[h*s.f:][:s.f], x[d+h*s.f:][:s.f], x[2*d+h*s.f:][:s.f], x[3*d+h]
				xhat, sd := ln(apply(w, bias, k))
				// d/dz of 1/2 ||gamma xhat + beta - (v-k)||² by the Jacobian of LayerNorm.
				dx := make([]float64, s.f)
				for j := range dx {
					dx[j] = ga[j] * (ga[j]*xhat[j] + be[j] - (v[j] - k[j]))
				}
				g := make([]float64, s.f)
				for a := range g {
					for j := range dx {
						jac := -1/float64(s.f) - xhat[a]*xhat[j]/float64(s.f)
						if a == j {
							jac++
						}
						g[a] += dx[j] * jac / sd
					}
				}
				dw, db := make([]float64, s.f*s.f), make([]float64, s.f)
				for a := range s.f {
					db[a] = lr * g[a]
					for c := range s.f {
						dw[a*s.f+c] = lr * k[a] * g[c]
					}
				}
				gw, gb = append(gw, dw), append(gb, db)
				rate := math.Max(0, 1/float64(i+1)+tok[i])
				wi, bi := append([]float64(nil), w...), append([]float64(nil), bias...)
				for j := range gw {
					for e := range wi {
						wi[e] -= rate * gw[j][e]
					}
					for e := range bi {
						bi[e] -= rate * gb[j][e]
					}
				}
				zh, _ := ln(apply(wi, bi, q))
				for j := range zh {
					out[(b*s.l+t0+i)*d+h*s.f+j] = q[j] + ga[j]*zh[j] + be[j]
				}
				if i == s.k-1 || t0+i == s.l-1 {
					w, bias = wi, bi
				}
			}
		}
		states = append(states, append(w, bias...))
	}
	return out, states
}
