package ttt

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// Decoding takes one token a sequence: within a mini-batch the state (W, b) stays what it was at its start, and the
// gradients of its tokens so far add up in a sum; the token is read with state - rate * sum, which becomes the state
// when the mini-batch is full. Cost and memory do not depend on how much was read before.

// decodeLens are the buffers of a decoding step: xs, tok, theta, state, sum, out.
func decodeLens(c scanC, theta, state int) []int {
	n, bh := c.B*c.L, c.B*c.H
	return []int{n * c.row(), c.K, theta, bh * state, bh * state, n * c.width()}
}

func decodeBinds() []prog.Binding {
	return []prog.Binding{prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.InOut("state"), prog.InOut("sum"), prog.Out("out")}
}

// sampleDecode draws a step of one token a sequence, at a random place.
func sampleDecode(r *rand.Rand) scanC {
	c := sampleScan(r)
	c.L, c.NB, c.G, c.NonCausal = 1, 1, 1, false
	return c
}

func fillDecode(c scanC, r *rand.Rand, a *prog.Args[float64], gamma, beta int) {
	fillScan(c, r, a.F[0], a.F[1], a.F[2], gamma, beta)
	for b := range c.B {
		a.F[0][c.token(b, 0)+c.row()-1] = float64(r.IntN(c.K + 1))
	}
	for i := range a.F[3] { // the state is as large as parameters are, its gradients are small
		a.F[3][i] = float64(float32(0.1 * a.F[3][i]))
		a.F[4][i] = float64(float32(0.01 * a.F[4][i]))
	}
}

