package op

import (
	"math/rand/v2"

	"innerloop/internal/blas"
	"innerloop/prog"
)

type rotateC struct {
	N int // tokens
	P int // rows of the table
	H int // heads
	F int // head width
}

func (c rotateC) width() int { return c.H * c.F } // C

// angles is where the table has a position's row.
func (c rotateC) angles(pos uint32) int { return int(pos%uint32(c.P)) * c.F }

var (
	rotateFwdK = define(prog.Spec[rotateC]{
		Name:  "rotate_fwd",
		Binds: []prog.Binding{prog.In("x"), prog.In("table"), prog.InU("pos"), prog.Out("out")},
		Lens: func(c rotateC) []int {
			return []int{c.N * c.width(), c.P * c.F, c.N, c.N * c.width()}
		},
		Items:  func(c rotateC) int { return c.N },
		Flops:  func(c rotateC) float64 { return 3 * float64(c.N*c.width()) },
		Grid:   func(c rotateC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[rotateC],
		F32:    rotateFwd[float32],
		F64:    rotateFwd[float64],
		Sample: sampleRotate,
		Fill:   func(c rotateC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[2], 1+c.N/3) },
	})
	rotateBwdK = define(prog.Spec[rotateC]{
		Name:  "rotate_bwd",
		Binds: []prog.Binding{prog.In("table"), prog.InU("pos"), prog.In("dout"), prog.Acc("dx")},
		Lens: func(c rotateC) []int {
			return []int{c.P * c.F, c.N, c.N * c.width(), c.N * c.width()}
		},
		Items:  func(c rotateC) int { return c.N },
		Flops:  func(c rotateC) float64 { return 3 * float64(c.N*c.width()) },
		Grid:   func(c rotateC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   rowWG[rotateC],
		F32:    rotateBwd[float32],
		F64:    rotateBwd[float64],
		Sample: sampleRotate,
		Fill:   func(c rotateC, r *rand.Rand, a *prog.Args[float64]) { fillPositions(r, a.U[1], 1+c.N/3) },
	})
)

func sampleRotate(r *rand.Rand) rotateC { return rotateC(sampleRope(r)) }

// Rotate records the rotary embedding of x (Su et al. 2021, arXiv 2104.09864). x is [...,C] of N tokens, C = heads * F
// channels, out as x; table is [P,F/2,2], filled by RoPETable; pos, N elements of u32, is each token's position in its
// document, 0 the first. Table and positions have no gradient. A token turns by row pos mod P of the table: channels 2i
// and 2i+1 of a head are a pair, and (a, b) becomes (a cos - b sin, a sin + b cos). Products of rotated queries and keys
// depend on the distance of their positions alone as long as both are below P: there the angles begin anew.
func Rotate(r *prog.Recorder, x, table, pos *prog.Tensor, heads int) *prog.Tensor {
	w := x.Dim(-1)
	switch {
	case heads <= 0 || w%heads != 0:
		r.Failf("rotate: %d channels for %d heads", w, heads)
	case w/heads%2 != 0:
		r.Failf("rotate: head width %d is odd: channels rotate in pairs", w/heads)
	case table.Len() == 0 || table.Len()%(w/heads) != 0:
		r.Failf("rotate: table %v, want [P %d 2]", table, w/heads/2)
	}
	c := rotateC{N: x.Len() / w, P: table.Len() / (w / heads), H: heads, F: w / heads}
	out := r.Temp("rotate", x.Shape()...)
	rotateFwdK.Dispatch(r, c, x, table, pos, out)
	r.Tape(func() {
		if r.WantsGrad(x) {
			rotateBwdK.Dispatch(r, c, table, pos, r.Grad(out), r.Grad(x))
		}
	}, out)
	return out
}

func rotateFwd[F prog.Float](c rotateC, a *prog.Args[F], _ []F, lo, hi int) {
	x, table, pos, out := a.F[0], a.F[1], a.U[2], a.F[3]
	for n := lo; n < hi; n++ {
		t := table[c.angles(pos[n]):][:c.F]
		for o := n * c.width(); o < (n+1)*c.width(); o += c.F {
			blas.Rotate(out[o:o+c.F], x[o:o+c.F], t)
		}
	}
}

func rotateBwd[F prog.Float](c rotateC, a *prog.Args[F], _ []F, lo, hi int) {
	table, pos, dout, dx := a.F[0], a.U[1], a.F[2], a.F[3]
	for n := lo; n < hi; n++ {
		t := table[c.angles(pos[n]):][:c.F]
		for o := n * c.width(); o < (n+1)*c.width(); o += c.F {
			blas.AddRotated(dx[o:o+c.F], dout[o:o+c.F], t)
		}
	}
}
