package op

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestExps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	inf := float32(math.Inf(-1))
	x := []float32{0, -1e-9, 1, -87, -87.2, 88, inf, inf, 1e30}
	base := []float32{0, 0, 0, 0, 0, 0, 0, 1e30, 1e30}
	for range 100000 {
		b := float32(r.NormFloat64())
		x, base = append(x, b-float32(100*r.Float64())), append(base, b)
	}
	got, wide := make([]float32, len(x)), make([]float64, len(x))
	exps(got, x, base)
	x64, base64 := make([]float64, len(x)), make([]float64, len(x))
	for i, v := range x {
		x64[i], base64[i] = float64(v-base[i]), 0
		if v == inf {
			x64[i], base64[i] = math.Inf(-1), math.NaN()
		}
	}
	exps(wide, x64, base64)
	for i, g := range got {
		want := math.Exp(min(x64[i], 0))
		if wide[i] != want {
			t.Fatalf("exp(%g) in float64: got %g, want %g", x64[i], wide[i], want)
		}
		if e := math.Abs(float64(g) - want); !(e <= 0x1p-22*want || want < 0x1.1p-126 && g >= 0 && e <= 0x1.1p-126) {
			t.Fatalf("exp(%g - %g): got %g, want %g", x[i], base[i], g, want)
		}
	}
	nan := float32(math.NaN())
	exps(got[:2], []float32{nan, 1}, []float32{1, nan})
	if got[0] == got[0] || got[1] == got[1] {
		t.Errorf("of NaN: got %v", got[:2])
	}
}
