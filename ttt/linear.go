package ttt

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// linearC are the constants of the TTT-Linear scan.
type linearC struct {
	B, L, H, F, K int
	G             int     // mini-batches between checkpoints
	OB, OG, OT    int     // where b1, gamma and beta begin in theta, in words; W1 begins at 0
	Eps           float64 // of the inner LayerNorm
}

func (c linearC) state() int { return c.F*c.F + c.F }                    // words of (W, b)
func (c linearC) steps() int { return prog.CeilDiv(c.L, c.K) }           // NC
func (c linearC) slots() int { return prog.CeilDiv(c.steps(), c.G) + 1 } // checkpoints and the final state
func (c linearC) row() int   { return 3*c.H*c.F + c.H }                  // of xs
func (c linearC) theta() int { return c.OT + c.H*c.F }                   //
func (c linearC) part() int  { return c.F*c.F + 3*c.F + c.K }            // dW, db, dgamma, dbeta, dtok
// products is the scratch memory of a head's matrix products, those of a short last mini-batch included.
func (c linearC) products() int {
	most := 0
	for _, k := range []int{c.K, max(1, c.L%c.K)} {
		for _, s := range [][3]int{{k, c.F, c.F}, {k, k, c.F}, {k, c.F, k}, {c.F, c.F, k}} {
			m, n, l := s[0], s[1], s[2]
			most = max(most, blas.ScratchNN(m, n, l), blas.ScratchNT(m, n, l), blas.ScratchTN(m, n, l))
		}
	}
	return most
}

func (c linearC) work() int { return 5*c.K*c.F + 2*c.K*c.K + 2*c.K + c.F + c.state() }
func (c linearC) workBwd() int {
	return 9*c.K*c.F + 3*c.K*c.K + 4*c.K + c.F + (c.G+1)*c.state()
}

func (c linearC) flopsFwd() float64 {
	perToken := 6*c.F*c.F + 4*c.K*c.F + 30*c.F
	return float64(c.B*c.L*c.H) * float64(perToken)
}

// Backward: Z, Zb, P, dQ, three products for dK and two for dW of F*F each, eight of K*F; the forward of the steps
// between checkpoints once more.
func (c linearC) flopsBwd() float64 {
	perToken := 18*c.F*c.F + 14*c.K*c.F + 100*c.F
	if c.G > 1 {
		perToken += 4 * c.F * c.F
	}
	return float64(c.B*c.L*c.H) * float64(perToken)
}

func sampleLinear(r *rand.Rand) linearC {
	c := linearC{B: 1 + r.IntN(3), H: 1 + r.IntN(3), F: []int{4, 6, 16, 18, 32, 64}[r.IntN(6)], K: 1 + r.IntN(17), Eps: 1e-6}
	c.L = 1 + r.IntN(4*c.K)
	c.G = 1 + r.IntN(4)
	pad := func(n int) int { return prog.CeilDiv(n, prog.Align) * prog.Align }
	c.OB = pad(c.H * c.F * c.F)
	c.OG = c.OB + pad(c.H*c.F)
	c.OT = c.OG + pad(c.H*c.F)
	return c
}

// fillLinear makes the inputs of a scan as a model has them: unit keys and queries, small learning rates, a stable
// inner loop.
func fillLinear(c linearC, r *rand.Rand, xs, tok, theta []float64) {
	f32 := func(v float64) float64 { return float64(float32(v)) }
	for i := range xs {
		if i%c.row() >= 3*c.H*c.F {
			xs[i] = f32(r.Float64() / float64(c.F)) // lr
		}
	}
	for i := range tok {
		tok[i] = f32(0.3 * r.NormFloat64())
	}
	for i := range theta {
		switch {
		case i < c.OG:
			theta[i] = f32(0.1 * r.NormFloat64())
		case i < c.OT:
			theta[i] = f32(1 + 0.1*r.NormFloat64())
		}
	}
}

