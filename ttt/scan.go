package ttt

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// scanC are the constants that every scan has.
type scanC struct {
	B, L, H, F, K int
	NB            int     // mini-batches that a row may hold: more than ceil(L/K) where documents end inside it
	G             int     // mini-batches between checkpoints
	Eps           float64 // of the inner LayerNorm
	NonCausal     bool    // tokens read the whole mini-batch
	FlatRates     bool    // the tokens' rates are 1/K
}

func (c scanC) slots() int { return prog.CeilDiv(c.NB, c.G) } // checkpoints of a row
func (c scanC) row() int   { return Row(c.H, c.F) }           // of xs
func (c scanC) width() int { return c.H * c.F }               // C

// kp and fp are K and F rounded up to whole vec4, as the shaders hold them.
func (c scanC) kp() int { return 4 * prog.CeilDiv(c.K, 4) }
func (c scanC) fp() int { return 4 * prog.CeilDiv(c.F, 4) }

// Row is the length of a token's row in a scan's input: rotated query, rotated key, value, the heads' inner learning
// rates, and the token's place code.
func Row(heads, headDim int) int { return 3*heads*headDim + heads + 1 }

// PlaceCode is what the scan reads of a token's position in its document: 0 for a document's first token, where the
// state starts anew; else the place in its mini-batch, K standing for the first.
func PlaceCode(position, k int) int {
	switch {
	case position == 0:
		return 0
	case position%k == 0:
		return k
	}
	return position % k
}

// token is where the row of token i of sequence b begins in xs.
func (c scanC) token(b, i int) int { return (b*c.L + i) * c.row() }

// code is the place code of token i of sequence b.
func code[F prog.Float](c scanC, xs []F, b, i int) int { return int(xs[c.token(b, i)+c.row()-1] + 0.5) }

// extent is the number of tokens of the mini-batch that begins at token i: it ends after K tokens, with the row, or
// before the first token of a document.
func extent[F prog.Float](c scanC, xs []F, b, i int) int {
	n := 1
	for n < c.K && i+n < c.L && code(c, xs, b, i+n) != 0 {
		n++
	}
	return n
}

// begin is where the mini-batch begins that ends before token e.
func begin[F prog.Float](c scanC, xs []F, b, e int) int { return e - 1 - code(c, xs, b, e-1)%c.K }

// count is the number of mini-batches of sequence b.
func count[F prog.Float](c scanC, xs []F, b int) int {
	n := 0
	for i := 0; i < c.L; i += extent(c, xs, b, i) {
		n++
	}
	return n
}

// seen is the number of tokens of a mini-batch of n, from its first on, whose inner gradients token i reads.
func (c *scanC) seen(i, n int) int {
	if c.NonCausal {
		return n
	}
	return i + 1
}

// sampleScan draws a scan for tests; fillScan decides where documents end.
func sampleScan(r *rand.Rand) scanC {
	c := scanC{B: 1 + r.IntN(3), H: 1 + r.IntN(3), F: []int{4, 6, 16, 18, 32, 64}[r.IntN(6)], K: 1 + r.IntN(17), Eps: 1e-6}
	c.L = 1 + r.IntN(4*c.K)
	c.NB = prog.CeilDiv(c.L, c.K) + r.IntN(3)
	c.G = 1 + r.IntN(4)
	m := r.IntN(4)
	c.NonCausal, c.FlatRates = m&1 == 1, m > 1
	return c
}

// fillScan makes the inputs of a scan as a model has them: small learning rates and parameters, LayerNorm weights
// around one, documents that end inside rows where NB leaves room for it, rows that begin inside a document.
func fillScan(c scanC, r *rand.Rand, xs, tok, theta []float64, gamma, beta int) {
	f32 := func(v float64) float64 { return float64(float32(v)) }
	d := c.width()
	for b := range c.B {
		spare := c.NB - prog.CeilDiv(c.L, c.K)
		position := r.IntN(2) * c.K
		for i := range c.L {
			x := xs[c.token(b, i):][:c.row()]
			for h := range c.H {
				x[3*d+h] = f32(r.Float64() / float64(c.F))
			}
			if spare > 0 && i > 0 && r.IntN(c.L) == 0 {
				spare--
				position = 0
			}
			x[3*d+c.H] = float64(PlaceCode(position, c.K))
			position++
		}
	}
	for i := range tok {
		tok[i] = f32(0.3 * r.NormFloat64())
	}
	for i := range theta {
		switch {
		case i < gamma:
			theta[i] = f32(0.1 * r.NormFloat64())
		case i < beta:
			theta[i] = f32(1 + 0.1*r.NormFloat64())
		}
	}
}

