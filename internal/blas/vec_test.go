package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// vector is a function over vectors, for tests: it may change v, and returns its results.
type vector[F Float] struct {
	name string
	do   func(v [][]F, k F) []F
}

func vectors[F Float]() []vector[F] {
	none := func(f func(v [][]F, k F)) func(v [][]F, k F) []F {
		return func(v [][]F, k F) []F { f(v, k); return nil }
	}
	abs := func(x []F) {
		for i, v := range x {
			x[i] = max(v, -v)
		}
	}
	return []vector[F]{
		{"Add", none(func(v [][]F, _ F) { Add(v[0], v[1]) })},
		{"Plus", none(func(v [][]F, _ F) { Plus(v[0], v[1], v[2]) })},
		{"Times", none(func(v [][]F, _ F) { Times(v[0], v[1], v[2]) })},
		{"AddTimes", none(func(v [][]F, _ F) { AddTimes(v[0], v[1], v[2]) })},
		{"Axpy", none(func(v [][]F, k F) { Axpy(v[0], k, v[1]) })},
		{"Scale", none(func(v [][]F, k F) { Scale(v[0], k) })},
		{"ScaleAdd", none(func(v [][]F, k F) { ScaleAdd(v[0], k, v[1]) })},
		{"Scaled", none(func(v [][]F, k F) { Scaled(v[0], v[1], k, v[2]) })},
		{"Dot", func(v [][]F, _ F) []F { return []F{Dot(v[0], v[1])} }},
		{"AddDot", func(v [][]F, _ F) []F { return []F{AddDot(v[0], v[1], v[2])} }},
		{"Max", func(v [][]F, _ F) []F { Scale(v[0], 0); Add(v[0], v[1]); return []F{Max(v[0])} }},
		{"Exps", none(func(v [][]F, _ F) {
			abs(v[1])
			Scale(v[1], -1)
			clear(v[2])
			Exps(v[0], v[1], v[2])
		})},
		{"ExpSum", func(v [][]F, _ F) []F { return []F{ExpSum(v[0], 5)} }},
		{"SwiGLU", none(func(v [][]F, _ F) { SwiGLU(v[0], v[1], v[2]) })},
		{"SwiGLUGrad", none(func(v [][]F, _ F) { SwiGLUGrad(v[0], v[1], v[2], v[3], v[4]) })},
		{"SwiGLUBack", none(func(v [][]F, _ F) { SwiGLUBack(v[0], v[1], v[2], v[3], v[4]) })},
		{"GELU", none(func(v [][]F, _ F) { GELU(v[0], v[1]) })},
		{"GELUSlopes", none(func(v [][]F, _ F) { GELUSlopes(v[0], v[1], v[2], v[3]) })},
		{"Rotate", none(func(v [][]F, _ F) { Rotate(v[0], v[1], v[2]) })},
		{"AddRotated", none(func(v [][]F, _ F) { AddRotated(v[0], v[1], v[2]) })},
		{"LayerNorm", func(v [][]F, _ F) []F { m, r := LayerNorm(v[0], v[1], v[2], v[3], 0.1); return []F{m, r} }},
		{"NormSums", func(v [][]F, k F) []F { s, p := NormSums(v[0], v[1], v[2], k); return []F{s, p} }},
		{"NormGrad", none(func(v [][]F, k F) { NormGrad(v[0], v[1], v[2], v[3], k, 0.5, 0.25, 2) })},
		{"NormGradW", none(func(v [][]F, k F) { NormGradW(v[0], v[1], v[2], k, 0.5) })},
		{"NormOut", none(func(v [][]F, _ F) { NormOut(v[0], v[1], v[2], v[3], v[4], 0.1) })},
		{"NormBack", none(func(v [][]F, _ F) { NormBack(v[0], v[1], v[2], v[3], v[4], v[5], 0.1) })},
		{"InnerGrad", func(v [][]F, _ F) []F { return []F{InnerGrad(v[0], v[1], v[2], v[3], v[4], v[5], 0.1)} }},
		{"InnerBack", none(func(v [][]F, k F) { InnerBack(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], k) })},
		{"RateBack", func(v [][]F, k F) []F { return []F{RateBack(v[0], v[1], v[2], v[3], k)} }},
		{"ScanGrad", none(func(v [][]F, _ F) { ScanGrad(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]) })},
		{"AddRows", none(func(v [][]F, _ F) { // by two columns and by two rows
			for _, n := range []int{2, len(v[0]) / 2} {
				if n > 0 && n <= len(v[0]) {
					AddRows(v[0][:n], v[1], len(v[1])/n)
				}
			}
		})},
		{"AdamW", none(func(v [][]F, _ F) {
			abs(v[3])
			AdamW(v[0], v[1], v[2], v[3], []F{0.1, 0.9, 0.1, 0.99, 0.01, 1.5, 1e-3}, 0.75, 0.01)
		})},
	}
}

// guarded are slices of n elements at odd places, with NaN around them, which an access past the ends would bring in.
func guarded(r *rand.Rand, n int) (slices, whole [][]float32) {
	for i := range 10 {
		w := make([]float32, n+40)
		for j := range w {
			w[j] = float32(math.NaN())
		}
		s := w[17+i:][:n:n]
		for j := range s {
			s[j] = float32(r.NormFloat64())
		}
		slices, whole = append(slices, s), append(whole, w)
	}
	return slices, whole
}

