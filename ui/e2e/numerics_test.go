//go:build !js

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"innerloop/gpu/gputest/chromium"
)

// video is tiny with two layers of the video variant, which have a normaliser.
var video = strings.Replace(tiny, "num_hidden_layers=1", "num_hidden_layers=2", 1) + "&model.variant=video&model.block=hybrid&model.pre_conv=false"

// norms waits for a norms event that a condition on its data, d, holds for, and for the page to show it.
func (p *page) norms(condition string) {
	p.t.Helper()
	p.Until(fmt.Sprintf(`(() => { const d = crossed.findLast((m) => m.event === "norms")?.data; return d && (%s); })()`, condition))
}

// diagnosed presses Diagnose and waits for a cause.
func (p *page) diagnosed(cause string) {
	p.t.Helper()
	p.Until(`!document.querySelector("#diagnose").hasAttribute("aria-disabled")`)
	p.Click("#diagnose")
	p.Until(fmt.Sprintf(`document.querySelector("#diagnosis .cause")?.dataset.cause === %q`, cause))
}

// The numerics of a run: every head in the heat map, eps that acts on the next step, a fault that is seen and named, and
// taken out again.
func TestNumerics(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+video+"&train.steps=100000", options{})
	p.ready()
	p.Click("#start")
	p.after(3)
	p.says("#headline-title", "A hybrid model", "TTT-Linear in all 2 layers")
	p.Click("#tab-numerics")
	p.Until(`document.querySelectorAll("#norms [data-cell]").length === 4`)
	p.Until(`/^\d.*%$/.test(document.querySelector('[data-cell="3"] .heat-value').textContent)`)
	if n := chromium.JS[int](p.Tab, `document.querySelectorAll("#norms .broken").length`); n != 0 {
		t.Errorf("a healthy model has %d broken cells", n)
	}
	if s := p.Text(".heat-wrong"); !strings.Contains(s, "invariants hold") {
		t.Errorf("of a healthy head the page says %q", s)
	}
	p.Until(`document.querySelectorAll("#norm-history .chart:not(.chart-is-empty)").length === 9`)
	p.audit("numerics, healthy")

	// The keyboard goes from head to head; each quantity has its own values.
	p.Do(chromedp.Focus(chromedp.CSS(`[data-cell="0"]`)), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowDown))
	if got := chromium.JS[string](p.Tab, `document.activeElement.dataset.cell + document.querySelector(".heat-numbers h4").textContent`); got != "3Layer 1, head 1" {
		t.Errorf("the arrow keys lead to %q", got)
	}
	p.Click("[data-quantity=gain]")
	p.Until(`document.querySelector('[data-cell="0"]').ariaLabel.includes("Amplification") && document.querySelector('[data-cell="0"] .heat-value').textContent.endsWith("×")`)
	p.Click("[data-quantity=z]")

	// eps acts on the next step, by the number and by the slider.
	chromium.JS[any](p.Tab, `void (() => { const e = document.querySelector("#f-model-target_eps"); e.value = "0.5"; e.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	p.norms(`d.eps === 0.5 && Math.max(...d.gain) <= 2`)
	p.Until(`document.querySelector("#norms-at").textContent.includes("eps 0.5")`)
	p.Do(chromedp.Focus(chromedp.CSS("#numerics-eps .slider")), chromedp.KeyEvent(kb.Home))
	p.norms(`d.eps === 1e-8`)
	p.Until(`document.querySelector("#norms-at").textContent.includes("eps 1e-8") && document.querySelector("#norm-marks").textContent.includes("eps 0.5 → 1e-8")`)

	// A fault: the cells say so, and so does the diagnosis.
	p.diagnosed("healthy")
	p.Click(`#faults input[value="std-aliased"]`)
	p.norms(`Math.max(...d.maxZ) > d.bound`)
	p.Until(`document.querySelectorAll("#norms .broken .heat-sign").length >= 4 && document.querySelector(".heat-signs").innerText.includes("over its bound")`)
	p.Until(`document.querySelector("#norm-marks").textContent.includes("fault std-aliased")`)
	p.says("#headline", "A fault is in", "times its bound", "That is the fault std-aliased")
	p.diagnosed("inconsistent-normaliser")
	if s := p.Text("#diagnosis"); !strings.Contains(s, "The normaliser is inconsistent") || !strings.Contains(s, "What to do: Look at what the normaliser divides by") {
		t.Errorf("the diagnosis says %q", s)
	}
	if s := chromium.JS[string](p.Tab, `[...document.querySelectorAll("#layers-table tbody tr")].map((r) => r.cells.length + (r.querySelector(".bad") ? "bad" : "")).join()`); s != "10bad,10bad" {
		t.Errorf("the table of the layers has %q", s)
	}
	p.Click(`[data-hypothesis=K] summary`)
	p.Until(`document.querySelector("[data-hypothesis=K]").innerText.includes("||XK||")`)
	p.Click("#pause")
	p.phase("paused")
	p.audit("numerics, with a fault")
	p.size(375, 812)
	p.audit("numerics, on a phone")
	p.size(1280, 800)
	p.shoot("numerics")
	p.Click("#resume")
	p.phase("running")
	p.Click(`#faults input[value=""]`)
	p.Until(`crossed.findLast((m) => m.event === "state").data.run.config["train.fault"] === ""`)
	p.Until(`document.querySelector("#faults [role=status]").hidden`)
	p.diagnosed("healthy")
	p.norms(`d.maxZ.every((z) => z <= d.bound * 1.0001)`)
	p.Until(`document.querySelectorAll("#norms .broken").length === 0`)
	p.Until(`!document.querySelector("#headline").innerText.includes("fault")`)

	// The history outlives the page.
	p.Click("#pause")
	p.phase("paused")
	at := p.step()
	p.Reload()
	p.phase("paused")
	p.Click("#tab-numerics")
	for _, mark := range []string{"eps 0.5 → 1e-8", "fault std-aliased", "fault taken out"} {
		p.Until(fmt.Sprintf(`document.querySelector("#norm-marks").textContent.includes(%q)`, mark))
	}
	p.Until(fmt.Sprintf(`[...document.querySelectorAll("#norm-history .chart-canvas")].some((c) => c.ariaLabel.includes("|z| / bound, worst of all heads") && c.ariaLabel.replace(/(\d)\D(?=\d{3}\b)/g, "$1").includes("at step %d,"))`, at))
	past := ask[struct{ Step, MaxZ []float64 }](p, "norms", map[string]any{"run": p.runID()})
	if n := len(past.Step); n < 5 || past.Step[n-1] != float64(at) || len(past.MaxZ) != n {
		t.Errorf("the history has the steps %v, the run is at %d", past.Step, at)
	}
	p.Click("#step")
	p.norms(fmt.Sprintf(`d.step === %d`, at+1))
	p.Until(`document.querySelector("#norm-marks").textContent.includes("fault std-aliased")`)
	p.audit("numerics, a history that was read")
}

