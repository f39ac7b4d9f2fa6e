package lab

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"innerloop/ttt"
)

// The quantities of the target's normaliser that logs are about.
const (
	XV     = "XV"     // the reconstruction target before normalisation
	XK     = "XK"     // the keys, which the layer L2-normalises
	Length = "||XK||" // their Euclidean lengths
	Out    = "out"    // the normalised target
	Std    = "std"    // the standard deviation of XV - XK
	Z      = "z"      // the normalised difference
	Weight = "weight" // of the normaliser
	Bias   = "bias"
)

// Range is what a log says of a quantity in one layer: the least and the greatest value of all lines about it.
type Range struct {
	Layer    int
	Quantity string
	Min, Max float64
	Line     int // of the first such line, from 1
	Count    int // lines
}

// Abs is the largest magnitude.
func (r Range) Abs() float64 { return math.Max(math.Abs(r.Min), math.Abs(r.Max)) }

// Log is what a training log says of the normalisers of its layers.
type Log struct {
	Name   string
	Ranges []Range // by layer, then quantity
	Eps    float64 // NaN: the log does not say
	N      int     // channels of a head; 0: the log does not say

	highGain map[int]float64 // by layer, the largest part of the rows with a gain above ttt.HighGain, where the log says it
}

// Get returns the range of a quantity in a layer.
func (l *Log) Get(layer int, quantity string) (Range, bool) {
	i, ok := slices.BinarySearchFunc(l.Ranges, Range{Layer: layer, Quantity: quantity}, inOrder)
	if !ok {
		return Range{}, false
	}
	return l.Ranges[i], true
}

// inOrder compares ranges by layer, then quantity.
func inOrder(a, b Range) int {
	return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(rank(a.Quantity), rank(b.Quantity)))
}

// Layers are the layers that the log is about, ascending.
func (l *Log) Layers() (list []int) {
	for _, r := range l.Ranges {
		if len(list) == 0 || list[len(list)-1] != r.Layer {
			list = append(list, r.Layer)
		}
	}
	return list
}

// longestLine is the most of a line that is read: what else a log holds is passed over.
const longestLine = 1 << 20

// ParseLog reads a log. It takes lines that name a layer and the least and greatest value of a quantity, as
//
//	Layer 29: XV output: min=-27262976, max=1376256
//	[layer 29] XK range: [-22.62, 19.00]
//	step 3 layer=29 std min 1e-4 max 0.9 mean 0.5
//
// in any case and with any punctuation, and eps=1e-8 and head_dim=64 anywhere; other lines are passed over. Lines may be in
// UTF-8 or UTF-16, parted by carriage returns as those of progress bars, coloured, and have numbers in the types of
// libraries, as tensor(-1.5, device='cuda:0'). A log with no such line is an error that says so; so is a range whose least
// value is above the greatest.
func ParseLog(name string, r io.Reader) (*Log, error) {
	l := &Log{Name: name, Eps: math.NaN(), highGain: map[int]float64{}}
	known := map[place]int{} // in l.Ranges
	b := newLogText(r)
	for n, whole := 1, false; ; {
		if whole {
			n++
		}
		var line string
		var err error
		line, whole, err = b.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("lab: %s: %w", name, err)
		}
		end := err != nil
		if end && line == "" {
			break
		}
		w := words(clean(line))
		if v, ok := valueOf(w, "eps", "epsilon"); ok && v >= 0 && v <= 1 {
			l.Eps = v
		}
		if v, ok := valueOf(w, "head_dim", "headdim"); ok && v >= 1 && v <= 1<<20 && v == math.Trunc(v) {
			l.N = int(v)
		}
		l.readGain(w)
		if x, ok := parseRange(w); ok {
			if x.Min > x.Max {
				return nil, fmt.Errorf("lab: %s:%d: layer %d, %s: min %g is above max %g", name, n, x.Layer, x.Quantity, x.Min, x.Max)
			}
			x.Line = n
			l.add(x, known)
		}
		if end {
			break
		}
	}
	if len(l.Ranges) == 0 {
		return nil, fmt.Errorf("lab: %s: no line tells a layer's range: want lines such as Layer 29: XV output: min=-1.5, max=2", name)
	}
	slices.SortFunc(l.Ranges, inOrder)
	return l, nil
}

