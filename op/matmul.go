package op

import (
	"math/rand/v2"
	"slices"

	"innerloop/internal/blas"
	"innerloop/prog"
)

// matmulC are the constants of a product: out[M,N] sums K terms, Batch times over, on matrices that follow each other.
type matmulC struct {
	Batch            int `wgsl:"-"` // the grid's z axis
	M, N, K          int
	SharedA, SharedB bool // one a, one b for all of the batch
}

func product(batch, m, n, k int) matmulC { return matmulC{Batch: batch, M: m, N: n, K: k} }

// sampleProduct draws the rest of a product for tests.
func sampleProduct(r *rand.Rand, m, n, k int) matmulC {
	c := product(1+r.IntN(3), m, n, k)
	c.SharedA, c.SharedB = r.IntN(4) == 0, r.IntN(4) == 0
	return c
}

// matmulAnyC are the constants of the product that takes every shape.
type matmulAnyC struct {
	Batch          int `wgsl:"-"`
	M, N, K        int
	TransA, TransB bool // a is [K,M]; b is [N,K]
}

// matmulRows is the number of rows of out in a work item of the references: few enough to share out m rows among
// processors, and as many as then pay for rearranging b. matmul_tn's sums are long: it has fewer rows, and more to do.
func matmulRows(m int, transA bool) int {
	if transA {
		return max(16, min(64, prog.CeilDiv(m, 64)*8))
	}
	return max(32, min(128, prog.CeilDiv(m, 128)*8))
}

// The fast kernels read and write vec4 along the last axes of a, b and out, which have to be multiples of 4: K and N,
// of matmul_tn M and N. matmul_any does all else.
var (
	matmulNNK = defineMatmul("matmul_nn", false, matmulC.itemsNN, blas.ScratchNN, matmulNN[float32], matmulNN[float64],
		func(r *rand.Rand) matmulC {
			return sampleProduct(r, sampleDim(r), 4*sampleDim(r), 4*sampleDim(r))
		})
	matmulNTK = defineMatmul("matmul_nt", false, matmulC.itemsNT, blas.ScratchNT, matmulNT[float32], matmulNT[float64],
		func(r *rand.Rand) matmulC {
			return sampleProduct(r, sampleDim(r), 4*sampleDim(r), 4*sampleDim(r))
		})
	matmulTNK = defineMatmul("matmul_tn", true, matmulC.itemsTN, blas.ScratchTN, matmulTN[float32], matmulTN[float64],
		func(r *rand.Rand) matmulC {
			return sampleProduct(r, 4*sampleDim(r), 4*sampleDim(r), sampleDim(r))
		})
	matmulAnyK = define(prog.Spec[matmulAnyC]{
		Name:  "matmul_any",
		Binds: matmulBinds,
		Lens:  func(c matmulAnyC) []int { return c.base().lens() },
		Items: func(c matmulAnyC) int {
			if c.TransB {
				return c.base().itemsNT()
			}
			return c.base().items(c.rows())
		},
		Scratch: func(c matmulAnyC) int {
			m := min(c.M, c.rows())
			switch {
			case c.TransA:
				return blas.ScratchTN(m, c.N, c.K)
			case c.TransB:
				return blas.ScratchNT(m, c.N, c.K)
			}
			return blas.ScratchNN(m, c.N, c.K)
		},
		Flops: func(c matmulAnyC) float64 { return c.base().flops() },
		Grid:  func(c matmulAnyC, _ prog.Traits) [3]int { return matmulAnyTile(c).grid(c.base()) },
		Tune: func(c matmulAnyC, _ prog.Traits) map[string]any {
			w := matmulAnyTile(c)
			return map[string]any{"WX": w.wx, "WY": w.wy}
		},
		Overwrites: true,
		F32:        matmulAny[float32],
		F64:        matmulAny[float64],
		Sample: func(r *rand.Rand) matmulAnyC {
			form := r.IntN(3)
			return matmulAnyC{1 + r.IntN(3), sampleDim(r), sampleDim(r), sampleDim(r), form == 1, form == 2}
		},
	})
	matmulBinds = []prog.Binding{prog.In("a"), prog.In("b"), prog.Acc("out")}
)

func defineMatmul(name string, transA bool, items func(matmulC) int, scratch func(m, n, k int) int, f32 func(matmulC, *prog.Args[float32], []float32, int, int),
	f64 func(matmulC, *prog.Args[float64], []float64, int, int), sample func(r *rand.Rand) matmulC) prog.Typed[matmulC] {
	return define(prog.Spec[matmulC]{
		Name:       name,
		Binds:      matmulBinds,
		Lens:       matmulC.lens,
		Items:      items,
		Scratch:    func(c matmulC) int { return scratch(min(c.M, matmulRows(c.M, transA)), c.N, c.K) },
		Flops:      matmulC.flops,
		Variants:   func(c matmulC, t prog.Traits) []prog.Variant { return matmulVariants(name, c, t) },
		Shaders:    matmulShaders(name),
		Overwrites: true,
		F32:        f32,
		F64:        f64,
		Sample:     sample,
	})
}

