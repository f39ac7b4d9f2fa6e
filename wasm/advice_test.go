//go:build !js

package main

import (
	"math"
	"path/filepath"
	"testing"

	"innerloop/train"
)

// A run of which a value was too large for 16 bits goes on in 32, and one that a fault ended goes on without it; what is to
// blame is told, and no learning rate is.
func TestGoesOnMended(t *testing.T) {
	for _, c := range []struct {
		name, key string
		value     any
		cause     string
		config    map[string]any
		spoil     map[string]float32 // parameters, by name, to what they are set
	}{
		{"half", "train.precision", "f32", "half", map[string]any{"train.precision": "f16"}, map[string]float32{"model.layers.0.ffn_norm.weight": 1e4, "model.layers.0.mlp.up_proj.weight": 3}},
		{"fault", "train.fault", "", "fault", map[string]any{"train.fault": "std-aliased"}, map[string]float32{"model.layers.0.mlp.up_proj.weight": 1e38}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTab(t, t.TempDir(), nil)
			c.config["train.log_every"], c.config["train.save_every"] = 1, 2
			id := idOf(x.ask("start", start(tiny(c.config), true)))
			for range 2 {
				x.step()
			}
			o := x.s.open
			for name, to := range c.spoil {
				v := make([]float32, o.run.Model.Lookup(name).Len())
				for i := range v {
					v[i] = to
				}
				if err := o.run.Executor().Write(o.run.Model.Lookup(name), v); err != nil {
					t.Fatal(err)
				}
			}
			from := x.count()
			x.ask("resume", none)
			e := x.state(from, stateFailed).Data["error"].(map[string]any)
			if e["code"] != codeNonFinite || e["cause"] != c.cause || e["checkpoint"] != 2.0 {
				t.Fatalf("%v", e)
			}
			from = x.count()
			x.ask("set", map[string]any{"key": c.key, "value": c.value})
			x.ask("resume", none)
			x.state(from, stateFinished)
			if l := x.losses(id); len(l) != 30 || math.IsNaN(l[29]) {
				t.Errorf("losses %v", l)
			}
			kept, err := train.Load(filepath.Join(x.s.runDir(id), train.RunConfigFile))
			if err != nil || kept.Train.Precision != "f32" || kept.Train.Fault != "" {
				t.Errorf("the run keeps precision %q and fault %q, %v", kept.Train.Precision, kept.Train.Fault, err)
			}
		})
	}
	// A run that goes well keeps its precision.
	x := newTab(t, t.TempDir(), nil)
	x.ask("start", start(tiny(nil), true))
	x.refused(codeUsage, "cannot change during a run", "set", map[string]any{"key": "train.precision", "value": "f16"})
}
