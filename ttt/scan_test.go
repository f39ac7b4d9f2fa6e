package ttt_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/prog"
	"innerloop/ttt"
)

// shape is a scan: B, L, H, F, K, G, which inner model, and how tokens learn.
type shape struct {
	b, l, h, f, k, g int
	mlp              bool
	mode
}

// mode says what tokens read of their mini-batch and at which rates.
type mode struct{ nonCausal, flat bool }

var (
	lm    = mode{}
	flat  = mode{flat: true}
	both  = mode{nonCausal: true}
	video = mode{nonCausal: true, flat: true}
	modes = []mode{lm, flat, both, video}
)

// options are those of a scan of this shape.
func (s shape) options() ttt.Options {
	return ttt.Options{Heads: s.h, SeqLen: s.l, MiniBatch: s.k, CheckpointEvery: s.g, NonCausal: s.nonCausal, FlatRates: s.flat}
}

// params are the learned parameters among a scan's inputs ts, and its token rates.
func (s shape) params(ts []*prog.Tensor) (p ttt.Params, tok *prog.Tensor) {
	tok = ts[1]
	if s.flat {
		tok = nil
	}
	if s.mlp {
		return ttt.MLPParams{W1: ts[2], B1: ts[3], W2: ts[4], B2: ts[5], Gamma: ts[6], Beta: ts[7]}, tok
	}
	return ttt.LinearParams{W1: ts[2], B1: ts[3], Gamma: ts[4], Beta: ts[5]}, tok
}

// rate is the token rate of place i.
func (s shape) rate(tok []float64, i int) float64 {
	if s.flat {
		return 1 / float64(s.k)
	}
	return math.Max(0, 1/float64(i+1)+tok[i])
}

func (s shape) inner() int { return 4 * s.f }

func (s shape) stateLen() int {
	if s.mlp {
		return 8*s.f*s.f + 5*s.f
	}
	return s.f*s.f + s.f
}

// scan records a scan whose inputs are ts: xs, tok, the state's parameters, gamma, beta.
func scan(r *prog.Recorder, s shape, ts []*prog.Tensor, state *prog.Tensor, spare int) ttt.Scan {
	o := s.options()
	o.MaxMiniBatches = prog.CeilDiv(s.l, s.k) + spare
	p, tok := s.params(ts)
	return p.Scan(r, ts[0], tok, state, o)
}

// inputs are a scan's inputs; positions gives the position in its document of token i of sequence b, by default i.
func inputs(s shape, seed uint64, positions func(b, i int) int) []check.Input {
	r := rand.New(rand.NewPCG(seed, 3))
	row := ttt.Row(s.h, s.f)
	if positions == nil {
		positions = func(_, i int) int { return i }
	}
	ins := []check.Input{
		{Name: "xs", Shape: []int{s.b * s.l, row}, Fill: func(i int) float64 {
			t := i / row
			switch {
			case i%row == row-1:
				return float64(ttt.PlaceCode(positions(t/s.l, t%s.l), s.k))
			case i%row >= 3*s.h*s.f:
				return (0.1 + r.Float64()) / float64(s.f)
			}
			return r.NormFloat64()
		}},
		{Name: "tok", Shape: []int{s.k}, Fixed: s.flat, Fill: func(i int) float64 {
			if i == 1 {
				return -0.9 // below -1/2: the rate is held at 0
			}
			return 0.1 * r.NormFloat64()
		}},
	}
	if s.mlp {
		ins = append(ins,
			check.Input{Name: "W1", Shape: []int{s.h, s.f, s.inner()}, Scale: 0.2}, check.Input{Name: "b1", Shape: []int{s.h, 1, s.inner()}, Scale: 0.2},
			check.Input{Name: "W2", Shape: []int{s.h, s.inner(), s.f}, Scale: 0.2}, check.Input{Name: "b2", Shape: []int{s.h, 1, s.f}, Scale: 0.2})
	} else {
		ins = append(ins, check.Input{Name: "W1", Shape: []int{s.h, s.f, s.f}, Scale: 0.2}, check.Input{Name: "b1", Shape: []int{s.h, 1, s.f}, Scale: 0.2})
	}
	return append(ins,
		check.Input{Name: "gamma", Shape: []int{s.h, s.f}, Fill: func(int) float64 { return 1 + 0.2*r.NormFloat64() }},
		check.Input{Name: "beta", Shape: []int{s.h, s.f}, Scale: 0.2})
}

