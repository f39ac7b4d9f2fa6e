//go:build !js

package main

import "testing"

// Defaults follow what is set in the tab as on the command line, and a fault brings the variant that has it.
func TestDefaultsFollow(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	for _, c := range []struct {
		set  map[string]any
		want map[string]any
	}{
		{map[string]any{"train.fault": "std-aliased"}, map[string]any{"model.variant": "video"}},
		{map[string]any{"model.block": "hybrid"}, map[string]any{"model.pre_conv": false}},
		{map[string]any{"model.variant": "video", "train.seq_len": 4096}, map[string]any{"model.max_position_embeddings": 4096.0}},
		{nil, map[string]any{"model.variant": "lm", "model.pre_conv": true}},
	} {
		d := x.ask("describe", map[string]any{"config": tiny(c.set)})
		if d["problem"] != nil {
			t.Errorf("%v: %v", c.set, d["problem"])
		}
		for key, want := range c.want {
			if got := d["config"].(map[string]any)[key]; got != want {
				t.Errorf("%v: %s is %v, want %v", c.set, key, got, want)
			}
		}
	}
	for _, set := range []map[string]any{{"train.fault": "std-aliased", "model.variant": "lm"}, {"model.block": "hybrid", "model.pre_conv": true}} {
		if d := x.ask("describe", map[string]any{"config": tiny(set)}); d["problem"] == nil {
			t.Errorf("%v: no problem, want that one contradicts the other", set)
		}
	}
	run := x.ask("start", start(tiny(map[string]any{"train.fault": "std-aliased"}), true))["run"].(map[string]any)
	if got := run["config"].(map[string]any)["model.variant"]; got != "video" {
		t.Errorf("the run has the variant %v", got)
	}
}
