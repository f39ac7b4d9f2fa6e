package op

import (
	"math/rand/v2"

	"innerloop/prog"
)

// attentionC are the constants of a causal attention.
type attentionC struct {
	B int // rows, that is sequences
	L int // tokens of a row
	H int // heads
	F int // head width
	W int // window: a token sees so many tokens, itself the last; at most L
}

// maxHeadDim is the widest head: what the shaders add up for a row of it fits their registers.
const maxHeadDim = 128

func (c attentionC) width() int { return c.H * c.F }             // C
func (c attentionC) size() int  { return c.B * c.L * c.width() } // of q, k, v and out
func (c attentionC) stats() int { return 2 * c.B * c.L * c.H }

// first is the first token of its row that token i, at position pos of its document, sees.
func (c attentionC) first(i int, pos uint32) int {
	return i - int(min(pos, uint32(i), uint32(c.W-1)))
}

// pairs is the number of pairs of tokens that see each other where every row is one document.
func (c attentionC) pairs() float64 {
	l, w := float64(c.L), float64(c.W)
	return float64(c.B*c.H) * (l*w - w*(w-1)/2)
}

// The shaders work on tiles of scores: a block of 4*TY tokens times 32 others, channels by chunks of 32. TY rows of 8
// invocations make 4 x 4 scores each.
const (
	attentionTile  = 32
	attentionLanes = 8
)

// attentionShape is how a shader shares out.
type attentionShape struct {
	ty    int // rows of invocations
	tiles int // tiles of a block that one dispatch does
	parts int // dispatches
}

func (c attentionC) shape(t prog.Traits) attentionShape {
	s := attentionShape{ty: min(8, prog.CeilDiv(c.L, 4))}
	most := prog.CeilDiv(min(c.L, c.W-1+4*s.ty), attentionTile)
	s.tiles = most
	if t.LoopRounds > 0 {
		chunks := prog.CeilDiv(c.F, attentionTile)
		loads := 5 * (4 + attentionTile/s.ty) // of a chunk of either side
		rounds := 20 + attentionTile + chunks*(loads+5*attentionLanes)
		start := c.F + c.L/(attentionLanes*s.ty) + 100
		s.tiles = max(1, min(most, (t.LoopRounds-start)/rounds))
	}
	s.parts = prog.CeilDiv(most, s.tiles)
	return s
}

func (c attentionC) tune(t prog.Traits) map[string]any {
	s := c.shape(t)
	return map[string]any{"TY": s.ty, "TP": s.tiles}
}

// grid has a workgroup for each block of each head of each row, times n.
func (c attentionC) grid(n int, t prog.Traits) [3]int {
	return prog.Grid1(n*c.B*c.H*prog.CeilDiv(c.L, 4*c.shape(t).ty), t)
}

// attentionGroups is how many workgroups of attention_bwd_kv share the channels of a block: it adds up two sums a
// channel, so that it has registers for half as many.
func attentionGroups(c attentionC) int { return prog.CeilDiv(c.F, 2*attentionTile) }

