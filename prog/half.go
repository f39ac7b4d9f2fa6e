package prog

import (
	"math"

	"github.com/x448/float16"
)

// MaxHalf is the largest finite binary16.
const MaxHalf = 65504

// RoundHalf returns the binary16 nearest to f, of two equally near ones the even one. What is larger than MaxHalf
// becomes an infinity, which a training run then reports as not finite; IEEE 754 would round the first few of those
// down, but WGSL leaves them undefined.
func RoundHalf(f float32) float32 {
	b := math.Float32bits(f)
	switch m := b &^ (1 << 31); {
	case m > 0x477fe000: // MaxHalf
		if m > 0x7f800000 {
			return f // no number
		}
		return math.Float32frombits(b&(1<<31) | 0x7f800000)
	case m >= 0x38800000: // 2^-14: 13 bits of the fraction go
		return math.Float32frombits((b + 0xfff + b>>13&1) &^ 0x1fff)
	}
	const shift = 0.75 // its last bit is 2^-24, as that of all denormal binary16
	if f < 0 {
		return -((-f + shift) - shift)
	}
	return math.Float32frombits(b&(1<<31) | math.Float32bits((f+shift)-shift))
}

// roundHalves does so with all of x.
func roundHalves(x []float32) {
	for i, f := range x {
		x[i] = RoundHalf(f)
	}
}

// UnpackHalf writes to dst the binary16 that words hold, two each, the first in the low half.
func UnpackHalf(dst []float32, words []uint32) {
	for i := range dst {
		dst[i] = float16.Frombits(uint16(words[i/2] >> (16 * (i % 2)))).Float32()
	}
}
