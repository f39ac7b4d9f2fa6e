package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

// NormFault is a way in which a normaliser of the reconstruction target is known to be wrong. TargetNorm has none of them.
type NormFault int

// The faults. Where they give a formula, d = xv - xk, m its mean and s its unbiased standard deviation.
const (
	// StdAliased divides by d in place of s: z = (d - m)/(d + eps), the fault of the case that numerics.md tells: a helper
	// handed back its other argument.
	StdAliased NormFault = iota + 1
	// StdClamped and StdMaximum divide by max(s, 1e-6), without eps: s clamped from below, or the maximum of the two.
	StdClamped
	StdMaximum
	// OnePass takes the variance as E[d²] - m², which cancels where the mean is large.
	OnePass
	// HalfStats and BFloatStats make all of mean, s and z in float16 and bfloat16, rounded after every operation.
	HalfStats
	BFloatStats
)

// stdFloor is what the rejected guards hold the standard deviation up to.
const stdFloor = 1e-6

type faultyNormC struct {
	N, H, F int // as targetNormC
	Mode    int // a NormFault
}

var (
	faultyNormFwdK = define(prog.Spec[faultyNormC]{
		Name: "faulty_norm_fwd",
		Binds: []prog.Binding{prog.In("xv"), prog.In("xk"), prog.In("w"), prog.In("b"), prog.In("eps"),
			prog.Out("out"), prog.Out("z"), prog.Out("dev")},
		Lens: func(c faultyNormC) []int {
			n, p := c.N*c.F, c.H*c.F
			return []int{n, n, p, p, 1, n, n, c.N}
		},
		Items:  func(c faultyNormC) int { return c.N },
		Flops:  func(c faultyNormC) float64 { return 16 * float64(c.N*c.F) },
		Grid:   func(c faultyNormC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.N, 64), t) },
		F32:    faultyNormFwd[float32],
		F64:    faultyNormFwd[float64],
		Sample: sampleFaultyNorm,
		Fill:   fillFaultyNorm,
		Tol:    2e-3,
	})
	faultyNormBwdK = define(prog.Spec[faultyNormC]{
		Name: "faulty_norm_bwd",
		Binds: []prog.Binding{prog.In("xv"), prog.In("xk"), prog.In("w"), prog.In("eps"), prog.In("z"), prog.In("dev"), prog.In("dout"),
			prog.Acc("dxv")},
		Lens: func(c faultyNormC) []int {
			n, p := c.N*c.F, c.H*c.F
			return []int{n, n, p, 1, n, c.N, n, n}
		},
		Items:  func(c faultyNormC) int { return c.N },
		Flops:  func(c faultyNormC) float64 { return 12 * float64(c.N*c.F) },
		Grid:   func(c faultyNormC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.N, 64), t) },
		F32:    faultyNormBwd[float32],
		F64:    faultyNormBwd[float64],
		Sample: sampleFaultyNorm,
		Fill: func(c faultyNormC, r *rand.Rand, a *prog.Args[float64]) {
			f := &prog.Args[float64]{F: [][]float64{a.F[0], a.F[1], a.F[2], make([]float64, c.H*c.F), a.F[3], make([]float64, c.N*c.F), a.F[4], a.F[5]}}
			fillFaultyNorm(c, r, f)
			faultyNormFwd(c, f, nil, 0, c.N)
			for _, s := range [][]float64{a.F[4], a.F[5]} {
				for i, v := range s {
					s[i] = float64(float32(v))
				}
			}
		},
		Tol: 2e-3,
	})
)

func sampleFaultyNorm(r *rand.Rand) faultyNormC {
	h := 1 + r.IntN(4)
	return faultyNormC{h * (1 + r.IntN(20)), h, 3 + r.IntN(70), 1 + r.IntN(int(BFloatStats))}
}

