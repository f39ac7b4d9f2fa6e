//go:build !js

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"innerloop/gpu/gputest/chromium"
)

// axe is the script that audits a page.
func axe(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../node_modules/axe-core/axe.min.js")
	if err != nil {
		if os.Getenv("INNERLOOP_REQUIRE_BROWSER") == "1" {
			t.Fatal(err)
		}
		t.Skip("axe-core is not installed: npm ci in ui/")
	}
	return string(b)
}

// scheme emulates a person's light or dark theme.
func (p *page) scheme(name string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.Context(), emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}); err != nil {
		p.t.Fatal(err)
	}
	p.Until(fmt.Sprintf(`matchMedia("(prefers-color-scheme: %s)").matches`, name))
}

// size emulates a window; a phone where it is narrow.
func (p *page) size(width, height int64) {
	p.t.Helper()
	if _, err := chromedp.Call(p.Context(), emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500,
	}); err != nil {
		p.t.Fatal(err)
	}
	p.Until(fmt.Sprintf(`innerWidth === %d`, width))
}

// finding is a rule of axe's that the page breaks.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// audit has axe look at the page as it is, in light and dark. Nothing may be serious or critical.
func (p *page) audit(where string) {
	p.t.Helper()
	if !chromium.JS[bool](p.Tab, `"axe" in globalThis`) {
		chromium.JS[any](p.Tab, axe(p.t)+"; void 0")
	}
	if twice := chromium.JS[[]string](p.Tab, `[...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i)`); len(twice) > 0 {
		p.t.Errorf("%s: two elements have the id %q", where, twice) // what is meant for one is put into the other
	}
	for _, theme := range []string{"light", "dark"} {
		p.scheme(theme)
		var r struct {
			Violations []finding
			Passes     []struct{ ID string }
		}
		if err := json.Unmarshal([]byte(chromium.JS[string](p.Tab, `axe.run(document).then(({ violations, passes }) => JSON.stringify({ violations, passes: passes.map(({ id }) => ({ id })) }))`)), &r); err != nil {
			p.t.Fatal(err)
		}
		for _, rule := range []string{"color-contrast", "button-name", "aria-allowed-attr"} { // it has looked
			if !slices.ContainsFunc(r.Passes, func(x struct{ ID string }) bool { return x.ID == rule }) && len(r.Violations) == 0 {
				p.t.Errorf("%s, %s: axe has nothing to say about %s", where, theme, rule)
			}
		}
		for _, f := range r.Violations {
			report := p.t.Logf
			if f.Impact == "serious" || f.Impact == "critical" {
				report = p.t.Errorf
			}
			report("%s, %s: %s: %s (%s)", where, theme, f.Impact, f.Help, f.ID)
			for i, n := range f.Nodes {
				if i < 4 {
					p.t.Logf("  %.300s\n%s", n.HTML, n.FailureSummary)
				}
			}
		}
	}
}

