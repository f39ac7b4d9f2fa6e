package lab

import (
	"math"

	"github.com/x448/float16"
)

// A formula is a way to normalise a row d = xv - xk of n channels: it writes z [n] and returns the standard deviation
// that it divides by, without eps.
type formula struct {
	cause string // what a normaliser that computes this suffers from; Healthy: the right one
	name  string // for people
	norm  func(z []float64, xv, xk []float32, eps float64) (std float64)
}

// floor is what the clamp and the maximum of the investigation hold the standard deviation up to.
const floor = 1e-6

// formulas are the ways that a diagnosis tells apart, the right one first. The rejected guards, clamp and maximum, are
// one formula.
var formulas = []formula{
	{Healthy, "z = (d - mean)/(std + eps), statistics of d in float32 or better", exactNorm},
	{Inconsistent, "z = (d - mean)/(d + eps): the standard deviation is d itself", aliasedNorm},
	{NoEps, "z = (d - mean)/max(std, 1e-6): eps is not added", floorNorm},
	{OnePass, "the variance is E[d²] - mean², which cancels", onePassNorm},
	{HalfPrecision, "statistics in float16", roundedNorm(half)},
	{HalfPrecision, "statistics in bfloat16", roundedNorm(bfloat)},
}

func differences(z []float64, xv, xk []float32) (mean float64) {
	for i := range z {
		z[i] = float64(xv[i]) - float64(xk[i])
		mean += z[i]
	}
	return mean / float64(len(z))
}

// deviation is the unbiased standard deviation of d around mean.
func deviation(d []float64, mean float64) float64 {
	var s float64
	for _, v := range d {
		s += (v - mean) * (v - mean)
	}
	return math.Sqrt(s / float64(max(1, len(d)-1)))
}

// quotient is a / b, and 0 for 0/0 as the guarded normaliser has it.
func quotient(a, b float64) float64 {
	if a == 0 && b == 0 {
		return 0
	}
	return a / b
}

func exactNorm(z []float64, xv, xk []float32, eps float64) float64 {
	mean := differences(z, xv, xk)
	s := deviation(z, mean)
	for i, d := range z {
		z[i] = quotient(d-mean, s+eps)
	}
	return s
}

func aliasedNorm(z []float64, xv, xk []float32, eps float64) float64 {
	mean := differences(z, xv, xk)
	last := z[len(z)-1]
	for i, d := range z {
		d := float64(float32(d))
		z[i] = quotient(d-mean, float64(float32(d)+float32(eps)))
	}
	return last
}

func floorNorm(z []float64, xv, xk []float32, _ float64) float64 {
	mean := differences(z, xv, xk)
	s := deviation(z, mean)
	for i, d := range z {
		z[i] = (d - mean) / max(s, floor)
	}
	return s
}

func onePassNorm(z []float64, xv, xk []float32, eps float64) float64 {
	var sum, square float32
	for i := range xv {
		d := xv[i] - xk[i]
		sum += d
		square += d * d
	}
	n := float32(len(xv))
	mean := sum / n
	s := float64(float32(math.Sqrt(math.Max(0, float64((square/n-mean*mean)*n/(n-1))))))
	for i := range z {
		z[i] = quotient(float64(xv[i]-xk[i]-mean), s+eps)
	}
	return s
}

// half rounds to float16, bfloat to bfloat16, both to nearest, ties to even.
func half(v float32) float32 { return float16.Fromfloat32(v).Float32() }

func bfloat(v float32) float32 {
	b := math.Float32bits(v)
	if b&0x7f800000 == 0x7f800000 {
		return v
	}
	b += 0x7fff + b>>16&1
	return math.Float32frombits(b &^ 0xffff)
}

// roundedNorm makes every operation round with q.
func roundedNorm(q func(float32) float32) func(z []float64, xv, xk []float32, eps float64) float64 {
	return func(z []float64, xv, xk []float32, eps float64) float64 {
		n := float32(len(xv))
		var sum float32
		for i := range xv {
			sum = q(sum + q(xv[i]-xk[i]))
		}
		mean := q(sum / n)
		var s float32
		for i := range xv {
			v := q(q(xv[i]-xk[i]) - mean)
			s = q(s + q(v*v))
		}
		s = q(float32(math.Sqrt(float64(q(s / (n - 1))))))
		den := q(s + q(float32(eps)))
		for i := range z {
			z[i] = float64(q(q(q(xv[i]-xk[i])-mean) / den))
		}
		return float64(s)
	}
}
