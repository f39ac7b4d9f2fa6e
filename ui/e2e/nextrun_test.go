//go:build !js

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// setting types a value into a field of the settings.
func (p *page) setting(key, value string) {
	p.t.Helper()
	chromium.JS[any](p.Tab, fmt.Sprintf(`void (() => {
  const e = document.querySelector('[data-value=%q]');
  for (let d = e.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
  e.value = %q;
  e.dispatchEvent(new Event("input", { bubbles: true }));
})()`, key, value))
}

// config is a value of the open run's configuration, as the trainer tells it.
func (p *page) config(key string) float64 {
	p.t.Helper()
	list := ask[struct {
		Runs []struct {
			Open   bool
			Config map[string]any
		}
	}](p, "runs", map[string]any{})
	for _, r := range list.Runs {
		if v, ok := r.Config[key].(float64); ok && r.Open {
			return v
		}
	}
	p.t.Fatalf("no open run has %s", key)
	return 0
}

// Settings, presets, a kept run's settings and links touch the next run only; the run under way is changed by a control of
// its own, which marks it in the curves and keeps the mark; what a run began with is what its settings are.
func TestNextRunOnly(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=400&train.lr=0.004", options{})
	p.ready()
	p.Click("#start")
	p.after(20)

	p.setting("train.lr", "0.02")
	p.Click(`[data-preset="larger"]`)
	chromium.JS[any](p.Tab, `void (location.hash = "#train.lr=0.5&train.steps=20&train.warmup_steps=77")`)
	p.says("[data-notice=link-next]", "The link's settings are for the next run")
	p.Click("[data-notice=link-next] .close")
	at := p.step()
	p.after(at + 20)
	if n := chromium.JS[int](p.Tab, `crossed.filter((m) => m.method === "set").length`); n != 0 {
		t.Errorf("%d values of the run under way were changed by settings, a preset or a link", n)
	}
	for key, want := range map[string]float64{"train.lr": 0.004, "train.steps": 400, "train.warmup_steps": 5} {
		if got := p.config(key); got != want {
			t.Errorf("the run under way has %s %v, began with %v", key, got, want)
		}
	}
	p.says("#pending", "act on the next Start")

	// What is meant for this run is.
	p.setting("train.lr", "0.03")
	p.Click(`[data-key="train.lr"] .apply`)
	p.Until(`document.querySelectorAll(".chart-changes li").length === 1`)
	mark := p.Text(".chart-changes")
	if !strings.Contains(mark, "Learning rate 0.004 → 0.03") {
		t.Errorf("the mark says %q", mark)
	}
	if got := p.config("train.lr"); got != 0.03 {
		t.Errorf("the run has the learning rate %v", got)
	}
	p.Until(`!document.querySelector('[data-key="train.lr"]').classList.contains("waits")`)
	p.shoot("changed")
	p.Click("#pause")
	p.phase("paused")
	p.audit("a run that was changed")
	id := p.runID()
	p.Reload()
	p.phase("paused")
	if got := p.runID(); got != id {
		t.Errorf("after the refresh run %s is open, want %s", got, id)
	}
	p.Until(fmt.Sprintf(`document.querySelector(".chart-changes").innerText === %q`, mark))
	p.Click("#tab-runs")
	p.says("#runs .changed", "Learning rate 0.004 → 0.03")

	// Its settings are those of its beginning.
	p.Click("#runs .use")
	p.says("[data-notice=began]", "the settings that it began with", "Learning rate 0.004 → 0.03")
	if got := chromium.JS[string](p.Tab, `document.querySelector('[data-value="train.lr"]').value`); got != "0.004" {
		t.Errorf("the run's settings have the learning rate %s, it began with 0.004", got)
	}
}

// A run that is finished stays so, whatever the settings are then.
func TestFinishedStays(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=30", options{})
	p.ready()
	p.Click("#start")
	p.phase("finished")
	p.setting("train.steps", "500")
	p.Click(`[data-preset="tiny"]`)
	p.Until(`location.hash.includes("train.seq_len=128")`) // taken up
	if ask[any](p, "runs", map[string]any{}); chromium.JS[string](p.Tab, `document.body.dataset.phase`) != "finished" {
		t.Errorf("the finished run is %s", p.Text("#status-state"))
	}
	if s := strings.Join(strings.Fields(p.Text("#status-step")), " "); s != "30 / 30" {
		t.Errorf("the step is %q", s)
	}
}