func (c matmulC) lens() []int {
	last := c.Batch - 1
	return []int{(c.inA(last) + 1) * c.M * c.K, (c.inB(last) + 1) * c.K * c.N, c.Batch * c.M * c.N}
}

// inA and inB are which matrix of a and of b number z of the batch is made of.
func (c matmulC) inA(z int) int { return batched(z, c.SharedA) }
func (c matmulC) inB(z int) int { return batched(z, c.SharedB) }

func batched(z int, shared bool) int {
	if shared {
		return 0
	}
	return z
}

func (c matmulC) items(rows int) int { return c.Batch * prog.CeilDiv(c.M, rows) }
func (c matmulC) itemsNN() int       { return c.items(matmulRows(c.M, false)) }
func (c matmulC) itemsTN() int       { return c.items(matmulRows(c.M, true)) }
func (c matmulC) flops() float64     { return 2 * float64(c.Batch*c.M) * float64(c.N) * float64(c.K) }

func (c matmulAnyC) base() matmulC { return product(c.Batch, c.M, c.N, c.K) }
func (c matmulAnyC) rows() int     { return matmulRows(c.M, c.TransA) }

// MatMul records out = a·b for matrices a [M,K] and b [K,N], out [M,N], or for batches of them: [B,M,K] and [B,K,N],
// out [B,M,N]. With transA a is [.., K,M], with transB b is [.., N,K]; not both.
func MatMul(r *prog.Recorder, a, b *prog.Tensor, transA, transB bool) *prog.Tensor {
	return namedMatMul(r, "matmul", a, b, transA, transB)
}

func namedMatMul(r *prog.Recorder, name string, a, b *prog.Tensor, transA, transB bool) *prog.Tensor {
	sa, sb := a.Shape(), b.Shape()
	if len(sa) != len(sb) || len(sa) != 2 && len(sa) != 3 || len(sa) == 3 && sa[0] != sb[0] {
		r.Failf("op: MatMul of %v and %v: want two matrices or two equal batches of them", a, b)
	}
	if transA && transB {
		r.Failf("op: MatMul of %v and %v, both transposed: transpose the product of b and a instead", a, b)
	}
	c := product(1, a.Dim(-2), b.Dim(-1), a.Dim(-1))
	if len(sa) == 3 {
		c.Batch = sa[0]
	}
	kb := b.Dim(-2)
	if transA {
		c.M, c.K = c.K, c.M
	}
	if transB {
		c.N, kb = kb, c.N
	}
	if kb != c.K {
		r.Failf("op: MatMul of %v and %v (transposed: %v, %v): inner extents %d and %d differ", a, b, transA, transB, c.K, kb)
	}
	shape := []int{c.M, c.N}
	if len(sa) == 3 {
		shape = []int{c.Batch, c.M, c.N}
	}
	out := r.Temp(name, shape...)
	matmul(r, c, a, b, out, transA, transB)
	r.Tape(func() {
		dout := r.Grad(out)
		if r.WantsGrad(a) {
			ca := product(c.Batch, c.M, c.K, c.N)
			switch {
			case transA: // da [K,M] = b·doutᵀ
				matmul(r, product(c.Batch, c.K, c.M, c.N), b, dout, r.Grad(a), false, true)
			case transB: // da = dout·b
				matmul(r, ca, dout, b, r.Grad(a), false, false)
			default: // da = dout·bᵀ
				matmul(r, ca, dout, b, r.Grad(a), false, true)
			}
		}
		if r.WantsGrad(b) {
			cb := product(c.Batch, c.K, c.N, c.M)
			switch {
			case transA: // db = a·dout
				matmul(r, cb, a, dout, r.Grad(b), false, false)
			case transB: // db [N,K] = doutᵀ·a
				matmul(r, product(c.Batch, c.N, c.K, c.M), dout, a, r.Grad(b), true, false)
			default: // db = aᵀ·dout
				matmul(r, cb, a, dout, r.Grad(b), true, false)
			}
		}
	}, out)
	return out
}

// Linear records out = x·wᵀ over the last axis. x is [...,I], w is [O,I], out [...,O]. See HalfWeights.
func Linear(r *prog.Recorder, x, w *prog.Tensor) *prog.Tensor { return LinearTo(r, prog.F32, x, w) }

// LinearTo records Linear with a result of F32 or F16.
func LinearTo(r *prog.Recorder, to prog.DType, x, w *prog.Tensor) *prog.Tensor {
	if len(w.Shape()) != 2 || x.Dim(-1) != w.Dim(1) {
		r.Failf("op: Linear of %v: weight %v, want [out %d]", x, w, x.Dim(-1))
	}
	var out *prog.Tensor
	if half := r.Half(w); half != nil {
		out = linearHalf(r, to, x, w, half)
	} else {
		out = namedMatMul(r, "linear", x.Rows(), w, false, true)
	}
	if to == prog.F16 {
		out = Half(r, out)
	}
	shape := slices.Clone(x.Shape())
	shape[len(shape)-1] = w.Dim(0)
	return out.Reshape(shape...)
}

