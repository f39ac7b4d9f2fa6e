// Package blas holds the matrix products of the kernels' Go references. Matrices are row-major. Nothing here
// allocates or starts a goroutine, and a row of a product has the same bits however the rows are shared out.
//
// float32 on a processor with AVX2 goes through github.com/viterin/vek; float64, and float32 everywhere else, is
// plain Go (plain.go).
package blas

import "github.com/viterin/vek"

// Float is the element type.
type Float interface{ ~float32 | ~float64 }

// simd says that vek has vector code for this processor: where it has none its loops are slower than those here.
var simd = vek.Info().Acceleration

// NN sets dst[m,n] to a[m,k]·b[k,n], or adds that where acc. scratch has at least ScratchNN(m, n, k) elements.
func NN[F Float](dst, a, b []F, m, n, k int, acc bool, scratch []F) {
	if simd {
		if d, ok := any(dst).([]float32); ok {
			nn32(d, any(a).([]float32), any(b).([]float32), m, n, k, acc, any(scratch).([]float32))
			return
		}
	}
	nnPlain(dst, a, b, m, n, k, acc)
}

// NT sets dst[m,n] to a[m,k]·b[n,k]ᵀ, or adds that where acc. scratch has at least ScratchNT(m, n, k) elements.
func NT[F Float](dst, a, b []F, m, n, k int, acc bool, scratch []F) {
	if simd {
		if d, ok := any(dst).([]float32); ok {
			nt32(d, any(a).([]float32), any(b).([]float32), m, n, k, acc, any(scratch).([]float32))
			return
		}
	}
	ntPlain(dst, a, b, m, n, k, acc)
}

// TN sets dst[m,n] to a[k,m]ᵀ·b[k,n], or adds that where acc. Rows of a are lda >= m apart, so that a may be some
// columns of a wider matrix. scratch has at least ScratchTN(m, n, k) elements.
func TN[F Float](dst, a []F, lda int, b []F, m, n, k int, acc bool, scratch []F) {
	if simd {
		if d, ok := any(dst).([]float32); ok {
			tn32(d, any(a).([]float32), lda, any(b).([]float32), m, n, k, acc, any(scratch).([]float32))
			return
		}
	}
	tnPlain(dst, a, lda, b, m, n, k, acc)
}

// Dot is the scalar product of x and y, of the same length.
func Dot[F Float](x, y []F) F {
	if simd && len(x) >= wide {
		if x32, ok := any(x).([]float32); ok {
			return F(dot32(x32, any(y).([]float32)))
		}
	}
	y = y[:len(x)]
	var s F
	for i, v := range x {
		s += v * y[i]
	}
	return s
}

// Axpy adds alpha*x to dst, of the same length.
func Axpy[F Float](dst []F, alpha F, x []F) {
	if simd && len(x) >= 4*wide { // two passes: they pay for long vectors only
		if d32, ok := any(dst).([]float32); ok {
			axpy32(d32, float32(alpha), any(x).([]float32))
			return
		}
	}
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += alpha * v
	}
}

// Add adds x to dst, of the same length.
func Add[F Float](dst, x []F) {
	if simd && len(x) >= wide {
		if d32, ok := any(dst).([]float32); ok {
			add32(d32, any(x).([]float32))
			return
		}
	}
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v
	}
}

// Transpose copies src[m,n], its rows lds >= n apart, to dst[n,m].
func Transpose[F Float](dst, src []F, lds, m, n int) {
	i := 0
	for ; i+4 <= m; i += 4 { // four rows at a time: dst is written by runs
		r0, r1, r2, r3 := src[i*lds:][:n], src[(i+1)*lds:][:n], src[(i+2)*lds:][:n], src[(i+3)*lds:][:n]
		for j, v := range r0 {
			d := dst[j*m+i:][:4]
			d[0], d[1], d[2], d[3] = v, r1[j], r2[j], r3[j]
		}
	}
	for ; i < m; i++ {
		for j, v := range src[i*lds:][:n] {
			dst[j*m+i] = v
		}
	}
}
