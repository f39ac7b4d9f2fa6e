//go:build !js

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"
)

// page is what the benchmark asks of a browser.
type page struct {
	// eval evaluates an expression in the page, awaits it, and returns its value as JSON.
	eval func(expression string) (json.RawMessage, error)
	// cpu is the processor time that the browser has taken, all its processes together, in seconds.
	cpu func() (float64, error)
}

// browse serves h on loopback and opens it in a headless Chromium, whose WebGPU is the CPU's unless hardware. close ends
// both.
func browse(ctx context.Context, h http.Handler, hardware bool) (p page, closeAll func(), err error) {
	bin := ""
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(cmp.Or(name, "-")); err == nil {
			bin = p
			break
		}
	}
	if bin == "" {
		return page{}, nil, errors.New("no Chromium: none of chromium, chromium-browser, google-chrome, chrome is on the PATH and $CHROMIUM names none")
	}
	profile, err := os.MkdirTemp("", "peers")
	if err != nil {
		return page{}, nil, err
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin), chromedp.UserDataDir(profile), chromedp.NoSandbox,
		chromedp.Flag("enable-unsafe-webgpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if !hardware {
		flags = append(flags, chromedp.Flag("use-webgpu-adapter", "swiftshader"))
	} else {
		flags = append(flags, chromedp.Flag("disable-gpu", false), chromedp.Flag("enable-features", "Vulkan"))
	}
	srv := httptest.NewServer(h)
	actx, endBrowser := chromedp.NewExecAllocator(ctx, flags...)
	pctx, endPage := chromedp.NewContext(actx)
	closeAll = func() {
		endPage()
		endBrowser()
		srv.Close()
		_ = os.RemoveAll(profile) // the system clears it
	}
	if err := chromedp.Do(pctx, chromedp.Navigate(srv.URL)); err != nil {
		closeAll()
		return page{}, nil, fmt.Errorf("%s: %w", bin, err)
	}
	p.eval = func(expression string) (json.RawMessage, error) {
		return chromedp.Run(pctx, chromedp.Evaluate[json.RawMessage](expression, func(p *runtime.EvaluateParams) {
			yes := true
			p.AwaitPromise = &yes
		}))
	}
	p.cpu = func() (float64, error) {
		r, err := chromedp.CallBrowser(pctx, systeminfo.GetProcessInfo, cdp.Empty{})
		sum := 0.0
		for _, x := range r.ProcessInfo {
			sum += x.CPUTime
		}
		return sum, err
	}
	return p, closeAll, nil
}

// call calls a method of a contender and decodes what it returns.
func call[T any](p page, name, method string, args ...any) (v T, err error) {
	js := make([]string, 0, 2+len(args))
	for _, a := range append([]any{name, method}, args...) {
		b, err := json.Marshal(a)
		if err != nil {
			return v, err
		}
		js = append(js, string(b))
	}
	// An object, so that undefined has a form in JSON.
	raw, err := p.eval("call(" + strings.Join(js, ", ") + ").then((value) => ({ value }))")
	if err != nil {
		return v, fmt.Errorf("%s: %s: %w", name, method, err)
	}
	got := struct{ Value *T }{&v}
	return v, json.Unmarshal(raw, &got)
}
