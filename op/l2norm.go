package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

// l2Tiny is the norm below which L2Norm divides by it instead, as torch.nn.functional.normalize does.
const l2Tiny = 1e-12

var (
	l2normFwdK = define(prog.Spec[rowsC]{
		Name:   "l2norm_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.Out("out"), prog.Out("norm")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N * c.D, c.N} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 4 * float64(c.N*c.D) },
		Grid:   rowGrid,
		Tune:   shortRowWG,
		F32:    l2normFwd[float32],
		F64:    l2normFwd[float64],
		Sample: sampleRows,
		Fill:   func(c rowsC, r *rand.Rand, a *prog.Args[float64]) { fillNorms(c, r, a.F[0]) },
	})
	l2normBwdK = define(prog.Spec[rowsC]{
		Name:   "l2norm_bwd",
		Binds:  []prog.Binding{prog.In("out"), prog.In("norm"), prog.In("dout"), prog.Acc("dx")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N, c.N * c.D, c.N * c.D} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 6 * float64(c.N*c.D) },
		Grid:   rowGrid,
		Tune:   shortRowWG,
		F32:    l2normBwd[float32],
		F64:    l2normBwd[float64],
		Sample: sampleRows,
		Fill: func(c rowsC, r *rand.Rand, a *prog.Args[float64]) {
			x := make([]float64, c.N*c.D)
			for i := range x {
				x[i] = float64(float32(r.NormFloat64()))
			}
			fillNorms(c, r, x)
			l2normFwd(c, &prog.Args[float64]{F: [][]float64{x, a.F[0], a.F[1]}}, nil, 0, c.N)
			for _, v := range a.F[:2] {
				for i := range v {
					v[i] = float64(float32(v[i]))
				}
			}
		},
	})
)

// shortRowWG tunes a kernel of one workgroup a head's channels, of which there are few.
func shortRowWG(c rowsC, t prog.Traits) map[string]any { return headWG(targetNormC{F: c.D}, t) }

// fillNorms scales the rows of x, all normal: some below l2Tiny and some zero, or all huge or all tiny.
func fillNorms(c rowsC, r *rand.Rand, x []float64) {
	all := [...]float64{1, 1, 1e30, 1e-30}[r.IntN(4)]
	for n := range c.N {
		s := all
		if all == 1 {
			s = [...]float64{1, 1, 1e-20, 0}[r.IntN(4)]
		}
		for i := n * c.D; i < (n+1)*c.D; i++ {
			x[i] = float64(float32(s * x[i]))
		}
	}
}

// L2Norm records out = x / max(|x|, 1e-12), |x| the Euclidean norm, head by head. x is [...,C], C = heads * F channels of
// which a head has F neighbours; out as x. This is torch.nn.functional.normalize over each head, which the video variant
// of the TTT layer applies to queries and keys (Dalal et al. 2025, "One-Minute Video Generation with Test-Time
// Training"). |out| is 1, up to rounding, for every finite float32 x with |x| of at least 1e-12, and smaller below. The
// gradient takes |x| for the largest float32 where it is more.
func L2Norm(r *prog.Recorder, x *prog.Tensor, heads int) *prog.Tensor {
	w := x.Dim(-1)
	if heads <= 0 || w%heads != 0 {
		r.Failf("l2 norm: %d channels for %d heads", w, heads)
	}
	c := rowsC{x.Len() / w * heads, w / heads}
	out := r.Temp("l2norm", x.Shape()...)
	norm := r.Temp("l2norm.norm", c.N)
	l2normFwdK.Dispatch(r, c, x, out, norm)
	r.Tape(func() {
		if r.WantsGrad(x) {
			l2normBwdK.Dispatch(r, c, out, norm, r.Grad(out), r.Grad(x))
		}
	}, out)
	return out
}

// l2normFwd scales a row by a power of two before it squares, so that nothing overflows.
func l2normFwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, out, norm := a.F[0], a.F[1], a.F[2]
	for n := lo; n < hi; n++ {
		xr, or := x[n*c.D:(n+1)*c.D], out[n*c.D:(n+1)*c.D]
		var most, sum F
		for _, v := range xr {
			most = max(most, v, -v)
		}
		scale, unscale := powerScale(most)
		for _, v := range xr {
			sum += v * scale * (v * scale)
		}
		root := F(math.Sqrt(float64(sum)))
		norm[n] = min(root*unscale, math.MaxFloat32)
		for i, v := range xr {
			if norm[n] < l2Tiny {
				or[i] = v / l2Tiny
			} else {
				or[i] = v * scale / root
			}
		}
	}
}

func l2normBwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	out, norm, dout, dx := a.F[0], a.F[1], a.F[2], a.F[3]
	for n := lo; n < hi; n++ {
		yr, gr, dr := out[n*c.D:(n+1)*c.D], dout[n*c.D:(n+1)*c.D], dx[n*c.D:(n+1)*c.D]
		den, dot := norm[n], F(0)
		if den < l2Tiny {
			den = l2Tiny // a constant: no gradient passes through the norm
		} else {
			for i, g := range gr {
				dot += g * yr[i]
			}
		}
		for i, g := range gr {
			dr[i] += (g - yr[i]*dot) / den
		}
	}
}