func rank(quantity string) int {
	return slices.Index([]string{XV, XK, Length, Std, Z, Out, Weight, Bias}, quantity)
}

// place is what a range is of.
type place struct {
	layer    int
	quantity string
}

// readGain reads what a log of ours says of the gain, Layer 29: gain above 100 in 0.25 of the rows.
func (l *Log) readGain(w []word) {
	i := slices.IndexFunc(w, func(v word) bool { return v.text == "above" })
	layer, ok := valueOf(w, "layer")
	if i < 1 || !ok || w[i-1].text != "gain" || len(w) < i+2 || w[i+1].number != ttt.HighGain {
		return
	}
	if share, ok := valueOf(w[i:], "in"); ok && share >= 0 && share <= 1 && layer >= 0 && layer <= 1<<20 {
		l.highGain[int(layer)] = math.Max(l.highGain[int(layer)], share)
	}
}

// add widens the range that the log has of the same layer and quantity. Of a value that is not a number nothing is
// between.
func (l *Log) add(x Range, known map[place]int) {
	at := place{x.Layer, x.Quantity}
	i, ok := known[at]
	if !ok {
		x.Count = 1
		known[at] = len(l.Ranges)
		l.Ranges = append(l.Ranges, x)
		return
	}
	r := &l.Ranges[i]
	r.Min, r.Max, r.Count = math.Min(r.Min, x.Min), math.Max(r.Max, x.Max), r.Count+1
}

// word is a name or a number of a line.
type word struct {
	text   string // in lower case
	number float64
	is     bool // a number
}

// words cuts a line into names and numbers.
func words(line string) (list []word) {
	line = strings.ToLower(strings.ReplaceAll(line, "−", "-")) // the minus sign of typesetters
	runes := []rune(line)
	for i := 0; i < len(runes); {
		c := runes[i]
		begin := i
		switch {
		case unicode.IsDigit(c) || (c == '-' || c == '+' || c == '.') && i+1 < len(runes) && (unicode.IsDigit(runes[i+1]) || runes[i+1] == '.' || runes[i+1] == 'i' || runes[i+1] == 'n'):
			i++
			for i < len(runes) && inNumber(runes, i) {
				i++
			}
			text := string(runes[begin:i])
			v, ok := number(text)
			list = append(list, word{text, v, ok})
		case unicode.IsLetter(c) || c == '_' || c == '|':
			i++
			for i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]) || runes[i] == '_') {
				i++
			}
			text := string(runes[begin:i])
			switch text {
			case "nan", "inf", "infinity":
				v, _ := strconv.ParseFloat(text, 64)
				list = append(list, word{text, v, true})
			default:
				// layer29 is a name and a number.
				name := strings.TrimRight(text, "0123456789")
				if name == "layer" && name != text {
					v, _ := strconv.ParseFloat(text[len(name):], 64)
					list = append(list, word{text: name}, word{text[len(name):], v, true})
					continue
				}
				list = append(list, word{text: text})
			}
		default:
			i++
		}
	}
	return list
}

// inNumber says whether a number that began before runes[i] goes on there.
func inNumber(runes []rune, i int) bool {
	c := runes[i]
	switch {
	case unicode.IsDigit(c) || unicode.IsLetter(c):
		return true
	case c == '.' || c == '_':
		return i+1 < len(runes) && unicode.IsDigit(runes[i+1])
	case c == ',': // between thousands: three digits and no more. Any other parts two numbers
		digit := func(at int) bool { return at >= 0 && at < len(runes) && unicode.IsDigit(runes[at]) }
		for at := i - 1; digit(at) || at >= 0 && strings.ContainsRune(".,", runes[at]); at-- {
			if runes[at] == '.' {
				return false
			}
		}
		return digit(i+1) && digit(i+2) && digit(i+3) && !digit(i+4)
	}
	return (c == '-' || c == '+') && runes[i-1] == 'e'
}

// number reads a number with thousands separators of either kind.
func number(s string) (float64, bool) {
	if v, err := strconv.ParseFloat(s, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return v, true
	}
	v, err := strconv.ParseFloat(strings.NewReplacer(",", "", "_", "").Replace(s), 64)
	return v, err == nil
}

