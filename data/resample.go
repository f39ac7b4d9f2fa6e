package data

import "math"

const (
	// sincLobes is how many zero crossings of the filter lie on each side of its middle.
	sincLobes = 24
	// kaiserBeta is the shape of its window: about 90 dB of attenuation (Kaiser and Schafer 1980).
	kaiserBeta = 9
	// passband is the part of the lower Nyquist frequency that is kept: the rest is the filter's slope.
	passband = 0.92
)

// Resample converts a to another rate with a windowed sinc filter (Smith, Digital Audio Resampling, 2002), which cuts
// off what the lower of the two rates cannot hold. The length is rounded to the nearest sample, at least one.
func (a Audio) Resample(rate int) Audio {
	if rate == a.Rate || len(a.Samples) == 0 {
		return Audio{rate, a.Samples}
	}
	// With the rates' common factor taken out, the filter's phases repeat every up outputs.
	g := gcd(rate, a.Rate)
	up, down := rate/g, a.Rate/g
	scale := passband * min(1, float64(rate)/float64(a.Rate)) // the cut, in the source's Nyquist frequency
	half := int(math.Ceil(sincLobes / scale))
	n := max(1, int(math.Round(float64(len(a.Samples))*float64(rate)/float64(a.Rate))))
	out := Audio{rate, make([]float32, n)}
	taps := make([]float64, 2*half)
	for phase := range up {
		if phase >= n {
			break
		}
		frac := float64(phase*down%up) / float64(up)
		sum := 0.0
		for i := range taps {
			d := float64(i-half+1) - frac
			taps[i] = scale * sinc(scale*d) * kaiser(d/float64(half))
			sum += taps[i]
		}
		for i := range taps {
			taps[i] /= sum // silence and constants stay what they are
		}
		for j := phase; j < n; j += up {
			begin := int(int64(j)*int64(down)/int64(up)) - half + 1
			v := 0.0
			for i, t := range taps {
				k := max(0, min(len(a.Samples)-1, begin+i))
				v += t * float64(a.Samples[k])
			}
			out.Samples[j] = float32(max(-1, min(1, v)))
		}
	}
	return out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window at x of -1 to 1.
func kaiser(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return bessel0(kaiserBeta*math.Sqrt(1-x*x)) / bessel0(kaiserBeta)
}

// bessel0 is the modified Bessel function of the first kind of order 0, by its power series.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-17*sum; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}
