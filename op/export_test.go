package op

// The emulated roundings, for tests.
var (
	RoundHalf   = roundHalf
	RoundBFloat = roundBFloat
)
