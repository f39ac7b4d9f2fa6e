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
	at, n       int // first token and number of tokens, at most K
	kq          []F // [2K,F]: k and, n rows on, q
	k, q        []F // [n,F]
	xhat, g     []F // [K,F] of the inner LayerNorm and loss at Z
	dg          []F // [K,F]: -D G
	zb          []F // [K,F]
	a, m        []F // [K,K]: 1 + Q Kᵀ and -M = -E * a
	s           []F // [K] 1/(standard deviation) at Z
	lr          []F // [K] the tokens' inner learning rates
	gamma, beta []F // [F]
	tmp         []F // of the matrix products
}

func newLinearBatch[F prog.Float](c linearC, s *carve[F]) linearBatch[F] {
	kf, kk := c.K*c.F, c.K*c.K
	return linearBatch[F]{
		kq: s.take(2 * kf), xhat: s.take(kf), g: s.take(kf), dg: s.take(kf), zb: s.take(kf), a: s.take(kk), m: s.take(kk),
		s: s.take(c.K), lr: s.take(c.K), tmp: s.take(c.scratch()),
	}
}

// load gathers the mini-batch of (b,h) that begins at token at and computes Z, xhat, G, 1 + Q Kᵀ and -M under state
// (w, bias).
func (x *linearBatch[F]) load(c linearC, xs, tok, w, bias []F, b, h, at int, withQuery bool) {
	x.n, x.at = extent(c.scanC, xs, b, at), at
	d, nf := c.width(), x.n*c.F
	x.k, x.q = x.kq[:nf], x.kq[nf:2*nf]
	for i := range x.n {
		t := xs[c.token(b, at+i):][:c.row()]
		copy(x.q[i*c.F:(i+1)*c.F], t[h*c.F:])
		copy(x.k[i*c.F:(i+1)*c.F], t[d+h*c.F:])
		copy(x.xhat[i*c.F:(i+1)*c.F], bias)
		x.lr[i] = t[3*d+h]
	}
	blas.NN(x.xhat, x.k, w, x.n, c.F, c.F, true, x.tmp)
	for i := range x.n {
		lo, hi := i*c.F, (i+1)*c.F
		v := xs[c.token(b, at+i)+2*d+h*c.F:][:c.F]
		x.s[i] = blas.InnerGrad(x.xhat[lo:hi], x.g[lo:hi], x.gamma, x.beta, v, x.k[lo:hi], c.Eps)
	}
	if withQuery {
		masked(c.scanC, tok, x.a, x.m, x.q, x.k, x.lr[:x.n], c.F, x.tmp)
	}
}

// masked computes a = 1 + q kᵀ and m = -E * a of as many tokens as lr has rates, q and k [n,w].
func masked[F prog.Float](c scanC, tok, a, m, q, k, lr []F, w int, tmp []F) {
	n := len(lr)
	a, m = a[:n*n], m[:n*n]
	for i := range a {
		a[i] = 1
	}
	blas.NT(a, q, k, n, n, w, true, tmp)
	for i := range n {
		seen := c.seen(i, n)
		row := m[i*n : (i+1)*n]
		blas.Scaled(row[:seen], a[i*n:][:seen], -tokenRate(&c, tok, i), lr)
		clear(row[seen:])
	}
}

// unmask takes -R in r and 1 + Q Kᵀ in a: it leaves dA = R*E in r and adds dE = R*a to the gradients of the rates.
func unmask[F prog.Float](c scanC, tok, a, r, lr, dtok, dlr []F) {
	n := len(lr)
	for i := range n {
		seen := c.seen(i, n)
		row := r[i*n : (i+1)*n]
		dtok[i] -= blas.RateBack(row[:seen], a[i*n:], lr, dlr, tokenRate(&c, tok, i))
		clear(row[seen:])
	}
}

// read computes Zb = Q W + b - M G.
func (x *linearBatch[F]) read(c linearC, w, bias []F) {
	for i := range x.n {
		copy(x.zb[i*c.F:(i+1)*c.F], bias)
	}
	blas.NN(x.zb, x.q, w, x.n, c.F, c.F, true, x.tmp)
	blas.NN(x.zb, x.m, x.g, x.n, c.F, x.n, true, x.tmp)
}

// step takes the gradient step: w -= Kᵀ D G, bias -= sum D G.
func (x *linearBatch[F]) step(c linearC, tok, w, bias []F) {
	last := tokenRate(&c.scanC, tok, x.n-1)
	copy(x.dg, x.g[:x.n*c.F])
	for i := range x.n {
		blas.ScaleAdd(x.dg[i*c.F:(i+1)*c.F], -last*x.lr[i], bias)
	}
	blas.TN(w, x.k, c.F, x.dg, c.F, c.F, x.n, true, x.tmp)
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
		ck := ckpt[it*c.slots()*c.state():][:c.slots()*c.state()] // those to come
		st := state[it*c.state():][:c.state()]                    // runs where it ends
		w, bias := st[:ff], st[ff:]
		for t, at := 0, 0; at < c.L && t < c.NB; t, at = t+1, at+x.n {
			if code(c.scanC, xs, b, at) == 0 {
				copy(w, theta[h*ff:])
				copy(bias, theta[c.OB+h*c.F:])
			}
			if t%c.G == 0 {
				ck = ck[copy(ck, st):]
			}
			x.load(c, xs, tok, w, bias, b, h, at, true)
			x.read(c, w, bias)
			for i := range x.n {
				lo, hi := i*c.F, (i+1)*c.F
				blas.NormOut(out[(b*c.L+at+i)*d+h*c.F:][:c.F], x.zb[lo:hi], x.q[lo:hi], x.gamma, x.beta, c.Eps)
			}
			x.step(c, tok, w, bias)
		}
		clear(ck)
	}
}