// inEveryMode lists each shape, given in lm's, in every mode.
func inEveryMode(shapes ...shape) (out []shape) {
	for _, s := range shapes {
		for _, m := range modes {
			s.mode = m
			out = append(out, s)
		}
	}
	return out
}

var shapes = inEveryMode([]shape{{1, 4, 1, 4, 4, 1, false, lm}, {2, 11, 2, 6, 4, 1, false, lm}, {1, 14, 1, 4, 3, 2, false, lm}, {2, 7, 1, 4, 1, 3, false, lm}, {1, 3, 2, 4, 8, 1, false, lm}, {1, 13, 1, 4, 2, 4, false, lm},
	{1, 4, 1, 4, 4, 1, true, lm}, {2, 7, 2, 4, 3, 1, true, lm}, {1, 9, 1, 4, 2, 3, true, lm}, {1, 3, 1, 6, 8, 1, true, lm}}...)

func TestScanGradient(t *testing.T) {
	for i, s := range shapes {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			check.Gradients(t, uint64(i), 2e-6, inputs(s, uint64(i), nil), func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{scan(r, s, in, nil, 0).Out}
			})
		})
	}
}

// Documents that end inside rows: nothing passes from one to the next, forward or backward.
func TestScanGradientOfDocuments(t *testing.T) {
	positions := func(b, i int) int {
		start := []int{0, 3, 10}[b]
		if i >= start {
			return i - start
		}
		return i
	}
	for _, mlp := range []bool{false, true} {
		for _, g := range []int{1, 2, 3} {
			for _, m := range []mode{lm, video} {
				s := shape{3, 13, 1, 4, 4, g, mlp, m}
				check.Gradients(t, 5, 2e-6, inputs(s, 5, positions), func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					return []*prog.Tensor{scan(r, s, in, nil, 1).Out}
				})
			}
		}
	}
}

// values are the inputs of a scan in float64.
func values(s shape, positions func(b, i int) int) (in [][]float64) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, x := range inputs(s, 1, positions) {
		d := make([]float64, prog.Shape(x.Shape).Len())
		for j := range d {
			if x.Fill != nil {
				d[j] = x.Fill(j)
			} else {
				d[j] = x.Scale * r.NormFloat64()
			}
		}
		in = append(in, d)
	}
	return in
}

