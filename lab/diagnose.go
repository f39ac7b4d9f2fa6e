package lab

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"innerloop/ttt"
)

// Layer is what the normaliser of one TTT layer did on a batch, read back from the device.
type Layer struct {
	Layer       int
	Heads, Dim  int       // H, n
	XV, XK      []float32 // [tokens, H, n]: the normaliser's inputs
	Out         []float32 // [tokens, H, n]: what the scan took its target from
	Z           []float32 // [tokens, H, n]
	Std         []float32 // [tokens, H]
	Gamma, Beta []float32 // [H, n]
}

// Evidence is all that a diagnosis looks at.
type Evidence struct {
	Eps    float64 // that is set
	Layers []Layer // of the TTT layers with a normaliser; none: the model has none
	// Of the normaliser in isolation, on TestRows: z at Eps and at Eps2.
	Rows   Rows
	Z, Z2  []float32
	Eps2   float64
	Leak   *Leak        // nil: not measured
	Params []ParamRange // of the inner LayerNorms of a model without a normaliser
	Keys   []ParamRange // and of the projections that make its keys
	Loss   float64      // of the batch, nats a token
}

// Leak is what a change of the last token of a mini-batch did to the tokens before it.
type Leak struct {
	Tokens int     // of the mini-batch: that of one has no tokens before it
	Of     string  // what changed most of what was looked at: the logits, or a layer's output
	Before float64 // largest change of it at an earlier token
	At     float64 // and at the token itself
	Blind  string  // why nothing can be told, unless a change was seen; empty: it can
}

// ParamRange is the range of a parameter.
type ParamRange struct {
	Name     string
	Min, Max float64
}

// Verdict is what the evidence says of a hypothesis.
type Verdict string

// The verdicts.
const (
	Supported   Verdict = "supported"
	Refuted     Verdict = "refuted"
	Undecidable Verdict = "undecidable"
)

// Hypothesis is one explanation, tested.
type Hypothesis struct {
	ID          string  `json:"id"` // H1 to H5 as the investigation of the case numbered them, and others
	Text        string  `json:"text"`
	Cause       string  `json:"cause"` // that it stands for
	Verdict     Verdict `json:"verdict"`
	Measurement string  `json:"measurement"`
	Mend        string  `json:"mend,omitempty"` // where it is supported
}

// LayerReport is a row of the tables.
type LayerReport struct {
	Layer       int
	XV          Stats
	XK          Stats
	Out         Stats
	StdMin      float64 // of XV - XK, in float64 from the inputs
	StdMean     float64
	StdMedian   float64
	HighGain    float64 // part of the rows with a gain above ttt.HighGain
	Guarded     float64 // part of the rows whose gain would be above it with an eps of 0, and is not
	MaxZ        float64 // infinite where a z of finite inputs is not finite
	KeyNormMin  float64
	KeyNormMax  float64
	ZeroKeys    float64 // part of the rows with a key of length 0
	KeyError    float64 // largest distance of another key's length from 1
	Gain        float64 // largest ttt.NormGain: what the backward pass multiplies gradients by
	Weight      Stats
	Bias        Stats
	NonFinite   int
	StdError    float64 // largest relative distance of the normaliser's std from the inputs'
	ExitError   float64 // largest distance of out from weight*z + bias + XK, relative
	HalfZero    float64 // part of the rows whose std would be 0 in float16 and is not
	BFloatError float64 // largest relative error of a std in bfloat16
}

// Stats are a range and a mean, of the finite elements.
type Stats struct {
	Min  float64
	Max  float64
	Mean float64
}

func (s Stats) abs() float64 { return math.Max(math.Abs(s.Min), math.Abs(s.Max)) }

// Report is a diagnosis.
type Report struct {
	Cause       string // the first of the supported ones; Healthy: none is
	Summary     string
	Eps         float64
	Bound       float64 // of |z|
	Layers      []LayerReport
	Notes       []string // what is worth a word in a healthy model
	Fingerprint *Fingerprint
	Hypotheses  []Hypothesis
}

