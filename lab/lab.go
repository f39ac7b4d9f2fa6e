// Package lab is the diagnosis of a run's numerics: what the normaliser of the reconstruction target does, which
// invariants hold, which of the known causes of an explosion explains what is measured, and what mends it. It reads a
// model's own tensors, and the logs of other people's.
package lab

// The causes that a diagnosis can name.
const (
	Healthy           = "healthy"
	Inconsistent      = "inconsistent-normaliser" // H5: mean, standard deviation and difference do not belong together
	ZeroKeys          = "zero-keys"               // XK is 0, of which there is no direction to normalise
	KeysNotNormalised = "keys-not-normalised"     // XK is not of length 1
	HalfPrecision     = "half-precision"          // H4: statistics in half precision
	OnePass           = "one-pass-variance"       // E[d²] - mean² cancels
	NoEps             = "eps-not-added"           // clamp or maximum in place of eps
	StaleEps          = "stale-eps"               // another eps is in use than the one that is set
	FutureLeak        = "future-leak"             // a token sees those after it
	BadNorm           = "norm-parameters"         // H2: the normaliser's weight or bias is far from 1 and 0
	SmallStd          = "small-std"               // H1: the standard deviation is nearly 0, and eps does not make up for it
	ExtremeInput      = "extreme-input"           // H3: XV has extreme values
	NonFinite         = "non-finite"              // values that are no numbers, of no other cause
	NotDecidable      = "undecidable"             // nothing is supported, and something could not be tested
)
