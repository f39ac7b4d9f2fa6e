package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

type targetNormC struct {
	N int // rows: tokens * heads, the head counting fastest
	H int // heads
	F int // head width
}

var (
	targetNormFwdK = define(prog.Spec[targetNormC]{
		Name: "target_norm_fwd",
		Binds: []prog.Binding{prog.In("xv"), prog.In("xk"), prog.In("w"), prog.In("b"), prog.In("eps"),
			prog.Out("out"), prog.Out("z"), prog.Out("dev")},
		Lens: func(c targetNormC) []int {
			n, p := c.N*c.F, c.H*c.F
			return []int{n, n, p, p, 1, n, n, c.N}
		},
		Items:  func(c targetNormC) int { return c.N },
		Flops:  func(c targetNormC) float64 { return 16 * float64(c.N*c.F) },
		Grid:   func(c targetNormC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:   headWG,
		F32:    targetNormFwd[float32],
		F64:    targetNormFwd[float64],
		Sample: sampleTargetNorm,
		Fill:   fillTargetNorm,
	})
	targetNormBwdXK = define(prog.Spec[targetNormC]{
		Name: "target_norm_bwd_x",
		Binds: []prog.Binding{prog.In("z"), prog.In("dev"), prog.In("w"), prog.In("eps"), prog.In("dout"),
			prog.Acc("dxv"), prog.Acc("dxk")},
		Lens: func(c targetNormC) []int {
			n := c.N * c.F
			return []int{n, c.N, c.H * c.F, 1, n, n, n}
		},
		Items:   func(c targetNormC) int { return c.N },
		Scratch: func(c targetNormC) int { return c.F },
		Flops:   func(c targetNormC) float64 { return 10 * float64(c.N*c.F) },
		Grid:    func(c targetNormC, t prog.Traits) [3]int { return prog.Grid1(c.N, t) },
		Tune:    headWG,
		F32:     targetNormBwdX[float32],
		F64:     targetNormBwdX[float64],
		Sample:  sampleTargetNorm,
		Fill: func(_ targetNormC, r *rand.Rand, a *prog.Args[float64]) {
			fillStd(r, a.F[1])
			a.F[3][0] = float64(float32(0.1 + math.Abs(a.F[3][0])))
		},
	})
	targetNormBwdWK = define(prog.Spec[rowsC]{
		Name:   "target_norm_bwd_w",
		Binds:  []prog.Binding{prog.In("z"), prog.In("dout"), prog.Acc("dw"), prog.Acc("db")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N * c.D, c.D, c.D} },
		Items:  colItems,
		Flops:  func(c rowsC) float64 { return 3 * float64(c.N*c.D) },
		Grid:   colGrid,
		Tune:   colWG[rowsC],
		F32:    targetNormBwdW[float32],
		F64:    targetNormBwdW[float64],
		Sample: sampleRows,
	})
)

// headWG tunes a kernel of one workgroup a head's channels, of which there are few.
func headWG(c targetNormC, t prog.Traits) map[string]any {
	switch {
	case t.Software:
		return map[string]any{"WG": 16}
	case c.F <= 128:
		return map[string]any{"WG": 32}
	}
	return map[string]any{"WG": 64}
}

func sampleTargetNorm(r *rand.Rand) targetNormC {
	h := 1 + r.IntN(4)
	return targetNormC{h * (1 + r.IntN(20)), h, sampleDim(r)}
}

// fillTargetNorm makes rows of every kind: ordinary ones, some with xv and xk almost equal, some of constant
// difference.
func fillTargetNorm(c targetNormC, r *rand.Rand, a *prog.Args[float64]) {
	xv, xk := a.F[0], a.F[1]
	for n := range c.N {
		kind := r.IntN(4)
		for i := n * c.F; i < (n+1)*c.F; i++ {
			switch kind {
			case 0:
				xv[i] = float64(float32(xk[i] + 1e-5*xv[i]))
			case 1:
				xk[i] = float64(float32(math.Round(8*xk[i]) / 8)) // so that the difference is the same to the bit
				xv[i] = xk[i] + 0.375
			}
		}
	}
	a.F[4][0] = float64(float32(1e-5 * math.Abs(a.F[4][0])))
}

// TargetNorm records the guarded normaliser of a TTT layer's reconstruction target (Dalal et al. 2025, "One-Minute
// Video Generation with Test-Time Training", ln_reconstruction_target):
//
//	d = xv - xk,  z = (d - mean)/(std + eps),  out = z*w + b + xk
//
// with mean and unbiased standard deviation of d over the last axis. xv and xk are [...,H,F], w and b are [H,F], out
// and z are as xv, std is [...,H]. eps, of one element, finite and >= 0, is data: what it holds when a program runs
// counts. It has no gradient, and z and std, there to be looked at, pass none on.
//
// For every finite float32 input, whether the device keeps subnormal numbers or flushes them:
//   - |z| <= sqrt(F-1) * (1+1e-5), for each z is a centred value over a root that sums the square of that very value,
//     and all are scaled by a power of two before they are squared;
//   - a row of equal d, and so one of F = 1, has std and z exactly 0, also where std+eps is 0;
//   - d may be beyond the range of float32; std is at most the largest float32.
//
// The gradient of std is taken as 0 where std is 0, and that of z where std+eps is 0; a value below 2^-126 counts as 0.
// Gradients of xv and xk are finite wherever the exact ones are below 1e30, for every finite input and gradient of out.
func TargetNorm(r *prog.Recorder, xv, xk, w, b, eps *prog.Tensor) (out, z, std *prog.Tensor) {
	s := xv.Shape()
	if len(s) < 2 || xk.Len() != xv.Len() || xk.Dim(-1) != xv.Dim(-1) {
		r.Failf("target norm: xv is %v and xk is %v, want both [... H F]", xv, xk)
	}
	h, f := xv.Dim(-2), xv.Dim(-1)
	c := targetNormC{xv.Len() / f, h, f}
	out = r.Temp("target_norm", s...)
	z = r.Temp("target_norm.z", s...)
	std = r.Temp("target_norm.std", s[:len(s)-1]...)
	targetNormFwdK.Dispatch(r, c, xv, xk, w, b, eps, out, z, std)
	r.Tape(func() {
		dout := r.Grad(out)
		targetNormBwdXK.Dispatch(r, c, z, std, w, eps, dout, r.Grad(xv), r.Grad(xk))
		targetNormBwdWK.Dispatch(r, rowsC{c.N / h, h * f}, z, dout, r.Grad(w), r.Grad(b))
	}, out)
	return out, z, std
}