// forward runs a scan in float64; start is the states that rows begin with, or nil.
func forward(t *testing.T, s shape, in [][]float64, start []float64, spare int) (out, state []float64) {
	t.Helper()
	arena, states := prog.NewArena("in"), prog.NewArena("states")
	var ts []*prog.Tensor
	for _, x := range inputs(s, 1, nil) {
		ts = append(ts, arena.Add(x.Name, prog.F32, x.Shape...))
	}
	st := states.Add("state", prog.F32, s.b*s.h, s.stateLen())
	var y ttt.Scan
	p, err := prog.Record("scan", func(r *prog.Recorder) {
		y = scan(r, s, ts, st, spare)
		r.Keep(y.Out)
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
	copy(data(st), start)
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	return run.(interface{ Data(*prog.Tensor) []float64 }).Data(y.Out), data(st)
}

// The dual form equals the definition: token by token, W_i = W - sum_j eta_ij dl(W; x_j)/dW within a mini-batch, over
// j <= i or, not causal, all j, every gradient taken at the mini-batch's first state (paper, section 2.4).
func TestScanIsGradientDescent(t *testing.T) {
	for _, s := range inEveryMode([]shape{{2, 11, 2, 6, 4, 1, false, lm}, {1, 18, 3, 4, 4, 2, false, lm}, {1, 5, 1, 8, 16, 1, false, lm}, {2, 11, 2, 6, 4, 1, true, lm}, {1, 5, 1, 8, 16, 1, true, lm}}...) {
		in := values(s, nil)
		out, state := forward(t, s, in, nil, 0)
		wantOut, wantState := descend(s, in)
		check.Within(t, fmt.Sprintf("%+v out", s), out, wantOut, 1e-12)
		check.Within(t, fmt.Sprintf("%+v state", s), state, wantState, 1e-12)
	}
}

// A row that goes on with the state that another left, and two documents in one row, give what whole rows give.
func TestScanStateGoesOn(t *testing.T) {
	for _, whole := range inEveryMode(shape{1, 20, 2, 4, 4, 1, false, lm}, shape{1, 20, 2, 4, 4, 1, true, lm}) {
		in := values(whole, nil)
		wantOut, wantState := forward(t, whole, in, nil, 0)
		row := ttt.Row(whole.h, whole.f)
		const cut = 8
		first, rest := whole, whole
		first.l, rest.l = cut, whole.l-cut
		in1, in2 := append([][]float64{in[0][:cut*row]}, in[1:]...), append([][]float64{in[0][cut*row:]}, in[1:]...)
		out1, state1 := forward(t, first, in1, nil, 0)
		out2, state2 := forward(t, rest, in2, state1, 0)
		check.Within(t, "out of two halves", append(out1, out2...), wantOut, 1e-13)
		check.Within(t, "state of two halves", state2, wantState, 1e-13)

		const doc = 7 // a second document begins here
		packed := values(whole, func(_, i int) int {
			if i >= doc {
				return i - doc
			}
			return i
		})
		out, state := forward(t, whole, packed, nil, 1)
		a, b := whole, whole
		a.l, b.l = doc, whole.l-doc
		outA, _ := forward(t, a, append([][]float64{packed[0][:doc*row]}, packed[1:]...), nil, 0)
		outB, stateB := forward(t, b, append([][]float64{packed[0][doc*row:]}, packed[1:]...), nil, 0)
		check.Within(t, "out of packed documents", out, append(outA, outB...), 1e-13)
		check.Within(t, "state of packed documents", state, stateB, 1e-13)
	}
}

// descend runs the inner loop as the paper defines it, one token at a time.
func descend(s shape, in [][]float64) (out, states []float64) {
	xs, tok := in[0], in[1]
	params, gamma, beta := in[2:len(in)-2], in[len(in)-2], in[len(in)-1]
	d, row := s.h*s.f, ttt.Row(s.h, s.f)
	out = make([]float64, s.b*s.l*d)
	for it := range s.b * s.h {
		b, h := it/s.h, it%s.h
		var w [][]float64 // the state: W1, b1 (, W2, b2)
		for _, p := range params {
			n := len(p) / s.h
			w = append(w, append([]float64(nil), p[h*n:(h+1)*n]...))
		}
		ga, be := gamma[h*s.f:][:s.f], beta[h*s.f:][:s.f]
		for t0 := 0; t0 < s.l; t0 += s.k {
			n := min(s.k, s.l-t0)
			token := func(i int) []float64 { return xs[(b*s.l+t0+i)*row:][:row] }
			var grads [][][]float64 // lr_j dl/dw of the mini-batch's tokens
			for i := range n {
				x := token(i)
				k, v, lr := x[d+h*s.f:][:s.f], x[2*d+h*s.f:][:s.f], x[3*d+h]
				target := make([]float64, s.f)
				for j := range target {
					target[j] = v[j] - k[j]
				}
				g := innerGradient(s, w, k, target, ga, be)
				for _, p := range g {
					for j := range p {
						p[j] *= lr
					}
				}
				grads = append(grads, g)
			}
			first := w
			for i := range n {
				q, rate := token(i)[h*s.f:][:s.f], s.rate(tok, i)
				read := grads[:i+1]
				if s.nonCausal {
					read = grads
				}
				now := make([][]float64, len(w))
				for p := range first {
					now[p] = append([]float64(nil), first[p]...)
					for _, g := range read {
						for j := range now[p] {
							now[p][j] -= rate * g[p][j]
						}
					}
				}
				z, _, _ := innerModel(s, now, q)
				zh, _ := layerNorm(z)
				for j := range zh {
					out[(b*s.l+t0+i)*d+h*s.f+j] = q[j] + ga[j]*zh[j] + be[j]
				}
				w = now // after the last one, the next mini-batch's
			}
		}
		for _, p := range w {
			states = append(states, p...)
		}
	}
	return out, states
}

func layerNorm(z []float64) (xhat []float64, sd float64) {
	var m, v float64
	n := float64(len(z))
	for _, x := range z {
		m += x / n
	}
	for _, x := range z {
		v += (x - m) * (x - m) / n
	}
	sd = math.Sqrt(v + 1e-6)
	for _, x := range z {
		xhat = append(xhat, (x-m)/sd)
	}
	return xhat, sd
}

func affine(w, b, x []float64) []float64 {
	z := append([]float64(nil), b...)
	for i, v := range x {
		for j := range z {
			z[j] += v * w[i*len(z)+j]
		}
	}
	return z
}

func geluTanh(z float64) float64 {
	return 0.5 * z * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(z+0.044715*z*z*z)))
}