// Nothing that axe-core holds for serious, in any state of the page.
func TestAxe(t *testing.T) {
	t.Parallel()
	axe(t)
	b := browse(t, options{})
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000&nonsense=1", options{worker: spoilable + panics, noisy: true})
	p.ready()
	p.says("[data-notice=link]", "nonsense")
	p.audit("idle, with a notice")
	p.size(375, 812)
	p.audit("idle, on a phone")
	p.size(1280, 800)

	chromium.JS[any](p.Tab, `void document.querySelectorAll("details").forEach((d) => (d.open = true))`)
	p.audit("all settings")
	p.Click("#f-model-hidden_size")
	p.Do(chromedp.KeyEvent("x"))
	p.says("#fields .problem", "Enter a number: until then it is 16.")
	p.audit("a number that is none")
	p.Click(`[data-key="model.num_hidden_layers"] .help`)
	p.says("#help-popover", "Layers")
	p.audit("an explanation")
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.silent("#help-popover")
	p.says("#fields .problem", "Enter a number") // it stays
	p.Click(`[data-key="model.hidden_size"] .reset`)
	p.silent("#fields .problem")
	chromium.JS[any](p.Tab, `(() => { const f = document.querySelector("#f-model-hidden_size"); f.value = "16"; f.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	p.Click("#shortcuts")
	p.says("#shortcuts-dialog", "Keyboard")
	p.audit("the list of keys")
	p.Do(chromedp.KeyEvent(kb.Escape))
	chromium.JS[any](p.Tab, `void (navigator.clipboard.writeText = () => Promise.reject(new DOMException("denied", "NotAllowedError")))`)
	p.Click("#copy-link")
	p.says("#link-dialog", "Copy it from here")
	if got := chromium.JS[string](p.Tab, `document.querySelector("#link-text").value`); !strings.Contains(got, "model.hidden_size=16&") {
		t.Errorf("the link is %q", got)
	}
	p.audit("a link to copy")
	p.Do(chromedp.KeyEvent(kb.Escape))

	p.Click("#start")
	p.saves()
	p.Until(`document.querySelector("#samples article") && !document.querySelector("[data-chart=inner-loop]").classList.contains("chart-is-empty")`)
	p.audit("running")
	p.Click("#pause")
	p.phase("paused")
	p.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "Once"))
	p.Click("#continue")
	p.Until(`document.querySelector("#continue-stop").hidden && document.querySelectorAll("#output .tok").length > 5`)
	p.Do(chromedp.Focus(chromedp.CSS("#output")), chromedp.KeyEvent(kb.ArrowRight))
	p.says("#token-tip", "%")
	p.audit("paused, with a text")
	for _, table := range []string{"loss", "inner-loop"} {
		chromium.JS[any](p.Tab, fmt.Sprintf(`void [...document.querySelectorAll('[data-chart=%q] button')].find((b) => b.innerText === "Table").click()`, table))
	}
	p.Click("#tab-runs")
	p.Click("#runs .bin")
	p.says("#delete-dialog", "Delete this run?")
	p.audit("paused, with tables, runs and a question")
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.audit("paused, with tables and runs")
	p.size(375, 812)
	p.Click("[data-chart=grad-norm] .chart-more")
	p.says("[data-chart=grad-norm] .chart-menu", "CSV", "Table")
	p.audit("paused, on a phone, with a chart's files")
	p.size(1280, 800)

	p.Click("#resume")
	p.after(p.step() + 2)
	p.spoil()
	p.Click("#failure summary")
	p.audit("failed")
	p.size(375, 812)
	p.audit("failed, on a phone")
	p.size(1280, 800)
	p.Click("#go-on")
	p.after(p.step() + 1)
	p.Click("#pause")
	p.phase("paused")
	chromium.JS[any](p.Tab, `void document.querySelector("#f-train-steps").select()`)
	p.Do(chromedp.SendKeys(chromedp.CSS("#f-train-steps"), strconv.Itoa(p.step()+3)))
	p.audit("paused, with a setting of the next run")
	p.Click(`[data-key="train.steps"] .apply`)
	p.Until(`!document.querySelector("#status-step").innerText.includes("100,000")`)
	p.Click("#resume")
	p.phase("finished")
	p.audit("finished")
	p.sabotage("break")
	p.Click("#tab-runs") // whatever it asks
	p.phase("broken")
	p.audit("broken")
	p.logged("the roof is on fire")
}

// keys presses keys, one after the other.
func (p *page) keys(keys string, modifiers ...chromedp.Modifier) {
	p.t.Helper()
	p.Do(chromedp.KeyEvent(keys, chromedp.KeyModifiers(modifiers...)))
}

// focused is the id of what has the focus, or else its classes.
func (p *page) focused() string {
	p.t.Helper()
	return chromium.JS[string](p.Tab, `((e) => e.id || e.className || e.tagName)(document.activeElement)`)
}

// top leaves the focus to no control: the next tab leads to the first.
func (p *page) top() {
	p.t.Helper()
	chromium.JS[any](p.Tab, `void (() => {
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
  scrollTo(0, 0);
})()`)
}

// tabTo presses the tab key until what a selector names has the focus.
func (p *page) tabTo(selector string) {
	p.t.Helper()
	for range 200 {
		if chromium.JS[bool](p.Tab, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			return
		}
		p.keys(kb.Tab)
	}
	p.t.Fatalf("the tab key does not lead to %s", selector)
}

// walk presses the tab key from the top of the page to its end: each control that can be seen gets the focus, once, where
// it can be seen to have it, and one region after the other. Where the page's controls change under it, as when an answer
// of the worker comes late, it begins again.
func (p *page) walk(where string) {
	p.t.Helper()
	for range 10 {
		if wrong, whole := p.walkOnce(where); whole {
			for _, w := range wrong {
				p.t.Errorf("%s: %s", where, w)
			}
			return
		}
	}
	p.t.Fatalf("%s: the page's controls change during each walk", where)
}

// walkOnce is a walk, with what was wrong in it. It is whole where the page's controls stayed as they were.
func (p *page) walkOnce(where string) (wrong []string, whole bool) {
	p.t.Helper()
	chromium.JS[any](p.Tab, `void (() => {
  const controls = () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true }));
  const first = controls();
  globalThis.walked?.seen.disconnect();
  const walked = (globalThis.walked = { left: new Set(first), regions: [], wrong: [], changed: false });
  walked.look = () => {
    const now = controls();
    if (now.length !== first.length || now.some((e, i) => e !== first[i])) walked.changed = true;
    return walked.changed;
  };
  walked.seen = new MutationObserver(walked.look);
  walked.seen.observe(document, { subtree: true, childList: true, attributes: true });
})()`)
	p.top()
	name := `(e) => e.id ? "#" + e.id : (e.getAttribute("aria-label") ?? e.outerHTML).slice(0, 80)`
	for i := 0; ; i++ {
		p.keys(kb.Tab)
		done := chromium.JS[bool](p.Tab, `(() => {
  const name = `+name+`;
  const e = document.activeElement;
  if (e === document.body || e === document.documentElement) return true;
  if (!walked.left.delete(e)) walked.wrong.push(name(e) + " has the focus again, or is not to be seen");
  const region = e.closest("#skip, #top, #rail, #main, #side")?.id ?? "none";
  if (walked.regions.at(-1) !== region) walked.regions.push(region);
  const ring = (x) => x && getComputedStyle(x).outlineStyle !== "none" && parseFloat(getComputedStyle(x).outlineWidth) >= 2;
  if (!e.matches(":focus-visible") || !(ring(e) || (e.matches(".chart-cursor") && ring(e.closest(".chart-body"))))) walked.wrong.push(name(e) + " does not show that it has the focus");
  const r = e.getBoundingClientRect();
  const points = [0.1, 0.5, 0.9].flatMap((x) => [0.1, 0.5, 0.9].map((y) => document.elementFromPoint(r.left + x * r.width, r.top + y * r.height)));
  const over = e.matches(".chart-cursor") ? e.closest(".chart-body") : e;
  if (!points.some((x) => x && (over.contains(x) || x.contains(e)))) walked.wrong.push(name(e) + " is out of sight or covered");
  return false;
})()`)
		if done {
			break
		}
		if i > 300 {
			return []string{"the tab key goes round in circles"}, !chromium.JS[bool](p.Tab, `walked.look()`)
		}
	}
	if chromium.JS[bool](p.Tab, `walked.look()`) {
		p.t.Logf("%s: the page changed during the walk", where)
		return nil, false
	}
	wrong = chromium.JS[[]string](p.Tab, `walked.wrong.concat([...walked.left].map((e) => (`+name+`)(e) + " never has the focus"))`)
	if got := strings.Join(chromium.JS[[]string](p.Tab, `walked.regions`), " "); got != "skip top rail main side" {
		wrong = append(wrong, "the tab key leads through "+got)
	}
	return wrong, true
}

// All with the keyboard, and nothing else.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000&nonsense=1", options{worker: spoilable})
	p.ready()
	p.says("[data-notice=link]", "nonsense")
	p.walk("idle")
	p.top()
	p.keys(kb.Tab)
	if got := p.focused(); got != "skip" {
		t.Errorf("the first tab leads to %s, want the link past the settings", got)
	}
	p.keys(kb.Enter)
	if got := p.focused(); got != "charts charts" && got != "charts" {
		t.Errorf("the link past the settings leads to %s", got)
	}
	p.top()
	p.tabTo("#notices .close")
	p.keys(kb.Enter)
	p.silent("#notices")
	if got := p.focused(); got != "main" {
		t.Errorf("a notice that is closed leaves the focus to %s", got)
	}

	// A group of settings, a value, and back.
	p.top()
	p.tabTo("#group-optimiser > summary")
	p.keys(kb.Enter)
	p.tabTo(`[data-value="train.lr"]`)
	p.keys(kb.ArrowUp)
	value := func(key string) string {
		return chromium.JS[string](p.Tab, fmt.Sprintf(`document.querySelector('[data-value=%q]').value`, key))
	}
	if got := value("train.lr"); got != "0.005" {
		t.Errorf("the arrow up makes 0.003 %s", got)
	}
	p.keys(kb.Tab, chromedp.ModifierShift)
	p.keys(kb.Enter)
	if got, at := value("train.lr"), p.focused(); got != "0.003" || at != "f-train-lr" {
		t.Errorf("reset makes it %s and leaves the focus to %s", got, at)
	}
	p.keys(kb.Tab, chromedp.ModifierShift) // there is no reset any more
	p.keys(kb.Enter)
	p.says("#help-popover", "Learning rate")
	p.keys(kb.Escape)
	p.silent("#help-popover")
	if got := p.focused(); got != "help" {
		t.Errorf("an explanation that is closed leaves the focus to %s", got)
	}

	// Start, pause, step, resume: the focus stays with the button that has the other's place.
	p.top()
	p.tabTo("#start")
	p.keys(kb.Enter)
	p.phase("running")
	p.after(12)
	p.Until(`document.activeElement.id === "pause"`)
	p.keys(" ")
	p.phase("paused")
	p.Until(`document.activeElement.id === "resume"`)
	at := p.step()
	p.tabTo("#step")
	p.keys(kb.Enter)
	p.after(at + 1)
	p.phase("paused")
	if got := p.focused(); got != "step" {
		t.Errorf("a step leaves the focus to %s", got)
	}
	p.top()
	p.keys(".")
	p.after(at + 2)
	p.phase("paused")
	p.keys(" ")
	p.phase("running")
	p.keys(" ")
	p.phase("paused")

	// The charts' cursors.
	p.tabTo("[data-chart=loss] .chart-cursor")
	p.keys(kb.ArrowLeft)
	p.keys(kb.ArrowLeft)
	p.says("[data-chart=loss] .chart-at", fmt.Sprintf("step %d", p.step()-1))
	if got := chromium.JS[string](p.Tab, `document.activeElement.getAttribute("aria-valuetext")`); !strings.Contains(got, fmt.Sprintf("step %d: training", p.step()-1)) {
		t.Errorf("the cursor is called %q", got)
	}
	p.keys(kb.Escape)

	// The prompt.
	p.keys("/")
	if got := p.focused(); got != "prompt" {
		t.Errorf("/ leads to %s", got)
	}
	p.keys("Once ")
	p.keys(kb.Enter, chromedp.ModifierCtrl)
	p.Until(`document.querySelector("#continue-stop").hidden && document.querySelectorAll("#output .tok").length > 5`)
	p.top()
	p.tabTo("#output")
	p.keys(kb.Home)
	p.says("#token-tip", "%")
	p.keys(kb.Escape)
	p.silent("#token-tip")

	// Runs, and a question that gives the focus back.
	p.tabTo("#tab-text")
	p.keys(kb.ArrowRight)
	p.says("#runs-panel", "Kept runs")
	p.walk("paused, with runs")
	p.tabTo("#runs .bin")
	p.keys(kb.Enter)
	p.says("#delete-dialog", "Delete this run?", "its curves and checkpoints go for ever")
	if got := p.focused(); got != "delete-no" {
		t.Errorf("the question whether to delete gives the focus to %s", got)
	}
	p.keys(kb.Escape)
	p.silent("#delete-dialog")
	if got := p.focused(); !strings.Contains(got, "bin") {
		t.Errorf("the question leaves the focus to %s", got)
	}
	p.keys("?")
	p.says("#shortcuts-dialog", "Keyboard")
	p.keys(kb.Escape)
	if got := p.focused(); !strings.Contains(got, "bin") {
		t.Errorf("the list of keys leaves the focus to %s", got)
	}

	// What went wrong.
	p.top()
	p.keys(" ")
	p.phase("running")
	p.spoil()
	p.walk("failed")
	p.tabTo("#go-on")
	p.keys(kb.Enter)
	p.phase("running")
	if got := p.focused(); got != "main" {
		t.Errorf("going on leaves the focus to %s", got)
	}
	p.top()
	p.tabTo("#stop")
	p.keys(kb.Enter)
	p.phase("idle")
	if got := p.focused(); got != "stop" {
		t.Errorf("stop leaves the focus to %s", got)
	}
}

// On a phone all fits its width, the buttons of the run are in view wherever one is, and nothing is too small to hit.
func TestPhone(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000&nonsense=1", options{worker: spoilable})
	p.size(375, 812)
	p.ready()
	fits := func(where string) {
		t.Helper()
		if w := chromium.JS[int](p.Tab, `document.documentElement.scrollWidth`); w > 375 {
			t.Errorf("%s: %d pixels wide, and %s", where, w, chromium.JS[string](p.Tab, `[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > 376).slice(0, 8).map((e) => e.outerHTML.slice(0, 80)).join("\n")`))
		}
		for _, at := range []float64{0, 0.5, 1} {
			chromium.JS[any](p.Tab, fmt.Sprintf(`scrollTo(0, %v * document.documentElement.scrollHeight)`, at))
			for _, w := range chromium.JS[[]string](p.Tab, `[...document.querySelectorAll("#controls button")].filter((e) => e.checkVisibility()).filter((e) => {
  const r = e.getBoundingClientRect();
  const top = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
  return r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight || r.height < 40 || !e.contains(top);
}).map((e) => e.innerText)`) {
				t.Errorf("%s, scrolled to %v: the button %s is out of sight, covered or small", where, at, w)
			}
		}
		// 24 pixels across, or nothing else to hit within as much around its middle.
		for _, w := range chromium.JS[[]string](p.Tab, `(() => {
  const all = "button, input, select, summary, textarea, label, [tabindex]";
  return [...document.querySelectorAll(all)].filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.matches(".chart-cursor, #skip, label, [tabindex='-1']")).flatMap((e) => {
    let r = e.getBoundingClientRect();
    if (r.width >= 24 && r.height >= 24) return [];
    e.scrollIntoView({ block: "center" });
    r = e.getBoundingClientRect();
    const near = [[-11.5, 0], [11.5, 0], [0, -11.5], [0, 11.5]].map(([x, y]) => document.elementFromPoint(r.left + r.width / 2 + x, r.top + r.height / 2 + y)?.closest(all))
      .find((hit) => hit && !hit.matches("[tabindex='-1']") && hit !== e && !hit.contains(e) && !(hit instanceof HTMLLabelElement && hit.control === e));
    return near ? [(e.getAttribute("aria-label") || e.innerText) + ", " + Math.round(r.width) + " by " + Math.round(r.height) + ", beside " + near.outerHTML.slice(0, 80)] : [];
  });
})()`) {
			t.Errorf("%s: too small to hit: %s", where, w)
		}
		chromium.JS[any](p.Tab, `scrollTo(0, 0)`)
	}
	fits("idle")
	p.Click("#settings > summary")
	p.says("#fields", "Optimiser")
	chromium.JS[any](p.Tab, `void document.querySelectorAll("#fields details").forEach((d) => (d.open = true))`)
	fits("all settings")
	p.Click("#settings > summary")
	p.silent("#fields")
	p.Click("#start")
	p.saves()
	fits("running")
	p.Click("#pause")
	p.phase("paused")
	p.Click("#tab-runs")
	p.says("#runs", "step")
	fits("paused, with runs")
	p.Click("#resume")
	p.after(p.step() + 2)
	p.spoil()
	p.Click("#failure summary")
	fits("failed")
	p.says("#failure", "The numbers ran away")
}