// shoot makes pictures in the folder INNERLOOP_SCREENSHOTS, if it names one.
func (p *page) shoot(name string) {
	p.t.Helper()
	dir := os.Getenv("INNERLOOP_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, s := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 800}, {"dark", "dark", 1280, 800}, {"whole", "light", 1280, 2000}, {"phone", "light", 375, 812}} {
		p.scheme(s.scheme)
		p.size(s.width, s.height)
		p.Do(chromedp.Sleep(time.Second))
		p.Screenshot(filepath.Join(dir, name+"-"+s.name+".png"))
	}
	p.size(1280, 800)
}

// A model without a normaliser says so, leads to one that has it, and is diagnosed all the same.
func TestNumericsWithout(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=100000", options{})
	p.ready()
	p.Click("#tab-numerics")
	p.Until(`!document.querySelector(".num-missing").hidden && document.querySelector("#norms").hidden`)
	p.Click("#start")
	p.after(2)
	// A fault that the open run's layers cannot have waits for the next run, and brings the variant that has it.
	p.Click(`#faults input[value="raw-keys"]`)
	p.says("#faults", "no normaliser to put raw-keys into: it comes with the next Start, and brings the video variant")
	p.Until(`document.querySelector("#f-model-variant").value === "video" && !document.querySelector("#faults .problem")`)
	p.Click(`#faults input[value="future-leak"]`)
	p.Until(`crossed.findLast((m) => m.event === "state").data.run.config["train.fault"] === "future-leak"`)
	p.says("#headline", "A fault is in", "The fault future-leak was put in")
	p.Until(`document.querySelector("#f-model-variant").value === "lm"`)
	p.diagnosed("future-leak")
	p.audit("numerics, without a normaliser")
	p.Click("#hybrid")
	p.Until(`document.querySelector('[data-preset="hybrid"]').ariaPressed === "true"`)
	p.Until(`document.querySelector("#hybrid").innerText === "Start a run with it"`)
	p.Click("#hybrid")
	p.Until(`document.querySelectorAll("#norms [data-cell]").length === 2 && document.querySelector(".num-missing").hidden`)
}
