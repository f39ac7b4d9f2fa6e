package data

import (
	"math"
	"math/rand/v2"
)

// SoundRate is the rate of generated sounds, samples a second.
const SoundRate = 8000

// Sounds generates at least n samples of periodic sounds at SoundRate: notes of a few tones of a scale, each with its
// own mixture of overtones, that swell and fade, with silence between. Phrase i depends on (seed, i) alone, so that a
// longer sound begins with the shorter. What a model can learn is the period of the note that it hears, and that
// phrases repeat.
func Sounds(seed uint64, n int) Audio {
	a := Audio{Rate: SoundRate}
	for i := 0; len(a.Samples) < n; i++ {
		r := rand.NewPCG(mix(mix(seed)+uint64(i)), mix(2))
		a.Samples = appendPhrase(a.Samples, r)
	}
	return a
}

// scale are the semitones of a pentatonic scale over an octave and a half.
var scale = []int{0, 2, 4, 7, 9, 12, 14, 16}

// appendPhrase adds four notes and their repetition.
func appendPhrase(dst []float32, r *rand.PCG) []float32 {
	chance := func() float64 { return float64(r.Uint64()>>11) / (1 << 53) }
	root := 110 * math.Exp2(float64(uniform(r, 12))/12)
	overtones := make([]float64, 3+uniform(r, 4))
	sum := 0.0
	for k := range overtones {
		overtones[k] = chance() / float64(k+1)
		sum += overtones[k]
	}
	loud := (0.4 + 0.5*chance()) / sum
	from := len(dst)
	for range 4 {
		f := root * math.Exp2(float64(scale[uniform(r, uint64(len(scale)))])/12)
		n := 400 + int(uniform(r, 1200))
		phase := 2 * math.Pi * chance()
		for i := range n {
			t := float64(i) / float64(n)
			swell := math.Sin(math.Pi*t) * math.Exp(-1.5*t) * 1.6
			v := 0.0
			for k, o := range overtones {
				v += o * math.Sin(float64(k+1)*(2*math.Pi*f*float64(i)/SoundRate+phase))
			}
			dst = append(dst, float32(loud*swell*v))
		}
		for range 80 + uniform(r, 240) {
			dst = append(dst, 0)
		}
	}
	return append(dst, dst[from:]...)
}
