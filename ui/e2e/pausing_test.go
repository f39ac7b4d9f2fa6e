//go:build !js

package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// wide is a model whose steps take seconds in a browser without a GPU of hardware.
const wide = "#model.hidden_size=128&model.intermediate_size=344&model.num_hidden_layers=4&model.num_attention_heads=4&train.batch_size=4&train.seq_len=256&train.steps=100&data.story_bytes=50000&train.eval_every=0&sample.prompts=%5B%5D"

// A press of Pause is answered at once, and a long step does not keep it waiting: in pure Go it is given up in its middle,
// and on a device that queues no other step waits behind it.
func TestPauseLongStep(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	for _, device := range []string{"cpu", "gpu"} {
		t.Run(device, func(t *testing.T) {
			p := part(t, b, "/?debug&device="+device+wide, options{})
			p.ready()
			p.Click("#start")
			p.after(2)
			// Long steps come one by one: each of the last ones was told alone.
			if n := chromium.JS[int](p.Tab, `Math.max(...crossed.filter((m) => m.event === "steps" && m.data.seconds / m.data.rows.length > 1).slice(1).map((m) => m.data.rows.length), 0)`); n > 1 {
				t.Errorf("%d long steps were told at once", n)
			}
			chromium.JS[any](p.Tab, `void (globalThis.made = () => crossed.filter((m) => m.event === "steps").reduce((n, m) => n + m.data.rows.length, 0))`)
			at := chromium.JS[string](p.Tab, `(document.querySelector("#pause").click(), globalThis.before = made(), document.querySelector("#status-state").innerText + "|" + document.querySelector("#headline-more").innerText)`)
			if !strings.HasPrefix(at, "Pausing|") || !strings.Contains(at, "step") {
				t.Errorf("at the press of Pause the page says %q", at)
			}
			p.shoot("pausing-" + device)
			p.phase("paused")
			if n := chromium.JS[int](p.Tab, `made() - before`); n > 1 {
				t.Errorf("%d steps were made after Pause, want at most the one that was under way", n)
			}
			step := p.step()
			p.Click("#resume")
			p.after(step + 1)
		})
	}
}

// While a run is made ready the page tells what it waits for, and need not wait: Cancel ends it, nothing is kept of it, and
// the next start works.
func TestCancelPreparing(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+small, options{})
	p.ready()
	p.Click("#start")
	// Pressed as soon as it is there: a machine may be fast.
	p.Until(`(() => {
  const there = /compiled: \d+ of \d+/.test(document.querySelector("#headline-more").innerText) && document.querySelector("#cancel");
  there?.click?.();
  return Boolean(there);
})()`)
	p.phase("idle")
	p.silent("#failure, #notices")
	if n := len(ask[struct{ Runs []any }](p, "runs", map[string]any{}).Runs); n != 0 {
		t.Errorf("%d runs are kept of one that was given up", n)
	}
	p.Click("#start")
	p.after(2)
	p.silent("#failure, #notices")
}

// An adapter that is software is never taken unasked: pure Go trains. The person may choose it, is told what it is, and has
// it again after a refresh, with the run.
func TestChooseDevice(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug&device=auto"+tiny+"&train.steps=100000", options{})
	p.ready()
	p.says("#status-device", "pure Go", "no GPU")
	p.says("[data-notice=no-gpu]", "only adapter is a processor that plays a GPU", "Trains on")
	p.Click("#start")
	p.after(5)
	p.Click("#device-change")
	p.Until(`document.querySelector("#device-dialog").open`)
	p.says("#device-choices", "The software adapter", "SwiftShader", "slower")
	p.shoot("device")
	p.audit("the choice of a device")
	p.Do(chromedp.Click(chromedp.CSS(`#device-choices input[value="gpu"]`)))
	p.Click("#device-use")
	p.phase("paused")
	p.says("#status-device", "SwiftShader", "software")
	p.silent("[data-notice=no-gpu]")
	at := p.step()
	p.Click("#resume")
	p.after(at + 3)
	p.Click("#pause")
	p.phase("paused")
	p.Reload()
	p.phase("paused")
	p.says("#status-device", "SwiftShader", "software")
}
