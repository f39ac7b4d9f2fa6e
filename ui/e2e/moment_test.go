//go:build !js

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"innerloop/gpu/gputest/chromium"
)

// moment is what the page says of the loss of the step that it shows.
type moment struct {
	Headline, Legend, List, Title, LegendStep, ListStep, HeadlineStep, HeadlineVal, LegendVal, ListVal string
}

// same says whether all speak of one loss at one step.
func (l moment) same() bool {
	for _, x := range [][]string{{l.Headline, l.Legend, l.List, l.Title}, {l.HeadlineStep, l.ListStep}, {l.HeadlineVal, l.ListVal, l.LegendVal}} {
		if len(slices.Compact(x)) > 1 {
			return false
		}
	}
	return true
}

// told reads them, from wherever the page says them.
func (p *page) told() moment {
	p.t.Helper()
	var texts struct{ Headline, Legend, At, List, Title string }
	if err := json.Unmarshal([]byte(chromium.JS[string](p.Tab, `JSON.stringify({
  Headline: document.querySelector("#headline-more").textContent,
  Legend: [...document.querySelectorAll('[data-chart="loss"] .chart-legend button, [data-chart="loss"] .chart-legend > *')].map((e) => e.textContent).join(" | "),
  At: document.querySelector('[data-chart="loss"] .chart-at').textContent,
  List: document.querySelector("#runs > li.mine .facts").textContent,
  Title: document.title,
})`)), &texts); err != nil {
		p.t.Fatal(err)
	}
	find := func(text, pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			return fmt.Sprintf("no %s in %q", pattern, text) // equal to no other
		}
		return strings.ReplaceAll(m[1], ",", "")
	}
	return moment{
		Headline: find(texts.Headline, `Loss ([0-9.]+) nats a byte, smoothed`), HeadlineStep: find(texts.Headline, `smoothed, at step ([0-9,]+):`),
		HeadlineVal: find(texts.Headline, `On unseen text ([0-9.]+) at step`),
		Legend:      find(texts.Legend, `training, smoothed\s*([0-9.]+)`), LegendVal: find(texts.Legend, `validation\s*([0-9.]+)`), LegendStep: find(texts.At, `step ([0-9,]+)`),
		List: find(texts.List, `loss ([0-9.]+)`), ListVal: find(texts.List, `val ([0-9.]+)`), ListStep: find(texts.List, `step ([0-9,]+)`),
		Title: find(texts.Title, `· ([0-9.]+) –`),
	}
}

// The headline, the legend, the list of runs and the tab's title have one loss for one step, smoothed in one way, also
// after a refresh, and when the person smooths in another.
func TestOneLoss(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=100000&train.eval_every=10", options{})
	p.ready()
	p.says("#headline-more", "not known before the first steps")
	p.says("#size-run", "not known")
	p.Click("#start")
	p.after(60)
	p.Click("#pause")
	p.phase("paused")
	agree := func(when string) string {
		t.Helper()
		at := p.Text("#status-step b")
		p.Until(`document.querySelector('[data-chart="loss"] .chart-at').textContent === "step ` + at + `"`) // charts are drawn now and then
		p.Until(`document.querySelector("#runs > li.mine .facts")`)
		l := p.told()
		for range 100 { // the list and the headline follow in a moment
			if l.same() {
				break
			}
			time.Sleep(300 * time.Millisecond)
			l = p.told()
		}
		if l.Headline != l.Legend || l.Headline != l.List || l.Headline != l.Title || l.HeadlineVal != l.LegendVal || l.HeadlineVal != l.ListVal {
			t.Errorf("%s: the page says several losses of one moment: %+v", when, l)
		}
		if at := strings.ReplaceAll(at, ",", ""); l.HeadlineStep != at || l.ListStep != at || l.LegendStep != at {
			t.Errorf("%s: at step %s the page speaks of others: %+v", when, at, l)
		}
		return l.Headline
	}
	first := agree("paused")
	p.Until(`/≈|–/.test(document.querySelector("#size-run").textContent)`) // measured now
	p.shoot("one-loss")
	p.Reload()
	p.phase("paused")
	if again := agree("after a refresh"); again != first {
		t.Errorf("the loss of the step was %s, and is %s after a refresh", first, again)
	}
	chromium.JS[any](p.Tab, `(() => { const s = document.querySelector('input[aria-label="Smoothing"]'); s.value = "0"; s.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	p.Until(`!document.querySelector("#headline-more").textContent.includes("Loss ` + first + ` nats")`)
	if raw := agree("not smoothed"); raw == first {
		t.Errorf("the slider changes nothing: %s", raw)
	}
}
