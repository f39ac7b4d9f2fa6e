package blas

// The pieces of a TTT layer's scan that go over rows of a mini-batch.

// AddRows adds the m rows of x to dst, as long as a row.
func AddRows[F Float](dst, x []F, m int) {
	n := len(dst)
	x = x[:m*n]
	if assembly && fast[F]() && n > 0 && m > 0 {
		addRows(f32(dst, n), f32(x, n), m, n)
		return
	}
	for ; len(x) > 0; x = x[n:] {
		Add(dst, x[:n])
	}
}

// RateBack takes a row r of -dM and its a of M = ti*lr*a. It returns the sum of r*a*lr, takes ti*r*a from dlr and
// multiplies r by -ti*lr.
func RateBack[F Float](r, a, lr, dlr []F, ti F) (s F) {
	if n := len(r); assembly && fast[F]() && n > 0 {
		return F(rateBack(f32(r, n), f32(a, n), f32(lr, n), f32(dlr, n), float32(ti), n))
	}
	a, lr, dlr = a[:len(r)], lr[:len(r)], dlr[:len(r)]
	for i, v := range r {
		e := v * a[i]
		s += e * lr[i]
		dlr[i] -= e * ti
		r[i] *= -ti * lr[i]
	}
	return s
}

// ScanGrad adds a token's gradients: dq += g + yq, dk += yk + du*w, dv -= du*w.
func ScanGrad[F Float](dq, dk, dv, g, yq, yk, du, w []F) {
	if n := len(g); assembly && fast[F]() && n > 0 {
		scanGrad(f32(dq, n), f32(dk, n), f32(dv, n), f32(g, n), f32(yq, n), f32(yk, n), f32(du, n), f32(w, n), n)
		return
	}
	n := len(g)
	dq, dk, dv, yq, yk, du, w = dq[:n], dk[:n], dv[:n], yq[:n], yk[:n], du[:n], w[:n]
	for i, v := range g {
		y := du[i] * w[i]
		dq[i] += v + yq[i]
		dk[i] += yk[i] + y
		dv[i] -= y
	}
}
