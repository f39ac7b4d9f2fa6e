package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type packC struct {
	N int // tokens
	H int // heads
	F int // head width
	K int // tokens of a mini-batch
}

func (c packC) width() int { return c.H * c.F }             // C
func (c packC) row() int   { return 3*c.width() + c.H + 1 } // of out

var (
	packFwdK = define(prog.Spec[packC]{
		Name:  "pack_fwd",
		Binds: []prog.Binding{prog.In("q"), prog.In("k"), prog.In("v"), prog.In("lr"), prog.InU("pos"), prog.Out("out")},
		Lens: func(c packC) []int {
			n := c.N * c.width()
			return []int{n, n, n, c.N * c.H, c.N, c.N * c.row()}
		},
		Items:  func(c packC) int { return c.N },
		Grid:   func(c packC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[packC],
		F32:    packFwd[float32],
		F64:    packFwd[float64],
		Sample: samplePack,
		Fill:   func(c packC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[4], 1+c.N/3) },
	})
	packBwdK = define(prog.Spec[packC]{
		Name:  "pack_bwd",
		Binds: []prog.Binding{prog.In("dout"), prog.Acc("dq"), prog.Acc("dk"), prog.Acc("dv"), prog.Acc("dlr")},
		Lens: func(c packC) []int {
			n := c.N * c.width()
			return []int{c.N * c.row(), n, n, n, c.N * c.H}
		},
		Items:  func(c packC) int { return c.N },
		Grid:   func(c packC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[packC],
		F32:    packBwd[float32],
		F64:    packBwd[float64],
		Sample: samplePack,
	})
)

func samplePack(r *rand.Rand) packC {
	return packC{N: sampleDim(r), H: 1 + r.IntN(4), F: 1 + r.IntN(80), K: 1 + r.IntN(20)}
}

// Pack records what RoPE makes of queries and keys that are rotated already: one buffer [N, 3C+H+1] for the scan of a
// TTT layer, of rows [q | k | v | lr | code]. q, k and v are [...,C] of N tokens, lr is [...,H]; pos, N elements of u32,
// is each token's position in its document, 0 the first; miniBatch is K of the scan. code is the token's place, as
// ttt.PlaceCode defines it. The positions have no gradient.
func Pack(r *prog.Recorder, q, k, v, lr, pos *prog.Tensor, miniBatch int) *prog.Tensor {
	w, h := q.Dim(-1), lr.Dim(-1)
	switch {
	case w%h != 0:
		r.Failf("pack: %d channels for %d heads", w, h)
	case miniBatch <= 0:
		r.Failf("pack: mini-batches of %d tokens, want at least 1", miniBatch)
	}
	c := packC{N: q.Len() / w, H: h, F: w / h, K: miniBatch}
	out := r.Temp("pack", c.N, c.row())
	packFwdK.Dispatch(r, c, q, k, v, lr, pos, out)
	r.Tape(func() {
		packBwdK.Dispatch(r, c, r.Grad(out), r.Grad(q), r.Grad(k), r.Grad(v), r.Grad(lr))
	}, out)
	return out
}

func packFwd[F prog.Float](c packC, a *prog.Args[F], _ []F, lo, hi int) {
	pos, out := a.U[4], a.F[5]
	w := c.width()
	for n := lo; n < hi; n++ {
		or := out[n*c.row() : (n+1)*c.row()]
		for i, x := range a.F[:3] {
			copy(or[i*w:(i+1)*w], x[n*w:])
		}
		copy(or[3*w:3*w+c.H], a.F[3][n*c.H:])
		// The formula of ttt.PlaceCode, which imports this package; ttt's scan reads it.
		code := int(pos[n] % uint32(c.K))
		if code == 0 && pos[n] != 0 {
			code = c.K
		}
		or[3*w+c.H] = F(code)
	}
}

func packBwd[F prog.Float](c packC, a *prog.Args[F], _ []F, lo, hi int) {
	w := c.width()
	for n := lo; n < hi; n++ {
		gr := a.F[0][n*c.row() : (n+1)*c.row()]
		for i, dx := range a.F[1:4] {
			blas.Add(dx[n*w:(n+1)*w], gr[i*w:(i+1)*w])
		}
		blas.Add(a.F[4][n*c.H:(n+1)*c.H], gr[3*w:3*w+c.H])
	}
}
