package ttt

import (
	"innerloop/internal/blas"
	"innerloop/prog"
)

// carve hands out consecutive parts of a scratch slice.
type carve[F prog.Float] struct{ s []F }

func (c *carve[F]) take(n int) []F {
	p := c.s[:n:n]
	c.s = c.s[n:]
	return p
}

// linearBatch is one mini-batch of one head: its inputs and what the forward pass makes of them.
type linearBatch[F prog.Float] struct {
	at, n               int // first token and number of tokens, at most K
	k, q                []F // [K,F]
	xhat, g             []F // [K,F] of the inner LayerNorm and loss at Z
	zb                  []F // [K,F]: Zb, then its normalised form
	a, m                []F // [K,K]: 1 + Q Kᵀ and -M = -E * a
	s, sb               []F // [K] standard deviations at Z and Zb
	gamma, beta, target []F // [F], [F], [F] (one token's v - k, refilled for each)
	tmp                 []F // of the matrix products
}

func newLinearBatch[F prog.Float](c linearC, s *carve[F]) linearBatch[F] {
	kf, kk := c.K*c.F, c.K*c.K
	return linearBatch[F]{
		k: s.take(kf), q: s.take(kf), xhat: s.take(kf), g: s.take(kf), zb: s.take(kf), a: s.take(kk), m: s.take(kk),
		s: s.take(c.K), sb: s.take(c.K), target: s.take(c.F), tmp: s.take(c.scratch()),
	}
}

// load gathers the mini-batch of (b,h) that begins at token at and computes Z, xhat, G, 1 + Q Kᵀ and -M under state
// (w, bias).
func (x *linearBatch[F]) load(c linearC, xs, tok, w, bias []F, b, h, at int, withQuery bool) {
	x.n, x.at = extent(c.scanC, xs, b, at), at
	d := c.width()
	for i := range x.n {
		o := c.token(b, at+i) + h*c.F
		copy(x.q[i*c.F:(i+1)*c.F], xs[o:])
		copy(x.k[i*c.F:(i+1)*c.F], xs[o+d:])
	}
	blas.NN(x.xhat, x.k, w, x.n, c.F, c.F, false, x.tmp)
	for i := range x.n {
		o := c.token(b, at+i) + h*c.F
		z := x.xhat[i*c.F : (i+1)*c.F]
		for j := range z {
			z[j] += bias[j]
			x.target[j] = xs[o+2*d+j] - xs[o+d+j]
		}
		x.s[i] = lnGrad(z, x.gamma, x.beta, x.target, x.g[i*c.F:(i+1)*c.F], c.Eps)
	}
	if !withQuery {
		return
	}
	blas.NT(x.a, x.q, x.k, x.n, x.n, c.F, false, x.tmp)
	for i := range x.n {
		ti := tokenRate(&c.scanC, tok, i)
		for j := range x.n {
			e := i*x.n + j
			x.a[e]++
			x.m[e] = 0
			if c.sees(i, j) {
				x.m[e] = -ti * x.lr(c, xs, b, h, j) * x.a[e]
			}
		}
	}
}

// lr is the inner learning rate of token j of the mini-batch.
func (x *linearBatch[F]) lr(c linearC, xs []F, b, h, j int) F {
	return xs[c.token(b, x.at+j)+3*c.width()+h]
}

// read computes Zb = Q W + b - M G.
func (x *linearBatch[F]) read(c linearC, w, bias []F) {
	blas.NN(x.zb, x.q, w, x.n, c.F, c.F, false, x.tmp)
	blas.NN(x.zb, x.m, x.g, x.n, c.F, x.n, true, x.tmp)
	for i := range x.n {
		z := x.zb[i*c.F : (i+1)*c.F]
		for j := range z {
			z[j] += bias[j]
		}
	}
}

// step takes the gradient step: w -= Kᵀ D G, bias -= sum D G. It overwrites g by -D G.
func (x *linearBatch[F]) step(c linearC, xs, tok, w, bias []F, b, h int) {
	last := tokenRate(&c.scanC, tok, x.n-1)
	for i := range x.n {
		d := -last * x.lr(c, xs, b, h, i)
		g := x.g[i*c.F : (i+1)*c.F]
		for j := range g {
			g[j] *= d
			bias[j] += g[j]
		}
	}
	blas.TN(w, x.k, c.F, x.g, c.F, c.F, x.n, true, x.tmp)
}

// params points x at the inner LayerNorm of head h.
func (x *linearBatch[F]) params(c linearC, theta []F, h int) {
	x.gamma, x.beta = theta[c.OG+h*c.F:][:c.F], theta[c.OT+h*c.F:][:c.F]
}

