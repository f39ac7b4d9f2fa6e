package lab

import (
	"testing"
)

// Every formula is told from the others by what it makes of the test rows, at every usual eps and head width; so is an
// eps that is not taken up.
func TestIdentify(t *testing.T) {
	for _, n := range []int{8, 32, 64, 128} {
		for _, eps := range []float64{1e-8, 1e-5, 1e-3} {
			x := TestRows(n, uint64(n))
			const eps2 = 0.5
			made := func(f formula, eps float64) []float32 {
				z, out := make([]float64, n), []float32(nil)
				for row := 0; row < len(x.XV); row += n {
					f.norm(z, x.XV[row:row+n], x.XK[row:row+n], eps)
					for _, v := range z {
						out = append(out, float32(v))
					}
				}
				return out
			}
			for _, f := range formulas {
				got := Identify(x, eps, made(f, eps), eps2, made(f, eps2))
				if got.Cause != f.cause || got.Formula != f.name {
					t.Errorf("n %d, eps %g: %s: got %+v", n, eps, f.name, got)
				}
			}
			if got := Identify(x, eps, made(formulas[0], eps), eps2, made(formulas[0], eps)); got.Cause != StaleEps || got.Eps != eps {
				t.Errorf("n %d, stale eps %g: %+v", n, eps, got)
			}
			wrong := made(formulas[0], eps)
			for i := range wrong {
				wrong[i] *= 3
			}
			if got := Identify(x, eps, wrong, eps2, wrong); got.Cause != Inconsistent {
				t.Errorf("n %d, three times the right value: %+v", n, got)
			}
		}
	}
}