var (
	attentionFwdK = define(prog.Spec[attentionC]{
		Name: "attention_fwd",
		Binds: []prog.Binding{prog.In("q"), prog.In("k"), prog.In("v"), prog.InU("pos"), prog.Out("out"),
			prog.Out("stats")},
		Lens: func(c attentionC) []int {
			n := c.size()
			return []int{n, n, n, c.B * c.L, n, c.stats()}
		},
		Items:   attentionItems,
		Scratch: func(c attentionC) int { return attentionScratch(c, 4, 1, 3) },
		Flops:   func(c attentionC) float64 { return c.pairs() * float64(4*c.F+4) },
		Grid:    func(c attentionC, t prog.Traits) [3]int { return c.grid(1, t) },
		Tune:    attentionC.tune,
		Parts:   func(c attentionC, t prog.Traits) int { return c.shape(t).parts },
		F32:     attentionFwd[float32],
		F64:     attentionFwd[float64],
		Sample:  sampleAttention,
		Fill: func(c attentionC, r *rand.Rand, a *prog.Args[float64]) {
			fillAttention(c, r, a.F[0], a.U[3])
		},
	})
	attentionBwdQK = define(prog.Spec[attentionC]{
		Name: "attention_bwd_q",
		Binds: []prog.Binding{prog.In("q"), prog.In("k"), prog.In("v"), prog.InU("pos"), prog.In("out"),
			prog.In("dout"), prog.InOut("stats"), prog.Acc("dq")},
		Lens: func(c attentionC) []int {
			n := c.size()
			return []int{n, n, n, c.B * c.L, n, n, c.stats(), n}
		},
		Items:   attentionItems,
		Scratch: func(c attentionC) int { return attentionScratch(c, 6, 2, 2) },
		Flops:   func(c attentionC) float64 { return c.pairs() * float64(6*c.F+5) },
		Grid:    func(c attentionC, t prog.Traits) [3]int { return c.grid(1, t) },
		Tune:    attentionC.tune,
		Parts:   func(c attentionC, t prog.Traits) int { return c.shape(t).parts },
		F32:     attentionBwdQ[float32],
		F64:     attentionBwdQ[float64],
		Sample:  sampleAttention,
		Fill: func(c attentionC, r *rand.Rand, a *prog.Args[float64]) {
			fillAttentionBwd(c, r, a.F[0], a.F[1], a.F[2], a.U[3], a.F[6])
		},
		Tol: 2e-5,
	})
	attentionBwdKVK = define(prog.Spec[attentionC]{
		Name: "attention_bwd_kv",
		Binds: []prog.Binding{prog.In("q"), prog.In("k"), prog.In("v"), prog.InU("pos"), prog.In("dout"),
			prog.In("stats"), prog.Acc("dk"), prog.Acc("dv")},
		Lens: func(c attentionC) []int {
			n := c.size()
			return []int{n, n, n, c.B * c.L, n, c.stats(), n, n}
		},
		Items:   attentionItems,
		Scratch: func(c attentionC) int { return attentionScratch(c, 8, 2, 2) },
		Flops:   func(c attentionC) float64 { return c.pairs() * float64(8*c.F+5) },
		Grid:    func(c attentionC, t prog.Traits) [3]int { return c.grid(attentionGroups(c), t) },
		Tune:    attentionC.tune,
		Parts:   func(c attentionC, t prog.Traits) int { return c.shape(t).parts },
		F32:     attentionBwdKV[float32],
		F64:     attentionBwdKV[float64],
		Sample:  sampleAttention,
		Fill: func(c attentionC, r *rand.Rand, a *prog.Args[float64]) {
			fillAttentionBwd(c, r, a.F[0], a.F[1], a.F[2], a.U[3], a.F[5])
		},
		Tol: 2e-5,
	})
)

func sampleAttention(r *rand.Rand) attentionC {
	windowed, long, round := r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
	c := attentionC{B: 1 + r.IntN(2), L: sampleDim(r), H: 1 + r.IntN(3), F: 1 + r.IntN(maxHeadDim)}
	if long {
		c.L += r.IntN(100)
	}
	if round {
		c.F = 1 << r.IntN(8)
	}
	c.W = c.L
	if windowed {
		c.W = 1 + r.IntN(c.L)
	}
	return c
}

// fillDocuments draws the positions of rows of l tokens as fillPositions does, but of long documents.
func fillDocuments(r *rand.Rand, pos []uint32, l int) {
	for i := range pos {
		switch {
		case i%l == 0:
			pos[i] = [...]uint32{0, uint32(r.IntN(6)), 1<<24 + r.Uint32N(1<<31)}[r.IntN(3)]
		case r.IntN(2*l) == 0:
			pos[i] = 0
		default:
			pos[i] = pos[i-1] + 1
		}
	}
}

// fillAttention makes positions, and in one case of four logits that differ much.
func fillAttention(c attentionC, r *rand.Rand, q []float64, pos []uint32) {
	fillDocuments(r, pos, c.L)
	if r.IntN(4) == 0 {
		for i := range q {
			q[i] *= 8 // exact in float32
		}
	}
}

