package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// sizes are m, n, k: ones, sizes off vek's width of 32, more than one panel, products that vek would do in parallel.
var sizes = [][3]int{
	{1, 1, 1}, {2, 3, 5}, {1, 33, 1}, {1, 1, 40}, {5, 31, 33}, {4, 32, 32}, {16, 64, 64}, {16, 16, 64}, {64, 64, 16},
	{16, 64, 16}, {7, 20, 50}, {33, 65, 67}, {18, 48, 130}, {3, 700, 170}, {40, 130, 1100}, {130, 40, 257}, {300, 2, 90},
}

// product names one form: of gives it its a, the dimensions and the scratch of its own size.
type product[F Float] struct {
	name   string
	do     func(dst, a, b []F, m, n, k int, acc bool, scratch []F)
	a, b   func(m, n, k int) func(i, p int) int // index of a's element (i,p) and of b's (j,p)
	needed func(m, n, k int) int
}

const gap = 3 // between the rows of TN's a

func products[F Float]() []product[F] {
	row := func(_, _, k int) func(i, p int) int { return func(i, p int) int { return i*k + p } }
	bcol := func(_, n, _ int) func(j, p int) int { return func(j, p int) int { return p*n + j } }
	acol := func(m, _, _ int) func(i, p int) int { return func(i, p int) int { return p*(m+gap) + i } }
	return []product[F]{
		{name: "NN", do: NN[F], a: row, b: bcol, needed: ScratchNN},
		{name: "NT", do: NT[F], a: row, b: row, needed: ScratchNT},
		{name: "TN", a: acol, b: bcol, needed: ScratchTN, do: func(dst, a, b []F, m, n, k int, acc bool, scratch []F) {
			TN(dst, a, m+gap, b, m, n, k, acc, scratch)
		}},
	}
}

func random[F Float](r *rand.Rand, n int) []F {
	x := make([]F, n) // no capacity to spare: an access past the end shows
	for i := range x {
		x[i] = F(float32(r.NormFloat64()))
	}
	return x
}

func testProducts[F Float](t *testing.T, tol float64) {
	for _, pr := range products[F]() {
		for _, s := range sizes {
			m, n, k := s[0], s[1], s[2]
			for _, acc := range []bool{false, true} {
				r := rand.New(rand.NewPCG(uint64(m*n), uint64(k)))
				a, b, dst := random[F](r, (m+gap)*(k+gap)), random[F](r, n*k), random[F](r, m*n)
				want := make([]float64, m*n)
				ai, bi := pr.a(m, n, k), pr.b(m, n, k)
				for i := range m {
					for j := range n {
						var sum float64
						for p := range k {
							sum += float64(a[ai(i, p)]) * float64(b[bi(j, p)])
						}
						if acc {
							sum += float64(dst[i*n+j])
						}
						want[i*n+j] = sum
					}
				}
				scratch := random[F](r, pr.needed(m, n, k))
				pr.do(dst, a, b, m, n, k, acc, scratch)
				for i, w := range want {
					if !(math.Abs(float64(dst[i])-w) <= tol*float64(k+8)) {
						t.Errorf("%s %v acc=%v: element %d is %g, want %g", pr.name, s, acc, i, dst[i], w)
						break
					}
				}
			}
		}
	}
}

func TestProducts(t *testing.T) {
	eachLevel(t, func(t *testing.T) { testProducts[float32](t, 4e-7) })
	t.Run("float64", func(t *testing.T) { testProducts[float64](t, 1e-15) })
}

// TestRowsAlone checks the promise that lets kernels share out rows: any split gives the same bits.
func TestRowsAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, pr := range products[float32]() {
		for _, s := range sizes {
			m, n, k := s[0], s[1], s[2]
			a, b := random[float32](r, (m+gap)*(k+gap)), random[float32](r, n*k)
			whole, parts := random[float32](r, m*n), make([]float32, m*n)
			copy(parts, whole)
			pr.do(whole, a, b, m, n, k, true, make([]float32, pr.needed(m, n, k)))
			for i := 0; i < m; i += 3 {
				c := min(3, m-i)
				if pr.name == "TN" {
					TN(parts[i*n:][:c*n], a[i:], m+gap, b, c, n, k, true, make([]float32, ScratchTN(c, n, k)))
				} else {
					pr.do(parts[i*n:][:c*n], a[i*k:], b, c, n, k, true, make([]float32, pr.needed(c, n, k)))
				}
			}
			for i := range whole {
				if whole[i] != parts[i] {
					t.Errorf("%s %v: element %d is %g in one piece, %g by three rows", pr.name, s, i, whole[i], parts[i])
					break
				}
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	for _, s := range [][3]int{{1, 1, 1}, {1, 5, 7}, {4, 4, 4}, {6, 3, 3}, {7, 9, 11}} {
		m, n, lds := s[0], s[1], s[2]
		src, dst := make([]float64, (m-1)*lds+n), make([]float64, m*n)
		for i := range src {
			src[i] = float64(i)
		}
		Transpose(dst, src, lds, m, n)
		for i := range m {
			for j := range n {
				if dst[j*m+i] != float64(i*lds+j) {
					t.Fatalf("%v: element %d,%d is %g, want %d", s, j, i, dst[j*m+i], i*lds+j)
				}
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, s := range [][3]int{{16, 64, 64}, {64, 64, 16}, {16, 16, 64}, {40, 130, 1100}, {9, 9, 9}} {
		m, n, k := s[0], s[1], s[2]
		a, b, dst := random[float32](r, (m+gap)*(k+gap)), random[float32](r, n*k), random[float32](r, m*n)
		for _, pr := range products[float32]() {
			scratch := make([]float32, pr.needed(m, n, k))
			for _, acc := range []bool{false, true} {
				if got := testing.AllocsPerRun(3, func() { pr.do(dst, a, b, m, n, k, acc, scratch) }); got != 0 {
					t.Errorf("%s %v acc=%v: %g allocations", pr.name, s, acc, got)
				}
			}
		}
	}
	x, y := random[float32](r, 300), random[float32](r, 300)
	var sum float32
	got := testing.AllocsPerRun(3, func() { sum += Dot(x, y); Axpy(x, 0.5, y); Add(x, y) })
	if got != 0 {
		t.Errorf("Dot, Axpy, Add: %g allocations (sum %g)", got, sum)
	}
}

func BenchmarkProducts(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, s := range [][3]int{{16, 64, 64}, {16, 16, 64}, {64, 64, 16}, {16, 64, 16}, {32, 256, 256}, {32, 688, 256}, {32, 256, 688}, {16, 256, 2048}, {16, 688, 2048}} {
		m, n, k := s[0], s[1], s[2]
		a, bb, dst := random[float32](r, (m+gap)*(k+gap)), random[float32](r, n*k), random[float32](r, m*n)
		for _, pr := range products[float32]() {
			scratch := make([]float32, pr.needed(m, n, k))
			for _, acc := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/%dx%dx%d/acc=%v", pr.name, m, n, k, acc), func(b *testing.B) {
					for range b.N {
						pr.do(dst, a, bb, m, n, k, acc, scratch)
					}
					gflops(b, 2*m*n*k)
				})
			}
		}
	}
}

func gflops(b *testing.B, flops int) {
	b.ReportMetric(float64(flops)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