// pad is n rounded up to where the next tensor of an arena begins.
func pad(n int) int { return prog.CeilDiv(n, prog.Align) * prog.Align }

// products is the scratch memory of the matrix products [m,n] with inner k of all sizes, where tokens, one of the
// three, may be any number up to K.
func (c scanC) products(sizes ...[3]int) int {
	most := 0
	for _, s := range sizes {
		most = max(most, blas.ScratchNN(s[0], s[1], s[2]), blas.ScratchNT(s[0], s[1], s[2]), blas.ScratchTN(s[0], s[1], s[2]))
	}
	return most
}

// workgroup is the number of invocations that walk one head of one sequence.
func workgroup(t prog.Traits) int {
	if t.Software {
		return 8
	}
	return 128
}

// scanWG tunes a kernel of one workgroup a head and sequence that makes one step.
func scanWG[C any](_ C, t prog.Traits) map[string]any {
	return map[string]any{"WG": max(16, workgroup(t))}
}

// tile is how a scan's invocations share out matrix products: wg invocations make tm x tn elements at a time each.
type tile struct{ wg, tm, tn int }

// tileOf is the tile for wg invocations: the largest that registers hold, or on a GPU, whose invocations are many, a small
// one.
func tileOf(wg int, t prog.Traits) tile {
	if t.Software {
		return tile{wg, 8, 8}
	}
	return tile{wg, 4, 4}
}

func (x tile) consts(name string, n int) map[string]any {
	return map[string]any{"WG": x.wg, "TM": x.tm, "TN": x.tn, name: n}
}

// loop counts the rounds of a loop whose n rounds, each with inner loops of so many rounds, the invocations share. The
// last round only finds that there is none left, but where invocations are lanes of a vector goes through the inner
// loops once.
func (x tile) loop(n int, inner ...int) int {
	share := prog.CeilDiv(n, x.wg)
	r := share + 1
	for _, m := range inner {
		r += share*(m+1) + 1
	}
	return r
}

// products counts the rounds of matrix products [m,n] with inner k.
func (x tile) products(ps ...[3]int) int {
	r := 0
	for _, p := range ps {
		r += 1 + x.loop(prog.CeilDiv(p[0], x.tm)*prog.CeilDiv(p[1], x.tn), p[2]/4)
	}
	return r
}

// perPart is the number of units of work, each of so many rounds, that one dispatch does where an invocation may make
// limit of them, fixed of which do not depend on it; of n at most. A dispatch does at least one.
func perPart(n, each, fixed, limit int) int {
	if limit == 0 {
		return n
	}
	return min(n, max(1, (limit-fixed)/each))
}

// reduceC are the constants of the kernel that adds up the parameters' gradients over sequences: six parameters of
// N elements a head, from O in theta; the parts hold them one after the other, and then the token rates.
type reduceC struct {
	B, H, K                int
	N0, N1, N2, N3, N4, N5 int
	O1, O2, O3, O4, O5     int
}

func (c reduceC) ns() [6]int { return [6]int{c.N0, c.N1, c.N2, c.N3, c.N4, c.N5} }
func (c reduceC) os() [6]int { return [6]int{0, c.O1, c.O2, c.O3, c.O4, c.O5} }
func (c reduceC) part() int  { return c.N0 + c.N1 + c.N2 + c.N3 + c.N4 + c.N5 + c.K }
func (c reduceC) theta() int { return c.O5 + c.H*c.N5 }

var reduceK = define(prog.Spec[reduceC]{
	Name:  "ttt_reduce",
	Binds: []prog.Binding{prog.In("dpart"), prog.In("tok"), prog.Acc("dtheta"), prog.Acc("dtok")},
	Lens:  func(c reduceC) []int { return []int{c.B * c.H * c.part(), c.K, c.theta(), c.K} },
	Items: func(c reduceC) int { return c.H + 1 },
	Grid:  func(c reduceC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.theta()+c.K, 64), t) },
	F32:   reduce[float32],
	F64:   reduce[float64],
	Sample: func(r *rand.Rand) reduceC {
		s := sampleScan(r)
		if r.IntN(2) == 0 {
			return newLinearC(s).reduce()
		}
		return newMLPC(s).reduce()
	},
})

// reduce is the reference of ttt_reduce. Item h < H is a head's parameters, item H the token rates.
func reduce[F prog.Float](c reduceC, a *prog.Args[F], _ []F, lo, hi int) {
	dpart, tok, dtheta, dtok := a.F[0], a.F[1], a.F[2], a.F[3]
	for h := lo; h < hi; h++ {
		if h == c.H {
			for it := range c.B * c.H {
				for i, d := range dpart[(it+1)*c.part()-c.K : (it+1)*c.part()] {
					// max(0, .) passes the gradient on where its argument is not negative.
					if 1/F(i+1)+tok[i] >= 0 {
						dtok[i] += d
					}
				}
			}
			continue
		}
		for b := range c.B {
			part := dpart[(b*c.H+h)*c.part():]
			for i, n := range c.ns() {
				blas.Add(dtheta[c.os()[i]+h*n:][:n], part[:n])
				part = part[n:]
			}
		}
	}
}

