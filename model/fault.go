package model

import (
	"fmt"
	"slices"
	"strings"

	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// Fault is a known fault that can be put into a model, to see what it does and to test what finds it.
type Fault string

// The faults. Those of the normaliser, its inputs and its eps are in the video variant only.
const (
	NoFault     Fault = ""
	StdAliased  Fault = "std-aliased"  // the normaliser divides by d in place of its standard deviation
	StdClamped  Fault = "std-clamped"  // by the standard deviation clamped to at least 1e-6, without eps
	StdMaximum  Fault = "std-maximum"  // by the maximum of the two, without eps
	OnePass     Fault = "one-pass"     // its variance is E[d²] - mean²
	HalfStats   Fault = "half-stats"   // its statistics are float16
	BFloatStats Fault = "bfloat-stats" // its statistics are bfloat16
	RawKeys     Fault = "raw-keys"     // keys are not L2-normalised
	NearKeys    Fault = "near-keys"    // values are nearly equal to keys
	StaleEps    Fault = "stale-eps"    // a changed target_eps is not taken up
	NormWeights Fault = "norm-weights" // the inner norm's weights begin at 50 in place of 1
	NormBiases  Fault = "norm-biases"  // its biases at 50 in place of 0
	Leak        Fault = "future-leak"  // inside a mini-batch a token sees those after it
)

// FaultInfo describes a fault.
type FaultInfo struct {
	Fault Fault
	About string
	Video bool // in the video variant only
}

// Faults lists all faults.
func Faults() []FaultInfo {
	return []FaultInfo{
		{StdAliased, "the normaliser divides by the difference itself in place of its standard deviation", true},
		{StdClamped, "it divides by the standard deviation clamped to at least 1e-6, without eps", true},
		{StdMaximum, "it divides by the maximum of standard deviation and 1e-6, without eps", true},
		{OnePass, "its variance is the mean square less the squared mean", true},
		{HalfStats, "its statistics are made in float16", true},
		{BFloatStats, "its statistics are made in bfloat16", true},
		{RawKeys, "keys are not L2-normalised", true},
		{NearKeys, "values are nearly equal to keys: with a target_eps of 0.01 and more harmless, and found healthy", true},
		{StaleEps, "a changed target_eps is not taken up", true},
		{NormWeights, "the inner norm's weights are 50 in place of 1", false},
		{NormBiases, "the inner norm's biases are 50 in place of 0", false},
		{Leak, "inside a mini-batch, of two tokens or more, a token sees those after it", false},
	}
}

// InVideo says whether f is a fault of the video variant only.
func (f Fault) InVideo() bool {
	return slices.ContainsFunc(Faults(), func(x FaultInfo) bool { return x.Fault == f && x.Video })
}

// mislaid is what NormWeights and NormBiases set.
const mislaid = 50

// norms are the faults of the normaliser.
var norms = map[Fault]op.NormFault{
	StdAliased: op.StdAliased, StdClamped: op.StdClamped, StdMaximum: op.StdMaximum, OnePass: op.OnePass, HalfStats: op.HalfStats, BFloatStats: op.BFloatStats,
}

// CheckFault reports a fault that a model of configuration c cannot have.
func (c Config) CheckFault(f Fault) error {
	if f == NoFault {
		return nil
	}
	all := Faults()
	i := slices.IndexFunc(all, func(x FaultInfo) bool { return x.Fault == f })
	if i < 0 {
		var names []string
		for _, x := range all {
			names = append(names, string(x.Fault))
		}
		return fmt.Errorf("model: fault %.40q, want one of %s", f, strings.Join(names, ", "))
	}
	if all[i].Video && c.Variant != VariantVideo {
		return fmt.Errorf("model: fault %s: variant %q has no normaliser of the target, want \"video\"", f, c.Variant)
	}
	if f == Leak && c.MiniBatchSize == 1 {
		return fmt.Errorf("model: fault %s: mini_batch_size 1: inside a mini-batch of one token there is no future, want at least 2", f)
	}
	on, err := c.TTTLayers()
	if err == nil && !slices.Contains(on, true) {
		err = fmt.Errorf("model: fault %s: layers %q: no TTT layer to put it in", f, c.Layers)
	}
	return err
}

// SetFault puts a fault into all programs that are recorded from now on.
func (m *LM) SetFault(f Fault) error {
	if err := m.Config.CheckFault(f); err != nil {
		return err
	}
	m.fault = f
	return nil
}

// Fault is the fault that the model has been given.
func (m *LM) Fault() Fault { return m.fault }

// ApplyFault changes the parameters that ex holds where the model's fault is one of parameters.
func (m *LM) ApplyFault(ex prog.Executor) error {
	part := map[Fault]string{NormWeights: "ttt_norm_weight", NormBiases: "ttt_norm_bias"}[m.fault]
	if part == "" {
		return nil
	}
	for _, n := range m.names {
		if !strings.HasSuffix(n, "."+part) {
			continue
		}
		v := make([]float32, m.Lookup(n).Len())
		for i := range v {
			v[i] = mislaid
		}
		if err := ex.Write(m.Lookup(n), v); err != nil {
			return err
		}
	}
	return nil
}

func (f Fault) video() ttt.VideoFault {
	return ttt.VideoFault{Norm: norms[f], RawKeys: f == RawKeys, NearKeys: f == NearKeys}
}

// leaks says whether the inner loop is recorded without its causal mask. One token at a time has no future to see.
func (m *LM) leaks(how Reading) bool { return m.fault == Leak && !how.Decode }

// eps is what the normaliser is given.
func (m *LM) eps() float64 {
	if m.firstEps == nil {
		e := m.TargetEps
		m.firstEps = &e
	}
	if m.fault == StaleEps {
		return *m.firstEps
	}
	return m.TargetEps
}
