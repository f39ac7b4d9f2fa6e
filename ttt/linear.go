package ttt

import (
	"math/rand/v2"

	"innerloop/prog"
)

// linearC are the constants of the TTT-Linear scan.
type linearC struct {
	scanC
	OB, OG, OT int // where b1, gamma and beta begin in theta, in words; W1 begins at 0
}

func newLinearC(s scanC) linearC {
	c := linearC{scanC: s, OB: pad(s.H * s.F * s.F)}
	c.OG = c.OB + pad(s.H*s.F)
	c.OT = c.OG + pad(s.H*s.F)
	return c
}

func (c linearC) state() int { return c.F*c.F + c.F }           // words of (W1, b1)
func (c linearC) theta() int { return c.OT + c.H*c.F }          // words of the parameters
func (c linearC) part() int  { return c.state() + 2*c.F + c.K } // dW1, db1, dgamma, dbeta, dtok

func (c linearC) reduce() reduceC {
	return reduceC{B: c.B, H: c.H, K: c.K, N0: c.F * c.F, N1: c.F, N4: c.F, N5: c.F, O1: c.OB, O2: c.OB, O3: c.OB, O4: c.OG, O5: c.OT}
}

func (c linearC) scratch() int {
	return c.products([3]int{2 * c.K, c.F, c.F}, [3]int{c.K, c.K, c.F}, [3]int{c.K, c.F, c.K}, [3]int{c.F, c.F, 2 * c.K})
}

func (c linearC) flopsFwd() float64 {
	perToken := 6*c.F*c.F + 4*c.K*c.F + 30*c.F
	return float64(c.B*c.L*c.H) * float64(perToken)
}

// The references' scratch memory.
func (c linearC) scratchFwd() int { return 6*c.K*c.F + 2*c.K*c.K + 2*c.K + c.scratch() }
func (c linearC) scratchBwd() int {
	return c.scratchFwd() + 5*c.K*c.F + c.K*c.K + c.K + (c.G+1)*c.state()
}

// Backward: Z, Zb, P, dQ, two products for dK and two for dW of F*F each, six of K*F; the forward of the steps
// between checkpoints once more.
func (c linearC) flopsBwd() float64 {
	perToken := 16*c.F*c.F + 14*c.K*c.F + 100*c.F
	if c.G > 1 {
		perToken += 4 * c.F * c.F
	}
	return float64(c.B*c.L*c.H) * float64(perToken)
}

// The words of memory that a head's walk takes in the shaders: [KP,FP] and [KP,KP] arrays, states, all padded to vec4.
func (c linearC) walkFwd() int {
	return 6*c.kp()*c.fp() + c.kp()*c.kp() + c.kp() + 2*c.fp() + 4 + c.walkState()
}
func (c linearC) walkBwd() int {
	return 12*c.kp()*c.fp() + 3*c.kp()*c.kp() + 5*c.kp() + 4*c.fp() + 4 + (c.G+1)*c.walkState()
}
func (c linearC) walkState() int { return (c.fp() + 1) * c.fp() }

// batchesPerPart is how many mini-batches one forward dispatch walks.
func (c linearC) batchesPerPart(t prog.Traits) int {
	if x, ok := c.columnsOf(t); ok {
		each, fixed := c.roundsFwdColumns(x)
		return perPart(c.NB, each, fixed, t.LoopRounds)
	}
	x := tileOf(workgroup(t), t)
	k, f, f4, k4 := c.kp(), c.fp(), c.fp()/4, c.kp()/4
	products := x.products([3]int{2 * k, f, f}, [3]int{k, k, f}, [3]int{k, f, k}, [3]int{f, f, k})
	rows := 2*x.loop(k, f4, f4, f4, f4, k4, f4) + x.loop(0, 0, 0, 0, 0, 0, 0) + x.loop(f4, k) + 2*x.loop(0, 0)
	rest := 3*x.loop(c.walkState()/4) + x.loop(k*f4) + x.loop(k4) + c.K + 20
	each := max(products+rows+rest, x.loop(c.state())) + 2
	return perPart(c.NB, each, x.loop(c.walkState()/4)+x.loop(f4), t.LoopRounds)
}

