package ttt

import (
	"innerloop/internal/blas"
	"innerloop/prog"
)

// mlpState is a head's state, or its gradient: parts of one slice.
type mlpState[F prog.Float] struct {
	all            []F
	w1, b1, w2, b2 []F // [F,E], [E], [E,F], [F]
}

// split is where b1, W2 and b2 begin in a state.
func (c mlpC) split() (b1, w2, b2 int) {
	fe := c.F * c.inner()
	return fe, fe + c.inner(), 2*fe + c.inner()
}

func newMLPState[F prog.Float](c mlpC, s []F) mlpState[F] {
	b1, w2, b2 := c.split()
	s = s[:c.state()]
	return mlpState[F]{s, s[:b1], s[b1:w2], s[w2:b2], s[b2:]}
}

// initial copies head h's learned start from theta.
func (s mlpState[F]) initial(c mlpC, theta []F, h int) {
	copy(s.w1, theta[h*len(s.w1):])
	copy(s.b1, theta[c.OB1+h*len(s.b1):])
	copy(s.w2, theta[c.OW2+h*len(s.w2):])
	copy(s.b2, theta[c.OB2+h*len(s.b2):])
}

// mlpBatch is one mini-batch of one head: its inputs and what the forward pass makes of them. Names as in the
// formulas; 1 and 2 are the inner model's layers.
type mlpBatch[F prog.Float] struct {
	at, n          int // first token and number of tokens, at most K
	kq             []F // [2K,F]: k and, n rows on, q
	k, q           []F // [n,F]
	z1, x2, d1, c1 []F // [K,E]: Z1, gelu(Z1), gelu'(Z1), gelu"(Z1)
	h2, g1         []F // [K,E]: G2 W2ᵀ, G1
	xhat, g2       []F // [K,F] of the inner LayerNorm and loss at Z2
	zb1, xb2       []F // [K,E]
	zb2            []F // [K,F]
	a1, m1, a2, m2 []F // [K,K]: 1 + Q Kᵀ, -M1, 1 + Xb2 X2ᵀ, -M2
	s, lr          []F // [K] 1/(standard deviation) at Z2, the tokens' inner learning rates
	gamma, beta    []F // [F]
	tmp            []F // of the matrix products
}

func newMLPBatch[F prog.Float](c mlpC, s *carve[F]) mlpBatch[F] {
	kf, ke, kk := c.K*c.F, c.K*c.inner(), c.K*c.K
	return mlpBatch[F]{
		kq: s.take(2 * kf), z1: s.take(ke), x2: s.take(ke), d1: s.take(ke), c1: s.take(ke), h2: s.take(ke), g1: s.take(ke),
		xhat: s.take(kf), g2: s.take(kf), zb1: s.take(ke), xb2: s.take(ke), zb2: s.take(kf),
		a1: s.take(kk), m1: s.take(kk), a2: s.take(kk), m2: s.take(kk), s: s.take(c.K), lr: s.take(c.K), tmp: s.take(c.scratch()),
	}
}

func (x *mlpBatch[F]) params(c mlpC, theta []F, h int) {
	x.gamma, x.beta = theta[c.OG+h*c.F:][:c.F], theta[c.OT+h*c.F:][:c.F]
}

// load gathers the mini-batch of (b,h) that begins at token at and computes the inner gradients G1 and G2 at state st.
func (x *mlpBatch[F]) load(c mlpC, xs []F, st mlpState[F], b, h, at int) {
	x.n, x.at = extent(c.scanC, xs, b, at), at
	d, e := c.width(), c.inner()
	nf, ne := x.n*c.F, x.n*e
	x.k, x.q = x.kq[:nf], x.kq[nf:2*nf]
	for i := range x.n {
		t := xs[c.token(b, at+i):][:c.row()]
		copy(x.q[i*c.F:(i+1)*c.F], t[h*c.F:])
		copy(x.k[i*c.F:(i+1)*c.F], t[d+h*c.F:])
		copy(x.z1[i*e:(i+1)*e], st.b1)
		copy(x.xhat[i*c.F:(i+1)*c.F], st.b2)
		x.lr[i] = t[3*d+h]
	}
	blas.NN(x.z1, x.k, st.w1, x.n, e, c.F, true, x.tmp)
	blas.GELUSlopes(x.x2, x.d1, x.c1, x.z1[:ne])
	blas.NN(x.xhat, x.x2, st.w2, x.n, c.F, e, true, x.tmp)
	for i := range x.n {
		lo, hi := i*c.F, (i+1)*c.F
		v := xs[c.token(b, at+i)+2*d+h*c.F:][:c.F]
		x.s[i] = blas.InnerGrad(x.xhat[lo:hi], x.g2[lo:hi], x.gamma, x.beta, v, x.k[lo:hi], c.Eps)
	}
	blas.NT(x.h2, x.g2, st.w2, x.n, e, c.F, false, x.tmp)
	blas.Times(x.g1, x.h2[:ne], x.d1)
}