// valueOf is the number that follows one of the names.
func valueOf(w []word, names ...string) (float64, bool) {
	for i := 0; i+1 < len(w); i++ {
		if !w[i].is && slices.Contains(names, w[i].text) && w[i+1].is {
			return w[i+1].number, true
		}
	}
	return 0, false
}

// parseRange finds a layer, a quantity and its range in a line.
func parseRange(w []word) (x Range, ok bool) {
	layer, ok := valueOf(w, "layer", "layers", "block", "blk")
	if !ok || layer < 0 || layer > 1<<20 || layer != math.Trunc(layer) {
		return x, false
	}
	x.Layer = int(layer)
	lo, haveLo := valueOf(w, "min", "minimum", "least")
	hi, haveHi := valueOf(w, "max", "maximum", "greatest")
	stop := slices.IndexFunc(w, func(v word) bool {
		return slices.Contains([]string{"min", "minimum", "least", "max", "maximum", "greatest"}, v.text)
	})
	if !haveLo || !haveHi {
		i := slices.IndexFunc(w, func(v word) bool { return v.text == "range" || v.text == "in" || v.text == "between" })
		if i < 0 {
			return x, false
		}
		var ns []float64
		for _, v := range w[i:] {
			if v.is {
				ns = append(ns, v.number)
			}
		}
		if len(ns) != 2 {
			return x, false
		}
		lo, hi, stop = ns[0], ns[1], i
	}
	x.Min, x.Max = lo, hi
	x.Quantity = quantity(w[:stop])
	return x, x.Quantity != ""
}

// quantity is what the words before a range are about.
func quantity(w []word) string {
	var names []string
	for _, v := range w {
		if !v.is {
			names = append(names, strings.Split(v.text, "_")...)
		}
	}
	has := func(some ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(some, n) })
	}
	after := has("out", "output", "outputs", "after", "exit", "normalized", "normalised", "reconstruction", "result")
	switch {
	case has("std", "stddev", "deviation", "sigma"):
		return Std
	case has("xv", "v", "target", "values") && after:
		return Out
	case has("xv", "v", "target", "values"):
		return XV
	case has("xk", "k", "keys", "key") && has("length", "lengths", "norm", "norms", "l2"):
		return Length
	case has("xk", "k", "keys", "key"):
		return XK
	case has("weight", "weights", "gamma"):
		return Weight
	case has("bias", "biases", "beta"):
		return Bias
	case has("z") || has("normalized", "normalised"):
		return Z
	case after:
		return Out
	}
	return ""
}

// Comparison is two logs side by side.
type Comparison struct {
	A, B     *Log
	Rows     []ComparedRow
	Findings []LogFinding
}

// ComparedRow is a quantity of a layer in both logs. A log without it has a range with Count 0.
type ComparedRow struct {
	Layer    int
	Quantity string
	A, B     Range
	// Factor is how many times smaller B's largest magnitude is than A's; NaN where one is missing or B's is 0.
	Factor float64
}

// LogFinding is what the invariants say of a layer of a log.
type LogFinding struct {
	Log     string // its name
	Layer   int
	Cause   string // of those that a diagnosis names
	Text    string // what was measured, and what is possible
	Certain bool   // that it is so; else the log leaves it open
}

// Compare tabulates two logs and says what the normaliser's invariants tell of each.
func Compare(a, b *Log) *Comparison {
	c := &Comparison{A: a, B: b}
	layers := slices.Compact(slices.Sorted(slices.Values(append(a.Layers(), b.Layers()...))))
	for _, layer := range layers {
		for _, q := range []string{XV, XK, Length, Std, Z, Out, Weight, Bias} {
			x, inA := a.Get(layer, q)
			y, inB := b.Get(layer, q)
			if !inA && !inB {
				continue
			}
			row := ComparedRow{Layer: layer, Quantity: q, A: x, B: y, Factor: math.NaN()}
			if inA && inB && y.Abs() > 0 {
				row.Factor = x.Abs() / y.Abs()
			}
			c.Rows = append(c.Rows, row)
		}
	}
	c.Findings = append(a.Findings(), b.Findings()...)
	return c
}

