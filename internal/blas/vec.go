package blas

import (
	"math"
	"unsafe"
)

// The functions over vectors, all of one length unless it says otherwise. A sum adds up lanes: its order depends on the
// instruction set, except that AVX2 and AVX-512 have the same.

// f32 points to x, which fast says is of float32, and of which n >= 1 elements are used.
func f32[F Float](x []F, n int) *float32 {
	_ = x[n-1]
	return (*float32)(unsafe.Pointer(&x[0]))
}

// Add adds x to dst.
func Add[F Float](dst, x []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		add(f32(dst, n), f32(x, n), n)
		return
	}
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v
	}
}

// Plus sets dst to x + y.
func Plus[F Float](dst, x, y []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		plus(f32(dst, n), f32(x, n), f32(y, n), n)
		return
	}
	dst, y = dst[:len(x)], y[:len(x)]
	for i, v := range x {
		dst[i] = v + y[i]
	}
}

// Times sets dst to x * y, element by element.
func Times[F Float](dst, x, y []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		times(f32(dst, n), f32(x, n), f32(y, n), n)
		return
	}
	dst, y = dst[:len(x)], y[:len(x)]
	for i, v := range x {
		dst[i] = v * y[i]
	}
}

// AddTimes adds x * y to dst, element by element.
func AddTimes[F Float](dst, x, y []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		addTimes(f32(dst, n), f32(x, n), f32(y, n), n)
		return
	}
	dst, y = dst[:len(x)], y[:len(x)]
	for i, v := range x {
		dst[i] += v * y[i]
	}
}

// Axpy adds alpha*x to dst.
func Axpy[F Float](dst []F, alpha F, x []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		axpy(f32(dst, n), f32(x, n), float32(alpha), n)
		return
	}
	axpyPlain(dst[:len(x)], alpha, x)
}

// Scale multiplies x by alpha.
func Scale[F Float](x []F, alpha F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		scale(f32(x, n), float32(alpha), n)
		return
	}
	for i := range x {
		x[i] *= alpha
	}
}

// ScaleAdd multiplies x by alpha and adds that to sum.
func ScaleAdd[F Float](x []F, alpha F, sum []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		scaleAdd(f32(x, n), f32(sum, n), float32(alpha), n)
		return
	}
	sum = sum[:len(x)]
	for i := range x {
		x[i] *= alpha
		sum[i] += x[i]
	}
}

// Scaled sets dst to x * alpha * w.
func Scaled[F Float](dst, x []F, alpha F, w []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		scaled(f32(dst, n), f32(x, n), f32(w, n), float32(alpha), n)
		return
	}
	dst, w = dst[:len(x)], w[:len(x)]
	for i, v := range x {
		dst[i] = v * alpha * w[i]
	}
}

// Dot is the scalar product of x and y.
func Dot[F Float](x, y []F) F {
	if n := len(x); assembly && fast[F]() && n > 0 {
		return F(dot(f32(x, n), f32(y, n), n))
	}
	y = y[:len(x)]
	var s F
	for i, v := range x {
		s += v * y[i]
	}
	return s
}

// AddDot adds y to x and returns the scalar product of the sum with z.
func AddDot[F Float](x, y, z []F) F {
	if n := len(x); assembly && fast[F]() && n > 0 {
		return F(addDot(f32(x, n), f32(y, n), f32(z, n), n))
	}
	y, z = y[:len(x)], z[:len(x)]
	var s F
	for i := range x {
		x[i] += y[i]
		s += x[i] * z[i]
	}
	return s
}

// Max is the largest element of x, minus infinity where there is none. Elements that are no number may be left out.
func Max[F Float](x []F) F {
	if n := len(x); assembly && fast[F]() && n > 0 {
		return F(most(f32(x, n), n))
	}
	m := F(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// Rotate sets dst to x, a sequence of complex numbers as real and imaginary parts, times those of t.
func Rotate[F Float](dst, x, t []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		rotate(f32(dst, n), f32(x, n), f32(t, n), n)
		return
	}
	dst, t = dst[:len(x)], t[:len(x)]
	for i := 0; i+1 < len(x); i += 2 {
		cos, sin := t[i], t[i+1]
		dst[i], dst[i+1] = x[i]*cos-x[i+1]*sin, x[i+1]*cos+x[i]*sin
	}
}

// AddRotated adds to dst x, a sequence of complex numbers as real and imaginary parts, times the conjugates of t.
func AddRotated[F Float](dst, x, t []F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		addRotated(f32(dst, n), f32(x, n), f32(t, n), n)
		return
	}
	dst, t = dst[:len(x)], t[:len(x)]
	for i := 0; i+1 < len(x); i += 2 {
		cos, sin := t[i], t[i+1]
		dst[i] += x[i]*cos + x[i+1]*sin
		dst[i+1] += x[i+1]*cos - x[i]*sin
	}
}

// AdamW makes a step of AdamW on p, m and v with gradient g*scale. h are lr/(1 - beta1^t), beta1, 1 - beta1, beta2,
// 1 - beta2, 1/sqrt(1 - beta2^t) and eps; decay is lr times the weight decay.
func AdamW[F Float](p, g, m, v, h []F, scale, decay F) {
	if n := len(g); assembly && fast[F]() && n > 0 {
		adamw(f32(p, n), f32(g, n), f32(m, n), f32(v, n), f32(h, 7), float32(scale), float32(decay), n)
		return
	}
	step, b1, r1, b2, r2, root, eps := h[0], h[1], h[2], h[3], h[4], h[5], h[6]
	p, m, v = p[:len(g)], m[:len(g)], v[:len(g)]
	for i, gi := range g {
		gi *= scale
		mi := b1*m[i] + r1*gi
		vi := b2*v[i] + r2*gi*gi
		m[i], v[i] = mi, vi
		p[i] -= decay*p[i] + step*mi/(F(math.Sqrt(float64(vi)))*root+eps)
	}
}
