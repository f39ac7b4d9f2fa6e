package ttt

import (
	"math"

	"innerloop/op"
	"innerloop/prog"
)

// VideoParams are the learned parameters of one layer of the video variant.
type VideoParams struct {
	WQ, BQ       *prog.Tensor // [C,C], [C]: the projections, with biases
	WK, BK       *prog.Tensor
	WV, BV       *prog.Tensor
	WO, BO       *prog.Tensor
	LRW, LRB     *prog.Tensor // [H,1,C], [H,1]: the gate of the inner learning rates
	Inner        Params       // the inner loop; the weight and bias of its LayerNorm are the target's normaliser's too
	PostW, PostB *prog.Tensor // [C]: the LayerNorm before the output's projection
}

// VideoInputs are the tensors that a layer of the video variant reads, its parameters apart.
type VideoInputs struct {
	X     *prog.Tensor // [B,L,C]
	Pos   *prog.Tensor // u32 [B,L]: each token's position in its document, 0 the first
	Table *prog.Tensor // [P, F/2, 2], of op.RoPETable: a row for every position, since the angles are absolute
	Eps   *prog.Tensor // [1], >= 0: the target's normaliser adds it to the standard deviation; 1e-5 is usual. It is data
}

// VideoOptions describe a layer of the video variant.
type VideoOptions struct {
	// Of the scan. SeqLen is taken from the input, and FlatRates is true in this variant; Eps 0 means 1e-8.
	Options
	BaseLR float64 // of the inner loop
	// Inner records the inner loop in place of a plain scan without a state: Params' Scan with one, Decode or Probe, on xs
	// and with the options completed. It returns the output [B*L, C]. nil: the plain scan.
	Inner func(xs *prog.Tensor, o Options) *prog.Tensor
	// Fault puts known faults into the layer, to test what finds them. The zero value has none.
	Fault VideoFault
}

// VideoFault are faults of a layer of the video variant.
type VideoFault struct {
	Norm     op.NormFault // of the target's normaliser; 0: none
	RawKeys  bool         // keys are used as they are, not of length 1
	NearKeys bool         // the values are nearly the keys
}

// near is how far NearKeys' values are from the keys, of what they were.
const near = 1e-7

// VideoLayer are the tensors of a recorded layer that others look at: each holds what the next operation reads.
type VideoLayer struct {
	Out    *prog.Tensor // [B,L,C]
	XV, XK *prog.Tensor // [B,L,H,F]: value and rotated key, the normaliser's inputs; each key of norm 1
	Target *prog.Tensor // [B,L,H,F]: the normaliser's output v', from which the scan takes its target v' - k
	Z      *prog.Tensor // [B,L,H,F]: normalised, before weight and bias
	Std    *prog.Tensor // [B,L,H]
	LR     *prog.Tensor // [B,L,H]: the tokens' inner learning rates, of which the scan takes one K-th
}

// Video records one layer of the video variant (Dalal et al. 2025, "One-Minute Video Generation with Test-Time
// Training"), in which q and k are rotated to absolute positions and the target is normalised:
//
//	q = R (Wq x + bq)/|.|,  k = R (Wk x + bk)/|.|,  v = Wv x + bv          norms and rotation R head by head
//	v' = norm(v - k)*gamma + beta + k                                      op.TargetNorm
//	out = Wo LN(scan(q, k, v', lr/K)) + bo,  lr = BaseLR sigmoid(Wlr x + blr)/F
//
// The official layer is o.NonCausal; causal, it is for language models, in rows, carried on and decoded as theirs. A
// sequence longer than the table is refused; that decoding does not pass its end is for the caller to see to.
func Video(r *prog.Recorder, in VideoInputs, p VideoParams, o VideoOptions) VideoLayer {
	x := in.X
	if len(x.Shape()) != 3 || o.Heads <= 0 || x.Dim(2)%o.Heads != 0 {
		r.Failf("ttt: a layer on %v with %d heads, want [sequences tokens channels], the channels a multiple of the heads", x, o.Heads)
	}
	b, l, c := x.Dim(0), x.Dim(1), x.Dim(2)
	h, f := o.Heads, c/o.Heads
	if rows := in.Table.Len() / f; l > rows {
		r.Failf("ttt: sequences of %d tokens, want at most %d: the rotary embedding's table has no more positions", l, rows)
	}
	o.SeqLen, o.FlatRates = l, true
	if o.Eps == 0 {
		o.Eps = 1e-8
	}
	turned := func(w, bias *prog.Tensor, raw bool) *prog.Tensor {
		y := op.LinearBias(r, x, w, bias)
		if !raw {
			y = op.L2Norm(r, y, h)
		}
		return op.Rotate(r, y, in.Table, in.Pos, h)
	}
	q, k := turned(p.WQ, p.BQ, false), turned(p.WK, p.BK, o.Fault.RawKeys)
	v := op.LinearBias(r, x, p.WV, p.BV)
	if o.Fault.NearKeys {
		v = op.Mix(r, k, v, near)
	}
	y := VideoLayer{XV: v.Reshape(b, l, h, f), XK: k.Reshape(b, l, h, f)}
	gamma, beta := p.Inner.Norm()
	if o.Fault.Norm != 0 {
		y.Target, y.Z, y.Std = op.FaultyNorm(r, o.Fault.Norm, y.XV, y.XK, gamma, beta, in.Eps)
	} else {
		y.Target, y.Z, y.Std = op.TargetNorm(r, y.XV, y.XK, gamma, beta, in.Eps)
	}
	y.LR = op.LRGate(r, op.Linear(r, x, p.LRW.Reshape(h, c)), p.LRB, o.BaseLR, f)
	xs := op.Pack(r, q, k, y.Target.Reshape(b, l, c), y.LR, in.Pos, o.MiniBatch)
	if o.Inner == nil {
		o.Inner = func(xs *prog.Tensor, s Options) *prog.Tensor { return p.Inner.Scan(r, xs, nil, nil, s).Out }
	}
	out := op.LayerNorm(r, o.Inner(xs, o.Options), p.PostW, p.PostB, 1e-6)
	y.Out = op.LinearBias(r, out.Reshape(b, l, c), p.WO, p.BO)
	return y
}

// Gated records what a block adds of a layer: x + tanh(alpha) layer(x), x being [B,L,C] and alpha [C]. With back, [C] too,
// a second pass of the same layer reads the result y of the first from its end to its beginning, and the output is
// y + tanh(back) reverse(layer(reverse(y))): each token then sees all others, which is for bidirectional tasks alone, of
// rows that are one document each. back is nil in a language model.
func Gated(r *prog.Recorder, x, alpha, back *prog.Tensor, layer func(x *prog.Tensor) *prog.Tensor) *prog.Tensor {
	y := op.TanhGate(r, x, layer(x), alpha)
	if back == nil {
		return y
	}
	return op.TanhGate(r, y, op.Reverse(r, layer(op.Reverse(r, y))), back)
}

// HighGain is a gain of the normaliser that a healthy layer does not have: see op.HighGain.
const HighGain = op.HighGain

// NormGain is what the normaliser's backward pass multiplies gradients by, at most: see op.Gain.
func NormGain(std, eps float64, n int) float64 { return op.Gain(std, eps, n) }

// NormBound is the largest |z| that a normaliser of n channels can make, whatever its input and eps: sqrt(n-1), where a
// value is over a root that counts its own square; (n-1)/sqrt(n) in exact arithmetic.
func NormBound(n int) float64 { return math.Sqrt(float64(max(n, 2) - 1)) }
