//go:build !js

package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// deploy is a server whose files change under the open page: what say of a request decides, else the site.
type deploy struct {
	site http.Handler
	say  atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // whether it has answered
}

func (d *deploy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := d.say.Load(); f != nil && (*f)(w, r) {
		return
	}
	d.site.ServeHTTP(w, r)
}

// newer is the server after another page has taken the place of the one before: its page names other files, and of the
// old ones those with such a name are gone.
func newer(gone string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<!doctype html><title>the new page</title><script type="module" src="./assets/main-NEW.js"></script>`))
			return true
		}
		if strings.Contains(r.URL.Path, gone) {
			http.NotFound(w, r)
			return true
		}
		return false
	}
}

// A page whose files are gone from the server says that it was updated and offers to reload, in whatever part it first
// needs one of them; it does not call that a fault of its own, and what was saved is kept.
func TestRedeploy(t *testing.T) {
	t.Parallel()
	needsPage(t)
	s, err := site()
	if err != nil {
		t.Fatal(err)
	}
	b := chromium.Start(t, s.Handler())
	opened := func(t *testing.T, path string) (*page, *deploy) {
		t.Helper()
		d := &deploy{site: s.Handler()}
		return open(t, b.Origin(t, d), path, options{noisy: true}), d
	}
	updated := func(t *testing.T, p *page, message string) {
		t.Helper()
		p.says("#failure", "The page was updated", "Reload to get it", message)
		if text := p.Text("#failure"); strings.Contains(text, "fault of Innerloop") || strings.Contains(text, "Restart the worker") {
			t.Errorf("the panel says %s", text)
		}
	}
	for _, c := range []struct{ name, gone, message string }{
		{"the worker", "/assets/", "worker-"},
		{"the program", ".wasm", ".wasm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, d := opened(t, "/?debug"+tiny+"&train.steps=100000")
			p.ready()
			p.Click("#start")
			p.after(5)
			p.Click("#pause")
			p.phase("paused")
			at := p.step()
			say := newer(c.gone)
			d.say.Store(&say)
			// The browser's own copies are gone as well, as they are after some days.
			bare(t, p)
			chromium.JS[any](p.Tab, `void realWorker.dispatchEvent(new MessageEvent("message", { data: { event: "exit", data: { code: 2, output: "panic: a test" } } }))`)
			p.phase("broken")
			p.Click("#restart-worker")
			updated(t, p, c.message)
			p.says("#failure", "The run is kept as it was at its last checkpoint.")
			p.shoot("redeploy")
			p.audit("a page that was updated")
			d.say.Store(nil) // the old page is back, as far as this test's browser knows
			p.Click("#reload")
			p.phase("paused")
			if got := p.step(); got != at {
				t.Errorf("after the reload the run is at step %d, it was at %d", got, at)
			}
		})
	}
	t.Run("a worker of another version", func(t *testing.T) {
		p, d := opened(t, "/favicon.ico")
		other := func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/worker-") {
				return false
			}
			r.Header.Del("Accept-Encoding")
			rec := httptest.NewRecorder()
			d.site.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", "text/javascript")
			for _, h := range []string{"Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy"} {
				w.Header().Set(h, rec.Header().Get(h))
			}
			_, _ = w.Write([]byte(strings.Replace(rec.Body.String(), `version:"`, `version:"other-`, 1)))
			return true
		}
		d.say.Store(&other)
		p.Go("/?debug" + tiny)
		updated(t, p, "its worker other-")
	})
	t.Run("the book", func(t *testing.T) {
		p, d := opened(t, "/?debug"+tiny)
		p.ready()
		if !chromium.JS[bool](p.Tab, `[...document.querySelectorAll("#data-source option")].some((o) => o.value === "opticks:")`) {
			t.Skip("the Go installation has no book")
		}
		say := newer("opticks")
		d.say.Store(&say)
		chromium.JS[any](p.Tab, `(() => { const s = document.querySelector("#data-source"); s.value = "opticks:"; s.dispatchEvent(new Event("change", { bubbles: true })); })()`)
		updated(t, p, "opticks-")
	})
	t.Run("a server that is away", func(t *testing.T) {
		p, d := opened(t, "/favicon.ico")
		away := func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/worker-") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		}
		d.say.Store(&away)
		p.Go("/?debug" + tiny)
		p.says("#failure", "The server cannot be reached", "503", "try again")
		d.say.Store(nil)
		p.Click("#try-server")
		p.ready()
		p.silent("#failure")
	})
	t.Run("the page's script", func(t *testing.T) {
		p, d := opened(t, "/favicon.ico")
		gone := func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/main-") {
				http.NotFound(w, r)
				return true
			}
			return false
		}
		d.say.Store(&gone)
		p.Go("/?debug" + tiny)
		p.Until(`getComputedStyle(document.querySelector("#stuck")).visibility === "visible"`)
		d.say.Store(nil)
		p.Click("#stuck a")
		p.ready()
		p.silent("#stuck")
	})
}

// bare empties the browser's cache.
func bare(t *testing.T, p *page) {
	t.Helper()
	if _, err := chromedp.Call(p.Context(), network.ClearBrowserCache, chromedp.Void{}); err != nil {
		t.Fatal(err)
	}
}
