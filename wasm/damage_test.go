//go:build !js

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/train"
)

// Damage in a kept run is told, costs no run its place in the list, and does not leave the tab with a download.
func TestDamagedRun(t *testing.T) {
	root := t.TempDir()
	x := newTab(t, root, nil)
	from := x.count()
	id := idOf(x.ask("start", start(tiny(nil), false)))
	x.state(from, stateFinished)
	x.ask("stop", none)
	dir := filepath.Join(root, runsDir, id)
	flip := func(name string, at int) {
		t.Helper()
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		put(t, path, b)
	}
	notice := func(from int, text string) {
		t.Helper()
		x.awaitFrom(from, "notice of "+text, func(m posted) bool {
			b, err := json.Marshal(m.Data)
			return err == nil && m.Event == "notice" && strings.Contains(string(b), text)
		})
	}
	steps := len(x.losses(id))

	flip(train.MetricsFile, 1) // the first quote
	from = x.count()
	if got := len(x.losses(id)); got != steps-1 {
		t.Errorf("%d losses, want all %d but the broken one", got, steps)
	}
	notice(from, "metrics.jsonl:1: is no JSON of a step or a validation: passed over")

	flip(keptFile, 0)
	if runs := x.ask("runs", none)["runs"].([]any); len(runs) != 1 || runs[0].(map[string]any)["id"] != id || runs[0].(map[string]any)["loss"] == nil {
		t.Errorf("a run whose run.json is damaged is listed as %v", runs)
	}

	good, err := os.ReadFile(filepath.Join(dir, model.WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	flip(model.WeightsFile, len(good)-1)
	from = x.count()
	w := idOf(x.ask("start", map[string]any{"name": "with its weights", "config": tiny(nil), "weights": id, "paused": true}))
	notice(from, "model.safetensors: damaged: ")
	notice(from, "the newest whole checkpoint")
	if f, err := safetensors.Open(filepath.Join(root, runsDir, w, initialDir, model.WeightsFile)); err != nil || !f.Checked() {
		t.Errorf("the weights that a run begins with: %v", err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
	x.ask("stop", none)
	x.ask("download", run(id))
	if got, err := os.ReadFile(filepath.Join(dir, model.WeightsFile)); err != nil || !bytes.Equal(got, good) {
		t.Errorf("what is downloaded is damaged (%v)", err)
	}
}
