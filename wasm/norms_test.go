//go:build !js

package main

import (
	"testing"

	"innerloop/lab"
)

// The numerics of a run: what its normalisers did comes with the steps, a change of eps acts on the next one, a fault can
// be put in and taken out of a run under way, and the diagnosis names it.
func TestNumerics(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	c := tiny(map[string]any{"model.variant": "video", "model.block": "hybrid", "model.pre_conv": false, "train.log_every": 1})
	x.ask("start", start(c, true))
	step := func() map[string]any {
		t.Helper()
		from := x.count()
		x.ask("step", none)
		x.state(from, statePaused)
		return x.awaitFrom(from, "norms", func(m posted) bool { return m.Event == "norms" }).Data
	}
	first := step()
	gain := func(d map[string]any) float64 { return d["gain"].([]any)[0].(float64) }
	if first["eps"] != 1e-5 || len(first["maxZ"].([]any)) != 2 || len(first["layers"].([]any)) != 1 || gain(first) < 1.0/2 {
		t.Errorf("norms %v", first)
	}
	for _, z := range first["maxZ"].([]any) {
		if z.(float64) <= 0 || z.(float64) > first["bound"].(float64) {
			t.Errorf("|z| %v, bound %v", z, first["bound"])
		}
	}
	x.ask("set", map[string]any{"key": "model.target_eps", "value": 0.5})
	if d := step(); d["eps"] != 0.5 || gain(d) > 2 || d["maxZ"].([]any)[0].(float64) >= first["maxZ"].([]any)[0].(float64) {
		t.Errorf("with an eps of 0.5: %v", d)
	}
	x.ask("set", map[string]any{"key": "model.target_eps", "value": 1e-5})
	cause := func() any { t.Helper(); return x.ask("diagnose", none)["cause"] }
	if got := cause(); got != lab.Healthy {
		t.Errorf("a healthy run: %v", got)
	}
	x.ask("set", map[string]any{"key": "train.fault", "value": "std-aliased"})
	if got := cause(); got != lab.Inconsistent {
		t.Errorf("std-aliased: %v", got)
	}
	if d := step(); d["maxZ"].([]any)[0].(float64) <= d["bound"].(float64) {
		t.Errorf("std-aliased keeps |z| at %v", d["maxZ"])
	}
	x.ask("set", map[string]any{"key": "train.fault", "value": ""})
	if got := cause(); got != lab.Healthy {
		t.Errorf("the fault taken out: %v", got)
	}
	x.refused(codeConfig, "want one of", "set", map[string]any{"key": "train.fault", "value": "nonsense"})
	x.ask("start", start(tiny(nil), true)) // without a normaliser
	if d := x.ask("diagnose", none); d["cause"] != lab.Healthy || len(d["layers"].([]any)) != 0 || d["bound"] != 0.0 {
		t.Errorf("without a normaliser: %v", d)
	}
	x.refused(codeConfig, "no normaliser", "set", map[string]any{"key": "train.fault", "value": "raw-keys"})
	x.ask("set", map[string]any{"key": "train.fault", "value": "future-leak"})
	if got := cause(); got != lab.FutureLeak {
		t.Errorf("future-leak: %v", got)
	}
}
