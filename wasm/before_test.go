//go:build !js

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A text that will not do is refused while the run before it is still open, and leaves no run.
func TestTextRefusedBefore(t *testing.T) {
	dir := t.TempDir()
	short, letters := filepath.Join(dir, "short.txt"), filepath.Join(dir, "letters.txt")
	for path, text := range map[string]string{short: strings.Repeat("short text", 10), letters: strings.Repeat("a", 1000)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	x := newTab(t, t.TempDir(), nil)
	x.ask("start", start(tiny(nil), true))
	from := len(x.all)
	again := func(more map[string]any) map[string]any { return start(tiny(more), true) }
	x.refused(codeConfig, "100 bytes split into", "start", again(map[string]any{"data.file": short, "train.seq_len": 64}))
	x.refused(codeConfig, "every document has one", "start", again(map[string]any{"data.file": letters, "data.document": "a"}))
	x.refused(codeNeedsText, "none, which is not in this browser", "start", again(map[string]any{"data.file": filepath.Join(dir, "none")}))
	for _, m := range x.all[from:] {
		if m.Event == "state" {
			t.Errorf("the page was told of the state %v", m.Data)
		}
	}
	if runs := x.ask("runs", none)["runs"].([]any); len(runs) != 1 {
		t.Errorf("%d runs, want the first", len(runs))
	}
	x.ask("step", none)
}

// What a model cannot place is cut from a sample and refused in a generation, with the run still whole.
func TestPositionsEnd(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	c := tiny(map[string]any{"model.block": "hybrid", "model.max_position_embeddings": 20, "sample.tokens": 100, "train.steps": 3, "train.eval_every": 0})
	c["sample.prompts"] = []any{"Once upon a time"}
	x.ask("start", start(c, false))
	x.state(0, stateFinished)
	x.refused(codeUsage, "want at most 18: model.max_position_embeddings ends there", "generate", map[string]any{"text": "abc", "tokens": 19, "temperature": 0, "topK": 0, "seed": 1})
}