func stats(v []float32) (s Stats, bad int) {
	s = Stats{math.Inf(1), math.Inf(-1), 0}
	n := 0
	for _, x := range v {
		f := float64(x)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			bad++
			continue
		}
		s.Min, s.Max = math.Min(s.Min, f), math.Max(s.Max, f)
		s.Mean += f
		n++
	}
	if n == 0 {
		return Stats{}, bad
	}
	s.Mean /= float64(n)
	return s, bad
}

// measure reads a layer's tensors.
func measure(l Layer, eps float64) LayerReport {
	r := LayerReport{Layer: l.Layer, StdMin: math.Inf(1), KeyNormMin: math.Inf(1)}
	var bad int
	count := func(v []float32) Stats {
		s, n := stats(v)
		bad += n
		return s
	}
	r.XV, r.XK, r.Out = count(l.XV), count(l.XK), count(l.Out)
	z := count(l.Z)
	r.MaxZ = z.abs()
	r.Weight, r.Bias = count(l.Gamma), count(l.Beta)
	r.NonFinite = bad
	n := l.Dim
	d := make([]float64, n)
	rows := len(l.Std)
	inHalf, inBFloat := roundedNorm(half), roundedNorm(bfloat)
	var all []float64
	for i := range rows {
		xv, xk := l.XV[i*n:(i+1)*n], l.XK[i*n:(i+1)*n]
		mean := differences(d, xv, xk)
		s := deviation(d, mean)
		if math.IsNaN(s) || math.IsInf(s, 0) {
			continue
		}
		r.StdMin = math.Min(r.StdMin, s)
		r.StdMean += s / float64(rows)
		all = append(all, s)
		gain := ttt.NormGain(s, eps, n)
		if gain > ttt.HighGain {
			r.HighGain += 1 / float64(rows)
		} else if ttt.NormGain(s, 0, n) > ttt.HighGain {
			r.Guarded += 1 / float64(rows)
		}
		r.Gain = math.Max(r.Gain, gain)
		var key, most float64
		for j, k := range xk {
			key += float64(k) * float64(k)
			most = math.Max(most, math.Abs(d[j]))
		}
		key = math.Sqrt(key)
		r.KeyNormMin, r.KeyNormMax = math.Min(r.KeyNormMin, key), math.Max(r.KeyNormMax, key)
		if key == 0 {
			r.ZeroKeys += 1 / float64(rows)
		} else {
			r.KeyError = math.Max(r.KeyError, math.Abs(key-1))
		}
		// d itself is rounded, which is all of a std that is small beside it.
		slack := 1e-3*s + 2e-6*most + 1e-30
		r.StdError = math.Max(r.StdError, (math.Abs(float64(l.Std[i])-s)-slack)/(s+eps+1e-30))
		h := i % l.Heads * n
		for j := range n {
			if v := float64(l.Z[i*n+j]); math.IsNaN(v) || math.IsInf(v, 0) { // of finite inputs: no normaliser does that
				r.MaxZ = math.Inf(1)
			}
			want := float64(l.Gamma[h+j])*float64(l.Z[i*n+j]) + float64(l.Beta[h+j]) + float64(xk[j])
			if e := math.Abs(float64(l.Out[i*n+j])-want) / (1 + math.Abs(want)); e > r.ExitError {
				r.ExitError = e
			}
		}
		if h := inHalf(d, xv, xk, eps); s > 0 && h == 0 {
			r.HalfZero += 1 / float64(rows)
		}
		if b := inBFloat(d, xv, xk, eps); s > 0 && !math.IsNaN(b) {
			r.BFloatError = math.Max(r.BFloatError, math.Abs(b-s)/s)
		}
	}
	r.StdError = math.Max(0, r.StdError)
	r.StdMedian = quantile(all, 0.5)
	if math.IsInf(r.StdMin, 0) {
		r.StdMin, r.KeyNormMin = 0, 0
	}
	return r
}

