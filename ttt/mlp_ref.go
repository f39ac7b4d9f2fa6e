package ttt

import (
	"math"

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
	at, n               int // first token and number of tokens, at most K
	k, q                []F // [K,F]
	z1, x2, h2, g1      []F // [K,E]: Z1, gelu(Z1), G2 W2ᵀ, G1
	xhat, g2            []F // [K,F] of the inner LayerNorm and loss at Z2
	zb1, xb2            []F // [K,E]
	zb2                 []F // [K,F]: Zb2, then its normalised form
	a1, m1, a2, m2      []F // [K,K]: 1 + Q Kᵀ, -M1, 1 + Xb2 X2ᵀ, -M2
	s, sb               []F // [K] standard deviations at Z2 and Zb2
	gamma, beta, target []F // [F]
	tmp                 []F // of the matrix products
}

func newMLPBatch[F prog.Float](c mlpC, s *carve[F]) mlpBatch[F] {
	kf, ke, kk := c.K*c.F, c.K*c.inner(), c.K*c.K
	return mlpBatch[F]{
		k: s.take(kf), q: s.take(kf), z1: s.take(ke), x2: s.take(ke), h2: s.take(ke), g1: s.take(ke), xhat: s.take(kf), g2: s.take(kf),
		zb1: s.take(ke), xb2: s.take(ke), zb2: s.take(kf), a1: s.take(kk), m1: s.take(kk), a2: s.take(kk), m2: s.take(kk),
		s: s.take(c.K), sb: s.take(c.K), target: s.take(c.F), tmp: s.take(c.scratch()),
	}
}

func (x *mlpBatch[F]) params(c mlpC, theta []F, h int) {
	x.gamma, x.beta = theta[c.OG+h*c.F:][:c.F], theta[c.OT+h*c.F:][:c.F]
}

// lr is the inner learning rate of token j of the mini-batch.
func (x *mlpBatch[F]) lr(c mlpC, xs []F, b, h, j int) F {
	return xs[c.token(b, x.at+j)+3*c.width()+h]
}

// load gathers the mini-batch of (b,h) that begins at token at and computes the inner gradients G1 and G2 at state st.
func (x *mlpBatch[F]) load(c mlpC, xs []F, st mlpState[F], b, h, at int) {
	x.n, x.at = extent(c.scanC, xs, b, at), at
	d, e := c.width(), c.inner()
	for i := range x.n {
		o := c.token(b, at+i) + h*c.F
		copy(x.q[i*c.F:(i+1)*c.F], xs[o:])
		copy(x.k[i*c.F:(i+1)*c.F], xs[o+d:])
	}
	blas.NN(x.z1, x.k, st.w1, x.n, e, c.F, false, x.tmp)
	for i := range x.n {
		z, y := x.z1[i*e:(i+1)*e], x.x2[i*e:(i+1)*e]
		for j := range z {
			z[j] += st.b1[j]
			y[j] = gelu(z[j])
		}
	}
	blas.NN(x.xhat, x.x2, st.w2, x.n, c.F, e, false, x.tmp)
	for i := range x.n {
		o := c.token(b, at+i) + h*c.F
		z := x.xhat[i*c.F : (i+1)*c.F]
		for j := range z {
			z[j] += st.b2[j]
			x.target[j] = xs[o+2*d+j] - xs[o+d+j]
		}
		x.s[i] = lnGrad(z, x.gamma, x.beta, x.target, x.g2[i*c.F:(i+1)*c.F], c.Eps)
	}
	blas.NT(x.h2, x.g2, st.w2, x.n, e, c.F, false, x.tmp)
	for i, z := range x.z1[:x.n*e] {
		x.g1[i] = x.h2[i] * dgelu(z)
	}
}

// mask turns the products q kᵀ in a into 1 + q kᵀ, and m into -E times that.
func (x *mlpBatch[F]) mask(c mlpC, xs, tok, a, m []F, b, h int) {
	for i := range x.n {
		ti := tokenRate(&c.scanC, tok, i)
		for j := range x.n {
			e := i*x.n + j
			a[e]++
			m[e] = 0
			if c.sees(i, j) {
				m[e] = -ti * x.lr(c, xs, b, h, j) * a[e]
			}
		}
	}
}

