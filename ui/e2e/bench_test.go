//go:build !js

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"innerloop/bench"
	"innerloop/gpu/gputest/chromium"
)

// benchOpen opens the bench page in a new tab; path ends with what is measured.
func benchOpen(t *testing.T, b *chromium.Browser, hash string) *page {
	t.Helper()
	p := &page{Tab: b.Tab(`globalThis.violations = []; addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));`), t: t}
	p.Go("/bench.html" + hash)
	p.Until(`document.querySelector("#run") && document.querySelectorAll("#suites input").length === 6`)
	return p
}

// reports runs what is chosen and returns what the page would copy.
func (p *page) reports() []bench.Report {
	p.t.Helper()
	p.Click("#run")
	p.Until(`document.body.dataset.phase === "ready" && (!document.querySelector("#copy").disabled || !document.querySelector("#problem").hidden)`)
	if text := chromium.JS[string](p.Tab, `document.querySelector("#problem").textContent`); text != "" {
		p.t.Fatalf("the page says %q", text)
	}
	chromium.JS[bool](p.Tab, `navigator.clipboard.writeText = (text) => { globalThis.copied = text; return Promise.resolve(); }, true`)
	p.Click("#copy")
	p.Until(`globalThis.copied`)
	var got struct{ Reports []bench.Report }
	if err := json.Unmarshal([]byte(chromium.JS[string](p.Tab, "copied")), &got); err != nil {
		p.t.Fatal(err)
	}
	return got.Reports
}

// The bench page measures on the GPU and on the processor, shows numbers, and copies what it found.
func TestBench(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	for _, device := range []string{"gpu", "cpu"} {
		t.Run(device, func(t *testing.T) {
			p := benchOpen(t, b, "#suites=matmul,step,decode&size=small&seconds=0&device="+device)
			got := p.reports()
			if len(got) != 3 {
				t.Fatalf("%d reports, want 3", len(got))
			}
			for i, suite := range []string{bench.MatMul, bench.Step, bench.Decode} {
				r := got[i]
				if r.Suite != suite || len(r.Results) == 0 || (r.Backend == "go") != (device == "cpu") {
					t.Fatalf("%+v", r)
				}
				for _, x := range r.Results {
					if x.Skipped != "" || !(x.Seconds > 0) || !(x.Rate > 0) {
						t.Errorf("%s: %+v", suite, x)
					}
				}
				cells := chromium.JS[[]string](p.Tab, `[...document.querySelectorAll("#result-`+suite+` table:first-of-type tbody tr")].map((r) => r.innerText)`)
				if len(cells) < len(r.Results) || !strings.Contains(cells[0], r.Results[0].Name) || !strings.Contains(cells[0], r.Results[0].Unit) {
					t.Errorf("%s shows %q", suite, cells)
				}
			}
			if len(got[1].Kernels) == 0 || got[0].Roofline == nil {
				t.Errorf("no kernels or no roofline: %+v", got[1])
			}
			if v := chromium.JS[[]string](p.Tab, "violations"); len(v) > 0 {
				t.Errorf("the page's policy forbids %q", v)
			}
			if said := p.Console(); len(said) > 0 {
				t.Errorf("the console is not empty:\n%s", strings.Join(said, "\n"))
			}
		})
	}
}

// A suite that is stopped ends at once, and another can be run.
func TestBenchStops(t *testing.T) {
	p := benchOpen(t, browse(t, options{}), "#suites=decode&size=small&seconds=3600&device=cpu")
	p.Click("#run")
	p.Until(`document.querySelector("#status").textContent.includes("pure Go") || !document.querySelector("#problem").hidden`)
	p.Click("#stop")
	p.Until(`document.body.dataset.phase === "ready" && document.querySelector("#status").textContent === "Stopped."`)
	chromium.JS[string](p.Tab, `document.querySelector("#seconds").value = "0"`)
	if got := p.reports(); len(got) != 1 || got[0].Suite != bench.Decode {
		t.Errorf("%+v", got)
	}
}

// TestBenchScreenshots makes pictures of the bench page in the folder INNERLOOP_SCREENSHOTS.
func TestBenchScreenshots(t *testing.T) {
	dir := os.Getenv("INNERLOOP_SCREENSHOTS")
	if dir == "" {
		t.Skip("INNERLOOP_SCREENSHOTS names no folder")
	}
	p := benchOpen(t, browse(t, options{}), "#suites=matmul,step,load&size=small&seconds=0")
	p.reports()
	for _, s := range []struct {
		name, scheme  string
		width, height int64
	}{{"bench-light.png", "light", 1280, 1100}, {"bench-dark.png", "dark", 1280, 1100}, {"bench-phone.png", "light", 375, 812}} {
		if _, err := chromedp.Call(p.Context(), emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
		}); err != nil {
			t.Fatal(err)
		}
		p.Do(chromedp.EmulateViewport(s.width, s.height), chromedp.Sleep(300*time.Millisecond))
		p.Screenshot(filepath.Join(dir, s.name))
	}
}
