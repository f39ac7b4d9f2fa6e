package op

import (
	"math"

	"innerloop/prog"
)

// exps sets dst to exp(x - base), element by element, 0 where x is minus infinity. base is no less than x but for
// rounding: what is above 0 counts as 0. In float32 the result is within two units in the last place of what the rounded
// difference allows, and 0 below 2^-126.
func exps[F prog.Float](dst, x, base []F) {
	base = base[:len(x)]
	if d, ok := any(dst).([]float32); ok {
		x, base := any(x).([]float32), any(base).([]float32)
		d = d[:len(x)]
		for i, v := range x {
			d[i] = exp32(v, base[i])
		}
		return
	}
	for i, v := range x {
		dst[i] = 0
		if !math.IsInf(float64(v), -1) {
			e := v - base[i]
			if e > 0 {
				e = 0
			}
			dst[i] = F(math.Exp(float64(e)))
		}
	}
}

// exp32 is exp(x - base), by the method and the polynomial of Moshier's Cephes library (expf): e^x = 2^n e^r with r
// between -ln(2)/2 and ln(2)/2.
func exp32(x, base float32) float32 {
	const (
		round = 1.5 * (1 << 23) // what is added to it loses its fraction
		ln2Hi = 0.693359375
		ln2Lo = -2.12194440e-4
	)
	if x < -math.MaxFloat32 {
		return 0
	}
	x -= base
	switch {
	case x < -87.3:
		return 0
	case x > 0:
		return 1
	}
	t := x*math.Log2E + round
	n := t - round
	x -= n * ln2Hi
	x -= n * ln2Lo
	p := float32(1.9875691500e-4)
	p = p*x + 1.3981999507e-3
	p = p*x + 8.3334519073e-3
	p = p*x + 4.1665795894e-2
	p = p*x + 1.6666665459e-1
	p = p*x + 5.0000001201e-1
	p = p*(x*x) + x + 1
	return p * math.Float32frombits(math.Float32bits(t)<<23+127<<23)
}
