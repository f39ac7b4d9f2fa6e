package ttt

import "innerloop/prog"

// mat is a strided view of a matrix: element (i,j) is d[i*rs+j*cs].
type mat[F prog.Float] struct {
	d      []F
	rs, cs int
}

func rows[F prog.Float](d []F, n int) mat[F] { return mat[F]{d, n, 1} }
func (m mat[F]) t() mat[F]                   { return mat[F]{m.d, m.cs, m.rs} }

// mm computes dst[m,n] = beta*dst + alpha * a[m,k] b[k,n]; dst is contiguous.
func mm[F prog.Float](dst []F, a, b mat[F], m, n, k int, beta, alpha F) {
	for i := range m {
		d := dst[i*n : (i+1)*n]
		if beta == 0 {
			clear(d)
		}
		for l := range k {
			x := alpha * a.d[i*a.rs+l*a.cs]
			if b.cs == 1 {
				for j, y := range b.d[l*b.rs : l*b.rs+n] {
					d[j] += x * y
				}
				continue
			}
			for j := range d {
				d[j] += x * b.d[l*b.rs+j*b.cs]
			}
		}
	}
}
