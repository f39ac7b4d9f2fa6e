package op

import (
	"math"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// The references of attention. A work item is a block of tokens of one head, which meets the other tokens by tiles. The
// block's tokens are the columns of every matrix, so that products add up long rows however narrow the head is.

// attentionBlock is the number of tokens of a block, and of a tile.
const attentionBlock = 64

func attentionBlocks(c attentionC) int { return prog.CeilDiv(c.L, attentionBlock) }
func attentionItems(c attentionC) int  { return c.B * c.H * attentionBlocks(c) }

// attentionScratch is the length of scratch memory for so many matrices of a head's channels by a block, tiles of a
// block by a block, vectors of a block, and the products of these.
func attentionScratch(c attentionC, mats, tiles, vecs int) int {
	n := min(c.L, attentionBlock)
	products := 0
	for _, w := range []int{n, min(n, 31)} { // short blocks go another way
		products = max(products, blas.ScratchNN(n, w, c.F), blas.ScratchNN(c.F, w, n))
	}
	return n*(mats*c.F+tiles*n+vecs) + products
}

// attentionRun carves the scratch memory of one call, and knows the block that is being worked on.
type attentionRun[F prog.Float] struct {
	attentionC
	rest []F
	row  int // the first token of the block's row
	h    int // its head
	at   int // its first token in the row
	n    int // its tokens
}

func newAttentionRun[F prog.Float](c attentionC, scratch []F) *attentionRun[F] {
	return &attentionRun[F]{attentionC: c, rest: scratch}
}

func (r *attentionRun[F]) take(n int) []F {
	s := r.rest[:n:n]
	r.rest = r.rest[n:]
	return s
}

func (r *attentionRun[F]) mat() []F  { return r.take(min(r.L, attentionBlock) * r.F) }
func (r *attentionRun[F]) tile() []F { n := min(r.L, attentionBlock); return r.take(n * n) }
func (r *attentionRun[F]) vec() []F  { return r.take(min(r.L, attentionBlock)) }

// begin makes item it the block.
func (r *attentionRun[F]) begin(it int) {
	blocks := attentionBlocks(r.attentionC)
	r.row, r.h, r.at = it/blocks/r.H*r.L, it/blocks%r.H, it%blocks*attentionBlock
	r.n = min(attentionBlock, r.L-r.at)
}

// offset is where token i of the row has its head's channels, in q and all that is like it.
func (r *attentionRun[F]) offset(i int) int { return (r.row+i)*r.width() + r.h*r.F }

// stat is where token i of the row has its head's number, in either half of stats.
func (r *attentionRun[F]) stat(i int) int { return (r.row+i)*r.H + r.h }

// rows copies the n tokens from i to dst [n,F].
func (r *attentionRun[F]) rows(dst, x []F, i, n int) []F {
	for j := range n {
		copy(dst[j*r.F:(j+1)*r.F], x[r.offset(i+j):])
	}
	return dst[:n*r.F]
}

// columns copies the n tokens from i to dst [F,n].
func (r *attentionRun[F]) columns(dst, x []F, i, n int) []F {
	blas.Transpose(dst, x[r.offset(i):], r.width(), n, r.F)
	return dst[:n*r.F]
}

// product sets dst [m,n] to a [m,k]·b [k,n], n the block's tokens, or adds that.
func (r *attentionRun[F]) product(dst, a, b []F, m, k int, acc bool) []F {
	blas.NN(dst[:m*r.n], a, b, m, r.n, k, acc, r.rest)
	return dst[:m*r.n]
}

// hide makes the scores of ni queries from i0 and nj keys from j0 that do not see each other minus infinity; those of
// query i and key j are s[i*si+j*sj].
func (r *attentionRun[F]) hide(s []F, pos []uint32, i0, ni, si, j0, nj, sj int) {
	for i := range ni {
		lo := min(r.first(i0+i, pos[r.row+i0+i])-j0, nj)
		hi := max(i0+i+1-j0, 0)
		for j := range lo {
			s[i*si+j*sj] = F(math.Inf(-1))
		}
		for j := hi; j < nj; j++ {
			s[i*si+j*sj] = F(math.Inf(-1))
		}
	}
}

// firstKey is the first key that a query of the block sees.
func (r *attentionRun[F]) firstKey(pos []uint32) int {
	lo := r.at
	for i := r.at; i < r.at+r.n; i++ {
		lo = min(lo, r.first(i, pos[r.row+i]))
	}
	return lo
}

// scale is 1/sqrt(F).
func (c attentionC) scale() float64 { return 1 / math.Sqrt(float64(c.F)) }

func fill[F prog.Float](x []F, v F) {
	for i := range x {
		x[i] = v
	}
}

func scaleBy[F prog.Float](x []F, k F) {
	blas.Scale(x, k)
}

func rowDot[F prog.Float](x, y []F) F {
	return blas.Dot(x, y)
}

func attentionFwd[F prog.Float](c attentionC, a *prog.Args[F], scratch []F, lo, hi int) {
	q, k, v, pos, out, stats := a.F[0], a.F[1], a.F[2], a.U[3], a.F[4], a.F[5]
	r := newAttentionRun(c, scratch)
	qm, km, vm, om := r.mat(), r.mat(), r.mat(), r.mat()
	tile, most, sum, keep := r.tile(), r.vec(), r.vec(), r.vec()
	for it := lo; it < hi; it++ {
		r.begin(it)
		qt := r.columns(qm, q, r.at, r.n)
		scaleBy(qt, F(c.scale()))
		o, most, sum := om[:c.F*r.n], most[:r.n], sum[:r.n]
		clear(o)
		clear(sum)
		for i := range most {
			most[i] = F(math.Inf(-1))
		}
		for j := r.firstKey(pos); j < r.at+r.n; j += attentionBlock {
			n := min(attentionBlock, r.at+r.n-j)
			s := r.product(tile, r.rows(km, k, j, n), qt, n, c.F, false)
			r.hide(s, pos, r.at, r.n, 1, j, n, r.n)
			softmaxTile(s, most, sum, keep)
			for f := range c.F {
				of := o[f*r.n : (f+1)*r.n]
				blas.Times(of, of, keep)
			}
			r.product(o, r.columns(vm, v, j, n), s, c.F, n, true)
		}
		for i := range r.n {
			or := out[r.offset(r.at+i):][:c.F]
			for f := range or {
				or[f] = o[f*r.n+i] / sum[i]
			}
			stats[r.stat(r.at+i)] = most[i] + F(math.Log(float64(sum[i])))
			stats[c.stats()/2+r.stat(r.at+i)] = 0
		}
	}
}

// softmaxTile goes on with the softmax of columns by a tile of scores, whose exponentials it leaves there (Milakov and
// Gimelshein 2018, arXiv 1805.02867): most and sum are each column's largest score and sum of exponentials so far, and
// keep becomes what remains of earlier exponentials.
func softmaxTile[F prog.Float](s, most, sum, keep []F) {
	n := len(most)
	copy(keep, most)
	for j := 0; j < len(s); j += n {
		for i, v := range s[j : j+n] {
			if v > most[i] {
				most[i] = v
			}
		}
	}
	for i, m := range most {
		keep[i] = F(math.Exp(float64(keep[i] - m)))
		if math.IsInf(float64(m), -1) {
			keep[i] = 0 // nothing seen yet, nothing to keep
		}
		sum[i] *= keep[i]
	}
	for j := 0; j < len(s); j += n {
		row := s[j : j+n]
		exps(row, row, most)
		blas.Add(sum, row)
	}
}

// attentionBwdQ makes the gradient of the block's queries: with P the probabilities and delta_i = dout_i·out_i,
// dS = P * (dout vᵀ - delta), dq = dS k / sqrt(F).
func attentionBwdQ[F prog.Float](c attentionC, a *prog.Args[F], scratch []F, lo, hi int) {
	q, k, v, pos, out, dout, stats, dq := a.F[0], a.F[1], a.F[2], a.U[3], a.F[4], a.F[5], a.F[6], a.F[7]
	r := newAttentionRun(c, scratch)
	qm, gm, km, vm, kt, dm := r.mat(), r.mat(), r.mat(), r.mat(), r.mat(), r.mat()
	st, dt, logs, deltas := r.tile(), r.tile(), r.vec(), r.vec()
	scale := F(c.scale())
	for it := lo; it < hi; it++ {
		r.begin(it)
		qt, gt, d := r.columns(qm, q, r.at, r.n), r.columns(gm, dout, r.at, r.n), dm[:c.F*r.n]
		scaleBy(qt, scale)
		clear(d)
		for i := range r.n {
			o, s := r.offset(r.at+i), r.stat(r.at+i)
			logs[i], deltas[i] = stats[s], rowDot(out[o:o+c.F], dout[o:])
			stats[c.stats()/2+s] = deltas[i]
		}
		for j := r.firstKey(pos); j < r.at+r.n; j += attentionBlock {
			n := min(attentionBlock, r.at+r.n-j)
			s := r.product(st, r.rows(km, k, j, n), qt, n, c.F, false)
			r.hide(s, pos, r.at, r.n, 1, j, n, r.n)
			ds := r.product(dt, r.rows(vm, v, j, n), gt, n, c.F, false)
			for j := 0; j < len(s); j += r.n {
				slopes(ds[j:j+r.n], s[j:j+r.n], logs, deltas)
			}
			r.product(d, r.columns(kt, k, j, n), ds, c.F, n, true)
		}
		r.addColumns(dq, d, scale)
	}
}

// addColumns adds k times the block's columns of d [F,n] to dst.
func (r *attentionRun[F]) addColumns(dst, d []F, k F) {
	for i := range r.n {
		row := dst[r.offset(r.at+i):][:r.F]
		for f := range row {
			row[f] += k * d[f*r.n+i]
		}
	}
}

// slopes replaces scores by probabilities, and products d of dout and v by the gradients of the scores.
func slopes[F prog.Float](d, score, logs, deltas []F) {
	exps(score, score, logs)
	d, deltas = d[:len(score)], deltas[:len(score)]
	for i, p := range score {
		d[i] = p * (d[i] - deltas[i])
	}
}

// attentionBwdKV makes the gradients of the block's keys and values: dv = Pᵀ dout, dk = dSᵀ q / sqrt(F).
func attentionBwdKV[F prog.Float](c attentionC, a *prog.Args[F], scratch []F, lo, hi int) {
	q, k, v, pos, dout, stats, dk, dv := a.F[0], a.F[1], a.F[2], a.U[3], a.F[4], a.F[5], a.F[6], a.F[7]
	r := newAttentionRun(c, scratch)
	km, vm, qm, gm, qt, gt, dkm, dvm := r.mat(), r.mat(), r.mat(), r.mat(), r.mat(), r.mat(), r.mat(), r.mat()
	st, dt, logs, deltas := r.tile(), r.tile(), r.vec(), r.vec()
	scale := F(c.scale())
	for it := lo; it < hi; it++ {
		r.begin(it)
		kt, vt := r.columns(km, k, r.at, r.n), r.columns(vm, v, r.at, r.n)
		scaleBy(kt, scale)
		dks, dvs := dkm[:c.F*r.n], dvm[:c.F*r.n]
		clear(dks)
		clear(dvs)
		for i := r.at; i < min(c.L, r.at+r.n+c.W-1); i += attentionBlock {
			n := min(attentionBlock, c.L-i)
			if !r.seen(pos, i, n) {
				continue
			}
			s := r.product(st, r.rows(qm, q, i, n), kt, n, c.F, false)
			r.hide(s, pos, i, n, r.n, r.at, r.n, 1)
			ds := r.product(dt, r.rows(gm, dout, i, n), vt, n, c.F, false)
			for x := range n {
				at := r.stat(i + x)
				fill(logs, stats[at])
				fill(deltas, stats[c.stats()/2+at])
				slopes(ds[x*r.n:(x+1)*r.n], s[x*r.n:(x+1)*r.n], logs, deltas)
			}
			r.product(dvs, r.columns(gt, dout, i, n), s, c.F, n, true)
			r.product(dks, r.columns(qt, q, i, n), ds, c.F, n, true)
		}
		r.addColumns(dk, dks, scale)
		r.addColumns(dv, dvs, 1)
	}
}

// seen says whether one of the n queries from i sees a key of the block.
func (r *attentionRun[F]) seen(pos []uint32, i, n int) bool {
	for x := i; x < i+n; x++ {
		if r.first(x, pos[r.row+x]) < r.at+r.n {
			return true
		}
	}
	return false
}
