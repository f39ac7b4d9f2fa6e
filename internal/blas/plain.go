package blas

// nnPlain adds up four rows of b at a time, so that dst is read and written a quarter as often.
func nnPlain[F Float](dst, a, b []F, m, n, k int, acc bool) {
	for i := range m {
		d := dst[i*n:][:n]
		if !acc {
			clear(d)
		}
		ar := a[i*k:][:k]
		p := 0
		for ; p+4 <= k; p += 4 {
			axpy4(d, ar[p], ar[p+1], ar[p+2], ar[p+3], b[p*n:][:4*n])
		}
		for ; p < k; p++ {
			axpyPlain(d, ar[p], b[p*n:][:n])
		}
	}
}

// tnPlain is nnPlain with a's columns as rows.
func tnPlain[F Float](dst, a []F, lda int, b []F, m, n, k int, acc bool) {
	for i := range m {
		d := dst[i*n:][:n]
		if !acc {
			clear(d)
		}
		p := 0
		for ; p+4 <= k; p += 4 {
			axpy4(d, a[p*lda+i], a[(p+1)*lda+i], a[(p+2)*lda+i], a[(p+3)*lda+i], b[p*n:][:4*n])
		}
		for ; p < k; p++ {
			axpyPlain(d, a[p*lda+i], b[p*n:][:n])
		}
	}
}

// ntPlain takes four columns at a time: four sums that do not wait for each other.
func ntPlain[F Float](dst, a, b []F, m, n, k int, acc bool) {
	for i := range m {
		d, ar := dst[i*n:][:n], a[i*k:][:k]
		if !acc {
			clear(d)
		}
		j := 0
		for ; j+4 <= n; j += 4 {
			b0, b1, b2, b3 := b[j*k:][:k], b[(j+1)*k:][:k], b[(j+2)*k:][:k], b[(j+3)*k:][:k]
			var s0, s1, s2, s3 F
			for p, v := range ar {
				s0 += v * b0[p]
				s1 += v * b1[p]
				s2 += v * b2[p]
				s3 += v * b3[p]
			}
			d[j] += s0
			d[j+1] += s1
			d[j+2] += s2
			d[j+3] += s3
		}
		for ; j < n; j++ {
			var s F
			br := b[j*k:][:k]
			for p, v := range ar {
				s += v * br[p]
			}
			d[j] += s
		}
	}
}

func axpy4[F Float](d []F, x0, x1, x2, x3 F, b []F) {
	n := len(d)
	b0, b1, b2, b3 := b[:n], b[n:][:n], b[2*n:][:n], b[3*n:][:n]
	for j := range d {
		d[j] += x0*b0[j] + x1*b1[j] + x2*b2[j] + x3*b3[j]
	}
}

func axpyPlain[F Float](d []F, x F, b []F) {
	b = b[:len(d)]
	for j := range d {
		d[j] += x * b[j]
	}
}