// Params are the learned parameters of a TTT layer's inner loop: LinearParams or MLPParams.
type Params interface {
	// StateLen is the number of words of a head's state.
	StateLen() int
	// Norm are weight and bias [H,F] of the inner LayerNorm.
	Norm() (gamma, beta *prog.Tensor)
	// Scan records the inner loop over whole sequences. xs [B*L, Row] holds the tokens' rows, as op.RoPE and op.Pack make
	// them; tok [K] is the learned part of the tokens' rates, nil with FlatRates. state [B*H, StateLen] is where rows that
	// begin inside a document find their state, and where every row leaves it; nil: no row does.
	Scan(r *prog.Recorder, xs, tok, state *prog.Tensor, o Options) Scan
	// Decode records one token a sequence: xs [B, Row], tok as for Scan; state and sum [B*H, StateLen] are the state at the
	// mini-batch's start and the sum of its inner gradients so far, both updated. It returns the output [B, C]. There is
	// no future to read: NonCausal is refused.
	Decode(r *prog.Recorder, xs, tok, state, sum *prog.Tensor, o Options) *prog.Tensor
	// Probe records Scan without a state to begin with, every state of it kept (o's CheckpointEvery is taken for 1), and
	// what its inner loop gains. loss [B*H, ProbeStates, L] receives each token's inner loss, 1/2 sum_d (LN(f(k; W)) - (v - k))²
	// with k after RoPE: under the learned start W0, the state W_{t-1} before the step of the token's mini-batch t, and W_t
	// after it. drift [B*H, ceil(L/K)] receives ||W_t - W0|| / ||W0||, the Frobenius norm over the weights and biases of all
	// inner layers together; a W0 of all zeros counts as of norm 1. Rows must be one document each, positions 0 to L-1:
	// MaxMiniBatches above ceil(L/K) is refused. (Sun et al. 2024, figure 4.)
	Probe(r *prog.Recorder, xs, tok, loss, drift *prog.Tensor, o Options) Scan
}

// Scan is a TTT layer's recorded inner loop.
type Scan struct {
	Out   *prog.Tensor // [B*L, C]: the layer's output before post_norm
	State *prog.Tensor // [B*H, words]: the state after the last token

	ckpt *prog.Tensor // [B*H, slots, words]: the state before every G-th mini-batch
}

// check completes the constants of a scan over xs and refuses what does not fit.
func (o Options) check(r *prog.Recorder, xs *prog.Tensor, headDim int, params ...*prog.Tensor) scanC {
	c := scanC{
		L: o.SeqLen, H: o.Heads, F: headDim, K: o.MiniBatch, G: max(1, o.CheckpointEvery), Eps: o.Eps,
		NonCausal: o.NonCausal, FlatRates: o.FlatRates,
	}
	if c.Eps == 0 {
		c.Eps = 1e-6
	}
	if c.K <= 0 {
		r.Failf("ttt: mini-batches of %d tokens, want at least 1", c.K)
	}
	n := xs.Dim(0)
	if c.L <= 0 || n%c.L != 0 {
		r.Failf("ttt: %d tokens are no whole number of sequences of %d", n, c.L)
	}
	c.B = n / c.L
	c.NB = max(o.MaxMiniBatches, prog.CeilDiv(c.L, c.K))
	c.G = min(c.G, c.NB)
	// The parameters are one binding: they have to lie in one arena in their order.
	a := params[0].Arena()
	for i, p := range params {
		if a == nil || p.Arena() != a || i > 0 && p.Offset() < params[i-1].Offset()+params[i-1].Len() {
			r.Failf("ttt: the scan's parameters are not consecutive tensors of one arena: %v", p)
		}
	}
	return c
}

// rates is what the kernels' tok binds: tok, or where rates are flat zeros that they do not read.
func (o Options) rates(r *prog.Recorder, tok *prog.Tensor) *prog.Tensor {
	switch {
	case !o.FlatRates && tok == nil:
		r.Failf("ttt: no learned part of the tokens' rates, which are not flat")
	case o.FlatRates && tok != nil:
		r.Failf("ttt: the tokens' rates are flat, but have a learned part: %v", tok)
	case o.FlatRates:
		tok = r.Temp("scan.rates", o.MiniBatch)
		r.Clear(tok)
	}
	return tok
}