// roundsBwd is what one of x's invocations makes for a segment of G mini-batches of the backward pass, at most, and beside.
func (c linearC) roundsBwd(x tile) (each, fixed int) {
	k, f, f4, k4 := c.kp(), c.fp(), c.fp()/4, c.kp()/4
	state := x.loop(c.walkState() / 4)
	// A phase makes its products, what it has for columns and for rows, and of what other phases have one round a loop.
	phase := x.loop(k, f4, f4, f4, f4, 0, 0, 0, 0, 0, 0) + 4*x.loop(0, 0) + 10
	load := x.loop(k*f4) + x.loop(k4) + c.K + 10
	forward := x.products([3]int{k, f, f}, [3]int{f, f, k}) + 2*phase + x.loop(f4, k) + 2*state
	back := x.products([3]int{2 * k, f, f}, [3]int{k, k, f}, [3]int{k, f, k}, [3]int{k, k, f}, [3]int{k, f, f}, [3]int{k, f, f},
		[3]int{k, f, k}, [3]int{k, f, k}, [3]int{k, f, k}, [3]int{2 * k, f, f}, [3]int{f, f, 2 * k}) +
		5*phase + 2*x.loop(k, k4) + 2*x.loop(f4, k) + k4 + x.loop(k*f4) + 3*state
	each = (c.G-1)*(forward+load) + c.G*(back+load+1) + state
	return each, c.NB + 2*state + 2*x.loop(f4) + x.loop(c.part())
}

// tileBwd is how the backward pass's invocations share out matrix products: more of them than for a small state where an
// invocation could not walk a segment otherwise.
func (c linearC) tileBwd(t prog.Traits) tile {
	x := tileOf(workgroup(t), t)
	for t.LoopRounds > 0 && 2*x.wg <= t.MaxInvocations {
		if each, fixed := c.roundsBwd(x); each+fixed <= t.LoopRounds {
			break
		}
		x.wg *= 2
	}
	return x
}

// segmentsPerPart is how many segments of G mini-batches one backward dispatch walks.
func (c linearC) segmentsPerPart(t prog.Traits) int {
	each, fixed := c.roundsBwd(c.tileBwd(t))
	return perPart(c.slots(), each, fixed, t.LoopRounds)
}

func sampleLinear(r *rand.Rand) linearC { return newLinearC(sampleScan(r)) }