// targetNormFwd works on half the difference, which cannot overflow, shifted by the middle of its range, so that
// equal elements become exactly 0, and scaled so that the largest is between 1 and 2 (subnormal ranges apart: smaller).
// The row of z holds the intermediate values.
func targetNormFwd[F prog.Float](c targetNormC, a *prog.Args[F], _ []F, lo, hi int) {
	xv, xk, w, b, eps, out, z, std := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4][0], a.F[5], a.F[6], a.F[7]
	for r := lo; r < hi; r++ {
		vr, kr, zr := xv[r*c.F:(r+1)*c.F], xk[r*c.F:(r+1)*c.F], z[r*c.F:(r+1)*c.F]
		for i, v := range vr {
			zr[i] = v/2 - kr[i]/2
		}
		least, most := zr[0], zr[0]
		for _, v := range zr {
			least, most = min(least, v), max(most, v)
		}
		half := most/2 - least/2
		mid := least + half // least itself where all are equal
		scale, unscale := powerScale(half)
		var sum, sq float64
		for i, v := range zr {
			zr[i] = (v - mid) * scale
			sum += float64(zr[i])
		}
		mean := F(sum / float64(c.F))
		for i, v := range zr {
			zr[i] = v - mean
			sq += float64(zr[i]) * float64(zr[i])
		}
		sd := F(math.Sqrt(sq / float64(max(c.F-1, 1)))) // of d/2 * scale
		std[r] = min(sd*(2*unscale), math.MaxFloat32)
		den := sd + eps*(scale/2)
		wr, br, or := w[r%c.H*c.F:][:c.F], b[r%c.H*c.F:][:c.F], out[r*c.F:(r+1)*c.F]
		for i, v := range zr {
			if den != 0 { // else v is 0 already
				v /= den
			}
			zr[i] = v
			or[i] = v*wr[i] + br[i] + kr[i]
		}
	}
}

// powerScale returns the power of two that brings v >= 0 to between 1 and 2, and its reciprocal, or as near to that
// as both stay normal float32.
func powerScale[F prog.Float](v F) (scale, unscale F) {
	_, e := math.Frexp(float64(v))
	e = min(max(e-1, -126), 126)
	return F(math.Ldexp(1, -e)), F(math.Ldexp(1, e))
}

func targetNormBwdX[F prog.Float](c targetNormC, a *prog.Args[F], scratch []F, lo, hi int) {
	z, std, w, eps, dout, dxv, dxk := a.F[0], a.F[1], a.F[2], a.F[3][0], a.F[4], a.F[5], a.F[6]
	g := scratch[:c.F]
	for r := lo; r < hi; r++ {
		zr, gr, wr := z[r*c.F:(r+1)*c.F], dout[r*c.F:(r+1)*c.F], w[r%c.H*c.F:][:c.F]
		vr, kr := dxv[r*c.F:(r+1)*c.F], dxk[r*c.F:(r+1)*c.F]
		den := min(std[r]+eps, math.MaxFloat32)
		var s, p F // sums of g and of g*z, g = dout*w/den
		for i, v := range zr {
			g[i] = productOver(gr[i], wr[i], den)
			s += g[i]
			p += g[i] * v
		}
		s /= F(c.F)
		p = targetNormCoef(p, std[r], den, c.F)
		for i, v := range zr {
			d := g[i] - s - v*p
			vr[i] += d
			kr[i] += gr[i] - d
		}
	}
}

// mostGain bounds the elements of a row's gradient, so that their sums stay finite: what is larger, of this sign.
const mostGain = 1e33

// productOver is a*b/den, no intermediate of which overflows or vanishes where the result does not; 0 where den counts
// as 0, and between -mostGain and mostGain.
func productOver[F prog.Float](a, b, den F) F {
	if den < tiny {
		return 0
	}
	if max(a, -a) < max(b, -b) {
		a, b = b, a
	}
	v := b / den * a
	if den >= 1 {
		v = a / den * b
	}
	if max(v, -v) > mostGain {
		return F(math.Copysign(mostGain, float64(v)))
	}
	return v
}

// targetNormCoef returns what z is multiplied by in the gradient of a row: its part by way of the standard deviation,
// p = sum(g*z) for g = dout*w/den, and d(std)/dd = (d - mean)/((F-1)*std) = z*den/((F-1)*std).
func targetNormCoef[F prog.Float](p, std, den F, f int) F {
	if share := std / den; std >= tiny && share >= tiny {
		return p / F(max(f-1, 1)) / share
	}
	return 0
}

func targetNormBwdW[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	z, dout, dw, db := a.F[0], a.F[1], a.F[2], a.F[3]
	for r := range c.N {
		for i := lo; i < hi; i++ {
			g := dout[r*c.D+i]
			dw[i] += g * z[r*c.D+i]
			db[i] += g
		}
	}
}
