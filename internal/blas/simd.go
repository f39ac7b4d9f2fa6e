package blas

import "github.com/viterin/vek/vek32"

const (
	// wide is the number of elements that one turn of vek's loops takes. Rows shorter than that go element by
	// element through memory, ten times slower: those products are turned round or done in plain Go.
	wide = 32
	// vek starts goroutines, and allocates, for products of at least four rows and this many multiplications.
	serial = 100_000
	// l1 and l2 are how many elements of b stay in the caches of that name with room for the rest.
	l1, l2 = 6 << 10, 64 << 10
	// tmpRows is how many rows of a product that is added to dst are computed at a time.
	tmpRows = 4
	// tnRows is how many columns of a TN turns into rows at a time.
	tnRows = 16
)

// ScratchNN is the number of elements of scratch memory that NN wants.
func ScratchNN(m, n, k int) int {
	if n < wide {
		return n*k + ScratchNT(m, n, k)
	}
	return min(m, tmpRows) * n
}

// ScratchNT is the number of elements of scratch memory that NT wants.
func ScratchNT(m, n, k int) int {
	if k < wide {
		return n*k + min(m, tmpRows)*n
	}
	return n
}

// ScratchTN is the number of elements of scratch memory that TN wants.
func ScratchTN(m, n, k int) int { return min(m, tnRows)*min(k, panel(n)) + tmpRows*n }

// panel is the number of rows of b[k,n] that are used for all rows of dst before the next ones are.
func panel(n int) int { return max(2*wide, min(512, l2/n/wide*wide)) }

func nn32(dst, a, b []float32, m, n, k int, acc bool, scratch []float32) {
	switch {
	case n < wide && k >= wide:
		Transpose(scratch[:n*k], b, n, k, n)
		nt32(dst, a, scratch[:n*k], m, n, k, acc, scratch[n*k:])
	case n < wide:
		nnPlain(dst, a, b, m, n, k, acc)
	default:
		for p, kb := 0, panel(n); p < k; p += kb {
			mul32(dst, a[p:], k, b[p*n:], m, n, min(kb, k-p), acc || p > 0, scratch)
		}
	}
}

func nt32(dst, a, b []float32, m, n, k int, acc bool, scratch []float32) {
	switch {
	case k < wide && n >= wide:
		Transpose(scratch[:n*k], b, k, n, k)
		nn32(dst, a, scratch[:n*k], m, n, k, acc, scratch[n*k:])
	case k < wide:
		ntPlain(dst, a, b, m, n, k, acc)
	default:
		nb := max(3, l1/k)
		for j := 0; j < n; j += nb {
			c := min(nb, n-j)
			bj, tmp := b[j*k:][:c*k], scratch[:c]
			for i := range m {
				d, ai := dst[i*n+j:][:c], a[i*k:][:k]
				if acc {
					vek32.MatMul_Into(tmp, bj, ai, k) // c rows of b times one column: c dot products
					Add(d, tmp)
				} else {
					vek32.MatMul_Into(d, bj, ai, k)
				}
			}
		}
	}
}

func tn32(dst, a []float32, lda int, b []float32, m, n, k int, acc bool, scratch []float32) {
	if n < wide {
		tnPlain(dst, a, lda, b, m, n, k, acc)
		return
	}
	kb := min(k, panel(n))
	rows, tmp := scratch[:min(m, tnRows)*kb], scratch[min(m, tnRows)*kb:]
	for i := 0; i < m; i += tnRows {
		mb := min(tnRows, m-i)
		for p := 0; p < k; p += kb {
			c := min(kb, k-p)
			Transpose(rows, a[p*lda+i:], lda, c, mb)
			mul32(dst[i*n:], rows, c, b[p*n:], mb, n, c, acc || p > 0, tmp)
		}
	}
}

// mul32 is NN for n >= wide, with rows of a lda >= k apart.
func mul32(dst, a []float32, lda int, b []float32, m, n, k int, acc bool, tmp []float32) {
	b = b[:k*n]
	r := 1
	if lda == k {
		r = max(3, (serial-1)/(n*k))
	}
	if acc {
		r = min(r, tmpRows)
	}
	for i := 0; i < m; i += r {
		r := min(r, m-i)
		d, x := dst[i*n:][:r*n], a[i*lda:][:r*k]
		if acc {
			vek32.MatMul_Into(tmp[:r*n], x, b, k)
			vek32.Add_Inplace(d, tmp[:r*n])
		} else {
			vek32.MatMul_Into(d, x, b, k)
		}
	}
}

func dot32(x, y []float32) float32 { return vek32.Dot(x, y) }

func add32(dst, x []float32) { vek32.Add_Inplace(dst, x) }

func axpy32(dst []float32, alpha float32, x []float32) {
	var buf [4 * wide]float32
	for len(x) > 0 {
		n := min(len(x), len(buf))
		vek32.MulNumber_Into(buf[:n], x[:n], alpha)
		vek32.Add_Inplace(dst[:n], buf[:n])
		dst, x = dst[n:], x[n:]
	}
}
