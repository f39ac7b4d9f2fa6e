package blas

import (
	"math"
	"unsafe"
)

// Exps sets dst to exp(x - base), element by element, 0 where x is minus infinity. base is no less than x but for
// rounding: what is above 0 counts as 0. In float32 the result is within two units in the last place of what the rounded
// difference allows; below 2^-126 it may be 0.
func Exps[F Float](dst, x, base []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		exps(f32(dst, n), f32(x, n), f32(base, n), n)
		return
	}
	dst, base = dst[:len(x)], base[:len(x)]
	for i, v := range x {
		dst[i] = 0
		if !math.IsInf(float64(v), -1) {
			dst[i] = exp(v - base[i])
		}
	}
}

// ExpSum sets x to exp(x - base), element by element, and returns the sum. base is no less than any element but for
// rounding.
func ExpSum[F Float](x []F, base F) F {
	if n := len(x); assembly && fast[F]() && n > 0 {
		return F(expSum(f32(x, n), float32(base), n))
	}
	var s float64
	for i, v := range x {
		x[i] = exp(v - base)
		s += float64(x[i])
	}
	return F(s)
}

// exp is e^x for x <= 0; what is above 0 counts as 0.
func exp[F Float](x F) F {
	switch {
	case x > 0:
		return 1
	case unsafe.Sizeof(x) == 4:
		return F(exp32(float32(x)))
	}
	return F(math.Exp(float64(x)))
}

// exp32 is e^x for x <= 0, by the method and the polynomial of Moshier's Cephes library (expf): e^x = 2^n e^r with r
// between -ln(2)/2 and ln(2)/2.
func exp32(x float32) float32 {
	const (
		round = 1.5 * (1 << 23) // what is added to it loses its fraction
		ln2Hi = 0.693359375
		ln2Lo = -2.12194440e-4
	)
	if x < -87.3 {
		return 0
	}
	t := x*math.Log2E + round
	n := t - round
	x -= n * ln2Hi
	x -= n * ln2Lo
	p := float32(1.9875691500e-4)
	p = p*x + 1.3981999507e-3
	p = p*x + 8.3334519073e-3
	p = p*x + 4.1665795894e-2
	p = p*x + 1.6666665459e-1
	p = p*x + 5.0000001201e-1
	p = p*(x*x) + x + 1
	return p * math.Float32frombits(math.Float32bits(t)<<23+127<<23)
}

// Logistic returns s = 1/(1+exp(-x)) and its derivative s*(1-s). It takes exp only of what is not positive, so that
// nothing overflows.
func Logistic[F Float](x F) (s, ds F) {
	e := exp(F(-math.Abs(float64(x))))
	d := 1 / (1 + e)
	if x < 0 {
		return e * d, e * d * d
	}
	return d, e * d * d
}

// SwiGLU sets dst to silu(gate) * up with silu(z) = z * logistic(z).
func SwiGLU[F Float](dst, gate, up []F) {
	if n := len(gate); assembly && fast[F]() && n > 0 {
		swiglu(f32(dst, n), f32(gate, n), f32(up, n), n)
		return
	}
	dst, up = dst[:len(gate)], up[:len(gate)]
	for i, z := range gate {
		s, _ := Logistic(z)
		dst[i] = z * s * up[i]
	}
}

// SwiGLUGrad adds the gradients of SwiGLU's gate and up to dgate and dup, given dst's.
func SwiGLUGrad[F Float](dgate, dup, gate, up, dout []F) {
	if n := len(gate); assembly && fast[F]() && n > 0 {
		swigluGrad(f32(dgate, n), f32(dup, n), f32(gate, n), f32(up, n), f32(dout, n), n)
		return
	}
	dgate, dup, up, dout = dgate[:len(gate)], dup[:len(gate)], up[:len(gate)], dout[:len(gate)]
	for i, z := range gate {
		s, ds := Logistic(z)
		dgate[i] += dout[i] * up[i] * (s + z*ds)
		dup[i] += dout[i] * z * s
	}
}

// SwiGLUBack is SwiGLUGrad that finds dst's gradient in h, and leaves there what SwiGLU makes.
func SwiGLUBack[F Float](dgate, dup, gate, up, h []F) {
	if n := len(gate); assembly && fast[F]() && n > 0 {
		swigluBack(f32(dgate, n), f32(dup, n), f32(gate, n), f32(up, n), f32(h, n), n)
		return
	}
	SwiGLUGrad(dgate, dup, gate, up, h)
	SwiGLU(h, gate, up)
}

// The tanh form of GELU, as PyTorch's approximate="tanh": z (1 + tanh u)/2 = z s with s = logistic(2u),
// u = a (z + b z³), a = sqrt(2/pi), b = 0.044715. Beyond geluFlat it has no curvature, and u is not needed.
const (
	geluA    = 0.7978845608028654
	geluB    = 0.044715
	geluFlat = 30
)

func geluPlain[F Float](z F) (y, d, dd F) {
	w := max(-geluFlat, min(geluFlat, z))
	s, ds := Logistic(w * (2*geluA + 2*geluA*geluB*w*w))
	du := 2*geluA + 6*geluA*geluB*w*w // of 2u
	return z * s, s + w*du*ds, ds * (2*du + w*(12*geluA*geluB*w-(2*s-1)*du*du))
}

// GELU sets y to gelu(z).
func GELU[F Float](y, z []F) {
	if n := len(z); assembly && fast[F]() && n > 0 {
		gelu(f32(y, n), f32(z, n), n)
		return
	}
	y = y[:len(z)]
	for i, v := range z {
		y[i], _, _ = geluPlain(v)
	}
}

// GELUSlopes sets y to gelu(z), d to its first and dd to its second derivative.
func GELUSlopes[F Float](y, d, dd, z []F) {
	if n := len(z); assembly && fast[F]() && n > 0 {
		geluSlopes(f32(y, n), f32(d, n), f32(dd, n), f32(z, n), n)
		return
	}
	y, d, dd = y[:len(z)], d[:len(z)], dd[:len(z)]
	for i, v := range z {
		y[i], d[i], dd[i] = geluPlain(v)
	}
}