// fillFaultyNorm makes inputs on which every fault is well conditioned: d between 1 and 2, where eighths of a unit are
// exact in bfloat16; of two channels z would not depend on d.
func fillFaultyNorm(c faultyNormC, r *rand.Rand, a *prog.Args[float64]) {
	for i := range a.F[0] {
		a.F[1][i] = float64(r.IntN(9)-4) / 8
		a.F[0][i] = a.F[1][i] + 1 + float64(r.IntN(9))/8
	}
	for n := range c.N { // no row of equal elements
		a.F[0][n*c.F], a.F[0][n*c.F+1] = a.F[1][n*c.F]+1, a.F[1][n*c.F+1]+2
	}
	a.F[4][0] = 0.0625
}

// FaultyNorm records TargetNorm with one of its known faults, to test what finds them. Its gradient is that of the formula
// that it computes, rounding apart; std, where it is another tensor's value, is the row's last divisor without eps.
func FaultyNorm(r *prog.Recorder, fault NormFault, xv, xk, w, b, eps *prog.Tensor) (out, z, std *prog.Tensor) {
	s := xv.Shape()
	if fault < StdAliased || fault > BFloatStats {
		r.Failf("faulty norm: fault %d", fault)
	}
	if len(s) < 2 || xk.Len() != xv.Len() || xk.Dim(-1) != xv.Dim(-1) {
		r.Failf("faulty norm: xv is %v and xk is %v, want both [... H F]", xv, xk)
	}
	h, f := xv.Dim(-2), xv.Dim(-1)
	c := faultyNormC{xv.Len() / f, h, f, int(fault)}
	out = r.Temp("faulty_norm", s...)
	z = r.Temp("faulty_norm.z", s...)
	std = r.Temp("faulty_norm.std", s[:len(s)-1]...)
	faultyNormFwdK.Dispatch(r, c, xv, xk, w, b, eps, out, z, std)
	r.Tape(func() {
		dout := r.Grad(out)
		dd := r.Temp("faulty_norm.dd", s...)
		r.Clear(dd)
		faultyNormBwdK.Dispatch(r, c, xv, xk, w, eps, z, std, dout, dd)
		// out = f(xv - xk) + xk
		addTwiceK.Dispatch(r, rowsC{c.N, f}, dd, dout, r.Grad(xv), r.Grad(xk))
		targetNormBwdWK.Dispatch(r, rowsC{c.N / h, h * f}, z, dout, r.Grad(w), r.Grad(b))
	}, out)
	return out, z, std
}

// addTwiceK splits the gradient of a function of xv - xk, plus xk.
var addTwiceK = define(prog.Spec[rowsC]{
	Name:   "difference_bwd",
	Binds:  []prog.Binding{prog.In("dd"), prog.In("dout"), prog.Acc("dxv"), prog.Acc("dxk")},
	Lens:   func(c rowsC) []int { n := c.N * c.D; return []int{n, n, n, n} },
	Items:  rowItems,
	Flops:  func(c rowsC) float64 { return 3 * float64(c.N*c.D) },
	Grid:   func(c rowsC, t prog.Traits) [3]int { return prog.Grid1(prog.CeilDiv(c.N*c.D, 64), t) },
	F32:    differenceBwd[float32],
	F64:    differenceBwd[float64],
	Sample: sampleRows,
})

func differenceBwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	dd, dout, dxv, dxk := a.F[0], a.F[1], a.F[2], a.F[3]
	for i := lo * c.D; i < hi*c.D; i++ {
		dxv[i] += dd[i]
		dxk[i] += dout[i] - dd[i]
	}
}

// rounder rounds to the precision of a mode, after every operation.
func rounder[F prog.Float](mode int) func(F) F {
	switch NormFault(mode) {
	case HalfStats:
		return func(v F) F { return F(roundHalf(float32(v))) }
	case BFloatStats:
		return func(v F) F { return F(roundBFloat(float32(v))) }
	default: // the others are wrong in float32
	}
	return func(v F) F { return v }
}

// roundHalf rounds to float16, ties to even; what is too large becomes infinite.
func roundHalf(v float32) float32 {
	a := math.Abs(float64(v))
	switch {
	case math.IsNaN(a) || math.IsInf(a, 0):
		return v
	case a >= 65520:
		return float32(math.Copysign(math.Inf(1), float64(v)))
	}
	_, e := math.Frexp(a)
	step := math.Ldexp(1, max(e, -13)-11) // of the numbers around v; subnormal ones are 2^-24 apart
	return float32(math.RoundToEven(float64(v)/step) * step)
}

