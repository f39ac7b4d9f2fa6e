//go:build !js

// Package chromium runs scripts of tests in a headless Chromium with WebGPU on the CPU.
package chromium

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Page is a page that is open in Chromium.
type Page struct {
	ctx context.Context
	URL string // of the server, without a slash at the end
}

// path finds the browser: $CHROMIUM, or one of its usual names on the PATH.
func path() (string, error) {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(cmp.Or(name, "-")); err == nil {
			return p, nil
		}
	}
	return "", errors.New("no Chromium: none of chromium, chromium-browser, google-chrome, chrome is on the PATH and $CHROMIUM names none")
}

// Open serves handler (nil: a blank page) on 127.0.0.1, which browsers hold for secure, and opens its root. The page
// closes with the test. Where there is no Chromium the test is skipped, or fails if
// INNERLOOP_REQUIRE_BROWSER=1.
func Open(t testing.TB, handler http.Handler) *Page {
	t.Helper()
	bin, err := path()
	if err != nil {
		if os.Getenv("INNERLOOP_REQUIRE_BROWSER") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if handler == nil {
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!doctype html><title>test</title>"))
		})
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	t.Cleanup(cancel)
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(bin),
		chromedp.WSURLReadTimeout(Patience),
		chromedp.NoSandbox,
		chromedp.Flag("enable-unsafe-webgpu", true), // without it the adapter is null
		chromedp.Flag("use-webgpu-adapter", "swiftshader"),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancelAlloc)
	ctx, cancelPage := chromedp.NewContext(ctx)
	t.Cleanup(cancelPage)
	if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL)); err != nil {
		t.Fatalf("%s: %v", bin, err)
	}
	return &Page{ctx, srv.URL}
}

// Eval evaluates a JavaScript expression, awaits it if it is a promise, and decodes its value from JSON.
func Eval[T any](p *Page, expression string) (T, error) {
	return chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, func(e *runtime.EvaluateParams) {
		yes := true
		e.AwaitPromise = &yes
	}))
}
