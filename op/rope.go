package op

import (
	"fmt"
	"math"
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type ropeC struct {
	N int // tokens
	P int // rows of the table
	H int // heads
	F int // head width
}

func (c ropeC) width() int { return c.H * c.F }             // C
func (c ropeC) row() int   { return 3*c.width() + c.H + 1 } // of out

var (
	ropeFwdK = define(prog.Spec[ropeC]{
		Name: "rope_fwd",
		Binds: []prog.Binding{prog.In("q"), prog.In("k"), prog.In("v"), prog.In("lr"), prog.In("table"),
			prog.InU("pos"), prog.Out("out")},
		Lens: func(c ropeC) []int {
			n := c.N * c.width()
			return []int{n, n, n, c.N * c.H, c.P * c.F, c.N, c.N * c.row()}
		},
		Items:  func(c ropeC) int { return c.N },
		Flops:  func(c ropeC) float64 { return 6 * float64(c.N*c.width()) },
		Grid:   func(c ropeC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[ropeC],
		F32:    ropeFwd[float32],
		F64:    ropeFwd[float64],
		Sample: sampleRope,
		Fill:   func(c ropeC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[5], 1+c.N/3) },
	})
	ropeBwdK = define(prog.Spec[ropeC]{
		Name: "rope_bwd",
		Binds: []prog.Binding{prog.In("table"), prog.InU("pos"), prog.In("dout"), prog.Acc("dq"), prog.Acc("dk"),
			prog.Acc("dv"), prog.Acc("dlr")},
		Lens: func(c ropeC) []int {
			n := c.N * c.width()
			return []int{c.P * c.F, c.N, c.N * c.row(), n, n, n, c.N * c.H}
		},
		Items:  func(c ropeC) int { return c.N },
		Flops:  func(c ropeC) float64 { return 6 * float64(c.N*c.width()) },
		Grid:   func(c ropeC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[ropeC],
		F32:    ropeBwd[float32],
		F64:    ropeBwd[float64],
		Sample: sampleRope,
		Fill:   func(c ropeC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[1], 1+c.N/3) },
	})
)

func sampleRope(r *rand.Rand) ropeC {
	p := sampleDim(r)
	if r.IntN(2) == 0 {
		p = 1 + r.IntN(20)
	}
	return ropeC{N: sampleDim(r) * (1 + r.IntN(3)), P: p, H: 1 + r.IntN(4), F: 2 * (1 + r.IntN(40))}
}

// fillPositions draws the positions of rows of l tokens: documents that begin inside rows, rows that begin inside
// documents, near the start or beyond 2^24, where a float32 could not hold them.
func fillPositions(r *rand.Rand, pos []uint32, l int) {
	var p uint32
	for i := range pos {
		switch {
		case i%l == 0:
			p = [...]uint32{0, uint32(r.IntN(6)), 1<<24 + r.Uint32N(1<<31)}[r.IntN(3)]
		case r.IntN(6) == 0:
			p = 0
		}
		pos[i] = p
		p++
	}
}

// RoPEOptions are the sizes that the tensors of RoPE do not tell.
type RoPEOptions struct {
	Heads  int // heads of equal width in a token's channels
	Period int // K of the scan: the embedding's angles repeat after so many positions
}

// RoPETable fills dst, of p*f elements, with the table [p, f/2, 2] that RoPE reads: cosine and sine of
// pos * theta^(-2i/f) for position pos and pair i of a head of width f (Su et al. 2021, arXiv 2104.09864). The host
// computes it in float64, because sine and cosine of large angles are inexact on a GPU.
func RoPETable(dst []float32, p, f int, theta float64) {
	if len(dst) != p*f || f%2 != 0 {
		panic(fmt.Sprintf("op: rope table [%d,%d,2] in %d elements, want %d and an even head width", p, f/2, len(dst), p*f))
	}
	for pos := range p {
		for i := 0; i < f; i += 2 {
			sin, cos := math.Sincos(float64(pos) * math.Pow(theta, -float64(i)/float64(f)))
			dst[pos*f+i], dst[pos*f+i+1] = float32(cos), float32(sin)
		}
	}
}

// RoPE records the rotary embedding of q and k and packs what the scan of a TTT layer reads into one buffer, because
// a shader has few bindings: out [N, 3C+H+1] has the rows [q rotated | k rotated | v | lr | code]. q, k and v are
// [...,C] of N tokens, C = o.Heads * F channels; lr is [...,o.Heads]; table is [o.Period, F/2, 2], filled by RoPETable;
// pos, N elements of u32, is each token's position in its document, 0 the first. Table and positions have no gradient.
// A token turns by row pos mod o.Period of the table: channels 2i and 2i+1 of a head are a pair, and (a, b) becomes
// (a cos - b sin, a sin + b cos). code is the token's place for package ttt's scan, as ttt.PlaceCode defines it.
func RoPE(r *prog.Recorder, q, k, v, lr, table, pos *prog.Tensor, o RoPEOptions) *prog.Tensor {
	w := q.Dim(-1)
	switch {
	case o.Heads <= 0 || w%o.Heads != 0:
		r.Failf("rope: %d channels for %d heads", w, o.Heads)
	case w/o.Heads%2 != 0:
		r.Failf("rope: head width %d is odd: channels rotate in pairs", w/o.Heads)
	case o.Period <= 0:
		r.Failf("rope: period %d, want at least 1", o.Period)
	}
	c := ropeC{N: q.Len() / w, P: o.Period, H: o.Heads, F: w / o.Heads}
	out := r.Temp("rope", c.N, c.row())
	ropeFwdK.Dispatch(r, c, q, k, v, lr, table, pos, out)
	r.Tape(func() {
		ropeBwdK.Dispatch(r, c, table, pos, r.Grad(out), r.Grad(q), r.Grad(k), r.Grad(v), r.Grad(lr))
	}, out)
	return out
}

func ropeFwd[F prog.Float](c ropeC, a *prog.Args[F], _ []F, lo, hi int) {
	q, k, v, lr, table, pos, out := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.U[5], a.F[6]
	w := c.width()
	for n := lo; n < hi; n++ {
		place := int(pos[n] % uint32(c.P))
		t := table[place*c.F : (place+1)*c.F]
		or := out[n*c.row() : (n+1)*c.row()]
		for h := range c.H {
			at := h * c.F
			blas.Rotate(or[at:at+c.F], q[n*w+at:n*w+at+c.F], t)
			blas.Rotate(or[w+at:w+at+c.F], k[n*w+at:n*w+at+c.F], t)
		}
		copy(or[2*w:3*w], v[n*w:])
		copy(or[3*w:3*w+c.H], lr[n*c.H:])
		// The formula of ttt.PlaceCode, which imports this package; ttt's scan reads it.
		code := place
		if place == 0 && pos[n] != 0 {
			code = c.P
		}
		or[3*w+c.H] = F(code)
	}
}

func ropeBwd[F prog.Float](c ropeC, a *prog.Args[F], _ []F, lo, hi int) {
	table, pos, dout, dq, dk, dv, dlr := a.F[0], a.U[1], a.F[2], a.F[3], a.F[4], a.F[5], a.F[6]
	w := c.width()
	for n := lo; n < hi; n++ {
		place := int(pos[n] % uint32(c.P))
		t := table[place*c.F : (place+1)*c.F]
		gr := dout[n*c.row() : (n+1)*c.row()]
		for h := range c.H {
			at := h * c.F
			blas.AddRotated(dq[n*w+at:n*w+at+c.F], gr[at:at+c.F], t)
			blas.AddRotated(dk[n*w+at:n*w+at+c.F], gr[w+at:w+at+c.F], t)
		}
		blas.Add(dv[n*w:(n+1)*w], gr[2*w:3*w])
		blas.Add(dlr[n*c.H:(n+1)*c.H], gr[3*w:3*w+c.H])
	}
}