// fillAttentionBwd makes the logarithms that the forward pass leaves. The sums of out*dout stay any number: true ones
// make the gradients of tokens that see only themselves zero, which no relative error tells from rounding.
func fillAttentionBwd(c attentionC, r *rand.Rand, q, k, v []float64, pos []uint32, stats []float64) {
	fillAttention(c, r, q, pos)
	fresh := make([]float64, c.stats())
	f := &prog.Args[float64]{F: [][]float64{q, k, v, nil, make([]float64, c.size()), fresh}, U: [][]uint32{3: pos}}
	attentionFwd(c, f, make([]float64, attentionScratch(c, 4, 1, 3)), 0, attentionItems(c))
	for i, s := range fresh[:c.stats()/2] {
		stats[i] = float64(float32(s))
	}
}

// AttentionOptions are the sizes that the tensors of an attention do not tell.
type AttentionOptions struct {
	Heads  int // heads of equal width in a token's channels
	SeqLen int // tokens of a row
	Window int // a token sees this many tokens, itself the last; 0: all before it
}

// check completes the constants of an attention over tokens of x [..., C].
func (o AttentionOptions) check(r *prog.Recorder, x *prog.Tensor) attentionC {
	w := x.Dim(-1)
	n := x.Len() / w
	switch {
	case o.Heads <= 0 || w%o.Heads != 0:
		r.Failf("attention: %d channels for %d heads", w, o.Heads)
	case w/o.Heads > maxHeadDim:
		r.Failf("attention: head width %d, want at most %d", w/o.Heads, maxHeadDim)
	case o.SeqLen <= 0 || n%o.SeqLen != 0:
		r.Failf("attention: %d tokens for rows of %d", n, o.SeqLen)
	case o.Window < 0:
		r.Failf("attention: window %d, want at least 0", o.Window)
	}
	c := attentionC{B: n / o.SeqLen, L: o.SeqLen, H: o.Heads, F: w / o.Heads, W: o.SeqLen}
	if o.Window > 0 {
		c.W = min(c.W, o.Window)
	}
	return c
}

// Attention records causal multi-head attention (Vaswani et al. 2017, arXiv 1706.03762): for each head, of width
// F = C/o.Heads,
//
//	out_i = sum_j p_ij v_j,  p_i = softmax_j(q_i·k_j / sqrt(F))
//
// over the tokens j <= i of i's row and document, with a window those with i-j < o.Window. q, k and v are [...,C] of
// B*o.SeqLen tokens, where they want rotary embedding after Rotate; pos, as many u32, is each token's position in its
// document, 0 the first: of a document that began before its row only what is in the row is seen. out is as q.
// F is at most 128. Products q_i·k_j that float32 can hold make finite results; a token has at least itself.
//
// The scores are never in memory: a pass over tiles of keys keeps each row's running maximum and sum, and the backward
// pass makes the probabilities anew from the logarithm of the sum, once for the queries' gradients and once for those of
// keys and values (FlashAttention: Dao et al. 2022, arXiv 2205.14135; the two passes of the backward: Dao 2023, arXiv
// 2307.08691). What is not finite reaches all that see it, and may reach tokens beside these, whose tiles it shares.
func Attention(r *prog.Recorder, q, k, v, pos *prog.Tensor, o AttentionOptions) *prog.Tensor {
	c := o.check(r, q)
	out := r.Temp("attention", q.Shape()...)
	// The logarithms, [B,L,H], and after them room for the sums of out*dout that the backward pass makes.
	stats := r.Temp("attention.stats", c.stats())
	attentionFwdK.Dispatch(r, c, q, k, v, pos, out, stats)
	r.Tape(func() {
		dout := r.Grad(out)
		attentionBwdQK.Dispatch(r, c, q, k, v, pos, out, dout, stats, r.Grad(q))
		attentionBwdKVK.Dispatch(r, c, q, k, v, pos, dout, stats, r.Grad(k), r.Grad(v))
	}, out)
	return out
}
