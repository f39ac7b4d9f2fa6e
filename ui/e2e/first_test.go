//go:build !js

package e2e

import (
	"testing"

	"innerloop/gpu/gputest/chromium"
)

// A first visit without a GPU: what is offered is not there already, on a phone its words have room, one change is one, and
// what is not known has a dash; a run that is deleted is gone from the charts.
func TestFirstVisit(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug&device=auto", options{})
	p.ready()
	p.says("[data-notice=no-gpu]", "It can be chosen under")
	p.Until(`document.querySelector('[data-preset="tiny"]').ariaPressed === "true"`)
	p.silent("[data-notice=no-gpu] .small") // it is tiny
	p.Click(`[data-preset="small"]`)
	p.says("[data-notice=no-gpu] .small", "Use the tiny model")
	p.size(375, 812)
	if w := chromium.JS[float64](p.Tab, `document.querySelector("[data-notice=no-gpu] > div").getBoundingClientRect().width`); w < 240 {
		t.Errorf("on a phone the notice's words have %v pixels of 375", w)
	}
	p.size(1280, 800)
	p.Click("[data-notice=no-gpu] .small")
	p.Until(`document.querySelector('[data-preset="tiny"]').ariaPressed === "true"`)
	p.silent("[data-notice=no-gpu]")

	p.Click("#start")
	p.after(2)
	p.setting("train.lr", "0.01")
	p.says("#pending", "A change acts on the next Start. Restart with it")
	p.setting("train.clip", "2")
	p.says("#pending", "2 changes act on the next Start. Restart with them")

	p.setting("model.num_attention_heads", "7")
	p.says("#size-parameters", "–")
	p.size(375, 812)
	p.says("#settings-short", "A setting does not fit")
	p.size(1280, 800)

	// A run that is deleted leaves nothing of itself.
	p.Until(`document.querySelectorAll("#training [data-chart]:not(.chart-is-empty)").length === 5`)
	p.Click("#tab-runs")
	p.Until(`document.querySelectorAll("#runs .bin").length === 1`)
	p.Click("#runs .bin")
	p.says("#delete-dialog", "its curves and checkpoints go for ever", "It is open now")
	p.Click("#delete-yes")
	p.Until(`document.querySelectorAll("#training [data-chart].chart-is-empty").length === 5 && document.querySelectorAll("#runs > li").length === 0`)
	p.silent("#failure")
}