// The limits of what a healthy model has.
const (
	keyTolerance = 1e-3 // of a key's length
	largeNorm    = 8    // of the normaliser's weights and biases: those of trained models stay near 1 and 0
	extreme      = 1e3  // of XV, in median standard deviations of XV - XK
	many         = 0.01 // part of the rows: more than an accident
	leakLimit    = 1e-6 // change of an earlier token's values, relative to that of the token's own: what is causal has none
)

// mendZeroKeys is what helps where keys are 0.
const mendZeroKeys = "Look at the weights that make the keys: they are 0, or what the layer reads is. An inner model learns nothing from keys of 0; begin with model.initializer_range above 0, or with another checkpoint."

// Diagnose tests every hypothesis against the evidence and names the first cause that it supports.
func Diagnose(e Evidence) *Report {
	r := &Report{Cause: Healthy, Eps: e.Eps, Hypotheses: []Hypothesis{}, Layers: []LayerReport{}}
	for _, l := range e.Layers {
		r.Layers = append(r.Layers, measure(l, e.Eps))
		r.Bound = math.Max(r.Bound, ttt.NormBound(l.Dim))
	}
	if len(e.Z) > 0 {
		f := Identify(e.Rows, e.Eps, e.Z, e.Eps2, e.Z2)
		r.Fingerprint = &f
	}
	r.normaliser(e)
	r.leak(e)
	r.parameters(e)
	r.conclude(e)
	return r
}

// conclude names the cause.
func (r *Report) conclude(e Evidence) {
	for _, h := range r.Hypotheses {
		if h.Verdict == Supported {
			r.Cause, r.Summary = h.Cause, h.Measurement+". "+h.Mend
			return
		}
	}
	if bad := r.worst(func(l LayerReport) float64 { return float64(l.NonFinite) }); bad.NonFinite > 0 || math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0) {
		r.Cause, r.Summary = NonFinite, "values that are no numbers, from outside the normaliser: trace them with a training step"
		return
	}
	for _, h := range r.Hypotheses {
		if h.Verdict == Undecidable {
			r.Cause, r.Summary = NotDecidable, fmt.Sprintf("no hypothesis is supported, and one could not be tested: whether %s. %s", h.Text, h.Measurement)
			return
		}
	}
	r.Summary = strings.Join(append([]string{"the invariants hold and no hypothesis is supported"}, r.Notes...), "; ")
}

func (r *Report) add(id, text, cause string, supported bool, mend, format string, a ...any) {
	h := Hypothesis{ID: id, Text: text, Cause: cause, Verdict: Refuted, Measurement: fmt.Sprintf(format, a...)}
	if supported {
		h.Verdict, h.Mend = Supported, mend
	}
	r.Hypotheses = append(r.Hypotheses, h)
}

// worst is the layer with the largest of a number.
func (r *Report) worst(of func(LayerReport) float64) (w LayerReport) {
	for i, l := range r.Layers {
		if i == 0 || of(l) > of(w) || math.IsNaN(of(l)) {
			w = l
		}
	}
	return w
}

