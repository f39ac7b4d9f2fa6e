package blas

import "math"

// The pieces of normalised rows: a row is x, w and b are its weights, m its mean and r = 1/sqrt(variance + eps), the
// variance biased.

// LayerNorm sets dst to (x - m)*r * w + b and returns m and r.
func LayerNorm[F Float](dst, x, w, b []F, eps float64) (m, r F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		m, r := layerNorm(f32(dst, n), f32(x, n), f32(w, n), f32(b, n), float32(eps), n)
		return F(m), F(r)
	}
	dst, w, b = dst[:len(x)], w[:len(x)], b[:len(x)]
	m, r = moments(x, eps)
	for i, v := range x {
		dst[i] = (v-m)*r*w[i] + b[i]
	}
	return m, r
}

func moments[F Float](x []F, eps float64) (m, r F) {
	n := F(len(x))
	for _, v := range x {
		m += v
	}
	m /= n
	var q F
	for _, v := range x {
		q += (v - m) * (v - m)
	}
	return m, F(1 / math.Sqrt(float64(q/n)+eps))
}

// NormSums returns the sums of w*g and of w*g*(x-m).
func NormSums[F Float](x, w, g []F, m F) (s, p F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		s, p := normSums(f32(x, n), f32(w, n), f32(g, n), float32(m), n)
		return F(s), F(p)
	}
	w, g = w[:len(x)], g[:len(x)]
	for i, v := range x {
		y := w[i] * g[i]
		s += y
		p += y * (v - m)
	}
	return s, p
}

// NormGrad adds r * (w*g - c - (x-m)*p) to dx.
func NormGrad[F Float](dx, x, w, g []F, r, c, m, p F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		normGrad(f32(dx, n), f32(x, n), f32(w, n), f32(g, n), float32(r), float32(c), float32(m), float32(p), n)
		return
	}
	dx, w, g = dx[:len(x)], w[:len(x)], g[:len(x)]
	for i, v := range x {
		dx[i] += r * (g[i]*w[i] - c - (v-m)*p)
	}
}

// NormGradW adds g * (x-m)*r to dw.
func NormGradW[F Float](dw, x, g []F, m, r F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		normGradW(f32(dw, n), f32(x, n), f32(g, n), float32(m), float32(r), n)
		return
	}
	dw, g = dw[:len(x)], g[:len(x)]
	for i, v := range x {
		dw[i] += g[i] * (v - m) * r
	}
}

// NormOut sets dst to q + the LayerNorm of z.
func NormOut[F Float](dst, z, q, w, b []F, eps float64) {
	if n := len(z); assembly && fast[F]() && n > 0 {
		normOut(f32(dst, n), f32(z, n), f32(q, n), f32(w, n), f32(b, n), float32(eps), n)
		return
	}
	dst, q, w, b = dst[:len(z)], q[:len(z)], w[:len(z)], b[:len(z)]
	m, r := moments(z, eps)
	for i, v := range z {
		dst[i] = q[i] + (v-m)*r*w[i] + b[i]
	}
}

// NormBack sets dz to the gradient at z of the LayerNorm of z, whose output has the gradient g, and adds those of w and
// b to dw and db.
func NormBack[F Float](dz, z, w, g, dw, db []F, eps float64) {
	if n := len(z); assembly && fast[F]() && n > 0 {
		normBack(f32(dz, n), f32(z, n), f32(w, n), f32(g, n), f32(dw, n), f32(db, n), float32(eps), n)
		return
	}
	dz, w, g, dw, db = dz[:len(z)], w[:len(z)], g[:len(z)], dw[:len(z)], db[:len(z)]
	m, r := moments(z, eps)
	var mu, mux F
	for i, v := range g {
		x := (z[i] - m) * r
		dw[i] += v * x
		db[i] += v
		dz[i] = v * w[i]
		mu += dz[i]
		mux += dz[i] * x
	}
	n := F(len(z))
	mu, mux = mu/n, mux/n
	for i, v := range z {
		dz[i] = (dz[i] - mu - (v-m)*r*mux) * r
	}
}

// InnerGrad sets g to the gradient at z of |e|²/2, e = LayerNorm(z) - (v - k). It overwrites z by x = (z - m)*r and
// returns r.
func InnerGrad[F Float](z, g, w, b, v, k []F, eps float64) (r F) {
	if n := len(z); assembly && fast[F]() && n > 0 {
		return F(innerGrad(f32(z, n), f32(g, n), f32(w, n), f32(b, n), f32(v, n), f32(k, n), float32(eps), n))
	}
	g, w, b, v, k = g[:len(z)], w[:len(z)], b[:len(z)], v[:len(z)], k[:len(z)]
	m, r := moments(z, eps)
	var mu, mux F
	for i := range z {
		x := (z[i] - m) * r
		u := w[i] * (w[i]*x + b[i] - (v[i] - k[i]))
		z[i], g[i] = x, u
		mu += u
		mux += u * x
	}
	n := F(len(z))
	mu, mux = mu/n, mux/n
	for i, x := range z {
		g[i] = (g[i] - mu - x*mux) * r
	}
	return r
}

// InnerBack is the way back through InnerGrad, whose x, g and r these are: dg, the gradient at g, becomes that at z. du
// receives that at u = w*e, up to the way on through e: the gradient at v - k is -du*w. It adds those of w and b to dw
// and db.
func InnerBack[F Float](dg, du, x, g, w, b, v, k, dw, db []F, r F) {
	if n := len(x); assembly && fast[F]() && n > 0 {
		innerBack(f32(dg, n), f32(du, n), f32(x, n), f32(g, n), f32(w, n), f32(b, n), f32(v, n), f32(k, n),
			f32(dw, n), f32(db, n), float32(r), n)
		return
	}
	l := len(x)
	dg, du, g, w, b, v, k, dw, db = dg[:l], du[:l], g[:l], w[:l], b[:l], v[:l], k[:l], dw[:l], db[:l]
	n := F(l)
	var c, p, mdg, dgg F
	for i, x := range x {
		u := w[i] * (w[i]*x + b[i] - (v[i] - k[i]))
		c += u * x
		p += dg[i] * x
		mdg += dg[i]
		dgg += dg[i] * g[i]
	}
	c, p, mdg = c/n, p/n, mdg/n
	ds := -dgg * r
	var m, mx F
	for i, x := range x {
		e := w[i]*x + b[i] - (v[i] - k[i])
		y := (dg[i] - mdg - x*p) * r
		du[i] = y
		dw[i] += y * (e + w[i]*x)
		db[i] += y * w[i]
		dx := -(dg[i]*c+w[i]*e*p)*r + y*w[i]*w[i]
		dg[i] = dx
		m += dx
		mx += dx * x
	}
	m, mx = m/n, mx/n
	for i, x := range x {
		dg[i] = (dg[i]-m-x*mx)*r + ds*x/n
	}
}
