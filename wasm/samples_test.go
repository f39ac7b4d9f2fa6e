//go:build !js

package main

import "testing"

// A run that has ended shows what it writes then once.
func TestLastSampleOnce(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	from := x.count()
	x.ask("start", start(tiny(map[string]any{"sample.prompts": []any{"Once", "Then"}}), false))
	x.state(from, stateFinished)
	last := x.s.open.run.Config.Train.Steps
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, m := range x.all {
		if m.Event == "sample" && m.Data["step"] == float64(last) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d samples of the last step, want 1", n)
	}
}
