package lab

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Rows are the inputs of a normaliser in isolation: n channels a row.
type Rows struct {
	N      int
	XV, XK []float32 // [rows, n]
}

// TestRows are rows on which the known formulas differ: ordinary ones; with a standard deviation below every usual eps
// and below the floor of the rejected guards; small against their mean, where one pass cancels; beyond float16.
func TestRows(n int, seed uint64) Rows {
	r := rand.New(rand.NewPCG(seed, 0x1ab))
	x := Rows{N: n}
	add := func(mean, std, key float64) {
		for range n {
			k := key * r.NormFloat64() / math.Sqrt(float64(n))
			x.XK = append(x.XK, float32(k))
			x.XV = append(x.XV, float32(k+mean+std*r.NormFloat64()))
		}
	}
	for range 4 {
		add(0.3, 0.5, 1)  // as a model has them
		add(0, 20, 1)     // the ranges of the case
		add(0, 1e-4, 0)   // near every eps
		add(0, 1e-7, 0)   // below the floor
		add(100, 0.01, 0) // small against the mean
		add(0, 300, 0)    // whose squares leave float16
	}
	return x
}

// Fingerprint is what a normaliser turned out to compute.
type Fingerprint struct {
	Cause   string  // Healthy: the right formula
	Formula string  // the one that explains it best
	Eps     float64 // the eps that it uses; NaN where it uses none, or none explains it
	Error   float64 // how far it is from that formula: |z - z'| / (1 + |z'|), as distance has it
	Right   float64 // how far from the right one
}

// agrees is how near a normaliser in float32 comes to its own formula.
const agrees = 2e-3

// Identify tells which formula makes z [rows, n] of x with eps set to eps. z2 are the values of the same rows with eps set
// to eps2, another: a normaliser that does not take up a change uses a stale one.
func Identify(x Rows, eps float64, z []float32, eps2 float64, z2 []float32) Fingerprint {
	best := Fingerprint{Error: math.Inf(1), Eps: math.NaN(), Cause: Inconsistent, Formula: "none that is known"}
	for i, f := range formulas {
		e := math.Max(distance(x, f, eps, z), distance(x, f, eps2, z2))
		if i == 0 {
			best.Right = e
		}
		if e < best.Error {
			best.Error, best.Cause, best.Formula, best.Eps = e, f.cause, f.name, eps2
		}
		if i == 0 && e <= agrees { // the right one needs no better
			return best
		}
	}
	if best.Error <= agrees {
		if best.Cause == NoEps {
			best.Eps = math.NaN()
		}
		return best
	}
	// The right formula, with another eps than the one that is set.
	for _, old := range []float64{eps, 0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2} {
		e := math.Max(distance(x, formulas[0], old, z), distance(x, formulas[0], old, z2))
		if e <= agrees {
			return Fingerprint{StaleEps, "the right formula with an eps of before", old, e, best.Right}
		}
	}
	if best.Error > 0.2 {
		best.Cause, best.Formula, best.Eps = Inconsistent, "none that is known", math.NaN()
	}
	return best
}

// distance is how far z is from what f makes of x: of each kind of rows what nine in ten elements stay below, so that one on
// a pole does not hide the others, and of the kinds the largest.
func distance(x Rows, f formula, eps float64, z []float32) float64 {
	rows := len(x.XV) / x.N
	want := make([]float64, x.N)
	const kinds = 6
	worst := 0.0
	for kind := range kinds {
		var errs []float64
		for r := kind; r < rows; r += kinds {
			row := r * x.N
			f.norm(want, x.XV[row:row+x.N], x.XK[row:row+x.N], eps)
			for i, w := range want {
				got := float64(z[row+i])
				switch {
				case math.IsNaN(got) && math.IsNaN(w) || math.IsInf(got, 0) && math.IsInf(w, 0):
					errs = append(errs, 0)
				case math.IsNaN(got-w) || math.IsInf(got-w, 0):
					errs = append(errs, 1)
				default:
					errs = append(errs, math.Min(1, math.Abs(got-w)/(1+math.Abs(w))))
				}
			}
		}
		worst = math.Max(worst, quantile(errs, 0.9))
	}
	return worst
}

// quantile is the p-quantile of v, which it sorts.
func quantile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(p*float64(len(v))))]
}
