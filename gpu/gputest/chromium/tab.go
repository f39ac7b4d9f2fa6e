//go:build !js

package chromium

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Browser is a Chromium with a profile of its own, and a server whose pages it opens.
type Browser struct {
	URL       string // of the server, without a slash at the end
	Downloads string // the folder that gets what pages download

	t   testing.TB
	ctx context.Context
}

// Start starts a browser that closes with the test. without names flags of Open's that it does not get,
// as enable-unsafe-webgpu, without which there is no adapter. Where there is no Chromium the test is skipped, or fails
// if INNERLOOP_REQUIRE_BROWSER=1.
func Start(t testing.TB, handler http.Handler, without ...string) *Browser {
	t.Helper()
	bin, err := path()
	if err != nil {
		if os.Getenv("INNERLOOP_REQUIRE_BROWSER") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	t.Cleanup(cancel)
	// Names that end with .test are this machine's: pages from there came over plain http, as from another machine.
	flags := map[string]any{"host-resolver-rules": "MAP *.test 127.0.0.1", "enable-unsafe-webgpu": true, "use-webgpu-adapter": "swiftshader", "disable-quic": true, "disable-component-update": true}
	for _, f := range without {
		delete(flags, f)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin), chromedp.WSURLReadTimeout(Patience), chromedp.NoSandbox, chromedp.WindowSize(1280, 800))
	for name, v := range flags {
		opts = append(opts, chromedp.Flag(name, v))
	}
	ctx, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancelAlloc)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(cancelBrowser)
	b := &Browser{URL: srv.URL, Downloads: t.TempDir(), t: t, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("%s: %v", bin, err)
	}
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.Downloads,
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

// Origin is the browser over a server of its own, so with storage of its own, for a part of a test: its tabs end with t.
func (b *Browser) Origin(t testing.TB, handler http.Handler) *Browser {
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return &Browser{URL: srv.URL, Downloads: b.Downloads, t: t, ctx: b.ctx}
}

// Named is the browser over the same server by another name, which ends with .test. Browsers trust 127.0.0.1 and localhost
// as they trust https; they do not trust such a name, and offer its pages less.
func (b *Browser) Named(name string) *Browser {
	c := *b
	c.URL = strings.Replace(b.URL, "127.0.0.1", name, 1)
	return &c
}

// Tab is a tab of a Browser. Its methods fail the test on errors.
type Tab struct {
	*Page
	Close func() // ends the tab at once, as a person does

	t  testing.TB
	mu sync.Mutex
	// console are its errors and warnings, and those of its workers.
	console []string
}

// Tab opens a tab; script, if not empty, runs before those of every page in it.
func (b *Browser) Tab(script string) *Tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	x := &Tab{Page: &Page{ctx, b.URL}, Close: cancel, t: b.t}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		b.t.Fatal(err)
	}
	x.listen(ctx, "page")
	workers := chromedp.Events(ctx, target.AttachedToTarget)
	go func() {
		for e, err := range workers {
			if err != nil {
				return
			}
			if e.TargetInfo.Type == "worker" {
				// It ends with the worker.
				wctx, _ := chromedp.NewContext(ctx, chromedp.WithTargetID(e.TargetInfo.TargetID))
				x.listen(wctx, "worker")
			}
		}
	}()
	if script != "" {
		if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
			b.t.Fatal(err)
		}
	}
	return x
}

func (x *Tab) listen(ctx context.Context, where string) {
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" || m.Type == "assert" {
				x.mu.Lock()
				x.console = append(x.console, fmt.Sprintf("%s: %s %s", where, m, m.URL))
				x.mu.Unlock()
			}
		}
	}()
}

// Console are the errors and warnings of the page and its workers so far.
func (x *Tab) Console() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string(nil), x.console...)
}

// Do runs actions of chromedp.
func (x *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := chromedp.Do(x.ctx, actions...); err != nil {
		x.t.Fatal(err)
	}
}

// Go opens a path of the server.
func (x *Tab) Go(path string) {
	x.t.Helper()
	x.Do(chromedp.Navigate(x.URL + path))
}

// Reload opens the page anew.
func (x *Tab) Reload() {
	x.t.Helper()
	x.Do(chromedp.Reload())
}

// Context is the tab's, for chromedp.
func (x *Tab) Context() context.Context { return x.ctx }

// JS evaluates an expression, awaits it if it is a promise, and decodes its value into one of the type of like.
func JS[T any](x *Tab, expression string) T {
	x.t.Helper()
	v, err := Eval[T](x.Page, expression)
	if err != nil {
		x.t.Fatalf("%.300s: %v", expression, err)
	}
	return v
}

// Patience is how long what waits for the browser waits: other work may keep all processors busy for long, so it only
// ends what hangs. How fast something is, the tests of make timing ask. INNERLOOP_PATIENCE, as 90s, is for who looks at a
// test that fails.
var Patience = func() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("INNERLOOP_PATIENCE")); err == nil {
		return d
	}
	return 15 * time.Minute
}()

// hang ends a browser that hangs, before go test itself gives up.
const hang = 100 * time.Minute

// Until waits until an expression is true, and fails the test after Patience.
func (x *Tab) Until(expression string) {
	x.t.Helper()
	begin := time.Now()
	end := begin.Add(Patience)
	for {
		ok, err := Eval[bool](x.Page, "Boolean("+expression+")")
		if err == nil && ok {
			return
		}
		if time.Now().After(end) {
			text, _ := Eval[string](x.Page, "document.body?.innerText ?? ''")
			x.t.Fatalf("not within %v: %s (%v)\nconsole: %s\npage: %.3000s", Patience, expression, err, strings.Join(x.Console(), "\n"), text)
		}
		// To ask takes milliseconds of both processes: what takes long is asked for less often.
		time.Sleep(min(max(50*time.Millisecond, time.Since(begin)/10), 250*time.Millisecond))
	}
}

// Click clicks the element of a selector, which has to be there, seen and enabled.
func (x *Tab) Click(selector string) {
	x.t.Helper()
	q, err := json.Marshal(selector)
	if err != nil {
		x.t.Fatal(err)
	}
	x.Until(fmt.Sprintf("(e => e && !e.disabled && e.offsetParent !== null)(document.querySelector(%s))", q))
	x.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Text is the text of the element of a selector, or "" where there is none.
func (x *Tab) Text(selector string) string {
	x.t.Helper()
	q, err := json.Marshal(selector)
	if err != nil {
		x.t.Fatal(err)
	}
	return JS[string](x, fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", q))
}

// Screenshot writes what the tab shows to a file.
func (x *Tab) Screenshot(file string) {
	x.t.Helper()
	b, err := chromedp.Run(x.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}