// normaliser tests what is about the target's normaliser.
func (r *Report) normaliser(e Evidence) {
	if len(r.Layers) == 0 {
		return
	}
	z := r.worst(func(l LayerReport) float64 { return l.MaxZ })
	std := r.worst(func(l LayerReport) float64 { return l.StdError })
	exit := r.worst(func(l LayerReport) float64 { return l.ExitError })
	f := r.Fingerprint
	named := func(cause string) bool { return f != nil && f.Cause == cause }
	over := z.MaxZ > r.Bound*(1+1e-4)
	other := f != nil && f.Cause != Healthy && f.Cause != Inconsistent // a fault that breaks invariants too, and has a name of its own
	broken := named(Inconsistent) || exit.ExitError > 1e-3 || !other && (over || std.StdError > 0.01)
	how := ""
	if named(Inconsistent) {
		how = "; it computes " + f.Formula
	}
	r.add("H5", "the normaliser is inconsistent: mean, std and difference do not belong together", Inconsistent, broken,
		"Look at what the normaliser divides by: the standard deviation of the very difference whose mean it takes off. Raising eps hides the fault and keeps the error.",
		"layer %d: |z| reaches %.6g, bound %.4g; layer %d: the std in use is off by %.3g of the inputs' own; layer %d: the exit differs from weight*z + bias + XK by %.2g%s",
		z.Layer, z.MaxZ, r.Bound, std.Layer, std.StdError, exit.Layer, exit.ExitError, how)

	zeroKeys := r.worst(func(l LayerReport) float64 { return l.ZeroKeys })
	r.add("Z", "keys are 0", ZeroKeys, zeroKeys.ZeroKeys > 0, mendZeroKeys,
		"layer %d: %.1f %% of the keys have length 0: 0 has no direction, and stays 0 when it is normalised", zeroKeys.Layer, 100*zeroKeys.ZeroKeys)
	key := r.worst(func(l LayerReport) float64 { return l.KeyError })
	r.add("K", "keys are not L2-normalised", KeysNotNormalised, key.KeyError > keyTolerance,
		"Use the normalised keys: check that the call's result is kept.", "layer %d: ||XK|| is %.6g to %.6g, want 1", key.Layer, key.KeyNormMin, key.KeyNormMax)

	zero := r.worst(func(l LayerReport) float64 { return l.HalfZero })
	coarse := r.worst(func(l LayerReport) float64 { return l.BFloatError })
	if f != nil {
		r.add("H4", "the statistics are made in half precision", HalfPrecision, named(HalfPrecision),
			"Compute mean, centred values and std in float32, whatever the model's type.",
			"in isolation the normaliser computes: %s (error %.2g). On this batch float16 would make the std of %.1f %% of layer %d's rows 0, and bfloat16 one of layer %d wrong by %.2g of it", f.Formula, f.Error, 100*zero.HalfZero, zero.Layer, coarse.Layer, coarse.BFloatError)
		r.add("O", "the variance is made in one pass", OnePass, named(OnePass), "Take the standard deviation from the centred values.",
			"in isolation the normaliser computes: %s (error %.2g)", f.Formula, f.Error)
		r.add("C", "a clamp or a maximum stands in for eps", NoEps, named(NoEps), "Add eps to the standard deviation: a floor of 1e-6 lets gradients grow a million times.",
			"in isolation the normaliser computes: %s (error %.2g)", f.Formula, f.Error)
		r.add("S", "another eps is in use than the one that is set", StaleEps, named(StaleEps), "Pass eps as data, or compile anew when it changes: a cached kernel serves the old one.",
			"set: %g, then %g; in use: %g", e.Eps, e.Eps2, f.Eps)
	} else {
		for _, h := range []Hypothesis{
			{ID: "H4", Text: "the statistics are made in half precision", Cause: HalfPrecision}, {ID: "O", Text: "the variance is made in one pass", Cause: OnePass},
			{ID: "C", Text: "a clamp or a maximum stands in for eps", Cause: NoEps}, {ID: "S", Text: "another eps is in use than the one that is set", Cause: StaleEps},
		} {
			h.Verdict, h.Measurement = Undecidable, "the normaliser could not be run by itself"
			r.Hypotheses = append(r.Hypotheses, h)
		}
	}

	high := r.worst(func(l LayerReport) float64 { return l.HighGain })
	gain := r.worst(func(l LayerReport) float64 { return l.Gain })
	w := r.worst(func(l LayerReport) float64 { return math.Max(l.Weight.abs(), l.Bias.abs()) })
	r.add("H2", "the norm's weight or bias is far from 1 and 0", BadNorm, math.Max(w.Weight.abs(), w.Bias.abs()) > largeNorm || w.Weight.abs() == 0,
		"Initialise the weight with 1 and the bias with 0, and do not let weight decay or a loaded checkpoint replace them.",
		"layer %d: weights %.4g to %.4g (mean %.4g), biases %.4g to %.4g", w.Layer, w.Weight.Min, w.Weight.Max, w.Weight.Mean, w.Bias.Min, w.Bias.Max)
	const byGain = 1.0 / ttt.HighGain
	r.add("H1", "the standard deviation is nearly 0 in many rows, and eps does not make up for it", SmallStd, high.HighGain > many,
		fmt.Sprintf("The forward pass is bounded all the same; the backward pass multiplies gradients by up to 1/(std+eps). Find out why V and K are nearly equal; an eps (model.target_eps) of %g keeps that to %d.", byGain, ttt.HighGain),
		"layer %d: the gain 1/(std+eps) is above %d in %.1f %% of the rows; smallest std %.3g, eps %g; layer %d: the backward pass multiplies gradients by up to %.3g",
		high.Layer, ttt.HighGain, 100*high.HighGain, high.StdMin, e.Eps, gain.Layer, gain.Gain)
	if g := r.worst(func(l LayerReport) float64 { return l.Guarded }); g.Guarded > many && high.HighGain <= many {
		note := fmt.Sprintf("the standard deviation of XV - XK is nearly 0 in %.1f %% of the rows of layer %d, which is harmless at this eps: the gain is at most %.3g", 100*g.Guarded, g.Layer, g.Gain)
		r.Hypotheses[len(r.Hypotheses)-1].Measurement += "; " + note
		r.Notes = append(r.Notes, note)
	}
	x := r.worst(func(l LayerReport) float64 { return l.XV.abs() / math.Max(l.StdMedian, byGain) })
	r.add("H3", "the input XV has extreme values", ExtremeInput, x.XV.abs() > extreme*math.Max(x.StdMedian, byGain) && high.HighGain <= many,
		"Look for what makes single values so large before the layer. The normaliser itself bounds its output.",
		"layer %d: XV is %.6g to %.6g, the median std of XV - XK is %.4g", x.Layer, x.XV.Min, x.XV.Max, x.StdMedian)
}