// A link with settings opens ready to start them, also where a run was under way, which stays; a refresh is none.
func TestLinkInUsedBrowser(t *testing.T) {
	t.Parallel()
	needsPage(t)
	b := browse(t, options{})
	first := &page{Tab: b.Tab(record), t: t}
	first.Go(onGPU("/?debug" + tiny + "&train.steps=100000"))
	first.ready()
	first.Click("#start")
	first.after(10)
	first.Click("#pause")
	first.phase("paused")
	id := first.runID()
	first.Reload()
	first.phase("paused") // the same tab has its run again
	first.check()
	first.Close()

	p := open(t, b, "/?debug"+strings.Replace(tiny, "hidden_size=16", "hidden_size=32", 1)+"&train.steps=40", options{})
	p.says("[data-notice=previous]", "The link is ready to start", "stays among the runs")
	p.ready()
	if !chromium.JS[bool](p.Tab, `document.querySelector("#start").checkVisibility()`) {
		t.Error("there is no Start")
	}
	p.says("#headline-title", "Press Start")
	p.shoot("link")
	p.Reload() // nothing was begun: it is ready still
	p.says("[data-notice=previous]", "The link is ready to start")
	p.ready()
	p.Click("#start")
	p.phase("finished")
	if got := p.config("model.hidden_size"); got != 32 {
		t.Errorf("the run that was started has width %v, the link 32", got)
	}
	p.silent("[data-notice=previous]")
	p.Click("#tab-runs")
	p.Until(fmt.Sprintf(`document.querySelectorAll("#runs > li").length === 2 && document.querySelector('[data-run=%q]') !== null`, id))
}

// Step after Stop goes on with the run that was stopped: it begins no other.
func TestStepAfterStop(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=100000", options{})
	p.ready()
	p.Click("#start")
	p.after(10)
	p.Click("#stop")
	p.phase("idle")
	id, at := p.runID(), p.step()
	p.Click("#step")
	p.phase("paused")
	p.after(at + 1)
	if got := p.step(); p.runID() != id || got != at+1 {
		t.Errorf("after Stop at step %d of run %s, Step leads to step %d of run %s", at, id, got, p.runID())
	}
	if n := len(ask[struct{ Runs []any }](p, "runs", map[string]any{}).Runs); n != 1 {
		t.Errorf("%d runs are kept", n)
	}
}

// A tab that is hidden saves at once. What a run showed is there again after a refresh: its samples, the text of the prompt
// box; and which steps are repeated is said, instead of that nothing was lost.
func TestWhatIsLost(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=100000&train.lr=0.001", options{})
	p.ready()
	p.Click("#start")
	p.Until(`document.querySelectorAll("#samples article").length > 0`)
	p.Click("#pause")
	p.phase("paused")
	p.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "Once upon"))
	p.Click("#continue")
	p.Until(`document.querySelector("#continue").checkVisibility() && !document.querySelector("#continue").disabled && document.querySelector("#output").innerText.length > 15`)
	p.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "my draft"))
	text := chromium.JS[string](p.Tab, `document.querySelector("#output").textContent`)
	samples := p.Text("#samples")
	p.Click("#resume")
	p.phase("running")

	// Hidden: as a browser says it.
	before := chromium.JS[int](p.Tab, `(() => {
  const n = crossed.filter((m) => m.method === "save").length;
  Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
  document.dispatchEvent(new Event("visibilitychange"));
  delete document.hidden;
  return n;
})()`)
	p.Until(fmt.Sprintf(`crossed.filter((m) => m.method === "save").length === %d`, before+1))
	p.Until(`(() => { const i = crossed.findLastIndex((m) => m.method === "save"); return crossed.some((m) => m.id === crossed[i].id && m.result); })()`)
	kept := p.saved()
	p.after(kept + 1)

	id := p.runID()
	p.Reload()
	p.phase("paused")
	if got := p.step(); got < kept || p.runID() != id {
		t.Errorf("after the refresh run %s is at step %d; %s was saved at %d when the tab was hidden", p.runID(), got, id, kept)
	}
	p.Until(fmt.Sprintf(`document.querySelector("#output").textContent === %q && document.querySelector("#prompt").value === "my draft"`, text))
	p.Until(fmt.Sprintf(`document.querySelector("#samples").innerText.includes(%q)`, strings.TrimSpace(strings.Split(samples, "\n")[len(strings.Split(samples, "\n"))-1])))
	r := ask[struct {
		Runs []struct {
			Open          bool
			Step, Reached int
		}
	}](p, "runs", map[string]any{}).Runs
	i := slices.IndexFunc(r, func(x struct {
		Open          bool
		Step, Reached int
	}) bool {
		return x.Open
	})
	says := p.Text("#headline")
	if strings.Contains(says, "Nothing was lost") {
		t.Errorf("the page says %q", says)
	}
	if r[i].Reached > r[i].Step+1 && !strings.Contains(strings.ReplaceAll(says, ",", ""), fmt.Sprintf("Steps %d to %d came after that and are repeated", r[i].Step+1, r[i].Reached)) {
		t.Errorf("saved at step %d, made until %d: the page says %q", r[i].Step, r[i].Reached, says)
	}
	p.shoot("again")
}