// linearFwd is the reference of ttt_linear_fwd; an item is one head of one sequence.
func linearFwd[F prog.Float](c linearC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, out, ckpt, state := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	sc := carve[F]{scratch}
	x := newLinearBatch(c, &sc)
	ff, d := c.F*c.F, c.width()
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		x.params(c, theta, h)
		ck := ckpt[it*c.slots()*c.state():][:c.slots()*c.state()]
		clear(ck)
		st := state[it*c.state():][:c.state()] // runs where it ends
		w, bias := st[:ff], st[ff:]
		for t, at := 0, 0; at < c.L && t < c.NB; t, at = t+1, at+x.n {
			if code(c.scanC, xs, b, at) == 0 {
				copy(w, theta[h*ff:])
				copy(bias, theta[c.OB+h*c.F:])
			}
			if t%c.G == 0 {
				copy(ck[t/c.G*c.state():], st)
			}
			x.load(c, xs, tok, w, bias, b, h, at, true)
			x.read(c, w, bias)
			for i := range x.n {
				z := x.zb[i*c.F : (i+1)*c.F]
				normalise(z, c.Eps)
				o := out[(b*c.L+at+i)*d+h*c.F:]
				for j, v := range z {
					o[j] = x.q[i*c.F+j] + x.gamma[j]*v + x.beta[j]
				}
			}
			x.step(c, xs, tok, w, bias, b, h)
		}
	}
}

// linearBwd is the reference of ttt_linear_bwd; an item is one head of one sequence. The names are those of the
// formulas: a prime (dW', db') is the gradient that arrives from the next mini-batch.
func linearBwd[F prog.Float](c linearC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, ckpt, dout, dxs, dpart := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5], a.F[6]
	sc := carve[F]{scratch}
	x := newLinearBatch(c, &sc)
	kf, kk, ff, d := c.K*c.F, c.K*c.K, c.F*c.F, c.width()
	dzb, dg, p, dk := sc.take(kf), sc.take(kf), sc.take(kf), sc.take(kf)
	r := sc.take(kk)
	dlr, dd := sc.take(c.K), sc.take(c.K)
	dstate := sc.take(c.state()) // dW', db'
	states := sc.take(c.G * c.state())
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		x.params(c, theta, h)
		part := dpart[it*c.part():][:c.part()]
		clear(part)
		dgamma, dbeta, dtok := part[ff+c.F:][:c.F], part[ff+2*c.F:][:c.F], part[ff+3*c.F:]
		clear(dstate)
		dw, db := dstate[:ff], dstate[ff:]
		last := min(count(c.scanC, xs, b), c.NB) - 1
		at := c.L
		for t := last; t >= 0; t-- {
			seg := t / c.G * c.G
			if t == last || t%c.G == c.G-1 {
				recompute(c, &x, xs, tok, theta, ckpt, states, it, seg, t, at)
			}
			st := states[(t-seg)*c.state():][:c.state()]
			w, bias := st[:ff], st[ff:]
			at = begin(c.scanC, xs, b, at)
			x.load(c, xs, tok, w, bias, b, h, at, true)
			x.read(c, w, bias)
			n := x.n
			rate := tokenRate(&c.scanC, tok, n-1)

			// Through the output's LayerNorm.
			for i := range n {
				z, dz := x.zb[i*c.F:(i+1)*c.F], dzb[i*c.F:(i+1)*c.F]
				x.sb[i] = normalise(z, c.Eps)
				do := dout[(b*c.L+at+i)*d+h*c.F:][:c.F]
				lnBwd(z, do, dz, x.gamma, dgamma, dbeta, x.sb[i])
			}
			// -R = dZb Gᵀ; dA = R*E into r, dE = R*A into the rates' gradients; P = K dW' + db'.
			clear(dlr)
			blas.NT(r, dzb, x.g, n, n, c.F, false, x.tmp)
			blas.NN(p, x.k, dw, n, c.F, c.F, false, x.tmp)
			blas.NT(dk, x.g, dw, n, c.F, c.F, false, x.tmp)
			for i := range n {
				ti := tokenRate(&c.scanC, tok, i)
				var dti F
				for j := range n {
					e := i*n + j
					if !c.sees(i, j) {
						r[e] = 0
						continue
					}
					lr := x.lr(c, xs, b, h, j)
					de := -r[e] * x.a[e]
					dti += de * lr
					dlr[j] += de * ti
					r[e] *= -ti * lr
				}
				dtok[i] += dti
				var s F
				di := rate * x.lr(c, xs, b, h, i)
				for j := range c.F {
					p[i*c.F+j] += db[j]
					s += p[i*c.F+j] * x.g[i*c.F+j]
					dk[i*c.F+j] *= -di
				}
				dd[i] = -s
			}
			for j := range n {
				dlr[j] += dd[j] * rate
				dtok[n-1] += dd[j] * x.lr(c, xs, b, h, j)
			}
			// dG = -Mᵀ dZb - D P, then its way through the inner loss (second order) into dZ, left in dg; du in p.
			blas.TN(dk, r, n, x.q, n, c.F, n, true, x.tmp)
			blas.TN(dg, x.m, n, dzb, n, c.F, n, false, x.tmp)
			for i := range n {
				o := c.token(b, at+i) + h*c.F
				di := rate * x.lr(c, xs, b, h, i)
				for j := range x.target {
					x.target[j] = xs[o+2*d+j] - xs[o+d+j]
				}
				lo, hi := i*c.F, (i+1)*c.F
				for j := lo; j < hi; j++ {
					dg[j] -= di * p[j]
				}
				lnGradBwd(x.xhat[lo:hi], x.g[lo:hi], dg[lo:hi], p[lo:hi], x.gamma, x.beta, x.target, dgamma, dbeta, x.s[i])
			}
			// dQ into zb, whose values are used up.
			blas.NT(x.zb, dzb, w, n, c.F, c.F, false, x.tmp)
			blas.NN(x.zb, r, x.k, n, c.F, n, true, x.tmp)
			blas.NT(dk, dg, w, n, c.F, c.F, true, x.tmp)
			blas.TN(dw, x.q, c.F, dzb, c.F, c.F, n, true, x.tmp)
			blas.TN(dw, x.k, c.F, dg, c.F, c.F, n, true, x.tmp)
			for i := range n {
				o := c.token(b, at+i) + h*c.F
				do := dout[(b*c.L+at+i)*d+h*c.F:][:c.F]
				for j := range c.F {
					e := i*c.F + j
					db[j] += dzb[e] + dg[e]
					dt := -p[e] * x.gamma[j]
					dxs[o+j] += do[j] + x.zb[e]
					dxs[o+d+j] += dk[e] - dt
					dxs[o+2*d+j] += dt
				}
				dxs[c.token(b, at+i)+3*d+h] += dlr[i]
			}
			// What came before a document's first token is another document's.
			if code(c.scanC, xs, b, at) == 0 {
				blas.Add(part[:c.state()], dstate)
				clear(dstate)
			}
		}
	}
}