// matmul records out += a·b with the kernel that suits the shape.
func matmul(r *prog.Recorder, c matmulC, a, b, out *prog.Tensor, transA, transB bool) {
	if c.Batch > prog.DefaultTraits.MaxWorkgroupsAxis {
		r.Failf("op: matmul: batch of %d, want at most %d", c.Batch, prog.DefaultTraits.MaxWorkgroupsAxis)
	}
	lastA := c.K
	if transA {
		lastA = c.M
	}
	anyK, tn, nt, nn := matmulAnyK, matmulTNK, matmulNTK, matmulNNK
	if b.DType() == prog.F16 {
		anyK, tn, nt, nn = matmulAnyHalfOneK, matmulTNHalfK, matmulNTHalfK, matmulNNHalfK
		if a.DType() == prog.F16 {
			anyK = matmulAnyHalfK
		}
	}
	switch {
	case c.N%4 != 0 || lastA%4 != 0:
		anyK.Dispatch(r, matmulAnyC{c.Batch, c.M, c.N, c.K, transA, transB}, a, b, out)
	case transA:
		tn.Dispatch(r, c, a, b, out)
	case transB:
		nt.Dispatch(r, c, a, b, out)
	default:
		nn.Dispatch(r, c, a, b, out)
	}
}

// rowBlock is item i's part of the product: of which batch, the first row and the number of rows.
func (c matmulC) rowBlock(i, rows int) (z, row, n int) {
	blocks := prog.CeilDiv(c.M, rows)
	row = i % blocks * rows
	return i / blocks, row, min(rows, c.M-row)
}

func matmulNN[F prog.Float](c matmulC, a *prog.Args[F], scratch []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		z, row, n := c.rowBlock(i, matmulRows(c.M, false))
		at := z*c.M + row
		blas.NN(a.F[2][at*c.N:][:n*c.N], a.F[0][(c.inA(z)*c.M+row)*c.K:][:n*c.K], a.F[1][c.inB(z)*c.K*c.N:][:c.K*c.N], n, c.N, c.K, !a.Fresh(2), scratch)
	}
}

// A row times the rows of b, all batches' one after the other, is shared out by those: lineRows in an item, which are
// worth the waking of another processor.
func (c matmulC) lineRows() int { return max(64, prog.CeilDiv(1<<17, c.K)) }

func (c matmulC) itemsNT() int {
	if c.M == 1 {
		return prog.CeilDiv(c.Batch*c.N, c.lineRows())
	}
	return c.items(matmulRows(c.M, false))
}

func lineNT[F prog.Float](c matmulC, a *prog.Args[F], scratch []F, lo, hi int) {
	end := min(hi*c.lineRows(), c.Batch*c.N)
	for at := lo * c.lineRows(); at < end; {
		z, j := at/c.N, at%c.N
		n := min(c.N-j, end-at)
		b := a.F[1][(c.inB(z)*c.N+j)*c.K:][:n*c.K]
		blas.NT(a.F[2][at:][:n], a.F[0][c.inA(z)*c.K:][:c.K], b, 1, n, c.K, !a.Fresh(2), scratch)
		at += n
	}
}

func matmulNT[F prog.Float](c matmulC, a *prog.Args[F], scratch []F, lo, hi int) {
	if c.M == 1 {
		lineNT(c, a, scratch, lo, hi)
		return
	}
	for i := lo; i < hi; i++ {
		z, row, n := c.rowBlock(i, matmulRows(c.M, false))
		at := z*c.M + row
		blas.NT(a.F[2][at*c.N:][:n*c.N], a.F[0][(c.inA(z)*c.M+row)*c.K:][:n*c.K], a.F[1][c.inB(z)*c.K*c.N:][:c.K*c.N], n, c.N, c.K, !a.Fresh(2), scratch)
	}
}

func matmulTN[F prog.Float](c matmulC, a *prog.Args[F], scratch []F, lo, hi int) {
	for i := lo; i < hi; i++ {
		z, row, n := c.rowBlock(i, matmulRows(c.M, true))
		blas.TN(a.F[2][(z*c.M+row)*c.N:][:n*c.N], a.F[0][c.inA(z)*c.K*c.M+row:(c.inA(z)+1)*c.K*c.M], c.M, a.F[1][c.inB(z)*c.K*c.N:][:c.K*c.N], n, c.N, c.K, !a.Fresh(2), scratch)
	}
}

func matmulAny[F prog.Float](c matmulAnyC, a *prog.Args[F], scratch []F, lo, hi int) {
	switch {
	case c.TransA:
		matmulTN(c.base(), a, scratch, lo, hi)
	case c.TransB:
		matmulNT(c.base(), a, scratch, lo, hi)
	default:
		matmulNN(c.base(), a, scratch, lo, hi)
	}
}