var (
	linearFwdK = define(prog.Spec[linearC]{
		Name:  "ttt_linear_fwd",
		Binds: []prog.Binding{prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.Out("out"), prog.Out("ckpt"), prog.Tmp("work")},
		Lens: func(c linearC) []int {
			n := c.B * c.L
			return []int{n * c.row(), c.K, c.theta(), n * c.H * c.F, c.B * c.H * c.slots() * c.state(), c.B * c.H * c.work()}
		},
		Items:   func(c linearC) int { return c.B * c.H },
		Scratch: func(c linearC) int { return c.work() + c.products() },
		Flops:   linearC.flopsFwd,
		Grid:    func(c linearC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune:    scanWG[linearC],
		F32:     linearFwd[float32],
		F64:     linearFwd[float64],
		Sample:  sampleLinear,
		Fill:    func(c linearC, r *rand.Rand, a *prog.Args[float64]) { fillLinear(c, r, a.F[0], a.F[1], a.F[2]) },
	})
	linearBwdK = define(prog.Spec[linearC]{
		Name: "ttt_linear_bwd",
		Binds: []prog.Binding{
			prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.In("ckpt"), prog.In("dout"),
			prog.Acc("dxs"), prog.Out("dpart"), prog.Tmp("work"),
		},
		Lens: func(c linearC) []int {
			n, bh := c.B*c.L, c.B*c.H
			return []int{n * c.row(), c.K, c.theta(), bh * c.slots() * c.state(), n * c.H * c.F, n * c.row(), bh * c.part(), bh * c.workBwd()}
		},
		Items:   func(c linearC) int { return c.B * c.H },
		Scratch: func(c linearC) int { return c.workBwd() + c.products() },
		Flops:   linearC.flopsBwd,
		Grid:    func(c linearC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune:    scanWG[linearC],
		F32:     linearBwd[float32],
		F64:     linearBwd[float64],
		Sample:  sampleLinear,
		Fill: func(c linearC, r *rand.Rand, a *prog.Args[float64]) {
			fillLinear(c, r, a.F[0], a.F[1], a.F[2])
			// The checkpoints are those of the forward pass: the backward recomputes from them.
			out := make([]float64, len(a.F[4]))
			fwd := &prog.Args[float64]{F: [][]float64{a.F[0], a.F[1], a.F[2], out, a.F[3], nil}}
			linearFwd(c, fwd, make([]float64, c.work()+c.products()), 0, c.B*c.H)
			for i, v := range a.F[3] {
				a.F[3][i] = float64(float32(v))
			}
		},
	})
	linearReduceK = define(prog.Spec[linearC]{
		Name:  "ttt_linear_reduce",
		Binds: []prog.Binding{prog.In("dpart"), prog.In("tok"), prog.Acc("dtheta"), prog.Acc("dtok")},
		Lens: func(c linearC) []int {
			return []int{c.B * c.H * c.part(), c.K, c.theta(), c.K}
		},
		Items:  func(c linearC) int { return c.H + 1 },
		Grid:   func(c linearC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.theta()+c.K, 64), t) },
		F32:    linearReduce[float32],
		F64:    linearReduce[float64],
		Sample: sampleLinear,
	})
)

// scanWG tunes the workgroup that walks one head of one sequence.
func scanWG[C any](_ C, t prog.Traits) map[string]any {
	if t.Software {
		return map[string]any{"WG": 16}
	}
	return map[string]any{"WG": 128}
}

// LinearParams are the learned parameters of a TTT-Linear layer's scan, consecutive tensors of one arena in this order.
type LinearParams struct {
	W1    *prog.Tensor // [H,F,F] the state's start
	B1    *prog.Tensor // [H,1,F]
	Gamma *prog.Tensor // [H,F] of the inner LayerNorm
	Beta  *prog.Tensor // [H,F]
}

// LinearScan records the TTT-Linear scan over every sequence and head.
//
// xs [B*L, 3C+H] holds a token's rotated query, rotated key, value and inner learning rates, as op.RoPE packs them;
// tok [K] is the learned part of the token's rate. out [B*L, C] is the layer's output before post_norm; state
// [B*H, slots, F*F+F] holds the state at every checkpoint and, in the last slot, at the end.
func LinearScan(r *prog.Recorder, xs, tok *prog.Tensor, p LinearParams, o Options) (out, state *prog.Tensor) {
	c := linearC{L: o.SeqLen, H: o.Heads, F: p.W1.Dim(-1), K: o.MiniBatch, G: max(1, o.CheckpointEvery), Eps: o.Eps}
	if c.Eps == 0 {
		c.Eps = 1e-6
	}
	n := xs.Dim(0)
	if c.L <= 0 || n%c.L != 0 {
		r.Failf("ttt: %d tokens are no whole number of sequences of %d", n, c.L)
	}
	c.B = n / c.L
	c.G = min(c.G, c.steps())
	a := p.W1.Arena()
	if a == nil || p.B1.Arena() != a || p.Gamma.Arena() != a || p.Beta.Arena() != a {
		r.Failf("ttt: the scan's parameters lie in different arenas")
	}
	w := p.W1.Offset()
	c.OB, c.OG, c.OT = p.B1.Offset()-w, p.Gamma.Offset()-w, p.Beta.Offset()-w
	if c.OB < p.W1.Len() || c.OG < c.OB+p.B1.Len() || c.OT < c.OG+p.Gamma.Len() {
		r.Failf("ttt: the scan's parameters are not in the order W1, b1, gamma, beta")
	}
	theta := a.Span("theta", p.W1, p.Beta)
	out = r.Temp("scan", n, c.H*c.F)
	state = r.Temp("scan.state", c.B*c.H, c.slots(), c.state())
	work := r.Temp("scan.work", c.B*c.H, c.work())
	linearFwdK.Dispatch(r, c, xs, tok, theta, out, state, work)
	r.Tape(func() {
		dpart := r.Temp("scan.dpart", c.B*c.H, c.part())
		work := r.Temp("scan.dwork", c.B*c.H, c.workBwd())
		linearBwdK.Dispatch(r, c, xs, tok, theta, state, r.Grad(out), r.Grad(xs), dpart, work)
		linearReduceK.Dispatch(r, c, dpart, tok, r.Grad(theta), r.Grad(tok))
	}, out)
	return out, state
}
