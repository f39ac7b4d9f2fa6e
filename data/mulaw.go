package data

import "math"

// mu is the constant of mu-law companding (ITU-T G.711; in its continuous form as in van den Oord et al. 2016, WaveNet,
// section 2.2): y = sign(x) ln(1 + mu|x|) / ln(1 + mu).
const mu = 255

// Silence is the token of a sample of 0.
const Silence byte = 128

// MuLaw is the token of a sample of -1 to 1: its companded value, rounded to 256 equal steps, 0 the lowest. What is beyond is
// cut off.
func MuLaw(sample float32) byte {
	x := max(-1, min(1, float64(sample)))
	y := math.Copysign(math.Log1p(mu*math.Abs(x))/math.Log1p(mu), x)
	return byte(128 + max(-128, min(127, math.Round(127.5*y))))
}

// muTable are the samples of the 256 tokens.
var muTable = func() (t [256]float32) {
	for i := range t {
		y := max(-1, min(1, float64(i-128)/127.5))
		t[i] = float32(math.Copysign(math.Expm1(math.Abs(y)*math.Log1p(mu))/mu, y))
	}
	return t
}()

// FromMuLaw is the sample in the middle of a token's step; that of Silence is 0.
func FromMuLaw(token byte) float32 { return muTable[token] }

// Tokens are a's samples as tokens.
func (a Audio) Tokens() []byte {
	b := make([]byte, len(a.Samples))
	for i, s := range a.Samples {
		b[i] = MuLaw(s)
	}
	return b
}

// FromTokens is the sound that tokens stand for.
func FromTokens(rate int, tokens []byte) Audio {
	a := Audio{rate, make([]float32, len(tokens))}
	for i, t := range tokens {
		a.Samples[i] = FromMuLaw(t)
	}
	return a
}
