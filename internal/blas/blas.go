// Package blas holds the matrix products of the kernels' Go references. Matrices are row-major. Nothing here
// allocates or starts a goroutine, and a row of a product has the same bits however the rows are shared out.
//
// float32 on a processor with AVX-512, or AVX2 and FMA, is assembly, which ./asm generates; float64, and float32
// everywhere else, is plain Go (plain.go).
package blas

import "unsafe"

// Float is the element type.
type Float interface{ ~float32 | ~float64 }

// The instruction sets.
const (
	plain uint8 = iota
	avx2
	avx512 // the assembly knows this number
)

// Instructions names the instruction set in use, "" where there is only plain Go.
func Instructions() string { return [...]string{plain: "", avx2: "AVX2", avx512: "AVX-512"}[level] }

// fast says that F is float32 and that this processor has instructions for it. Callers ask for assembly first: a
// constant, so that elsewhere nothing remains of it.
func fast[F Float]() bool {
	var f F
	return level > plain && unsafe.Sizeof(f) == 4
}

// as32 is x, where fast says that it is of float32.
func as32[F Float](x []F) []float32 { return *(*[]float32)(unsafe.Pointer(&x)) }

// NN sets dst[m,n] to a[m,k]·b[k,n], or adds that where acc. scratch has at least ScratchNN(m, n, k) elements.
func NN[F Float](dst, a, b []F, m, n, k int, acc bool, scratch []F) {
	if assembly && fast[F]() {
		mul32(as32(dst), as32(a), k, 1, as32(b), m, n, k, acc, as32(scratch))
		return
	}
	nnPlain(dst, a, b, m, n, k, acc)
}

// NT sets dst[m,n] to a[m,k]·b[n,k]ᵀ, or adds that where acc. scratch has at least ScratchNT(m, n, k) elements.
func NT[F Float](dst, a, b []F, m, n, k int, acc bool, scratch []F) {
	if assembly && fast[F]() {
		nt32(as32(dst), as32(a), as32(b), m, n, k, acc, as32(scratch))
		return
	}
	ntPlain(dst, a, b, m, n, k, acc)
}

// TN sets dst[m,n] to a[k,m]ᵀ·b[k,n], or adds that where acc. Rows of a are lda >= m apart, so that a may be some
// columns of a wider matrix. scratch has at least ScratchTN(m, n, k) elements.
func TN[F Float](dst, a []F, lda int, b []F, m, n, k int, acc bool, scratch []F) {
	if assembly && fast[F]() {
		mul32(as32(dst), as32(a), 1, lda, as32(b), m, n, k, acc, as32(scratch))
		return
	}
	tnPlain(dst, a, lda, b, m, n, k, acc)
}

const (
	// deepest is the number of terms that a product adds up before it turns to the next columns: a panel of b so long
	// stays in the first-level cache while all rows meet it.
	deepest = 256
	// widest is the most columns of a panel.
	widest = 32
)

// ScratchNN is the number of elements of scratch memory that NN wants.
func ScratchNN(_, _, k int) int { return widest * min(k, deepest) }

// ScratchNT is the number of elements of scratch memory that NT wants.
func ScratchNT(m, n, k int) int {
	return max(widest*min(k, deepest), min(m, widest, n*k/(k+2*n+1)+1)*(k+n))
}

// ScratchTN is the number of elements of scratch memory that TN wants.
func ScratchTN(m, _, k int) int {
	return widest * min(k, deepest) * (1 + (m+widest-1)/widest)
}

// Transpose copies src[m,n], its rows lds >= n apart, to dst[n,m].
func Transpose[F Float](dst, src []F, lds, m, n int) {
	if assembly && fast[F]() && m > 0 && n > 0 {
		transpose32(as32(dst), m, as32(src), lds, m, n)
		return
	}
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
