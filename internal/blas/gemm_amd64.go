package blas

// Products of at least packRows rows copy each panel of b, and those of at least packColumns columns the columns
// of a, before they use them so often; shorter sums than packDepth find all they need in the cache.
const packRows, packColumns, packDepth = 32, 96, 64

// fewest is the most rows of a product that reads b as it lies, blockRows of its rows side by side in a register.
const fewest, blockRows = 4, 8

// depth is the number of terms of k that are added up at a time: parts of about one size.
func depth(k int) int {
	parts := (k + deepest - 1) / deepest
	return (k + parts - 1) / parts
}

// turned says that NT transposes a and dst rather than b.
func turned(m, n, k int) bool { return m <= widest && m*(k+2*n) < n*k }

// mul32 is dst[m,n] (+)= a·b with element (i,p) of a at a[i*ras+p*cas].
//
// Every element is one chain of fused multiply-adds over p, from 0 or from dst's element: the same bits with either
// instruction set, and whichever rows are computed together.
func mul32(dst, a []float32, ras, cas int, b []float32, m, n, k int, acc bool, scratch []float32) {
	if !begin32(dst, m, n, k, acc) {
		return
	}
	_, _ = a[(m-1)*ras+(k-1)*cas], b[k*n-1]
	w, kc := columns(), depth(k)
	packB := m >= packRows && k >= packDepth
	packA := cas != 1 && n >= packColumns && k >= packDepth
	if packB {
		_ = scratch[kc*w-1]
	}
	ap := scratch[min(len(scratch), kc*w):]
	for p := 0; p < k; p += kc {
		kb, acc := min(kc, k-p), acc || p > 0
		if packA {
			for i := 0; i < m; i += w {
				c := min(w, m-i)
				pack(&ap[i*kb:][:kb*w][0], &a[i*ras+p*cas], cas, kb, c)
			}
		}
		for j := 0; j < n; j += w {
			c := min(w, n-j)
			bp, ldb := &b[p*n+j], n
			if packB {
				pack(&scratch[0], bp, n, kb, c)
				bp, ldb = &scratch[0], w
			}
			if !packA {
				panel(&dst[j], n, &a[p*cas], ras, cas, bp, ldb, m, c, kb, acc)
				continue
			}
			for i := 0; i < m; i += w {
				panel(&dst[i*n+j], n, &ap[i*kb], 1, w, bp, ldb, min(w, m-i), c, kb, acc)
			}
		}
	}
}

// few32 is NT of at most fewest rows, and of b blockRows at least.
func few32(dst, a, b []float32, m, n, k int, acc bool) {
	d, x, y := &dst[0], &a[0], &b[0]
	switch m {
	case 1:
		rows1(d, x, y, n, k, acc)
	case 2:
		rows2(d, x, y, n, k, acc)
	case 3:
		rows3(d, x, y, n, k, acc)
	case 4:
		rows4(d, x, y, n, k, acc)
	}
}

// nt32 is NT. For the fewest rows b is transposed in registers; few rows are transposed themselves, and the product; for
// many b is.
func nt32(dst, a, b []float32, m, n, k int, acc bool, scratch []float32) {
	if !begin32(dst, m, n, k, acc) {
		return
	}
	_, _ = a[m*k-1], b[n*k-1]
	if m <= fewest && n >= blockRows {
		few32(dst, a, b, m, n, k, acc)
		return
	}
	w, kc := columns(), depth(k)
	if turned(m, n, k) {
		at, dt := scratch[:k*m], scratch[k*m:][:n*m]
		transpose32(at, m, a, k, m, k)
		if acc {
			transpose32(dt, m, dst, n, m, n)
		}
		for j := 0; j < m; j += w {
			panel(&dt[j], m, &b[0], k, 1, &at[j], m, n, min(w, m-j), k, acc)
		}
		transpose32(dst, n, dt, m, n, m)
		return
	}
	bp := scratch[:kc*w]
	for p := 0; p < k; p += kc {
		kb := min(kc, k-p)
		for j := 0; j < n; j += w {
			c := min(w, n-j)
			transpose32(bp, w, b[j*k+p:], k, c, kb)
			panel(&dst[j], n, &a[p], k, 1, &bp[0], w, m, c, kb, acc || p > 0)
		}
	}
}

// begin32 says whether there is anything to add up.
func begin32(dst []float32, m, n, k int, acc bool) bool {
	if m == 0 || n == 0 {
		return false
	}
	dst = dst[:m*n]
	if k == 0 && !acc {
		clear(dst)
	}
	return k > 0
}

// transpose32 copies src[m,n], rows lds apart, to dst[n,m], rows ldd apart.
func transpose32(dst []float32, ldd int, src []float32, lds, m, n int) {
	_, _ = dst[(n-1)*ldd+m-1], src[(m-1)*lds+n-1]
	m8, n8 := m&^7, n&^7
	if n8 > 0 {
		for i := 0; i < m8; i += 8 {
			transpose8(&dst[i], ldd, &src[i*lds], lds, n8/8)
		}
	}
	for i := range m {
		j := n8
		if i >= m8 {
			j = 0
		}
		for r := src[i*lds:][:n]; j < n; j++ {
			dst[j*ldd+i] = r[j]
		}
	}
}

// columns is the width of a panel.
func columns() int {
	if level == avx512 {
		return 32
	}
	return 16
}
