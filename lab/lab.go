// Package lab is the diagnosis of a run's numerics: what the normaliser of the reconstruction target does, which
// invariants hold, which of the known causes of an explosion explains what is measured, and what mends it. It reads a
// model's own probes, and the logs of other people's.
package lab

// The causes that a diagnosis can name.
const (
	Healthy           = "healthy"
	Inconsistent      = "inconsistent-normaliser" // H5: mean, standard deviation and difference do not belong together
	SmallStd          = "small-std"               // H1: the standard deviation falls below eps
	BadNorm           = "norm-parameters"         // H2: the normaliser's weight or bias is far from 1 and 0
	ExtremeInput      = "extreme-input"           // H3: XV has extreme values
	HalfPrecision     = "half-precision"          // H4: statistics in half precision
	KeysNotNormalised = "keys-not-normalised"     // XK is not of length 1
	StaleEps          = "stale-eps"               // another eps is in use than the one that is set
	FutureLeak        = "future-leak"             // a token sees those after it
	NonFinite         = "non-finite"              // values that are no numbers, of no other cause
)
