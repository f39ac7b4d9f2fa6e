package op

// The emulated roundings, for tests.
var (
	RoundHalf   = roundHalf
	RoundBFloat = roundBFloat
)

// LinearXent is linearXent, for tests of small tiles.
var LinearXent = linearXent

// Separate makes products do nothing else until the returned function is called.
func Separate() (undo func()) {
	fusing = false
	return func() { fusing = true }
}