// read computes Zb1, Xb2 and Zb2: the queries through the updated inner model.
func (x *mlpBatch[F]) read(c mlpC, xs, tok []F, st mlpState[F], b, h int) {
	e := c.inner()
	blas.NT(x.a1, x.q, x.k, x.n, x.n, c.F, false, x.tmp)
	x.mask(c, xs, tok, x.a1, x.m1, b, h)
	blas.NN(x.zb1, x.q, st.w1, x.n, e, c.F, false, x.tmp)
	blas.NN(x.zb1, x.m1, x.g1, x.n, e, x.n, true, x.tmp)
	for i := range x.n {
		z, y := x.zb1[i*e:(i+1)*e], x.xb2[i*e:(i+1)*e]
		for j := range z {
			z[j] += st.b1[j]
			y[j] = gelu(z[j])
		}
	}
	blas.NT(x.a2, x.xb2, x.x2, x.n, x.n, e, false, x.tmp)
	x.mask(c, xs, tok, x.a2, x.m2, b, h)
	blas.NN(x.zb2, x.xb2, st.w2, x.n, c.F, e, false, x.tmp)
	blas.NN(x.zb2, x.m2, x.g2, x.n, c.F, x.n, true, x.tmp)
	for i := range x.n {
		z := x.zb2[i*c.F : (i+1)*c.F]
		for j := range z {
			z[j] += st.b2[j]
		}
	}
}

// step takes the gradient step on st. It overwrites g1 and g2 by -D G.
func (x *mlpBatch[F]) step(c mlpC, xs, tok []F, st mlpState[F], b, h int) {
	e := c.inner()
	rate := tokenRate(&c.scanC, tok, x.n-1)
	for i := range x.n {
		d := -rate * x.lr(c, xs, b, h, i)
		scaleAdd(x.g1[i*e:(i+1)*e], d, st.b1)
		scaleAdd(x.g2[i*c.F:(i+1)*c.F], d, st.b2)
	}
	blas.TN(st.w1, x.k, c.F, x.g1, c.F, e, x.n, true, x.tmp)
	blas.TN(st.w2, x.x2, e, x.g2, e, c.F, x.n, true, x.tmp)
}