// read computes Zb1, Xb2 and Zb2: the queries through the updated inner model. slopes and curves receive
// gelu' and gelu" at Zb1, [n,E]; nil: they are not wanted.
func (x *mlpBatch[F]) read(c mlpC, tok []F, st mlpState[F], slopes, curves []F) {
	e, lr := c.inner(), x.lr[:x.n]
	masked(c.scanC, tok, x.a1, x.m1, x.q, x.k, lr, c.F, x.tmp)
	for i := range x.n {
		copy(x.zb1[i*e:(i+1)*e], st.b1)
		copy(x.zb2[i*c.F:(i+1)*c.F], st.b2)
	}
	blas.NN(x.zb1, x.q, st.w1, x.n, e, c.F, true, x.tmp)
	blas.NN(x.zb1, x.m1, x.g1, x.n, e, x.n, true, x.tmp)
	if slopes == nil {
		blas.GELU(x.xb2, x.zb1[:x.n*e])
	} else {
		blas.GELUSlopes(x.xb2, slopes, curves, x.zb1[:x.n*e])
	}
	masked(c.scanC, tok, x.a2, x.m2, x.xb2, x.x2, lr, e, x.tmp)
	blas.NN(x.zb2, x.xb2, st.w2, x.n, c.F, e, true, x.tmp)
	blas.NN(x.zb2, x.m2, x.g2, x.n, c.F, x.n, true, x.tmp)
}

// step takes the gradient step on st. It overwrites g1 and g2 by -D G.
func (x *mlpBatch[F]) step(c mlpC, tok []F, st mlpState[F]) {
	e := c.inner()
	rate := tokenRate(&c.scanC, tok, x.n-1)
	for i := range x.n {
		d := -rate * x.lr[i]
		blas.ScaleAdd(x.g1[i*e:(i+1)*e], d, st.b1)
		blas.ScaleAdd(x.g2[i*c.F:(i+1)*c.F], d, st.b2)
	}
	blas.TN(st.w1, x.k, c.F, x.g1, c.F, e, x.n, true, x.tmp)
	blas.TN(st.w2, x.x2, e, x.g2, e, c.F, x.n, true, x.tmp)
}

// mlpFwd is the reference of ttt_mlp_fwd; an item is one head of one sequence.
func mlpFwd[F prog.Float](c mlpC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, out, ckpt, state := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5]
	sc := carve[F]{scratch}
	x := newMLPBatch(c, &sc)
	d := c.width()
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		x.params(c, theta, h)
		ck := ckpt[it*c.slots()*c.state():][:c.slots()*c.state()] // those to come
		st := newMLPState(c, state[it*c.state():])
		for t, at := 0, 0; at < c.L && t < c.NB; t, at = t+1, at+x.n {
			if code(c.scanC, xs, b, at) == 0 {
				st.initial(c, theta, h)
			}
			if t%c.G == 0 {
				ck = ck[copy(ck, st.all):]
			}
			x.load(c, xs, st, b, h, at)
			x.read(c, tok, st, nil, nil)
			for i := range x.n {
				lo, hi := i*c.F, (i+1)*c.F
				blas.NormOut(out[(b*c.L+at+i)*d+h*c.F:][:c.F], x.zb2[lo:hi], x.q[lo:hi], x.gamma, x.beta, c.Eps)
			}
			x.step(c, tok, st)
		}
		clear(ck)
	}
}