// roundBFloat rounds to bfloat16, ties to even.
func roundBFloat(v float32) float32 {
	b := math.Float32bits(v)
	if b&0x7f800000 == 0x7f800000 {
		return v
	}
	b += 0x7fff + b>>16&1
	return math.Float32frombits(b &^ 0xffff)
}

func faultyNormFwd[F prog.Float](c faultyNormC, a *prog.Args[F], _ []F, lo, hi int) {
	xv, xk, w, b, eps, out, z, dev := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4][0], a.F[5], a.F[6], a.F[7]
	q := rounder[F](c.Mode)
	n := F(c.F)
	for r := lo; r < hi; r++ {
		row := r * c.F
		var sum, square F
		for i := row; i < row+c.F; i++ {
			d := q(xv[i] - xk[i])
			sum = q(sum + d)
			square = q(square + q(d*d))
		}
		mean := q(sum / n)
		var s F
		if NormFault(c.Mode) == OnePass {
			s = F(math.Sqrt(float64(max(0, (square/n-mean*mean)*n/(n-1)))))
		} else {
			for i := row; i < row+c.F; i++ {
				v := q(q(xv[i]-xk[i]) - mean)
				s = q(s + q(v*v))
			}
			s = q(F(math.Sqrt(float64(q(s / (n - 1))))))
		}
		dev[r] = s
		h := r % c.H * c.F
		for j := range c.F {
			d := q(xv[row+j] - xk[row+j])
			den := q(s + q(eps))
			switch NormFault(c.Mode) {
			case StdAliased:
				den = d + eps
				dev[r] = d
			case StdClamped, StdMaximum:
				den = max(s, stdFloor)
			default: // the formula is right, its statistics are not
			}
			z[row+j] = q(q(d-mean) / den)
			out[row+j] = w[h+j]*z[row+j] + b[h+j] + xk[row+j]
		}
	}
}

// faultyNormBwd adds the gradient of z by d. Where s divides: dd = (g - mean(g) - z sum(g z) (s+eps)/((n-1) s)) / (s + eps).
func faultyNormBwd[F prog.Float](c faultyNormC, a *prog.Args[F], _ []F, lo, hi int) {
	xv, xk, w, eps, z, dev, dout, dd := a.F[0], a.F[1], a.F[2], a.F[3][0], a.F[4], a.F[5], a.F[6], a.F[7]
	n := F(c.F)
	for r := lo; r < hi; r++ {
		row, h := r*c.F, r%c.H*c.F
		if NormFault(c.Mode) == StdAliased {
			// z_i = (d_i - m)/(d_i + eps): by its own d (m + eps)/(d_i + eps)², by m -1/(d_i + eps).
			var mean, through F
			for j := range c.F {
				mean += (xv[row+j] - xk[row+j]) / n
			}
			for j := range c.F {
				through += dout[row+j] * w[h+j] / (xv[row+j] - xk[row+j] + eps)
			}
			for j := range c.F {
				den := xv[row+j] - xk[row+j] + eps
				dd[row+j] += dout[row+j]*w[h+j]*(mean+eps)/(den*den) - through/n
			}
			continue
		}
		s, den := dev[r], dev[r]+eps
		if NormFault(c.Mode) == StdClamped || NormFault(c.Mode) == StdMaximum {
			den = max(s, stdFloor)
		}
		var mean, gz F
		for j := range c.F {
			g := dout[row+j] * w[h+j]
			mean += g / n
			gz += g * z[row+j]
		}
		// Where the floor divides, or s is 0, s passes nothing on.
		if s == 0 || den == stdFloor {
			gz = 0
		} else {
			gz *= den / (n - 1) / s
		}
		for j := range c.F {
			dd[row+j] += (dout[row+j]*w[h+j] - mean - z[row+j]*gz) / den
		}
	}
}
