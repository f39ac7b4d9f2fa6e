package lab

import (
	"math"
	"strings"
	"testing"
	"unicode/utf16"
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

// wide is text in UTF-16, its low byte at place low of the two.
func wide(text string, low int) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		two := [2]byte{}
		two[low], two[1-low] = byte(u), byte(u>>8)
		b = append(b, two[:]...)
	}
	return string(b)
}

// Logs as people have them are all read to the same ranges: with a byte order mark, in UTF-16 as Windows' shells write it,
// with the line ends of every system, in a progress bar that writes over itself, coloured, and with numbers in the types
// of libraries.
func TestLogsAsTheyAre(t *testing.T) {
	const in, out = "Layer 29: XV input: min=-20.25, max=17.75", "Layer 29: XV output: min=-27262976, max=1376256"
	plain := "eps=1e-8\n" + in + "\n" + out + "\n"
	bar := "eps=1e-8\n" + strings.Repeat("step 12: 45%|####      | 3/7 [00:01<00:02]\r", 40000) + in + "\r 46%|#### | \r" + out + "\r\n"
	for name, text := range map[string]string{
		"plain": plain, "no end": strings.TrimSuffix(plain, "\n"), "CRLF": strings.ReplaceAll(plain, "\n", "\r\n"), "CR": strings.ReplaceAll(plain, "\n", "\r"), "CR in a line": "eps=1e-8\n" + in + "\r" + out + "\n",
		"a bar of two megabytes": bar, "BOM": "\ufeff" + plain, "UTF-16 LE": wide("\ufeff"+plain, 0), "UTF-16 BE": wide("\ufeff"+plain, 1), "UTF-16 LE, CRLF": wide("\ufeff"+strings.ReplaceAll(plain, "\n", "\r\n"), 0),
		"UTF-16 LE without a mark": wide(plain, 0), "UTF-16 BE without a mark": wide(plain, 1), "UTF-16, cut": wide("\ufeff\U0001f600 "+plain, 0) + "x", "typeset": strings.ReplaceAll(plain, "=-", "=\u2212"),
		"UTF-16, typeset": wide("\ufeff"+strings.ReplaceAll(plain, "=-", "=\u2212"), 0),
		"colours":         "eps=\x1b[1;31m1e-8\x1b[0m\n\x1b[2K\x1b[1;32mLayer 29\x1b[0m: XV input: min=\x1b[38;5;9m-20.25\x1b[m, max=\x1b[1m17.75\x1b[0m\n\x1b[32m" + out + "\n",
		"tensor":          "eps=1e-8\nLayer 29: XV input: min=tensor(-20.25, device='cuda:0'), max=tensor(17.75, device='cuda:0', dtype=torch.bfloat16, grad_fn=<MaxBackward1>)\nLayer 29: XV output: min=tensor(-2.7262976e+07), max=torch.tensor([1376256.], requires_grad=True)",
		"tensor ranges":   "eps=tensor(1e-8, dtype=torch.float64)\n[layer 29] XV input range: [tensor(-20.25, device='cuda:1'), tensor(17.75, device='cuda:1')]\nlayer 29 XV output between tensor([[-27262976.]]) and tensor([[1376256.]], device='xla:0')",
		"numpy":           "eps=np.float64(1e-8)\nLayer 29: XV input: min=np.float32(-20.25), max=np.float32(17.75)\nLayer 29: XV output: min=numpy.float32(-27262976.0), max=array(1376256., dtype=float32)",
		"JAX":             "eps=Array(1e-8, dtype=float32, weak_type=True)\nLayer 29: XV input: {'min': Array(-20.25, dtype=bfloat16), 'max': Array(17.75, dtype=bfloat16)}\nLayer 29: XV output: min=jnp.float32(-27262976), max=DeviceArray(1376256., dtype=float32)",
		"TensorFlow":      "eps=1e-8\nLayer 29: XV input: min=<tf.Tensor: shape=(), dtype=float32, numpy=-20.25>, max=<tf.Tensor: shape=(), dtype=float32, numpy=17.75>\nLayer 29: XV output: min=tf.Tensor(-27262976.0, shape=(), dtype=float32), max=tf.Tensor(1376256.0, shape=(), dtype=float32)",
		"no spaces":       "eps=1e-8\n[layer 29] XV input range:[-20.25,17.75]\nlayer 29 XV output range:[-27,262,976,1376256]",
		"thousands":       "eps=1e-8\nLayer 29: XV input: min=-20.25,max=17.75\nLayer 29: XV output: min=-27,262,976,max=1_376_256",
	} {
		l, err := ParseLog(name, strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		x, _ := l.Get(29, XV)
		y, _ := l.Get(29, Out)
		if x.Min != -20.25 || x.Max != 17.75 || y.Min != -27262976 || y.Max != 1376256 || l.Eps != 1e-8 {
			t.Errorf("%s: %+v, eps %g", name, l.Ranges, l.Eps)
		}
	}
	if l := parse(t, "values that are none", "layer 1 std min tensor(0.5) max tensor(inf, device='cuda:0')\nlayer 2 std min=np.float32(nan) max=np.float32(1)"); len(l.Ranges) != 2 || !math.IsInf(l.Ranges[0].Max, 1) || !math.IsNaN(l.Ranges[1].Min) {
		t.Errorf("%+v", l.Ranges)
	}
	if l := parse(t, "lines", "a\r\nb\rc\r\nlayer 1 std min 1 max 2\r\n"); l.Ranges[0].Line != 3 {
		t.Errorf("line %d, want 3", l.Ranges[0].Line)
	}
	for _, text := range []string{"", "\ufeff", "\xff\xfe", "\xff\xfea", "\x00", "layer (((( min tensor( max )"} {
		if _, err := ParseLog("x", strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// Keys of length 0 are no keys that were left unnormalised.
func TestKeysOfLogs(t *testing.T) {
	for text, want := range map[string]string{
		"layer 1 XK length min 0 max 0": ZeroKeys, "layer 1 XK length min 0 max 1.0000001": ZeroKeys, "layer 1 XK length min 0 max 3": KeysNotNormalised,
		"layer 1 XK length min 0.9 max 1": KeysNotNormalised, "layer 1 XK length min 0.99999 max 1.00001": "",
	} {
		var all []string
		for _, f := range parse(t, "l", text).Findings() {
			all = append(all, f.Cause)
		}
		if got := strings.Join(all, " "); got != want {
			t.Errorf("%q: %q, want %q", text, all, want)
		}
	}
}

// A small std is told by the gain, as the diagnosis has it, and is certain where all rows have it, or a log counts them.
func TestGainOfLogs(t *testing.T) {
	for _, c := range []struct {
		text          string
		told, certain bool
	}{
		{"eps 1e-12\nlayer 2 std min 4.5e-9 max 5e-9", true, true}, {"eps=0\nlayer 2 std min 4.5e-9 max 0.6", true, false}, {"eps 1\nlayer 2 std min 0.2 max 0.4", false, false},
		{"eps 0.01\nlayer 2 std min 1e-9 max 2e-9", false, false}, {"eps 1e-5\nlayer 2 std min 0.02 max 0.4", false, false}, {"layer 2 std min 1e-9 max 2e-9", false, false},
		{"step 1 Layer 2: std: min=1e-09, max=0.4, mean=0.3\nstep 1 Layer 2: eps=1e-05 head_dim=16, gain above 100 in 0.25 of the rows, gain at most 99990", true, true},
		{"step 1 Layer 2: std: min=1e-09, max=0.4, mean=0.3\nstep 1 Layer 2: eps=1e-05 head_dim=16, gain above 100 in 0.001 of the rows, gain at most 99990", true, false},
	} {
		f := parse(t, "l", c.text).Findings()
		if told := len(f) == 1 && f[0].Cause == SmallStd; told != c.told || told && f[0].Certain != c.certain || !told && len(f) > 0 {
			t.Errorf("%q: %+v", c.text, f)
		}
	}
}
