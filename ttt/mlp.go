package ttt

import (
	"math/rand/v2"

	"innerloop/prog"
)

// mlpC are the constants of the TTT-MLP scan. E = 4F is the width of the inner model's hidden layer.
type mlpC struct {
	scanC
	OB1, OW2, OB2, OG, OT int // where b1, W2, b2, gamma and beta begin in theta, in words; W1 begins at 0
}

func newMLPC(s scanC) mlpC {
	c := mlpC{scanC: s, OB1: pad(s.H * 4 * s.F * s.F)}
	c.OW2 = c.OB1 + pad(s.H*4*s.F)
	c.OB2 = c.OW2 + pad(s.H*4*s.F*s.F)
	c.OG = c.OB2 + pad(s.H*s.F)
	c.OT = c.OG + pad(s.H*s.F)
	return c
}

func (c mlpC) inner() int { return 4 * c.F }                 // E
func (c mlpC) state() int { return 8*c.F*c.F + 5*c.F }       // words of (W1, b1, W2, b2)
func (c mlpC) theta() int { return c.OT + c.H*c.F }          // words of the parameters
func (c mlpC) part() int  { return c.state() + 2*c.F + c.K } // the state's gradient, dgamma, dbeta, dtok

func (c mlpC) reduce() reduceC {
	fe, e := 4*c.F*c.F, 4*c.F
	return reduceC{B: c.B, H: c.H, K: c.K, N0: fe, N1: e, N2: fe, N3: c.F, N4: c.F, N5: c.F,
		O1: c.OB1, O2: c.OW2, O3: c.OB2, O4: c.OG, O5: c.OT}
}

func (c mlpC) scratch() int {
	k, f, e := c.K, c.F, c.inner()
	return c.products([3]int{k, e, f}, [3]int{2 * k, f, e}, [3]int{k, k, f}, [3]int{k, k, e}, [3]int{k, f, k}, [3]int{k, e, k},
		[3]int{f, e, 2 * k}, [3]int{e, f, k})
}

// The references' scratch memory.
func (c mlpC) scratchFwd() int {
	return c.K*(8*c.inner()+5*c.F+4*c.K+2) + c.scratch()
}
func (c mlpC) scratchBwd() int {
	return c.scratchFwd() + c.K*(6*c.inner()+5*c.F+2*c.K+2) + (c.G+1)*c.state()
}

func (c mlpC) flopsFwd() float64 {
	perToken := 14*c.F*c.inner() + 4*c.K*(c.F+c.inner()) + 60*c.inner()
	return float64(c.B*c.L*c.H) * float64(perToken)
}

func (c mlpC) flopsBwd() float64 {
	perToken := 40*c.F*c.inner() + 14*c.K*(c.F+c.inner()) + 200*c.inner()
	if c.G > 1 {
		perToken += 10 * c.F * c.inner()
	}
	return float64(c.B*c.L*c.H) * float64(perToken)
}

// The words of memory that a head's walk takes in the shaders: [KP,FP], [KP,E] and [KP,KP] arrays, states, all padded to
// vec4.
func (c mlpC) walkFwd() int {
	k, f := c.kp(), c.fp()
	return 5*k*f + 5*k*c.inner() + k*k + k + 2*f + 4 + c.walkState()
}
func (c mlpC) walkBwd() int {
	k, f := c.kp(), c.fp()
	return 12*k*f + 9*k*c.inner() + 5*k*k + 37*k + 4*f + 4 + (c.G+1)*c.walkState()
}
func (c mlpC) walkState() int { return (c.fp()+1)*c.inner() + (c.inner()+1)*c.fp() }

// roundsFwd is what one of x's invocations makes for a mini-batch of the forward pass, at most.
func (c mlpC) roundsFwd(x tile) int {
	k, f, e, k4, f4, e4 := c.kp(), c.fp(), c.inner(), c.kp()/4, c.fp()/4, c.inner()/4
	products := x.products([3]int{2 * k, e, f}, [3]int{k, k, f}, [3]int{k, f, e}, [3]int{k, e, f}, [3]int{k, e, k}, [3]int{k, k, e},
		[3]int{k, f, e}, [3]int{f, e, k}, [3]int{k, f, k}, [3]int{e, f, k})
	// A phase goes one round through every loop of the others.
	phases := 6*(x.loop(0, 0)*2+3*x.loop(0)+x.loop(0, 0, 0, 0, 0, 0)) + 20
	elements := 3*x.loop(k*e4) + 2*x.loop(k*k4) + x.loop(e4, k) + x.loop(f4, k)
	rows := x.loop(k, f4, f4, f4, f4, 0) + x.loop(k, f4, f4, 0, 0, f4)
	return products + phases + elements + rows + 3*x.loop(c.walkState()/4) + x.loop(k*f4) + x.loop(k4) + x.loop(c.state()) + c.K + 20
}

