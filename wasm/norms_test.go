//go:build !js

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"innerloop/lab"
	"innerloop/model"
	"innerloop/train"
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

// The history of the normalisers is kept with the run: every step at which it stopped or was saved, with eps and faults,
// and none of what came after the checkpoint that it goes on from.
func TestNormsHistory(t *testing.T) {
	dir := t.TempDir()
	x := newTab(t, dir, nil)
	c := tiny(map[string]any{"model.variant": "video", "model.block": "hybrid", "model.pre_conv": false, "train.log_every": 1})
	id := idOf(x.ask("start", start(c, true)))
	var told []map[string]any
	step := func() {
		t.Helper()
		from := x.count()
		x.ask("step", none)
		x.state(from, statePaused)
		told = append(told, x.awaitFrom(from, "norms", func(m posted) bool { return m.Event == "norms" }).Data)
	}
	step()
	step()
	x.ask("set", map[string]any{"key": "model.target_eps", "value": 0.25})
	step()
	x.ask("set", map[string]any{"key": "train.fault", "value": "raw-keys"})
	step()
	x.ask("stop", none)
	f, err := os.OpenFile(filepath.Join(dir, runsDir, id, train.NormsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// As if the tab had ended in the middle of a later step.
	late := train.AppendNorms(nil, 9, []model.NormStats{{Layer: 0}}, 8, "")
	if _, err := f.Write(late[:len(late)-20]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	x = newTab(t, dir, nil)
	x.ask("open", map[string]any{"run": id, "paused": true, "text": "", "otherText": false})
	step()
	past := x.ask("norms", map[string]any{"run": id})
	if got := fmt.Sprint(past["step"], past["eps"], past["faults"], past["layers"], past["heads"]); got != "[1 2 3 4 5] [1e-05 1e-05 0.25 0.25 0.25] [map[fault:raw-keys step:4]] [0] 2" {
		t.Errorf("the history is %s", got)
	}
	for i, d := range told {
		for name, worst := range map[string]func(a, b float64) float64{"maxZ": math.Max, "gain": math.Max, "stdMin": math.Min, "highGain": math.Max, "xvMin": math.Min, "outMax": math.Max, "keyMax": math.Max, "nonFinite": math.Max} {
			both := d[name].([]any)
			want, got := worst(both[0].(float64), both[1].(float64)), past[name].([]any)[i].(float64)
			if math.Abs(got-want) > 1e-3*math.Abs(want) {
				t.Errorf("step %d: %s %g, the page was told %g", i+1, name, got, want)
			}
		}
		if got := past["bound"].(float64); math.Abs(got-d["bound"].(float64)) > 1e-4 {
			t.Errorf("bound %g, want %g", got, d["bound"])
		}
	}
	if past := x.ask("norms", map[string]any{"run": idOf(x.ask("start", start(tiny(nil), true)))}); len(past["step"].([]any)) != 0 {
		t.Errorf("a model without a normaliser has the history %v", past)
	}
	x.refused(codeData, "no such run", "norms", map[string]any{"run": "nonsense"})
}
