package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// fma is x*y + z, rounded once. The product is exact in float64; of the sum's rest the last bit stands for (rounding to
// odd), so that the second rounding is that of the exact sum.
func fma(x, y, z float32) float32 {
	p, z64 := float64(x)*float64(y), float64(z)
	s := p + z64
	b := s - p
	if e := (p - (s - b)) + (z64 - b); e != 0 && math.Float64bits(s)&1 == 0 {
		s = math.Nextafter(s, math.Copysign(math.Inf(1), e))
	}
	return float32(s)
}

func TestFMA(t *testing.T) {
	for _, c := range []struct{ a, b, c, want float32 }{
		{3, 5, 7, 22},
		{3, 5, -15, 0},
		{1 + 0x1p-23, 1 + 0x1p-23, -1 - 0x1p-22, 0x1p-46},
		// The product is half-way between two numbers, and what tells which is nearer is beyond float64.
		{1 + 0x1p-12, 1 + 0x1p-12, 0x1p-60, 1 + 0x1p-11 + 0x1p-23},
		{1 + 0x1p-12, 1 + 0x1p-12, 0, 1 + 0x1p-11},
		{1 + 0x1p-12, -1 - 0x1p-12, -0x1p-60, -1 - 0x1p-11 - 0x1p-23},
		{1 + 0x1p-12, 1 + 3*0x1p-12, -0x1p-60, 1 + 0x1p-10 + 0x1p-23},
		{1 + 0x1p-12, 1 + 3*0x1p-12, 0, 1 + 0x1p-10 + 0x1p-22},
	} {
		if got := fma(c.a, c.b, c.c); got != c.want {
			t.Errorf("fma(%g, %g, %g) = %g, want %g", c.a, c.b, c.c, got, c.want)
		}
	}
}

// TestChain checks the promise that an element is one chain of fused multiply-adds, from 0 or from dst's, with all its
// consequences: it has the same bits with every instruction set and in every shape. Nothing beside the operands is read
// or written: they lie beside pages that may not be touched.
func TestChain(t *testing.T) {
	shapes := append(slices.Clone(sizes), [][3]int{{1, 344, 128}, {2, 128, 344}, {3, 40, 300}, {4, 33, 515}, {130, 100, 300}, {48, 130, 600}}...)
	others := len(shapes) // what follows is of NT, which has a kernel for few rows
	for m := 1; m <= 5; m++ {
		for _, n := range []int{7, 8, 9, 16, 23, 31, 32, 33, 40, 67} {
			for _, k := range []int{1, 3, 4, 5, 15, 16, 17, 38} {
				shapes = append(shapes, [3]int{m, n, k})
			}
		}
	}
	most := 0
	for _, s := range shapes {
		most = max(most, (s[0]+gap)*(s[2]+gap), s[1]*s[2], s[0]*s[1])
	}
	memA, memB, memDst := walled(t, most), walled(t, most), walled(t, most)
	eachLevel(t, func(t *testing.T) {
		if level == plain {
			t.Skip("plain Go rounds products")
		}
		r := rand.New(rand.NewPCG(3, 4))
		value := func() float32 {
			switch x := float32(r.NormFloat64()); r.IntN(40) {
			case 0:
				return float32(math.Copysign(0, float64(x)))
			case 1:
				return x * 0x1p-80 // of which products vanish
			default:
				return x
			}
		}
		for _, pr := range products[float32]() {
			for i, s := range shapes {
				if i >= others && pr.name != "NT" {
					break
				}
				m, n, k := s[0], s[1], s[2]
				end := r.IntN(2) == 0
				lenA := m * k
				if pr.name == "TN" {
					lenA = (k-1)*(m+gap) + m
				}
				a, b, dst := memA(lenA, end), memB(n*k, end), memDst(m*n, end)
				for _, x := range [][]float32{a, b, dst} {
					for i := range x {
						x[i] = value()
					}
				}
				for _, acc := range []bool{true, false} {
					if !acc && m*n*k > 100_000 {
						continue // the chain here is slow
					}
					want := make([]float32, m*n)
					ai, bi := pr.a(m, n, k), pr.b(m, n, k)
					for i := range m {
						for j := range n {
							var sum float32
							if acc {
								sum = dst[i*n+j]
							}
							for p := range k {
								sum = fma(a[ai(i, p)], b[bi(j, p)], sum)
							}
							want[i*n+j] = sum
						}
					}
					pr.do(dst, a, b, m, n, k, acc, random[float32](r, pr.needed(m, n, k)))
					for i, w := range want {
						if math.Float32bits(dst[i]) != math.Float32bits(w) {
							t.Errorf("%s %v acc=%v: element %d is %g (%#x), want %g (%#x)", pr.name, s, acc, i,
								dst[i], math.Float32bits(dst[i]), w, math.Float32bits(w))
							break
						}
					}
				}
			}
		}
	})
}

// BenchmarkFewRows times products of few rows, which read b once: bytes are those of b.
func BenchmarkFewRows(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, m := range []int{1, 2, 4, 8} {
		for _, s := range [][2]int{{256, 256}, {688, 256}, {256, 688}, {768, 768}} {
			n, k := s[0], s[1]
			x, y, dst := random[float32](r, m*k), random[float32](r, n*k), random[float32](r, m*n)
			scratch := make([]float32, ScratchNT(m, n, k))
			b.Run(fmt.Sprintf("NT/%dx%dx%d", m, n, k), func(b *testing.B) {
				b.SetBytes(int64(4 * n * k))
				for range b.N {
					NT(dst, x, y, m, n, k, false, scratch)
				}
				gflops(b, 2*m*n*k)
			})
		}
	}
}
