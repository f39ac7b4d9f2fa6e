package op_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// The gradient of each fault's formula, where rounding is no part of it, against central differences.
func TestFaultyNormGradient(t *testing.T) {
	for _, fault := range []op.NormFault{op.StdAliased, op.StdClamped, op.StdMaximum, op.OnePass} {
		for _, s := range [][]int{{3, 2, 5}, {2, 2, 33}} {
			r := rand.New(rand.NewPCG(7, uint64(fault)))
			p := s[len(s)-2:]
			// d stays away from -eps, where the first fault has its pole.
			check.Gradients(t, 1, 2e-6, []check.Input{
				{Name: "xv", Shape: s, Fill: func(int) float64 { return 2 + r.Float64() }}, {Name: "xk", Shape: s, Fill: func(int) float64 { return r.Float64() }},
				{Name: "w", Shape: p}, {Name: "b", Shape: p}, {Name: "eps", Shape: []int{1}, Fixed: true, Fill: func(int) float64 { return 0.1 }},
			}, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				out, _, _ := op.FaultyNorm(r, fault, in[0], in[1], in[2], in[3], in[4])
				return []*prog.Tensor{out}
			})
		}
	}
}

// The emulated rounding is float16's and bfloat16's own.
func TestRounding(t *testing.T) {
	for i := range 1 << 16 {
		f := float16.Frombits(uint16(i)).Float32()
		if got := op.RoundHalf(f); math.Float32bits(got) != math.Float32bits(f) && !(got != got && f != f) {
			t.Fatalf("half %#x is %g, rounded %g", i, f, got)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		v := math.Float32frombits(r.Uint32())
		if v != v {
			continue
		}
		if got, want := op.RoundHalf(v), float16.Fromfloat32(v).Float32(); got != want {
			t.Fatalf("half of %g: %g, want %g", v, got, want)
		}
		got := op.RoundBFloat(v)
		lo := math.Float32frombits(math.Float32bits(v) &^ 0xffff)
		hi := math.Float32frombits(math.Float32bits(v)&^0xffff + 0x10000)
		if got != lo && got != hi || math.Abs(float64(got)-float64(v)) > math.Min(math.Abs(float64(lo)-float64(v)), math.Abs(float64(hi)-float64(v))) && !math.IsInf(float64(hi), 0) {
			t.Fatalf("bfloat of %g: %g, between %g and %g", v, got, lo, hi)
		}
	}
}