// TestVectors compares every function with itself in float64, and both instruction sets with each other, bit by bit.
func TestVectors(t *testing.T) {
	in64 := vectors[float64]()
	for f, fn := range vectors[float32]() {
		for _, n := range []int{0, 2, 6, 8, 10, 14, 16, 18, 24, 30, 32, 34, 64, 100, 688} {
			r := rand.New(rand.NewPCG(uint64(f), uint64(n)))
			ref, _ := guarded(r, n)
			v64 := make([][]float64, len(ref))
			for i, x := range ref {
				for _, y := range x {
					v64[i] = append(v64[i], float64(y))
				}
			}
			want := append([][]float64{in64[f].do(v64, 0.3)}, v64...)
			var before [][]float32
			eachLevel(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(f), uint64(n)))
				v, whole := guarded(r, n)
				got := append([][]float32{fn.do(v, 0.3)}, v...)
				for i, x := range got {
					for j, y := range x {
						w := want[i][j]
						if !(math.Abs(float64(y)-w) <= 1e-5*(1+math.Abs(w))*(1+math.Sqrt(float64(n))/8)) && !(y != y && w != w) && float64(y) != w {
							t.Fatalf("%s of %d: result %d, element %d: got %g, want %g", fn.name, n, i-1, j, y, w)
						}
					}
				}
				for i, w := range whole {
					for j, y := range w {
						if (j < 17+i || j >= 17+i+n) && y == y {
							t.Fatalf("%s of %d: wrote to element %d of vector %d", fn.name, n, j-17-i, i)
						}
					}
				}
				if level > plain {
					for i, x := range before {
						if !slices.EqualFunc(x, got[i], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b }) {
							t.Errorf("%s of %d: result %d: %v and %v", fn.name, n, i-1, x, got[i])
						}
					}
					before = got
				}
			})
		}
	}
}

// TestLogistics checks SwiGLU and GELU where their values are small, and far out.
func TestLogistics(t *testing.T) {
	var z []float32
	for x := -80.0; x < 80; x += 1.0 / 64 {
		z = append(z, float32(x))
	}
	z = append(z, -1e30, 1e30, -1e18, 0, float32(math.Copysign(0, -1)), 1e-30)
	one, y, d, dd, dup := make([]float32, len(z)), make([]float32, len(z)), make([]float32, len(z)), make([]float32, len(z)), make([]float32, len(z))
	for i := range one {
		one[i] = 1
	}
	near := func(got float32, want, rel, abs float64) bool {
		return math.Abs(float64(got)-want) <= rel*math.Abs(want)+abs
	}
	eachLevel(t, func(t *testing.T) {
		SwiGLU(y, z, one)
		clear(d)
		clear(dup)
		SwiGLUGrad(d, dup, z, one, one)
		for i, x := range z {
			s, ds := Logistic(float64(x))
			if !near(y[i], float64(x)*s, 4e-7, 1e-36) || !near(dup[i], float64(x)*s, 4e-7, 1e-36) || !near(d[i], s+float64(x)*ds, 4e-7, 1e-6*ds) {
				t.Fatalf("silu(%g): got %g, %g, slope %g, want %g, %g", x, y[i], dup[i], d[i], float64(x)*s, s+float64(x)*ds)
			}
		}
		GELUSlopes(y, d, dd, z)
		GELU(dup, z)
		for i, x := range z {
			wy, wd, wdd := geluPlain(float64(x))
			// The argument of exp has an error of its own, which grows with it.
			if rel := 3e-7 * (2 + math.Abs(float64(x))); math.Abs(float64(x)) < 5 && !(near(y[i], wy, rel, 0)) || !near(y[i], wy, 1e-6, 1e-6) ||
				y[i] != dup[i] || !near(d[i], wd, 1e-6, 1e-6) || !near(dd[i], wdd, 2e-6, 2e-6) {
				t.Fatalf("gelu(%g): got %g, %g, %g, want %g, %g, %g", x, y[i], d[i], dd[i], wy, wd, wdd)
			}
		}
	})
	nan := []float32{float32(math.NaN()), 1}
	eachLevel(t, func(t *testing.T) {
		SwiGLU(y[:2], nan, one[:2])
		GELU(d[:2], nan)
		e := slices.Clone(nan)
		s := ExpSum(e, 2)
		if y[0] == y[0] || d[0] == d[0] || s == s || y[1] != y[1] || d[1] != d[1] {
			t.Errorf("of %v: SwiGLU %v, GELU %v, sum of exponentials %g", nan, y[:2], d[:2], s)
		}
	})
}

func BenchmarkVectors(b *testing.B) {
	for _, n := range []int{64, 256, 2048} {
		v, _ := guarded(rand.New(rand.NewPCG(9, 10)), n)
		for _, fn := range vectors[float32]() {
			b.Run(fmt.Sprintf("%s/%d", fn.name, n), func(b *testing.B) {
				for range b.N {
					fn.do(v, 1e-9)
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "G/s")
			})
		}
	}
}