var (
	linearDecodeK = define(prog.Spec[linearC]{
		Name:    "ttt_linear_decode",
		Binds:   decodeBinds(),
		Lens:    func(c linearC) []int { return decodeLens(c.scanC, c.theta(), c.state()) },
		Items:   func(c linearC) int { return c.B * c.H },
		Scratch: func(c linearC) int { return 6*c.F + c.decodeTmp() },
		Flops:   func(c linearC) float64 { return float64(c.B*c.H) * float64(8*c.F*c.F+40*c.F) },
		Grid:    func(c linearC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune:    scanWG[linearC],
		F32:     linearDecode[float32],
		F64:     linearDecode[float64],
		Sample:  func(r *rand.Rand) linearC { return newLinearC(sampleDecode(r)) },
		Fill: func(c linearC, r *rand.Rand, a *prog.Args[float64]) {
			fillDecode(c.scanC, r, a, c.OG, c.OT)
		},
	})
	mlpDecodeK = define(prog.Spec[mlpC]{
		Name:    "ttt_mlp_decode",
		Binds:   decodeBinds(),
		Lens:    func(c mlpC) []int { return decodeLens(c.scanC, c.theta(), c.state()) },
		Items:   func(c mlpC) int { return c.B * c.H },
		Scratch: func(c mlpC) int { return 5*c.F + 6*c.inner() + c.decodeTmp() },
		Flops:   func(c mlpC) float64 { return float64(c.B*c.H) * float64(18*c.F*c.inner()+100*c.inner()) },
		Grid:    func(c mlpC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune:    scanWG[mlpC],
		F32:     mlpDecode[float32],
		F64:     mlpDecode[float64],
		Sample: func(r *rand.Rand) mlpC {
			s := sampleDecode(r)
			s.F = min(s.F, 32)
			return newMLPC(s)
		},
		Fill: func(c mlpC, r *rand.Rand, a *prog.Args[float64]) { fillDecode(c.scanC, r, a, c.OG, c.OT) },
	})
)

// checkDecode completes the constants of a decoding step over xs [B, Row].
func (o Options) checkDecode(r *prog.Recorder, xs *prog.Tensor, headDim int, params ...*prog.Tensor) scanC {
	if o.NonCausal {
		r.Failf("ttt: decoding reads one token at a time: it cannot be non-causal")
	}
	o.SeqLen, o.CheckpointEvery, o.MaxMiniBatches = 1, 1, 1
	return o.check(r, xs, headDim, params...)
}

// Decode implements Params.
func (p LinearParams) Decode(r *prog.Recorder, xs, tok, state, sum *prog.Tensor, o Options) *prog.Tensor {
	c := linearC{scanC: o.checkDecode(r, xs, p.W1.Dim(-1), p.W1, p.B1, p.Gamma, p.Beta)}
	c.offsets(p)
	out := r.Temp("decode", c.B, c.width())
	linearDecodeK.Dispatch(r, c, xs, o.rates(r, tok), p.W1.Arena().Span("theta", p.W1, p.Beta), state, sum, out)
	return out
}

// Decode implements Params.
func (p MLPParams) Decode(r *prog.Recorder, xs, tok, state, sum *prog.Tensor, o Options) *prog.Tensor {
	c := mlpC{scanC: o.checkDecode(r, xs, p.W1.Dim(1), p.W1, p.B1, p.W2, p.B2, p.Gamma, p.Beta)}
	c.offsets(r, p)
	out := r.Temp("decode", c.B, c.width())
	mlpDecodeK.Dispatch(r, c, xs, o.rates(r, tok), p.W1.Arena().Span("theta", p.W1, p.Beta), state, sum, out)
	return out
}

// decodeTmp is the scratch memory of the products of a step.
func (c linearC) decodeTmp() int {
	return max(blas.ScratchNN(2, c.F, c.F), blas.ScratchTN(c.F, c.F, 1))
}

// decodeTmp is the scratch memory of the products of a step.
func (c mlpC) decodeTmp() int {
	f, e := c.F, c.inner()
	return max(blas.ScratchNN(2, e, f), blas.ScratchNN(1, f, e), blas.ScratchNT(1, e, f), blas.ScratchTN(f, e, 1), blas.ScratchTN(e, f, 1))
}

// scaled sets dst to x * alpha.
func scaled[F prog.Float](dst, x []F, alpha F) {
	copy(dst, x)
	blas.Scale(dst, alpha)
}

// linearDecode is the reference of ttt_linear_decode; an item is one head of one sequence. The state is read once, by k
// and q together, and so is the sum.
func linearDecode[F prog.Float](c linearC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, state, sum, out := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	sc := carve[F]{scratch}
	kq, zs, g, ax, tmp := sc.take(2*c.F), sc.take(2*c.F), sc.take(c.F), sc.take(c.F), sc.take(c.decodeTmp())
	z, zb := zs[:c.F], zs[c.F:] // k's, q's
	d, ff := c.width(), c.F*c.F
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		place := code(c.scanC, xs, b, 0)
		st, gs := state[it*c.state():][:c.state()], sum[it*c.state():][:c.state()]
		if place == 0 {
			copy(st[:ff], theta[h*ff:])
			copy(st[ff:], theta[c.OB+h*c.F:][:c.F])
		}
		if place %= c.K; place == 0 {
			clear(gs)
		}
		x := xs[c.token(b, 0):]
		q, k, v, lr := x[h*c.F:][:c.F], x[d+h*c.F:][:c.F], x[2*d+h*c.F:][:c.F], x[3*d+h]
		gamma, beta := theta[c.OG+h*c.F:][:c.F], theta[c.OT+h*c.F:][:c.F]
		copy(kq, k)
		copy(kq[c.F:], q)
		copy(z, st[ff:])
		copy(zb, st[ff:])
		blas.NN(zs, kq, st[:ff], 2, c.F, c.F, true, tmp)
		blas.InnerGrad(z, g, gamma, beta, v, k, c.Eps)
		scaled(ax, k, lr)
		blas.TN(gs[:ff], ax, c.F, g, c.F, c.F, 1, true, tmp)
		blas.Axpy(gs[ff:], lr, g)
		rate := tokenRate(&c.scanC, tok, place)
		blas.Axpy(zb, -rate, gs[ff:])
		scaled(ax, q, -rate)
		blas.NN(zb, ax, gs[:ff], 1, c.F, c.F, true, tmp)
		finish(c.scanC, out[b*d+h*c.F:][:c.F], q, zb, gamma, beta, st, gs, rate, place)
	}
}

// finish writes the output of a token, and where its mini-batch is full the new state.
func finish[F prog.Float](c scanC, out, q, zb, gamma, beta, state, sum []F, rate F, place int) {
	blas.NormOut(out, zb, q, gamma, beta, c.Eps)
	if place == c.K-1 {
		blas.Axpy(state, -rate, sum)
	}
}

// mlpDecode is the reference of ttt_mlp_decode; an item is one head of one sequence.
func mlpDecode[F prog.Float](c mlpC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, state, sum, out := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	sc := carve[F]{scratch}
	e, d := c.inner(), c.width()
	kq, ax, z2, g2 := sc.take(2*c.F), sc.take(c.F), sc.take(c.F), sc.take(c.F)
	z1s, x2, g1, d1, dd := sc.take(2*e), sc.take(e), sc.take(e), sc.take(e), sc.take(e)
	z1, zb1 := z1s[:e], z1s[e:] // k's, q's
	tmp := sc.take(c.decodeTmp())
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		place := code(c.scanC, xs, b, 0)
		st, gs := newMLPState(c, state[it*c.state():]), newMLPState(c, sum[it*c.state():])
		if place == 0 {
			st.initial(c, theta, h)
		}
		if place %= c.K; place == 0 {
			clear(gs.all)
		}
		x := xs[c.token(b, 0):]
		q, k, v, lr := x[h*c.F:][:c.F], x[d+h*c.F:][:c.F], x[2*d+h*c.F:][:c.F], x[3*d+h]
		gamma, beta := theta[c.OG+h*c.F:][:c.F], theta[c.OT+h*c.F:][:c.F]
		copy(kq, k)
		copy(kq[c.F:], q)
		copy(z1, st.b1)
		copy(zb1, st.b1)
		blas.NN(z1s, kq, st.w1, 2, e, c.F, true, tmp)
		blas.GELUSlopes(x2, d1, dd, z1)
		copy(z2, st.b2)
		blas.NN(z2, x2, st.w2, 1, c.F, e, true, tmp)
		blas.InnerGrad(z2, g2, gamma, beta, v, k, c.Eps)
		blas.NT(g1, g2, st.w2, 1, e, c.F, false, tmp)
		blas.Times(g1, g1, d1)
		scaled(ax, k, lr)
		blas.TN(gs.w1, ax, c.F, g1, c.F, e, 1, true, tmp)
		blas.Axpy(gs.b1, lr, g1)
		blas.Scale(x2, lr)
		blas.TN(gs.w2, x2, e, g2, e, c.F, 1, true, tmp)
		blas.Axpy(gs.b2, lr, g2)
		rate := tokenRate(&c.scanC, tok, place)
		blas.Axpy(zb1, -rate, gs.b1)
		scaled(ax, q, -rate)
		blas.NN(zb1, ax, gs.w1, 1, e, c.F, true, tmp)
		blas.GELU(x2, zb1)
		copy(z2, st.b2) // from here on the query's
		blas.Axpy(z2, -rate, gs.b2)
		blas.NN(z2, x2, st.w2, 1, c.F, e, true, tmp)
		blas.Scale(x2, -rate)
		blas.NN(z2, x2, gs.w2, 1, c.F, e, true, tmp)
		finish(c.scanC, out[b*d+h*c.F:][:c.F], q, z2, gamma, beta, st.all, gs.all, rate, place)
	}
}
