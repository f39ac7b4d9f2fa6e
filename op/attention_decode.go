package op

import (
	"math/rand/v2"
	"slices"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// attentionDecodeC are the constants of an attention that goes on from a cache.
type attentionDecodeC struct {
	B   int // rows, that is sequences
	T   int // tokens of a row
	H   int // heads
	F   int // head width
	Cap int // tokens that the cache holds
	W   int // window, at most Cap
}

func (c attentionDecodeC) width() int { return c.H * c.F }

// steps is how many tiles of keys one dispatch does, of workgroups of wg invocations, a key each, and how many there are
// at most.
func (c attentionDecodeC) steps(wg int, t prog.Traits) (part, all int) {
	all = c.T * prog.CeilDiv(c.W, wg)
	if t.LoopRounds == 0 {
		return all, all
	}
	rounds := 10 + 3*wg + c.F + prog.CeilDiv(c.F, wg)*(wg+3)
	return max(1, min(all, (t.LoopRounds-4*c.F)/rounds)), all
}

func attentionDecodeWG(t prog.Traits) int {
	if t.Software {
		return 16
	}
	return 64
}

var attentionDecodeK = define(prog.Spec[attentionDecodeC]{
	Name: "attention_decode",
	Binds: []prog.Binding{prog.In("q"), prog.In("k"), prog.In("v"), prog.InU("pos"), prog.InOut("kc"), prog.InOut("vc"),
		prog.Out("out"), prog.Tmp("work")},
	Lens: func(c attentionDecodeC) []int {
		n, ring := c.B*c.T*c.width(), c.B*c.Cap*c.width()
		return []int{n, n, n, c.B * c.T, ring, ring, n, c.B * c.H * (c.F + 2)}
	},
	Items:   func(c attentionDecodeC) int { return c.B * c.H },
	Scratch: func(c attentionDecodeC) int { return 2*c.W + c.F },
	Flops:   func(c attentionDecodeC) float64 { return float64(c.B*c.T*c.H*c.W) * float64(4*c.F+4) },
	Grid:    func(c attentionDecodeC, t prog.Traits) [3]int { return prog.Grid1(c.B*c.H, t) },
	Tune: func(c attentionDecodeC, t prog.Traits) map[string]any {
		wg := attentionDecodeWG(t)
		part, _ := c.steps(wg, t)
		return map[string]any{"WG": wg, "SP": part}
	},
	Parts: func(c attentionDecodeC, t prog.Traits) int {
		part, all := c.steps(attentionDecodeWG(t), t)
		return prog.CeilDiv(all, part)
	},
	F32: attentionDecode[float32],
	F64: attentionDecode[float64],
	Sample: func(r *rand.Rand) attentionDecodeC {
		a := sampleAttention(r)
		c := attentionDecodeC{B: a.B, T: 1 + r.IntN(3), H: a.H, F: a.F, Cap: a.L, W: a.W}
		if r.IntN(3) == 0 {
			c.T = 1 + r.IntN(2*a.L) // more than the cache holds
		}
		return c
	},
	Fill: func(c attentionDecodeC, r *rand.Rand, a *prog.Args[float64]) { fillDocuments(r, a.U[3], c.T) },
})

// AttentionDecode records Attention of o.SeqLen tokens a row, one or some, that go on from those that the row has read
// before: they see the keys and values of earlier tokens in a cache, and leave theirs there. q, k and v are
// [...,C] of B*o.SeqLen tokens; pos, as many u32, is each token's position in its document, where o.SeqLen is more than
// one those of a row follow each other. keys and values [B,Cap,C] are rings: a token at position p is at p mod Cap. A token
// sees the last min(pos+1, Cap, o.Window) positions of its document, itself among them, each of which must have been here
// before it: then the results are those of Attention over the whole document where Cap is at least its length, or at
// least o.Window. out is as q. Nothing has a gradient. A new document begins at position 0; what the cache then holds is
// not looked at.
func AttentionDecode(r *prog.Recorder, q, k, v, pos, keys, values *prog.Tensor, o AttentionOptions) *prog.Tensor {
	a := o.check(r, q)
	s := keys.Shape()
	if len(s) != 3 || s[0] != a.B || s[1] < 1 || s[2] != a.width() {
		r.Failf("attention: cache of keys %v, want [%d Cap %d]", keys, a.B, a.width())
	}
	c := attentionDecodeC{B: a.B, T: a.L, H: a.H, F: a.F, Cap: s[1], W: s[1]}
	if o.Window > 0 {
		c.W = min(c.W, o.Window)
	}
	out := r.Temp("attention", q.Shape()...)
	attentionDecodeK.Dispatch(r, c, q, k, v, pos, keys, values, out, r.Temp("attention.work", c.B*c.H*(c.F+2)))
	return out
}

// attentionDecode is the reference of attention_decode; an item is one head of one row.
func attentionDecode[F prog.Float](c attentionDecodeC, a *prog.Args[F], scratch []F, lo, hi int) {
	q, k, v, pos, kc, vc, out := a.F[0], a.F[1], a.F[2], a.U[3], a.F[4], a.F[5], a.F[6]
	scores, base, query := scratch[:c.W], scratch[c.W:2*c.W], scratch[2*c.W:2*c.W+c.F]
	scale := F(attentionC{F: c.F}.scale())
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		at := func(p uint32) int { return (b*c.Cap+int(p%uint32(c.Cap)))*c.width() + h*c.F }
		for t := b * c.T; t < (b+1)*c.T; t++ {
			x := t*c.width() + h*c.F
			copy(kc[at(pos[t]):], k[x:x+c.F])
			copy(vc[at(pos[t]):], v[x:x+c.F])
			for i, y := range q[x : x+c.F] {
				query[i] = scale * y
			}
			s := scores[:min(pos[t], uint32(c.W-1))+1]
			for j := range s { // so many tokens back
				s[j] = blas.Dot(query, kc[at(pos[t]-uint32(j)):][:c.F])
			}
			fill(base[:len(s)], slices.Max(s))
			exps(s, s, base[:len(s)])
			var sum F
			for _, p := range s {
				sum += p
			}
			or := out[x : x+c.F]
			clear(or)
			for j, p := range s {
				blas.Axpy(or, p/sum, vc[at(pos[t]-uint32(j)):][:c.F])
			}
		}
	}
}