// roundsBwd is what one of x's invocations makes for a step of the backward pass, at most: one mini-batch forward or back.
func (c mlpC) roundsBwd(x tile) int {
	k, f, e, k4, f4, e4 := c.kp(), c.fp(), c.inner(), c.kp()/4, c.fp()/4, c.inner()/4
	parts := 8 * x.loop(k, e4/8+1, f4/8+1) // PARTS of them a row
	common := x.products([3]int{2 * k, e, f}, [3]int{k, k, f}, [3]int{k, f, e}, [3]int{k, e, f}) +
		2*x.loop(k*e4) + x.loop(k*k4) + x.loop(k, f4, f4, f4, f4) + x.loop(k*f4) + x.loop(k4) + 3*x.loop(c.walkState()/4) + c.K + c.G + 20
	// A phase goes one round through every loop of the others.
	phase := 4*x.loop(0, 0) + 6*x.loop(0) + 2*x.loop(0, 0, 0) + x.loop(0, 0, 0, 0, 0, 0, 0, 0, 0) + 10
	forward := x.products([3]int{f, e, k}, [3]int{e, f, k}) + x.loop(e4, k) + x.loop(f4, k) + 4*phase
	back := x.products([3]int{k, e, k}, [3]int{k, k, e}, [3]int{k, f, e}, [3]int{k, f, k}, [3]int{k, k, f}, [3]int{k, f, e},
		[3]int{k, e, f}, [3]int{k, e, f}, [3]int{k, f, e}, [3]int{k, e, f}, [3]int{k, e, k}, [3]int{k, e, k}, [3]int{k, f, k},
		[3]int{k, k, e}, [3]int{k, f, k}, [3]int{k, f, k}, [3]int{k, e, k}, [3]int{k, f, e}, [3]int{k, e, f}, [3]int{e, f, 3 * k},
		[3]int{2 * k, f, e}, [3]int{f, e, 2 * k}) +
		4*x.loop(k*e4) + 3*x.loop(k*k4) + x.loop(k*f4) + x.loop(k4, k) + x.loop(k, k4) + x.loop(f4, k) + x.loop(e4, 2*k) + parts +
		x.loop(k, f4, f4, f4, f4) + x.loop(k, f4, f4, f4) + x.loop(k, 8) + 13*phase
	return common + max(forward, back)
}

// tile is how the invocations share out matrix products: more of them than for a small state where an invocation could not
// make a backward step otherwise.
func (c mlpC) tile(t prog.Traits) tile {
	x := tileOf(workgroup(t), t)
	for t.LoopRounds > 0 && 2*x.wg <= t.MaxInvocations && 2*c.roundsBwd(x) > t.LoopRounds {
		x.wg *= 2
	}
	return x
}

// batchesPerPart is how many mini-batches one forward dispatch walks.
func (c mlpC) batchesPerPart(t prog.Traits) int {
	x := c.tile(t)
	return perPart(c.NB, c.roundsFwd(x), x.loop(c.walkState()/4)+x.loop(c.fp()/4), t.LoopRounds)
}

// steps is the number of steps of the backward pass, at most: each segment of mini-batches goes forward over all but its
// last, then back over all.
func (c mlpC) steps() int { return 2*c.NB - c.slots() }

// stepsPerPart is how many of them one backward dispatch makes.
func (c mlpC) stepsPerPart(t prog.Traits) int {
	x := c.tile(t)
	fixed := c.NB + 2*x.loop(c.walkState()/4) + 2*x.loop(c.fp()/4) + x.loop(c.part())
	return perPart(c.steps(), c.roundsBwd(x), fixed, t.LoopRounds)
}

func sampleMLP(r *rand.Rand) mlpC {
	s := sampleScan(r)
	for s.F > 32 { // what float64 takes
		s.F /= 2
	}
	return newMLPC(s)
}

