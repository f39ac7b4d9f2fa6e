//go:build !js

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestScreenshots makes the README's pictures of the page in the folder INNERLOOP_SCREENSHOTS:
//
//	INNERLOOP_SCREENSHOTS=$PWD/docs go test ./ui/e2e -run Screenshots
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("INNERLOOP_SCREENSHOTS")
	if dir == "" {
		t.Skip("INNERLOOP_SCREENSHOTS names no folder")
	}
	p := start(t, "/?debug", options{})
	scheme := func(name string) {
		t.Helper()
		if _, err := chromedp.Call(p.Context(), emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	shot := func(name string, width, height int64) {
		t.Helper()
		p.Do(chromedp.EmulateViewport(width, height), chromedp.Sleep(1500*time.Millisecond))
		p.Screenshot(filepath.Join(dir, name))
	}
	scheme("light")
	p.ready()
	shot("page-ready.png", 1280, 800)
	p.Click("#start")
	p.after(150)
	p.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "The little "))
	p.Click("#continue")
	p.Until(`document.querySelector("#output").innerText.length > 60`)
	shot("page-light.png", 1280, 800)
	scheme("dark")
	shot("page-dark.png", 1280, 800)
	scheme("light")
	shot("page-phone.png", 375, 812)
}