// scaleAdd multiplies g by d and adds it to sum.
func scaleAdd[F prog.Float](g []F, d F, sum []F) {
	for j := range g {
		g[j] *= d
		sum[j] += g[j]
	}
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
		ck := ckpt[it*c.slots()*c.state():][:c.slots()*c.state()]
		clear(ck)
		st := newMLPState(c, state[it*c.state():])
		for t, at := 0, 0; at < c.L && t < c.NB; t, at = t+1, at+x.n {
			if code(c.scanC, xs, b, at) == 0 {
				st.initial(c, theta, h)
			}
			if t%c.G == 0 {
				copy(ck[t/c.G*c.state():], st.all)
			}
			x.load(c, xs, st, b, h, at)
			x.read(c, xs, tok, st, b, h)
			for i := range x.n {
				z := x.zb2[i*c.F : (i+1)*c.F]
				normalise(z, c.Eps)
				o := out[(b*c.L+at+i)*d+h*c.F:]
				for j, v := range z {
					o[j] = x.q[i*c.F+j] + x.gamma[j]*v + x.beta[j]
				}
			}
			x.step(c, xs, tok, st, b, h)
		}
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
	dzb2, dg2, p2, dk := sc.take(kf), sc.take(kf), sc.take(kf), sc.take(kf)
	dzb1, dx2, p1, dg1, dz1 := sc.take(ke), sc.take(ke), sc.take(ke), sc.take(ke), sc.take(ke)
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
			at = begin(c.scanC, xs, b, at)
			x.load(c, xs, st, b, h, at)
			x.read(c, xs, tok, st, b, h)
			n := x.n
			rate := tokenRate(&c.scanC, tok, n-1)

			// Through the output's LayerNorm.
			for i := range n {
				z, dz := x.zb2[i*c.F:(i+1)*c.F], dzb2[i*c.F:(i+1)*c.F]
				x.sb[i] = normalise(z, c.Eps)
				do := dout[(b*c.L+at+i)*d+h*c.F:][:c.F]
				lnBwd(z, do, dz, x.gamma, dgamma, dbeta, x.sb[i])
			}
			// The second layer: -R2, dX2 and P2; P1 and dK of the first one, which also want the states' old gradients.
			blas.NT(r2, dzb2, x.g2, n, n, c.F, false, x.tmp)
			blas.NN(p2, x.x2, ds.w2, n, c.F, e, false, x.tmp)
			blas.NT(dx2, x.g2, ds.w2, n, e, c.F, false, x.tmp)
			blas.NN(p1, x.k, ds.w1, n, e, c.F, false, x.tmp)
			blas.NT(dk, x.g1, ds.w1, n, c.F, e, false, x.tmp)
			for i := range n {
				di := rate * x.lr(c, xs, b, h, i)
				s := addDot(p2[i*c.F:(i+1)*c.F], ds.b2, x.g2[i*c.F:]) + addDot(p1[i*e:(i+1)*e], ds.b1, x.g1[i*e:])
				dd[i] = -s
				scale(dx2[i*e:(i+1)*e], -di)
				scale(dk[i*c.F:(i+1)*c.F], -di)
			}
			clear(dlr)
			x.unmask(c, xs, tok, x.a2, r2, dtok, dlr, b, h)
			blas.TN(dg2, x.m2, n, dzb2, n, c.F, n, false, x.tmp)
			for i := range n {
				blas.Axpy(dg2[i*c.F:(i+1)*c.F], -rate*x.lr(c, xs, b, h, i), p2[i*c.F:(i+1)*c.F])
			}
			blas.TN(dx2, r2, n, x.xb2, n, e, n, true, x.tmp)
			// dXb2, then dZb1.
			blas.NT(dzb1, dzb2, st.w2, n, e, c.F, false, x.tmp)
			blas.NN(dzb1, r2, x.x2, n, e, n, true, x.tmp)
			for i, z := range x.zb1[:n*e] {
				dzb1[i] *= dgelu(z)
			}
			blas.TN(ds.w2, x.xb2, e, dzb2, e, c.F, n, true, x.tmp)
			// The first layer.
			blas.NT(r1, dzb1, x.g1, n, n, e, false, x.tmp)
			x.unmask(c, xs, tok, x.a1, r1, dtok, dlr, b, h)
			for j := range n {
				dlr[j] += dd[j] * rate
				dtok[n-1] += dd[j] * x.lr(c, xs, b, h, j)
			}
			blas.TN(dk, r1, n, x.q, n, c.F, n, true, x.tmp)
			blas.TN(dg1, x.m1, n, dzb1, n, e, n, false, x.tmp)
			// dQ into zb2, whose values are used up.
			blas.NT(x.zb2, dzb1, st.w1, n, c.F, e, false, x.tmp)
			blas.NN(x.zb2, r1, x.k, n, c.F, n, true, x.tmp)
			blas.TN(ds.w1, x.q, c.F, dzb1, c.F, e, n, true, x.tmp)
			for i := range n {
				di := -rate * x.lr(c, xs, b, h, i)
				blas.Axpy(dg1[i*e:(i+1)*e], di, p1[i*e:(i+1)*e])
				blas.Add(ds.b1, dzb1[i*e:(i+1)*e])
				blas.Add(ds.b2, dzb2[i*c.F:(i+1)*c.F])
			}
			// Through G1 = (G2 W2ᵀ) gelu'(Z1): h into dg1.
			for i, z := range x.z1[:n*e] {
				v := dg1[i]
				dz1[i] = v * x.h2[i] * ddgelu(z)
				dg1[i] = v * dgelu(z)
			}
			blas.NN(dg2, dg1, st.w2, n, c.F, e, true, x.tmp)
			blas.TN(ds.w2, dg1, e, x.g2, e, c.F, n, true, x.tmp)
			// dG2's way through the inner loss (second order) into dZ2, left in dg2; du in p2.
			for i := range n {
				o := c.token(b, at+i) + h*c.F
				for j := range x.target {
					x.target[j] = xs[o+2*d+j] - xs[o+d+j]
				}
				lo, hi := i*c.F, (i+1)*c.F
				lnGradBwd(x.xhat[lo:hi], x.g2[lo:hi], dg2[lo:hi], p2[lo:hi], x.gamma, x.beta, x.target, dgamma, dbeta, x.s[i])
				blas.Add(ds.b2, dg2[lo:hi])
			}
			blas.NT(dx2, dg2, st.w2, n, e, c.F, true, x.tmp)
			blas.TN(ds.w2, x.x2, e, dg2, e, c.F, n, true, x.tmp)
			for i, z := range x.z1[:n*e] {
				dz1[i] += dx2[i] * dgelu(z)
			}
			blas.TN(ds.w1, x.k, c.F, dz1, c.F, e, n, true, x.tmp)
			blas.NT(dk, dz1, st.w1, n, c.F, e, true, x.tmp)
			for i := range n {
				blas.Add(ds.b1, dz1[i*e:(i+1)*e])
				o := c.token(b, at+i) + h*c.F
				do := dout[(b*c.L+at+i)*d+h*c.F:][:c.F]
				for j := range c.F {
					e := i*c.F + j
					dt := -p2[e] * x.gamma[j]
					dxs[o+j] += do[j] + x.zb2[e]
					dxs[o+d+j] += dk[e] - dt
					dxs[o+2*d+j] += dt
				}
				dxs[c.token(b, at+i)+3*d+h] += dlr[i]
			}
			// What came before a document's first token is another document's.
			if code(c.scanC, xs, b, at) == 0 {
				blas.Add(part[:c.state()], ds.all)
				clear(ds.all)
			}
		}
	}
}