// UsualHead is the head width that is taken where a log names none, the widest of usual models: what is impossible with it
// is so with narrower ones.
const UsualHead = 256

// Findings are what cannot be, if mean, standard deviation and difference belong together, or keys are normalised, and
// what gradients are multiplied by where the standard deviation is nearly 0. What a log does not say is taken as usual:
// heads of UsualHead channels, weights of 1, biases of 0.
func (l *Log) Findings() (list []LogFinding) {
	n := l.N
	if n == 0 {
		n = UsualHead
	}
	tell := func(layer int, cause, format string, a ...any) {
		list = append(list, LogFinding{l.Name, layer, cause, fmt.Sprintf(format, a...), true})
	}
	for _, layer := range l.Layers() {
		get := func(q string, lo, hi float64) (Range, bool) {
			r, ok := l.Get(layer, q)
			if !ok {
				r = Range{Min: lo, Max: hi}
			}
			return r, ok
		}
		std, haveStd := get(Std, 0, 0)
		if haveStd && std.Min < 0 {
			tell(layer, Inconsistent, "std reaches %g: a standard deviation is never negative, so this is another tensor", std.Min)
		}
		if gain := ttt.NormGain(std.Min, l.Eps, n); haveStd && std.Min >= 0 && gain > ttt.HighGain {
			// It may be so in few rows, which a least value does not tell, or in all, which the greatest does.
			share, said := l.highGain[layer]
			certain := share > many
			rows := "in how many rows the log does not say"
			switch {
			case ttt.NormGain(std.Max, l.Eps, n) > ttt.HighGain:
				rows, certain = "it is so in every row", true
			case said:
				rows = fmt.Sprintf("by more than %d in at most %.3g %% of the rows", ttt.HighGain, 100*share)
			}
			tell(layer, SmallStd, "std falls to %g, with eps %g: there the backward pass multiplies gradients by up to %.3g; %s", std.Min, l.Eps, gain, rows)
			list[len(list)-1].Certain = certain
		}
		z, haveZ := get(Z, 0, 0)
		if haveZ && z.Abs() > ttt.NormBound(n)*(1+1e-5) {
			tell(layer, Inconsistent, "|z| reaches %.6g, and no input makes it larger than sqrt(n-1) = %.4g for n = %d", z.Abs(), ttt.NormBound(n), n)
		}
		xk, haveXK := get(XK, -1, 1)
		if haveXK && xk.Abs() > 1+1e-4 {
			tell(layer, KeysNotNormalised, "XK reaches %.4g: L2-normalised keys stay within 1, so the normalised value was not used", xk.Abs())
		}
		switch length, ok := get(Length, 1, 1); {
		case !ok:
		case length.Min == 0 && length.Max <= 1+keyTolerance:
			tell(layer, ZeroKeys, "||XK|| falls to 0: 0 has no direction to normalise, and what makes such a key is 0")
		case math.Max(math.Abs(length.Min-1), math.Abs(length.Max-1)) > keyTolerance:
			tell(layer, KeysNotNormalised, "||XK|| is %.4g to %.4g: L2-normalised keys have length 1", length.Min, length.Max)
		}
		out, haveOut := get(Out, 0, 0)
		w, _ := get(Weight, 1, 1)
		b, _ := get(Bias, 0, 0)
		if haveOut && !math.IsNaN(out.Abs()) {
			least := (out.Abs() - xk.Abs() - b.Abs()) / math.Max(w.Abs(), 1e-30)
			if least > ttt.NormBound(n)*(1+1e-5) {
				tell(layer, Inconsistent, "the output reaches %.6g, so |z| is at least %.6g; no input and no eps make it larger than sqrt(n-1) = %.4g for n = %d: mean, std and difference do not belong together",
					out.Abs(), least, ttt.NormBound(n), n)
			}
		}
		for _, q := range []string{XV, XK, Length, Std, Z, Out, Weight, Bias} {
			if r, ok := l.Get(layer, q); ok && (math.IsNaN(r.Min) || math.IsInf(r.Min, 0) || math.IsNaN(r.Max) || math.IsInf(r.Max, 0)) {
				tell(layer, NonFinite, "%s is not finite: %g to %g", q, r.Min, r.Max)
			}
		}
	}
	return list
}