var (
	linearFwdK = define(prog.Spec[linearC]{
		Name: "ttt_linear_fwd",
		Binds: []prog.Binding{
			prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.Out("out"), prog.Out("ckpt"), prog.InOutMaybe("state"), prog.Tmp("work"),
		},
		Lens: func(c linearC) []int {
			n, bh := c.B*c.L, c.B*c.H
			return []int{n * c.row(), c.K, c.theta(), n * c.width(), bh * c.slots() * c.state(), bh * c.state(), bh * c.walkFwd()}
		},
		Items:    func(c linearC) int { return c.B * c.H },
		Scratch:  linearC.scratchFwd,
		Flops:    linearC.flopsFwd,
		Variants: func(c linearC, t prog.Traits) []prog.Variant { return []prog.Variant{c.fwd(t)} },
		Shaders:  []string{"ttt_linear_fwd", "ttt_linear_fwd_columns"},
		Parts:    func(c linearC, t prog.Traits) int { return prog.CeilDiv(c.NB, c.batchesPerPart(t)) },
		F32:      linearFwd[float32],
		F64:      linearFwd[float64],
		Sample:   sampleLinear,
		Fill: func(c linearC, r *rand.Rand, a *prog.Args[float64]) {
			fillScan(c.scanC, r, a.F[0], a.F[1], a.F[2], c.OG, c.OT)
		},
		Tol: 2e-5,
	})
	linearBwdK = define(prog.Spec[linearC]{
		Name: "ttt_linear_bwd",
		Binds: []prog.Binding{
			prog.In("xs"), prog.In("tok"), prog.In("theta"), prog.In("ckpt"), prog.In("dout"),
			prog.Acc("dxs"), prog.Out("dpart"), prog.Tmp("work"),
		},
		Lens: func(c linearC) []int {
			n, bh := c.B*c.L, c.B*c.H
			return []int{n * c.row(), c.K, c.theta(), bh * c.slots() * c.state(), n * c.width(), n * c.row(), bh * c.part(), bh * c.walkBwd()}
		},
		Items:   func(c linearC) int { return c.B * c.H },
		Scratch: linearC.scratchBwd,
		Flops:   linearC.flopsBwd,
		Grid:    func(c linearC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
		Tune: func(c linearC, t prog.Traits) map[string]any {
			return c.tileBwd(t).consts("SP", c.segmentsPerPart(t))
		},
		Parts:  func(c linearC, t prog.Traits) int { return prog.CeilDiv(c.slots(), c.segmentsPerPart(t)) },
		F32:    linearBwd[float32],
		F64:    linearBwd[float64],
		Sample: sampleLinear,
		Fill: func(c linearC, r *rand.Rand, a *prog.Args[float64]) {
			fillScan(c.scanC, r, a.F[0], a.F[1], a.F[2], c.OG, c.OT)
			// The checkpoints are those of the forward pass: the backward recomputes from them.
			fwd := &prog.Args[float64]{F: [][]float64{a.F[0], a.F[1], a.F[2], make([]float64, len(a.F[4])), a.F[3], make([]float64, c.B*c.H*c.state()), nil}}
			linearFwd(c, fwd, make([]float64, c.scratchFwd()), 0, c.B*c.H)
			for i, v := range a.F[3] {
				a.F[3][i] = float64(float32(v))
			}
		},
		Tol: 1e-4,
	})
)

// LinearParams are the learned parameters of a TTT-Linear layer's scan, consecutive tensors of one arena in this order.
type LinearParams struct {
	W1    *prog.Tensor // [H,F,F] the state's start
	B1    *prog.Tensor // [H,1,F]
	Gamma *prog.Tensor // [H,F] of the inner LayerNorm
	Beta  *prog.Tensor // [H,F]
}

// StateLen is the number of words of a head's state, (W1, b1).
func (p LinearParams) StateLen() int { return p.W1.Len()/p.W1.Dim(0) + p.B1.Len()/p.B1.Dim(0) }

// Norm implements Params.
func (p LinearParams) Norm() (gamma, beta *prog.Tensor) { return p.Gamma, p.Beta }

// offsets are where p's tensors lie in theta.
func (c *linearC) offsets(p LinearParams) {
	w := p.W1.Offset()
	c.OB, c.OG, c.OT = p.B1.Offset()-w, p.Gamma.Offset()-w, p.Beta.Offset()-w
}

// Scan implements Params.
func (p LinearParams) Scan(r *prog.Recorder, xs, tok, state *prog.Tensor, o Options) Scan {
	c := linearC{scanC: o.check(r, xs, p.W1.Dim(-1), p.W1, p.B1, p.Gamma, p.Beta)}
	c.offsets(p)
	tok = o.rates(r, tok)
	theta := p.W1.Arena().Span("theta", p.W1, p.Beta)
	bh := c.B * c.H
	if state == nil {
		state = r.Temp("scan.state", bh, c.state())
	}
	out := r.Temp("scan", c.B*c.L, c.width())
	ckpt := r.Temp("scan.ckpt", bh, c.slots(), c.state())
	work := r.Temp("scan.work", bh, c.walkFwd())
	linearFwdK.Dispatch(r, c, xs, tok, theta, out, ckpt, state, work)
	r.Tape(func() {
		dpart := r.Temp("scan.dpart", bh, c.part())
		work := r.Temp("scan.dwork", bh, c.walkBwd())
		linearBwdK.Dispatch(r, c, xs, tok, theta, ckpt, r.Grad(out), r.Grad(xs), dpart, work)
		reduceK.Dispatch(r, c.reduce(), dpart, tok, r.Grad(theta), r.Grad(tok))
	}, out)
	return Scan{out, state, ckpt}
}
