//go:build !js

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// Over plain http from another machine a page has no WebGPU, no storage, no locks and no clipboard: the page says so and
// what to do, and texts, training, uploads and links work.
func TestLAN(t *testing.T) {
	t.Parallel()
	needsPage(t)
	s, err := site()
	if err != nil {
		t.Fatal(err)
	}
	b := chromium.Start(t, s.Handler("lan.test")).Named("lan.test")
	p := open(t, b, "/?debug"+tiny+"&train.steps=20", options{noisy: true}) // the browser complains of headers that want https
	p.ready()
	if chromium.JS[bool](p.Tab, `isSecureContext || "randomUUID" in crypto`) {
		t.Fatal("the browser trusts this origin: the test shows nothing")
	}
	p.says("[data-notice=insecure]", "plain http", "no GPU", "no storage", "in memory only", "https", "http://localhost")
	p.silent("[data-notice=no-gpu], [data-notice=memory-only]") // one notice says it all
	p.says("#status-device", "no GPU")
	p.says("#status-storage", "until refresh")
	p.shoot("lan")

	text := filepath.Join(t.TempDir(), "book.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("A book that came over the net. ", 400)), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.SetUploadFiles(chromedp.CSS("#text-file"), []string{text}, chromedp.NodeReady))
	p.Until(`document.querySelector("#data-source option:checked").innerText === "book.txt"`)
	p.Click("#start")
	p.phase("finished")
	p.silent("#failure")

	dir := keptRun(t)
	p.Do(chromedp.SetUploadFiles(chromedp.CSS("#upload-files"), []string{archive(t, dir, filepath.Join(t.TempDir(), "kept.zip"))}, chromedp.NodeReady))
	p.Until(`document.querySelectorAll("#runs > li").length === 2`)
	p.phase("finished") // the uploaded one made its four steps
	p.Click("#copy-link")
	p.says("#link-dialog", "Copy it from here")
	for _, line := range p.Console() {
		if strings.Contains(line, "Error") {
			t.Errorf("the console says %s", line)
		}
	}
}
