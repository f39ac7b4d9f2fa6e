package op

// The emulated roundings, for tests.
var (
	RoundHalf   = roundHalf
	RoundBFloat = roundBFloat
)

// LinearXent is linearXent, for tests of small tiles.
var LinearXent = linearXent