// leak tests whether tokens see those after them.
func (r *Report) leak(e Evidence) {
	if e.Leak == nil {
		return
	}
	l := *e.Leak
	const text = "a token sees those after it"
	seen := l.Before > leakLimit*l.At
	switch {
	case l.Tokens == 1:
		r.add("F", text, FutureLeak, false, "", "a mini-batch is one token: there are none after it inside")
	case !seen && l.Blind != "":
		r.Hypotheses = append(r.Hypotheses, Hypothesis{ID: "F", Text: text, Cause: FutureLeak, Verdict: Undecidable, Measurement: l.Blind})
	default:
		r.add("F", text, FutureLeak, seen,
			"Make the layer causal inside the mini-batch: a language model that sees the token that it is to predict learns nothing else.",
			"another last token of a mini-batch of %d changes the %s of earlier tokens by up to %.3g, its own by %.3g", l.Tokens, l.Of, l.Before, l.At)
	}
	// A leak comes before what is about ranges, which it may only have caused.
	for i, h := range r.Hypotheses {
		if h.ID == "H2" {
			last := r.Hypotheses[len(r.Hypotheses)-1]
			copy(r.Hypotheses[i+1:], r.Hypotheses[i:len(r.Hypotheses)-1])
			r.Hypotheses[i] = last
			break
		}
	}
}

// parameters tests the inner LayerNorm's parameters where there is no normaliser that shares them.
func (r *Report) parameters(e Evidence) {
	if len(e.Layers) > 0 || len(e.Params) == 0 {
		return
	}
	if zero := slices.IndexFunc(e.Keys, func(p ParamRange) bool { return p.Min == 0 && p.Max == 0 }); zero >= 0 {
		r.add("Z", "keys are 0", ZeroKeys, true, mendZeroKeys, "%s, of which the keys are made, is 0", e.Keys[zero].Name)
	}
	worst := e.Params[0]
	size := func(p ParamRange) float64 { return math.Max(math.Abs(p.Min), math.Abs(p.Max)) }
	for _, p := range e.Params {
		if size(p) > size(worst) || math.IsNaN(size(p)) {
			worst = p
		}
	}
	r.add("H2", "the inner norm's weight or bias is far from 1 and 0", BadNorm, !(size(worst) <= largeNorm),
		"Initialise the weight with 1 and the bias with 0, and do not let weight decay or a loaded checkpoint replace them.",
		"%s is %.4g to %.4g", worst.Name, worst.Min, worst.Max)
}
