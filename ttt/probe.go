package ttt

import (
	"math"
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// ProbeStates is the number of states under which a probe takes a token's loss: the learned start W0, the state before
// the token's mini-batch made its step, and the state after it.
const ProbeStates = 3

// probeQuad is the number of tokens that one workgroup of a probe takes.
const probeQuad = 4

// probeLens are the buffers of a probe: xs, theta, ckpt, state, loss, drift.
func probeLens(c scanC, theta, state int) []int {
	bh := c.B * c.H
	return []int{c.B * c.L * c.row(), theta, bh * c.NB * state, bh * state, bh * ProbeStates * c.L, bh * c.NB}
}

func probeBinds() []prog.Binding {
	return []prog.Binding{prog.In("xs"), prog.In("theta"), prog.In("ckpt"), prog.In("state"), prog.Out("loss"), prog.Out("drift")}
}

// probeGrid is a workgroup for every state and every few tokens of every mini-batch.
func probeGrid(c scanC, t prog.Traits) [3]int {
	return prog.Grid1(c.B*c.H*c.NB*prog.CeilDiv(c.K, probeQuad)*ProbeStates, t)
}

// probeTune is the workgroup's size: about an invocation a channel, and as many as keep loops of so many rounds, given
// the workgroup, inside what the device allows.
func probeTune(c scanC, t prog.Traits, rounds func(wg int) int) map[string]any {
	wg := 16
	for !t.Software && wg < min(c.F, 128) {
		wg *= 2
	}
	for t.LoopRounds > 0 && 2*wg <= t.MaxInvocations && rounds(wg) > t.LoopRounds {
		wg *= 2
	}
	return map[string]any{"WG": wg}
}

// probeRounds are the rounds of a probe's loops that are not products.
func (c scanC) probeRounds(wg, state int) int {
	return 3*prog.CeilDiv(c.F, wg) + 2*c.F + prog.CeilDiv(state, wg) + 2*wg
}

// sampleProbe draws a scan that can be probed.
func sampleProbe(r *rand.Rand) scanC {
	c := sampleScan(r)
	c.NB, c.G = prog.CeilDiv(c.L, c.K), 1
	return c
}

// fillProbe makes inputs of a probe: a learned start, and states not far from it.
func fillProbe(c scanC, r *rand.Rand, a *prog.Args[float64], gamma, beta int) {
	fillScan(c, r, a.F[0], nil, a.F[1], gamma, beta)
	for _, states := range a.F[2:4] {
		for i := range states {
			states[i] = float64(float32(0.15 * states[i]))
		}
	}
}

var (
	linearProbeK = define(prog.Spec[linearC]{
		Name:    "ttt_linear_probe",
		Binds:   probeBinds(),
		Lens:    func(c linearC) []int { return probeLens(c.scanC, c.theta(), c.state()) },
		Items:   func(c linearC) int { return c.B * c.H * c.NB },
		Scratch: func(c linearC) int { return 2*c.K*c.F + c.scratch() },
		Flops:   func(c linearC) float64 { return float64(c.B*c.L*c.H) * float64(ProbeStates*(2*c.F*c.F+10*c.F)) },
		Grid:    func(c linearC, t prog.Traits) [3]int { return probeGrid(c.scanC, t) },
		Tune: func(c linearC, t prog.Traits) map[string]any {
			return probeTune(c.scanC, t, func(wg int) int {
				return prog.CeilDiv(c.F, wg)*(c.F+1) + c.probeRounds(wg, c.state())
			})
		},
		F32:    linearProbe[float32],
		F64:    linearProbe[float64],
		Sample: func(r *rand.Rand) linearC { return newLinearC(sampleProbe(r)) },
		Fill:   func(c linearC, r *rand.Rand, a *prog.Args[float64]) { fillProbe(c.scanC, r, a, c.OG, c.OT) },
	})
	mlpProbeK = define(prog.Spec[mlpC]{
		Name:    "ttt_mlp_probe",
		Binds:   probeBinds(),
		Lens:    func(c mlpC) []int { return probeLens(c.scanC, c.theta(), c.state()) },
		Items:   func(c mlpC) int { return c.B * c.H * c.NB },
		Scratch: func(c mlpC) int { return c.K*(2*c.F+c.inner()) + c.scratch() },
		Flops: func(c mlpC) float64 {
			return float64(c.B*c.L*c.H) * float64(ProbeStates*(4*c.F*c.inner()+20*c.inner()))
		},
		Grid: func(c mlpC, t prog.Traits) [3]int { return probeGrid(c.scanC, t) },
		Tune: func(c mlpC, t prog.Traits) map[string]any {
			return probeTune(c.scanC, t, func(wg int) int {
				return 4*(1+2*prog.CeilDiv(c.F, wg)*(c.F+1)) + c.probeRounds(wg, c.state())
			})
		},
		F32: mlpProbe[float32],
		F64: mlpProbe[float64],
		Sample: func(r *rand.Rand) mlpC {
			s := sampleProbe(r)
			s.B, s.F = 1+r.IntN(2), min(s.F, 32)
			return newMLPC(s)
		},
		Fill: func(c mlpC, r *rand.Rand, a *prog.Args[float64]) { fillProbe(c.scanC, r, a, c.OG, c.OT) },
	})
)

// Probe implements Params.
func (p LinearParams) Probe(r *prog.Recorder, xs, tok, loss, drift *prog.Tensor, o Options) Scan {
	o = o.forProbe(r)
	c := linearC{scanC: o.check(r, xs, p.W1.Dim(-1), p.W1, p.B1, p.Gamma, p.Beta)}
	c.offsets(p)
	s := p.Scan(r, xs, tok, nil, o)
	linearProbeK.Dispatch(r, c, xs, p.W1.Arena().Span("theta", p.W1, p.Beta), s.ckpt, s.State, loss, drift)
	return s
}

// Probe implements Params.
func (p MLPParams) Probe(r *prog.Recorder, xs, tok, loss, drift *prog.Tensor, o Options) Scan {
	o = o.forProbe(r)
	c := mlpC{scanC: o.check(r, xs, p.W1.Dim(1), p.W1, p.B1, p.W2, p.B2, p.Gamma, p.Beta)}
	c.offsets(r, p)
	s := p.Scan(r, xs, tok, nil, o)
	mlpProbeK.Dispatch(r, c, xs, p.W1.Arena().Span("theta", p.W1, p.Beta), s.ckpt, s.State, loss, drift)
	return s
}

// forProbe makes the scan keep every state, and refuses rows in which documents may end: the state after a document's
// last mini-batch is then in no checkpoint.
func (o Options) forProbe(r *prog.Recorder) Options {
	if k := max(1, o.MiniBatch); o.MaxMiniBatches > prog.CeilDiv(o.SeqLen, k) {
		r.Failf("ttt: a probe of rows of up to %d mini-batches, want %d: one document each", o.MaxMiniBatches, prog.CeilDiv(o.SeqLen, k))
	}
	o.CheckpointEvery = 1
	return o
}

// probed is a mini-batch of a probe: its tokens, and where its states lie in the checkpoints.
type probed[F prog.Float] struct {
	bh, h, at, n int
	keys         []F // [n,F]
	loss         []F // [3,L] of the head
	drift        *F
}

// probe gathers mini-batch it%NB of head it/NB.
func probe[F prog.Float](c scanC, a *prog.Args[F], keys []F, it int) probed[F] {
	bh, m := it/c.NB, it%c.NB
	x := probed[F]{bh: bh, h: bh % c.H, at: m * c.K, keys: keys, drift: &a.F[5][it]}
	x.n = min(c.K, c.L-x.at)
	x.loss = a.F[4][bh*ProbeStates*c.L:][:ProbeStates*c.L]
	for i := range x.n {
		copy(keys[i*c.F:(i+1)*c.F], a.F[0][c.token(bh/c.H, x.at+i)+c.width()+x.h*c.F:])
	}
	return x
}

// states are the two that mini-batch it is probed under beside the learned start, state words each.
func states[F prog.Float](c scanC, a *prog.Args[F], it, state int) (before, after []F) {
	before = a.F[2][it*state:][:state]
	if it%c.NB == c.NB-1 {
		return before, a.F[3][it/c.NB*state:][:state]
	}
	return before, a.F[2][(it+1)*state:][:state]
}

// losses writes the losses of x's tokens, whose inner model's outputs without bias are z [n,F], under state which. It
// overwrites z.
func (x probed[F]) losses(c scanC, xs, z, bias, gamma, beta []F, which int) {
	for i := range x.n {
		y, k := z[i*c.F:(i+1)*c.F], x.keys[i*c.F:(i+1)*c.F]
		v := xs[c.token(x.bh/c.H, x.at+i)+2*c.width()+x.h*c.F:]
		for j := range y {
			y[j] += bias[j]
		}
		normalise(y, c.Eps)
		var s F
		for j, xh := range y {
			e := gamma[j]*xh + beta[j] - (v[j] - k[j])
			s += e * e
		}
		x.loss[which*c.L+x.at+i] = s / 2
	}
}

// distance adds |x-start|² and |start|² to a sum.
func distance[F prog.Float](sum *[2]float64, x, start []F) {
	for i, v := range x {
		s := float64(start[i])
		d := float64(v) - s
		sum[0] += d * d
		sum[1] += s * s
	}
}

// relative is the distance from the start in units of its norm, or as it is where the start is all zeros.
func relative(sum [2]float64) float64 {
	if sum[1] == 0 {
		return math.Sqrt(sum[0])
	}
	return math.Sqrt(sum[0] / sum[1])
}

// linearProbe is the reference of ttt_linear_probe; an item is one mini-batch of one head.
func linearProbe[F prog.Float](c linearC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, theta := a.F[0], a.F[1]
	sc := carve[F]{scratch}
	keys, z, tmp := sc.take(c.K*c.F), sc.take(c.K*c.F), sc.take(c.scratch())
	ff := c.F * c.F
	for it := lo; it < hi; it++ {
		x := probe(c.scanC, a, keys, it)
		w, bias := theta[x.h*ff:][:ff], theta[c.OB+x.h*c.F:][:c.F]
		gamma, beta := theta[c.OG+x.h*c.F:][:c.F], theta[c.OT+x.h*c.F:][:c.F]
		before, after := states(c.scanC, a, it, c.state())
		for which, st := range [...][2][]F{{w, bias}, {before[:ff], before[ff:]}, {after[:ff], after[ff:]}} {
			blas.NN(z, keys, st[0], x.n, c.F, c.F, false, tmp)
			x.losses(c.scanC, xs, z, st[1], gamma, beta, which)
		}
		var sum [2]float64
		distance(&sum, after[:ff], w)
		distance(&sum, after[ff:], bias)
		*x.drift = F(relative(sum))
	}
}

// mlpProbe is the reference of ttt_mlp_probe; an item is one mini-batch of one head.
func mlpProbe[F prog.Float](c mlpC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, theta := a.F[0], a.F[1]
	sc := carve[F]{scratch}
	e := c.inner()
	keys, z, hidden, tmp := sc.take(c.K*c.F), sc.take(c.K*c.F), sc.take(c.K*e), sc.take(c.scratch())
	for it := lo; it < hi; it++ {
		x := probe(c.scanC, a, keys, it)
		fe := c.F * e
		start := mlpState[F]{w1: theta[x.h*fe:][:fe], b1: theta[c.OB1+x.h*e:][:e], w2: theta[c.OW2+x.h*fe:][:fe], b2: theta[c.OB2+x.h*c.F:][:c.F]}
		gamma, beta := theta[c.OG+x.h*c.F:][:c.F], theta[c.OT+x.h*c.F:][:c.F]
		b, s := states(c.scanC, a, it, c.state())
		after := newMLPState(c, s)
		for which, st := range [...]mlpState[F]{start, newMLPState(c, b), after} {
			blas.NN(hidden, keys, st.w1, x.n, e, c.F, false, tmp)
			for i := range x.n {
				y := hidden[i*e : (i+1)*e]
				blas.Add(y, st.b1)
				blas.GELU(y, y)
			}
			blas.NN(z, hidden, st.w2, x.n, c.F, e, false, tmp)
			x.losses(c.scanC, xs, z, st.b2, gamma, beta, which)
		}
		var sum [2]float64
		distance(&sum, after.w1, start.w1)
		distance(&sum, after.b1, start.b1)
		distance(&sum, after.w2, start.w2)
		distance(&sum, after.b2, start.b2)
		*x.drift = F(relative(sum))
	}
}