// linearBwd is the reference of ttt_linear_bwd; an item is one head of one sequence. The names are those of the
// formulas: a prime (dW', db') is the gradient that arrives from the next mini-batch.
func linearBwd[F prog.Float](c linearC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, ckpt, dout, dxs, dpart := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5], a.F[6]
	sc := carve[F]{scratch}
	x := newLinearBatch(c, &sc)
	kf, kk, ff, d := c.K*c.F, c.K*c.K, c.F*c.F, c.width()
	// The second halves, dzb and dq, begin after n rows.
	dz, dkq, p := sc.take(2*kf), sc.take(2*kf), sc.take(kf)
	r := sc.take(kk)
	dlr := sc.take(c.K)
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
			if t == seg {
				st = ckpt[(it*c.slots()+seg/c.G)*c.state():][:c.state()]
			}
			w, bias := st[:ff], st[ff:]
			at = begin(c.scanC, xs, b, at)
			x.load(c, xs, tok, w, bias, b, h, at, true)
			x.read(c, w, bias)
			n, lr := x.n, x.lr[:x.n]
			nf := n * c.F
			dg, dzb, dk, dq := dz[:nf], dz[nf:2*nf], dkq[:nf], dkq[nf:2*nf]
			rate := tokenRate(&c.scanC, tok, n-1)

			// Through the output's LayerNorm. P = K dW' + db', of which the bias comes first.
			for i := range n {
				lo, hi := i*c.F, (i+1)*c.F
				blas.NormBack(dzb[lo:hi], x.zb[lo:hi], x.gamma, dout[(b*c.L+at+i)*d+h*c.F:][:c.F], dgamma, dbeta, c.Eps)
				copy(p[lo:hi], db)
			}
			blas.NN(p, x.k, dw, n, c.F, c.F, true, x.tmp)
			// -R = dZb Gᵀ; dA = R*E into r, dE = R*A into the rates' gradients.
			blas.NT(r, dzb, x.g, n, n, c.F, false, x.tmp)
			clear(dlr)
			unmask(c.scanC, tok, x.a, r, lr, dtok, dlr)
			// dG = -Mᵀ dZb - D P, then its way through the inner loss (second order) into dZ, left in dg; du in p.
			blas.NT(dk, x.g, dw, n, c.F, c.F, false, x.tmp)
			blas.TN(dg, x.m, n, dzb, n, c.F, n, false, x.tmp)
			for i := range n {
				lo, hi := i*c.F, (i+1)*c.F
				s, di := blas.Dot(p[lo:hi], x.g[lo:hi]), rate*lr[i]
				dlr[i] -= s * rate
				dtok[n-1] -= s * lr[i]
				blas.Scale(dk[lo:hi], -di)
				blas.Axpy(dg[lo:hi], -di, p[lo:hi])
				v := xs[c.token(b, at+i)+2*d+h*c.F:][:c.F]
				blas.InnerBack(dg[lo:hi], p[lo:hi], x.xhat[lo:hi], x.g[lo:hi], x.gamma, x.beta, v, x.k[lo:hi], dgamma, dbeta, x.s[i])
			}
			blas.TN(dk, r, n, x.q, n, c.F, n, true, x.tmp)
			blas.NN(dq, r, x.k, n, c.F, n, false, x.tmp)
			// Of keys and queries at once: dZ Wᵀ, and the state's gradients.
			blas.NT(dkq, dz, w, 2*n, c.F, c.F, true, x.tmp)
			blas.TN(dw, x.kq, c.F, dz, c.F, c.F, 2*n, true, x.tmp)
			blas.AddRows(db, dz, 2*n)
			for i := range n {
				lo, hi := i*c.F, (i+1)*c.F
				do := dout[(b*c.L+at+i)*d+h*c.F:][:c.F]
				dx := dxs[c.token(b, at+i):][:c.row()]
				blas.ScanGrad(dx[h*c.F:], dx[d+h*c.F:], dx[2*d+h*c.F:], do, dq[lo:hi], dk[lo:hi], p[lo:hi], x.gamma)
				dx[3*d+h] += dlr[i]
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
	if seg < end {
		copy(states, ckpt[(it*c.slots()+seg/c.G)*c.state():][:c.state()])
	}
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
		x.step(c, tok, next[:ff], next[ff:])
	}
}