// recompute fills states with the state before each of the mini-batches seg..end of item it, from the checkpoint at
// seg; mini-batch end ends before token stop.
func recompute[F prog.Float](c linearC, x *linearBatch[F], xs, tok, theta, ckpt, states []F, it, seg, end, stop int) {
	b, h, ff := it/c.H, it%c.H, c.F*c.F
	at := begin(c.scanC, xs, b, stop)
	for range end - seg {
		at = begin(c.scanC, xs, b, at)
	}
	copy(states, ckpt[(it*c.slots()+seg/c.G)*c.state():][:c.state()])
	for t := seg; t < end; t++ {
		st, next := states[(t-seg)*c.state():][:c.state()], states[(t-seg+1)*c.state():][:c.state()]
		x.load(c, xs, tok, st[:ff], st[ff:], b, h, at, false)
		at += x.n
		if code(c.scanC, xs, b, at) == 0 {
			copy(next[:ff], theta[h*ff:])
			copy(next[ff:], theta[c.OB+h*c.F:])
			continue
		}
		copy(next, st)
		x.step(c, xs, tok, next[:ff], next[ff:], b, h)
	}
}

// lnBwd is the backward pass of gamma*z + beta, z the normalised form: from do to dz, and to dgamma and dbeta.
func lnBwd[F prog.Float](z, do, dz, gamma, dgamma, dbeta []F, s F) {
	n := F(len(z))
	var mu, mux F
	for j, v := range do {
		dgamma[j] += v * z[j]
		dbeta[j] += v
		dz[j] = v * gamma[j]
		mu += dz[j]
		mux += dz[j] * z[j]
	}
	mu, mux = mu/n, mux/n
	for j := range dz {
		dz[j] = (dz[j] - mu - z[j]*mux) / s
	}
}

// lnGradBwd is the backward pass of lnGrad for one token: given dG in dg it leaves dZ there and du in du, and adds
// to the gradients of gamma and beta. xhat, g and s are lnGrad's.
func lnGradBwd[F prog.Float](xhat, g, dg, du, gamma, beta, target, dgamma, dbeta []F, s F) {
	n := F(len(xhat))
	var c, p, mdg, dgg F
	for i, x := range xhat {
		u := gamma[i] * (gamma[i]*x + beta[i] - target[i])
		c += u * x
		p += dg[i] * x
		mdg += dg[i]
		dgg += dg[i] * g[i]
	}
	c, p, mdg = c/n, p/n, mdg/n
	ds := -dgg / s
	var m, mx F
	for i, x := range xhat {
		e := gamma[i]*x + beta[i] - target[i]
		u := gamma[i] * e
		v := (dg[i] - mdg - x*p) / s
		du[i] = v
		dgamma[i] += v * (e + gamma[i]*x)
		dbeta[i] += v * gamma[i]
		dx := -(dg[i]*c+u*p)/s + v*gamma[i]*gamma[i]
		dg[i] = dx
		m += dx
		mx += dx * x
	}
	m, mx = m/n, mx/n
	for i, x := range xhat {
		dg[i] = (dg[i]-m-x*mx)/s + ds*x/n
	}
}