// unmask takes -R in r and 1 + Q Kᵀ in a: it leaves dA = R*E in r and adds dE = R*a to the gradients of the rates.
func (x *mlpBatch[F]) unmask(c mlpC, xs, tok, a, r, dtok, dlr []F, b, h int) {
	for i := range x.n {
		ti := tokenRate(&c.scanC, tok, i)
		for j := range x.n {
			e := i*x.n + j
			if !c.sees(i, j) {
				r[e] = 0
				continue
			}
			lr := x.lr(c, xs, b, h, j)
			de := -r[e] * a[e]
			dtok[i] += de * lr
			dlr[j] += de * ti
			r[e] *= -ti * lr
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
	copy(states, ckpt[(it*c.slots()+seg/c.G)*c.state():][:c.state()])
	for t := seg; t < end; t++ {
		st, next := newMLPState(c, states[(t-seg)*c.state():]), newMLPState(c, states[(t-seg+1)*c.state():])
		x.load(c, xs, st, b, h, at)
		at += x.n
		if code(c.scanC, xs, b, at) == 0 {
			next.initial(c, theta, h)
			continue
		}
		copy(next.all, st.all)
		x.step(c, xs, tok, next, b, h)
	}
}

func scale[F prog.Float](x []F, a F) {
	for i := range x {
		x[i] *= a
	}
}

// addDot adds y to x and returns the scalar product of the sum with z.
func addDot[F prog.Float](x, y, z []F) (s F) {
	for i := range x {
		x[i] += y[i]
		s += x[i] * z[i]
	}
	return s
}

// The tanh form of GELU, as PyTorch's approximate="tanh", and its derivatives: with u = a (z + b z³), a = sqrt(2/pi),
// b = 0.044715 and t = tanh u, gelu = z (1+t)/2.
const (
	geluA = 0.7978845608028654
	geluB = 0.044715
)

func geluTanh[F prog.Float](z F) (t, du F) {
	return F(math.Tanh(float64(geluA * (z + geluB*z*z*z)))), geluA * (1 + 3*geluB*z*z)
}

func gelu[F prog.Float](z F) F {
	t, _ := geluTanh(z)
	return z * (1 + t) / 2
}

func dgelu[F prog.Float](z F) F {
	t, du := geluTanh(z)
	return (1+t)/2 + z*(1-t*t)*du/2
}

func ddgelu[F prog.Float](z F) F {
	t, du := geluTanh(z)
	return (1 - t*t) * (du + z*(3*geluA*geluB*z-t*du*du))
}