// innerModel applies the state w to x: for an MLP also its hidden layer before and after GELU.
func innerModel(s shape, w [][]float64, x []float64) (z, z1, x2 []float64) {
	z = affine(w[0], w[1], x)
	if !s.mlp {
		return z, nil, nil
	}
	z1 = z
	for _, v := range z1 {
		x2 = append(x2, geluTanh(v))
	}
	return affine(w[2], w[3], x2), z1, x2
}

// innerGradient is the gradient of 1/2 ||LN(f(k; w)) - target||² by w, through LayerNorm's Jacobian.
func innerGradient(s shape, w [][]float64, k, target, ga, be []float64) [][]float64 {
	z, z1, x2 := innerModel(s, w, k)
	xhat, sd := layerNorm(z)
	n := float64(s.f)
	g := make([]float64, s.f)
	for a := range g {
		for j := range g {
			jac := -1/n - xhat[a]*xhat[j]/n
			if a == j {
				jac++
			}
			g[a] += ga[j] * (ga[j]*xhat[j] + be[j] - target[j]) * jac / sd
		}
	}
	if !s.mlp {
		return [][]float64{outer(k, g), g}
	}
	g1 := make([]float64, len(z1))
	for i, v := range z1 {
		const h = 1e-4
		slope := (geluTanh(v-2*h) - 8*geluTanh(v-h) + 8*geluTanh(v+h) - geluTanh(v+2*h)) / (12 * h)
		for j := range g {
			g1[i] += w[2][i*s.f+j] * g[j] * slope
		}
	}
	return [][]float64{outer(k, g1), g1, outer(x2, g), append([]float64(nil), g...)}
}

func outer(x, y []float64) (m []float64) {
	for _, a := range x {
		for _, b := range y {
			m = append(m, a*b)
		}
	}
	return m
}

// What does not fit is refused when it is recorded.
func TestScanRefuses(t *testing.T) {
	for _, c := range []struct {
		mode
		tok, decode bool
		k           int
		want        string
	}{
		{mode: lm, k: 4, want: "ttt: no learned part of the tokens' rates, which are not flat"},
		{mode: flat, tok: true, k: 4, want: "ttt: the tokens' rates are flat, but have a learned part: tok"},
		{mode: flat, want: "ttt: mini-batches of 0 tokens, want at least 1"},
		{mode: video, decode: true, k: 4, want: "ttt: decoding reads one token at a time: it cannot be non-causal"},
	} {
		for _, mlp := range []bool{false, true} {
			s := shape{1, 8, 1, 4, 4, 1, mlp, c.mode}
			arena := prog.NewArena("in")
			var ts []*prog.Tensor
			for _, x := range inputs(s, 1, nil) {
				ts = append(ts, arena.Add(x.Name, prog.F32, x.Shape...))
			}
			_, err := prog.Record("scan", func(r *prog.Recorder) {
				p, _ := s.params(ts)
				var tok *prog.Tensor
				if c.tok {
					tok = ts[1]
				}
				o := s.options()
				o.MiniBatch = c.k
				if c.decode {
					state, sum := r.Temp("state", 1, p.StateLen()), r.Temp("sum", 1, p.StateLen())
					p.Decode(r, r.Temp("xs", 1, ttt.Row(1, 4)), tok, state, sum, o)
				} else {
					p.Scan(r, ts[0], tok, nil, o)
				}
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: got %v, want %s", c, err, c.want)
			}
		}
	}
}
