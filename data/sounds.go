package data

import (
	"math"
	"math/rand/v2"
)

// SoundRate is the rate of sounds where nobody asks for another, samples a second.
const SoundRate = 8000

// Sounds generates at least n samples of periodic sounds, rate a second: notes of a few tones of a scale, each with its
// own mixture of overtones, that swell and fade, with silence between. Phrase i depends on (seed, i) alone, so that a
// longer sound begins with the shorter. What a model can learn is the period of the note that it hears, and that
// phrases repeat.
func Sounds(seed uint64, n, rate int) Audio {
	a := Audio{Rate: rate}
	for i := 0; len(a.Samples) < n; i++ {
		a.Samples = appendPhrase(a.Samples, phraseRand(seed, i), rate)
	}
	return a
}

// soundTokens are the tokens of Sounds, without room for all its samples; nil for none.
func soundTokens(seed uint64, n, rate int) (tokens []byte) {
	var phrase []float32
	for i := 0; len(tokens) < n; i++ {
		phrase = appendPhrase(phrase[:0], phraseRand(seed, i), rate)
		for _, s := range phrase {
			tokens = append(tokens, MuLaw(s))
		}
	}
	return tokens
}

func phraseRand(seed uint64, i int) *rand.PCG { return rand.NewPCG(mix(mix(seed)+uint64(i)), mix(2)) }

// scale are the semitones of a pentatonic scale over an octave and a half.
var scale = []int{0, 2, 4, 7, 9, 12, 14, 16}

// appendPhrase adds four notes and their repetition. Overtones that rate cannot hold are left out.
func appendPhrase(dst []float32, r *rand.PCG, rate int) []float32 {
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
		n := (400 + int(uniform(r, 1200))) * rate / SoundRate
		phase := 2 * math.Pi * chance()
		for i := range n {
			t := float64(i) / float64(n)
			swell := math.Sin(math.Pi*t) * math.Exp(-1.5*t) * 1.6
			v := 0.0
			for k, o := range overtones {
				if 2*f*float64(k+1) >= float64(rate) {
					break
				}
				v += o * math.Sin(float64(k+1)*(2*math.Pi*f*float64(i)/float64(rate)+phase))
			}
			dst = append(dst, float32(loud*swell*v))
		}
		for range (80 + int(uniform(r, 240))) * rate / SoundRate {
			dst = append(dst, 0)
		}
	}
	return append(dst, dst[from:]...)
}