var (
	mlpFwdK = define(prog.Spec[mlpC]{
		Name: "ttt_mlp_fwd",
		Binds: []prog.Binding{
			prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.Out("out"), prog.Out("ckpt"), prog.InOutMaybe("state"), prog.Tmp("work"),
		},
		Lens: func(c mlpC) []int {
			n, bh := c.B*c.L, c.B*c.H
			return []int{n * c.row(), c.K, c.theta(), n * c.width(), bh * c.slots() * c.state(), bh * c.state(), bh * c.walkFwd()}
		},
		Items:   func(c mlpC) int { return c.B * c.H },
		Scratch: mlpC.scratchFwd,
		Flops:   mlpC.flopsFwd,
		Grid:    func(c mlpC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune: func(c mlpC, t prog.Traits) map[string]any {
			return c.tile(t).consts("MP", c.batchesPerPart(t))
		},
		Parts:  func(c mlpC, t prog.Traits) int { return prog.CeilDiv(c.NB, c.batchesPerPart(t)) },
		F32:    mlpFwd[float32],
		F64:    mlpFwd[float64],
		Sample: sampleMLP,
		Fill: func(c mlpC, r *rand.Rand, a *prog.Args[float64]) {
			fillScan(c.scanC, r, a.F[0], a.F[1], a.F[2], c.OG, c.OT)
		},
		Tol: 2e-5,
	})
	mlpBwdK = define(prog.Spec[mlpC]{
		Name: "ttt_mlp_bwd",
		Binds: []prog.Binding{
			prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.In("ckpt"), prog.In("dout"),
			prog.Acc("dxs"), prog.Out("dpart"), prog.Tmp("work"),
		},
		Lens: func(c mlpC) []int {
			n, bh := c.B*c.L, c.B*c.H
			return []int{n * c.row(), c.K, c.theta(), bh * c.slots() * c.state(), n * c.width(), n * c.row(), bh * c.part(), bh * c.walkBwd()}
		},
		Items:   func(c mlpC) int { return c.B * c.H },
		Scratch: mlpC.scratchBwd,
		Flops:   mlpC.flopsBwd,
		Grid:    func(c mlpC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune: func(c mlpC, t prog.Traits) map[string]any {
			return c.tile(t).consts("MP", c.stepsPerPart(t))
		},
		Parts:  func(c mlpC, t prog.Traits) int { return prog.CeilDiv(c.steps(), c.stepsPerPart(t)) },
		F32:    mlpBwd[float32],
		F64:    mlpBwd[float64],
		Sample: sampleMLP,
		Fill: func(c mlpC, r *rand.Rand, a *prog.Args[float64]) {
			fillScan(c.scanC, r, a.F[0], a.F[1], a.F[2], c.OG, c.OT)
			fwd := &prog.Args[float64]{F: [][]float64{a.F[0], a.F[1], a.F[2], make([]float64, len(a.F[4])), a.F[3], make([]float64, c.B*c.H*c.state()), nil}}
			mlpFwd(c, fwd, make([]float64, c.scratchFwd()), 0, c.B*c.H)
			for i, v := range a.F[3] {
				a.F[3][i] = float64(float32(v))
			}
		},
		Tol: 1e-4,
	})
)

// MLPParams are the learned parameters of a TTT-MLP layer's scan, consecutive tensors of one arena in this order.
type MLPParams struct {
	W1    *prog.Tensor // [H,F,4F] the state's start
	B1    *prog.Tensor // [H,1,4F]
	W2    *prog.Tensor // [H,4F,F]
	B2    *prog.Tensor // [H,1,F]
	Gamma *prog.Tensor // [H,F] of the inner LayerNorm
	Beta  *prog.Tensor // [H,F]
}

// StateLen is the number of words of a head's state, (W1, b1, W2, b2).
func (p MLPParams) StateLen() int {
	return (p.W1.Len() + p.B1.Len() + p.W2.Len() + p.B2.Len()) / p.W1.Dim(0)
}

// Norm implements Params.
func (p MLPParams) Norm() (gamma, beta *prog.Tensor) { return p.Gamma, p.Beta }

// offsets are where p's tensors lie in theta.
func (c *mlpC) offsets(r *prog.Recorder, p MLPParams) {
	if p.W1.Dim(2) != c.inner() {
		r.Failf("ttt: the inner model's W1 is %v, want a hidden layer of %d", p.W1, c.inner())
	}
	w := p.W1.Offset()
	c.OB1, c.OW2, c.OB2 = p.B1.Offset()-w, p.W2.Offset()-w, p.B2.Offset()-w
	c.OG, c.OT = p.Gamma.Offset()-w, p.Beta.Offset()-w
}

// Scan implements Params.
func (p MLPParams) Scan(r *prog.Recorder, xs, tok, state *prog.Tensor, o Options) Scan {
	c := mlpC{scanC: o.check(r, xs, p.W1.Dim(1), p.W1, p.B1, p.W2, p.B2, p.Gamma, p.Beta)}
	c.offsets(r, p)
	tok = o.rates(r, tok)
	theta := p.W1.Arena().Span("theta", p.W1, p.Beta)
	bh := c.B * c.H
	if state == nil {
		state = r.Temp("scan.state", bh, c.state())
	}
	out := r.Temp("scan", c.B*c.L, c.width())
	ckpt := r.Temp("scan.ckpt", bh, c.slots(), c.state())
	work := r.Temp("scan.work", bh, c.walkFwd())
	mlpFwdK.Dispatch(r, c, xs, tok, theta, out, ckpt, state, work)
	r.Tape(func() {
		dpart := r.Temp("scan.dpart", bh, c.part())
		work := r.Temp("scan.dwork", bh, c.walkBwd())
		mlpBwdK.Dispatch(r, c, xs, tok, theta, ckpt, r.Grad(out), r.Grad(xs), dpart, work)
		reduceK.Dispatch(r, c.reduce(), dpart, tok, r.Grad(theta), r.Grad(tok))
	}, out)
	return Scan{out, state, ckpt}
}