// mlpBwd is the reference of ttt_mlp_bwd; an item is one head of one sequence. The names are those of the formulas: a
// prime (dW1') is the gradient that arrives from the next mini-batch, held in ds.
func mlpBwd[F prog.Float](c mlpC, a *prog.Args[F], scratch []F, lo, hi int) {
	xs, tok, theta, ckpt, dout, dxs, dpart := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5], a.F[6]
	sc := carve[F]{scratch}
	x := newMLPBatch(c, &sc)
	e, d := c.inner(), c.width()
	kf, ke, kk := c.K*c.F, c.K*e, c.K*c.K
	dzb2, dg2, p2 := sc.take(kf), sc.take(kf), sc.take(kf)
	// The second halves, dzb1 and dq, begin after n rows.
	dz, dkq := sc.take(2*ke), sc.take(2*kf)
	dx2, p1, dg1, db1 := sc.take(ke), sc.take(ke), sc.take(ke), sc.take(ke)
	r1, r2 := sc.take(kk), sc.take(kk)
	dlr, dd := sc.take(c.K), sc.take(c.K)
	ds := newMLPState(c, sc.take(c.state()))
	states := sc.take(c.G * c.state())
	for it := lo; it < hi; it++ {
		b, h := it/c.H, it%c.H
		x.params(c, theta, h)
		part := dpart[it*c.part():][:c.part()]
		clear(part)
		rest := carve[F]{part[c.state():]}
		dgamma, dbeta, dtok := rest.take(c.F), rest.take(c.F), rest.take(c.K)
		clear(ds.all)
		last := min(count(c.scanC, xs, b), c.NB) - 1
		at := c.L
		for t := last; t >= 0; t-- {
			seg := t / c.G * c.G
			if t == last || t%c.G == c.G-1 {
				recomputeMLP(c, &x, xs, tok, theta, ckpt, states, it, seg, t, at)
			}
			st := newMLPState(c, states[(t-seg)*c.state():])
			if t == seg {
				st = newMLPState(c, ckpt[(it*c.slots()+seg/c.G)*c.state():])
			}
			at = begin(c.scanC, xs, b, at)
			x.load(c, xs, st, b, h, at)
			x.read(c, tok, st, db1, p1)
			n, lr := x.n, x.lr[:x.n]
			nf, ne := n*c.F, n*e
			dz1, dzb1, dk, dq := dz[:ne], dz[ne:2*ne], dkq[:nf], dkq[nf:2*nf]
			rate := tokenRate(&c.scanC, tok, n-1)

			// Through the output's LayerNorm. The biases' gradients are where P1 and P2 begin.
			for i := range n {
				lo, hi := i*c.F, (i+1)*c.F
				blas.NormBack(dzb2[lo:hi], x.zb2[lo:hi], x.gamma, dout[(b*c.L+at+i)*d+h*c.F:][:c.F], dgamma, dbeta, c.Eps)
				copy(p2[lo:hi], ds.b2)
				copy(p1[i*e:(i+1)*e], ds.b1)
			}
			// The second layer: -R2, dX2 and P2; P1 and dK of the first one, which also want the states' old gradients.
			blas.NT(r2, dzb2, x.g2, n, n, c.F, false, x.tmp)
			blas.NN(p2, x.x2, ds.w2, n, c.F, e, true, x.tmp)
			blas.NT(dx2, x.g2, ds.w2, n, e, c.F, false, x.tmp)
			blas.NN(p1, x.k, ds.w1, n, e, c.F, true, x.tmp)
			blas.NT(dk, x.g1, ds.w1, n, c.F, e, false, x.tmp)
			for i := range n {
				di := rate * lr[i]
				dd[i] = -blas.Dot(p2[i*c.F:(i+1)*c.F], x.g2[i*c.F:]) - blas.Dot(p1[i*e:(i+1)*e], x.g1[i*e:])
				blas.Scale(dx2[i*e:(i+1)*e], -di)
				blas.Scale(dk[i*c.F:(i+1)*c.F], -di)
			}
			clear(dlr)
			unmask(c.scanC, tok, x.a2, r2, lr, dtok, dlr)
			blas.TN(dg2, x.m2, n, dzb2, n, c.F, n, false, x.tmp)
			for i := range n {
				blas.Axpy(dg2[i*c.F:(i+1)*c.F], -rate*lr[i], p2[i*c.F:(i+1)*c.F])
			}
			blas.TN(dx2, r2, n, x.xb2, n, e, n, true, x.tmp)
			// dXb2, then dZb1.
			blas.NT(dzb1, dzb2, st.w2, n, e, c.F, false, x.tmp)
			blas.NN(dzb1, r2, x.x2, n, e, n, true, x.tmp)
			blas.Times(dzb1, dzb1, db1)
			blas.TN(ds.w2, x.xb2, e, dzb2, e, c.F, n, true, x.tmp)
			// The first layer.
			blas.NT(r1, dzb1, x.g1, n, n, e, false, x.tmp)
			unmask(c.scanC, tok, x.a1, r1, lr, dtok, dlr)
			for j := range n {
				dlr[j] += dd[j] * rate
				dtok[n-1] += dd[j] * lr[j]
			}
			blas.TN(dk, r1, n, x.q, n, c.F, n, true, x.tmp)
			blas.TN(dg1, x.m1, n, dzb1, n, e, n, false, x.tmp)
			blas.NN(dq, r1, x.k, n, c.F, n, false, x.tmp)
			for i := range n {
				blas.Axpy(dg1[i*e:(i+1)*e], -rate*lr[i], p1[i*e:(i+1)*e])
			}
			// Through G1 = (G2 W2ᵀ) gelu'(Z1): h into dg1.
			blas.Times(x.c1, x.c1[:ne], x.h2)
			blas.Times(dz1, dg1[:ne], x.c1)
			blas.Times(dg1, dg1[:ne], x.d1)
			blas.NN(dg2, dg1, st.w2, n, c.F, e, true, x.tmp)
			blas.TN(ds.w2, dg1, e, x.g2, e, c.F, n, true, x.tmp)
			// dG2's way through the inner loss (second order) into dZ2, left in dg2; du in p2.
			for i := range n {
				lo, hi := i*c.F, (i+1)*c.F
				v := xs[c.token(b, at+i)+2*d+h*c.F:][:c.F]
				blas.InnerBack(dg2[lo:hi], p2[lo:hi], x.xhat[lo:hi], x.g2[lo:hi], x.gamma, x.beta, v, x.k[lo:hi], dgamma, dbeta, x.s[i])
			}
			blas.AddRows(ds.b2, dzb2, n)
			blas.AddRows(ds.b2, dg2, n)
			blas.NT(dx2, dg2, st.w2, n, e, c.F, true, x.tmp)
			blas.TN(ds.w2, x.x2, e, dg2, e, c.F, n, true, x.tmp)
			blas.AddTimes(dz1, dx2[:ne], x.d1)
			// Of keys and queries at once: dZ1 W1ᵀ, and the state's gradients.
			blas.TN(ds.w1, x.kq, c.F, dz, c.F, e, 2*n, true, x.tmp)
			blas.NT(dkq, dz, st.w1, 2*n, c.F, e, true, x.tmp)
			blas.AddRows(ds.b1, dz, 2*n)
			for i := range n {
				lo, hi := i*c.F, (i+1)*c.F
				do := dout[(b*c.L+at+i)*d+h*c.F:][:c.F]
				dx := dxs[c.token(b, at+i):][:c.row()]
				blas.ScanGrad(dx[h*c.F:], dx[d+h*c.F:], dx[2*d+h*c.F:], do, dq[lo:hi], dk[lo:hi], p2[lo:hi], x.gamma)
				dx[3*d+h] += dlr[i]
			}
			// What came before a document's first token is another document's.
			if code(c.scanC, xs, b, at) == 0 {
				blas.Add(part[:c.state()], ds.all)
				clear(ds.all)
			}
		}
	}
}

// recomputeMLP fills states with the state before each of the mini-batches seg..end of item it, from the checkpoint at
// seg; mini-batch end ends before token stop.
func recomputeMLP[F prog.Float](c mlpC, x *mlpBatch[F], xs, tok, theta, ckpt, states []F, it, seg, end, stop int) {
	b, h := it/c.H, it%c.H
	at := begin(c.scanC, xs, b, stop)
	for range end - seg {
		at = begin(c.scanC, xs, b, at)
	}
	if seg < end {
		copy(states, ckpt[(it*c.slots()+seg/c.G)*c.state():][:c.state()])
	}
	for t := seg; t < end; t++ {
		st, next := newMLPState(c, states[(t-seg)*c.state():]), newMLPState(c, states[(t-seg+1)*c.state():])
		x.load(c, xs, st, b, h, at)
		at += x.n
		if code(c.scanC, xs, b, at) == 0 {
			next.initial(c, theta, h)
			continue
		}
		copy(next.all, st.all)
		x.step(c, tok, next)
	}
}
