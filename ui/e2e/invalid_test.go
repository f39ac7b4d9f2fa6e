//go:build !js

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"innerloop/gpu/gputest/chromium"
)

// fill makes a field's text another one, as a person types it, and leaves the field.
func (p *page) fill(key, text string) {
	p.t.Helper()
	p.Click(fmt.Sprintf("[data-value=%q]", key))
	p.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector('[data-value=%q]').select()", key)))
	p.Do(chromedp.KeyEvent(kb.Backspace))
	if text != "" {
		p.Do(chromedp.KeyEvent(text))
	}
	p.Do(chromedp.Evaluate[chromedp.Void]("document.activeElement.blur()"))
}

// problems are what the fields say, by key, of those that say something.
func (p *page) problems() map[string]string {
	p.t.Helper()
	return chromium.JS[map[string]string](p.Tab, `Object.fromEntries([...document.querySelectorAll(".field[data-key] .problem")].filter((e) => !e.hidden && e.textContent).map((e) => [e.closest("[data-key]").dataset.key, e.textContent]))`)
}

// A value that does not fit stays to be seen, is marked and has its sentence beside its own field; the one before applies.
func TestInvalid(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=30", options{})
	p.ready()
	chromium.JS[any](p.Tab, `void document.querySelectorAll("details").forEach((d) => (d.open = true))`)
	// stands checks a field's text and mark, after whatever else the page does with it.
	stands := func(key, text, invalid string) {
		t.Helper()
		time.Sleep(time.Second) // once it went back to what it was a moment after it was left
		got := chromium.JS[[]string](p.Tab, fmt.Sprintf(`(e => [e.value, e.getAttribute("aria-invalid") ?? "", document.getElementById(e.getAttribute("aria-describedby")).textContent])(document.querySelector('[data-value=%q]'))`, key))
		want := []string{text, map[bool]string{true: "true"}[invalid != ""], invalid}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	p.fill("model.num_hidden_layers", "99")
	stands("model.num_hidden_layers", "99", "Enter 1 to 64: until then it is 1.")
	p.fill("train.lr", "")
	stands("train.lr", "", "Enter a number: until then it is 0.003.")
	stands("model.num_hidden_layers", "99", "Enter 1 to 64: until then it is 1.")
	if got := p.problems(); len(got) != 2 {
		t.Errorf("these fields say something: %v", got)
	}
	p.shoot("invalid")
	p.audit("two values that do not fit")

	// Start leads to the first of them.
	p.Click("#start")
	p.Until(`document.activeElement?.dataset.value === "model.num_hidden_layers"`)
	p.says("#status-state", "Ready")
	p.fill("model.num_hidden_layers", "2")
	stands("model.num_hidden_layers", "2", "")
	p.Click(`[data-key="train.lr"] .reset`)
	stands("train.lr", "0.003", "")

	// What two fields do not agree upon is said beside the one that was changed.
	p.fill("model.num_attention_heads", "3")
	p.Until(`document.querySelector('[data-key="model.num_attention_heads"] .problem').textContent.includes("multiple")`)
	if got := p.problems(); len(got) != 1 {
		t.Errorf("after the heads were changed, these fields say something: %v", got)
	}
	stands("model.num_attention_heads", "3", "hidden_size 16, want a multiple of num_attention_heads 3")
	p.fill("model.num_attention_heads", "4")
	p.fill("model.hidden_size", "18")
	p.Until(`document.querySelector('[data-key="model.hidden_size"] .problem').textContent.includes("multiple")`)
	if got := p.problems(); len(got) != 1 {
		t.Errorf("after the width was changed, these fields say something: %v", got)
	}

	// A preset is from elsewhere: nothing that was typed before stands in its way.
	p.fill("train.seq_len", "x")
	p.Click(`[data-preset="tiny"]`)
	p.Until(`document.querySelector('[data-value="train.seq_len"]').value === "128"`)
	stands("train.seq_len", "128", "")
	if got := p.problems(); len(got) != 0 {
		t.Errorf("after a preset these fields say something: %v", got)
	}

	// Nor where the setting itself is what it was.
	for _, button := range []string{`[data-preset="tiny"]`, "#reset-all"} {
		p.fill("data.val_fraction", "2")
		p.Until(`document.querySelector('[data-key="data.val_fraction"] .problem').textContent.includes("until then it is 0.02")`)
		p.Click(button)
		p.Until(`document.querySelector('[data-value="data.val_fraction"]').value === "0.02"`)
		stands("data.val_fraction", "0.02", "")
	}
}

// The sliders of eps and of the learning rate take every key that sliders take, and say their value.
func TestSliderKeys(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&model.variant=video", options{})
	p.ready()
	p.Click("#tab-numerics")
	p.Until(`document.querySelector('[data-key="model.target_eps"] .slider')?.offsetParent`)
	p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector('[data-key="model.target_eps"] .slider').focus()`))
	for _, c := range []struct{ key, name, want string }{
		{kb.Home, "Home", "1e-8"}, {kb.ArrowUp, "up", "2e-8"}, {kb.ArrowRight, "right", "5e-8"}, {kb.PageUp, "Page Up", "5e-7"}, {kb.ArrowDown, "down", "2e-7"},
		{kb.PageDown, "Page Down", "2e-8"}, {kb.End, "End", "0.01"}, {kb.ArrowLeft, "left", "0.005"}, {kb.PageUp, "Page Up", "0.01"},
	} {
		p.Do(chromedp.KeyEvent(c.key))
		p.Until(fmt.Sprintf(`document.querySelector('[data-value="model.target_eps"]').value === %q`, c.want))
		if got := chromium.JS[string](p.Tab, `document.activeElement.getAttribute("aria-valuetext")`); got != c.want {
			t.Errorf("after %s the slider says %s, want %s", c.name, got, c.want)
		}
	}
	if got := chromium.JS[string](p.Tab, `location.hash`); got == "" {
		t.Error("nothing in the address")
	}
}
