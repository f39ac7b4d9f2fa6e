package lab

import (
	"math"
	"strings"
	"testing"
)

// The logs of the case: layers 29 to 31 at two eps.
const logA = `Using eps=1e-8
Layer 29: XV input: min=-20.25, max=17.75
Layer 29: XK: min=-22.62, max=19.00
Layer 29: XV output: min=-27262976, max=1376256
Layer 30: XV output: min=-27787264, max=794624
Layer 31: XV output: min=-27656192, max=876544
`

const logB = `[ttt] eps: 1e-5
[layer 29] xv_in range: [-20.25, 17.75]
[layer 29] XK range: [-22.62, 19.00]
[layer 29] XV after norm: MIN = -61,696  MAX = 139,264 mean 0.1
block=30 quantity=XV.out minimum -86016 maximum 95232
Layer30 XV reconstruction min: −86016.0 max: 95232.0
2024-01-01 12:00:00 INFO layer 31 - XV output between -75264 and 20608
epoch 3 loss 2.5 min 1 max 2
`

func parse(t *testing.T, name, text string) *Log {
	t.Helper()
	l, err := ParseLog(name, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseLog(t *testing.T) {
	a, b := parse(t, "a", logA), parse(t, "b", logB)
	if a.Eps != 1e-8 || b.Eps != 1e-5 {
		t.Errorf("eps %g, %g", a.Eps, b.Eps)
	}
	for _, c := range []struct {
		l        *Log
		layer    int
		quantity string
		min, max float64
		line     int
	}{
		{a, 29, XV, -20.25, 17.75, 2}, {a, 29, XK, -22.62, 19, 3}, {a, 29, Out, -27262976, 1376256, 4}, {a, 31, Out, -27656192, 876544, 6},
		{b, 29, XV, -20.25, 17.75, 2}, {b, 29, XK, -22.62, 19, 3}, {b, 29, Out, -61696, 139264, 4}, {b, 30, Out, -86016, 95232, 5}, {b, 31, Out, -75264, 20608, 7},
	} {
		r, ok := c.l.Get(c.layer, c.quantity)
		if !ok || r.Min != c.min || r.Max != c.max || r.Line != c.line {
			t.Errorf("%s, layer %d, %s: %+v, want %g to %g of line %d", c.l.Name, c.layer, c.quantity, r, c.min, c.max, c.line)
		}
	}
	if len(a.Ranges) != 5 || len(b.Ranges) != 5 {
		t.Errorf("%d and %d ranges, want 5", len(a.Ranges), len(b.Ranges))
	}
	many := parse(t, "c", "layer 1 std min 0.5 max 0.9\nlayer 1 std min 0.25 max 0.7\nlayer=1 z: max=+Inf min=nan head_dim 64")
	if r, _ := many.Get(1, Std); r.Min != 0.25 || r.Max != 0.9 || r.Count != 2 || many.N != 64 {
		t.Errorf("%+v, n %d", r, many.N)
	}
	for _, bad := range []string{"", "nothing here", "Layer 29: XV output: min=5, max=2", "layer 1 foo min 1 max 2"} {
		if _, err := ParseLog("x.log", strings.NewReader(bad)); err == nil || !strings.HasPrefix(err.Error(), "lab: x.log:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What the invariants say of the case: the normaliser is inconsistent at both eps, and the keys are not normalised.
func TestCompare(t *testing.T) {
	c := Compare(parse(t, "a", logA), parse(t, "b", logB))
	found := map[string]map[string]int{}
	for _, f := range c.Findings {
		if found[f.Log] == nil {
			found[f.Log] = map[string]int{}
		}
		found[f.Log][f.Cause]++
	}
	for _, l := range []string{"a", "b"} {
		if found[l][Inconsistent] != 3 || found[l][KeysNotNormalised] != 1 || len(found[l]) != 2 {
			t.Errorf("log %s: %v", l, found[l])
		}
	}
	for _, r := range c.Rows {
		if want := 27262976.0 / 139264; r.Layer == 29 && r.Quantity == Out && math.Abs(r.Factor-want) > 1e-9 {
			t.Errorf("layer 29 shrinks %g times, want %g", r.Factor, want)
		}
	}
	// A healthy log, with the same inputs, has nothing to tell; a std below eps is told as what it is.
	if f := parse(t, "h", "layer 2 XV in min -20 max 18\nlayer 2 XK min -0.4 max 0.5\nlayer 2 std min 0.4 max 0.6\nlayer 2 XV out min -5 max 6 eps 1e-5").Findings(); len(f) != 0 {
		t.Errorf("a healthy log: %v", f)
	}
	f := parse(t, "s", "eps 1e-5\nlayer 2 std min 1e-7 max 0.6").Findings()
	if len(f) != 1 || f[0].Cause != SmallStd || !strings.Contains(f[0].Text, "9.9e+04") {
		t.Errorf("a small std: %v", f)
	}
	if f := parse(t, "n", "layer 2 std min -0.5 max 0.6\nlayer 3 z min -9 max 8 head_dim 64\nlayer 4 XV in min nan max inf").Findings(); len(f) != 3 || f[0].Cause != Inconsistent || f[1].Cause != Inconsistent || f[2].Cause != NonFinite {
		t.Errorf("negative std, |z| of 9 at n = 64, NaN: %v", f)
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(logA)
	f.Add(logB)
	f.Add("layer 1e9 std min - max +\nlayer -3 xv min .. max 1e999")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLog("x", strings.NewReader(text))
		if err != nil {
			return
		}
		Compare(l, l)
		for _, r := range l.Ranges {
			if r.Min > r.Max || r.Layer < 0 || r.Line < 1 || rank(r.Quantity) < 0 {
				t.Errorf("%+v", r)
			}
		}
	})
}
