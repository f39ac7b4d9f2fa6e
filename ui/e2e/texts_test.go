//go:build !js

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"innerloop/gpu/gputest/chromium"
)

// inStorage are the names of the texts in the browser's private file system.
func (p *page) inStorage() []string {
	p.t.Helper()
	return chromium.JS[[]string](p.Tab, `(async () => {
  const names = [];
  const root = await navigator.storage.getDirectory();
  for await (const name of (await root.getDirectoryHandle("texts", { create: true })).keys()) names.push(name);
  return names.sort();
})()`)
}

// A text that was brought can be deleted: asked about, not while the open run reads it, by keyboard, and gone from the
// browser's storage; those of earlier visits too.
func TestDeleteText(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=100000", options{})
	p.ready()
	dir := t.TempDir()
	for _, name := range []string{"one.txt", "two.txt"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat("This is "+name+". ", 2000)), 0o644); err != nil {
			t.Fatal(err)
		}
		p.Do(chromedp.SetUploadFiles(chromedp.CSS("#text-file"), []string{path}, chromedp.NodeReady))
		p.Until(`document.querySelector("#data-source option:checked").innerText === "` + name + `"`)
	}
	if got := p.inStorage(); !slices.Equal(got, []string{"one.txt", "two.txt"}) {
		t.Fatalf("the storage holds %q", got)
	}
	p.shoot("texts")

	// While a run reads it, it stays.
	p.Click("#start")
	p.after(5)
	p.Click("#delete-text")
	p.says("#text-dialog", "two.txt", "The open run reads it: stop that run first.")
	if !chromium.JS[bool](p.Tab, `document.querySelector("#text-yes").disabled && document.activeElement.id === "text-no"`) {
		t.Error("the open run's text can be deleted")
	}
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.Click("#stop")
	p.phase("idle")
	p.Until(`document.querySelectorAll("#runs > li").length === 1`)

	// Kept, then deleted, by keyboard alone.
	p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#delete-text").focus()`), chromedp.KeyEvent(kb.Enter))
	p.says("#text-dialog", "two.txt", "A kept run reads it", "cannot go on until you add it again")
	p.audit("a text to delete")
	p.shoot("delete-text")
	p.Do(chromedp.KeyEvent(kb.Enter)) // Keep it has the focus
	p.silent("#text-dialog")
	if got := p.inStorage(); len(got) != 2 {
		t.Errorf("a text that was to be kept is gone: %q", got)
	}
	asked := chromium.JS[int](p.Tab, `crossed.filter((m) => m.method === "usage").length`)
	p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#delete-text").focus()`), chromedp.KeyEvent(kb.Enter))
	p.says("#text-dialog", "two.txt")
	p.Do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	p.Until(`document.querySelector("#data-source option:checked").innerText === "Stories (generated)" && document.activeElement.id === "data-source"`)
	p.Until(`document.querySelector("#live").textContent === "two.txt is deleted."`)
	if got := p.inStorage(); !slices.Equal(got, []string{"one.txt"}) {
		t.Errorf("the storage holds %q, want one.txt alone", got)
	}
	if chromium.JS[int](p.Tab, `crossed.filter((m) => m.method === "usage").length`) <= asked {
		t.Error("the storage's size was not asked for anew")
	}
	if chromium.JS[bool](p.Tab, `[...document.querySelectorAll("#data-source option")].some((o) => o.innerText === "two.txt")`) {
		t.Error("two.txt is still offered")
	}

	// The run wants it back, and gets it.
	p.Click("#tab-runs")
	p.Click("#runs > li .open")
	p.says("#failure", "The run's text is missing")
	p.Do(chromedp.SetUploadFiles(chromedp.CSS("#text-file"), []string{filepath.Join(dir, "two.txt")}, chromedp.NodeReady))
	p.phase("paused")
	p.Click("#stop")
	p.phase("idle")

	// A text of an earlier visit is offered, and can go as well.
	p.Reload()
	p.ready()
	p.Until(`document.querySelector('#data-source option[value="file:/texts/one.txt"]')`) // they are listed when Start is there already
	chromium.JS[any](p.Tab, `(() => { const s = document.querySelector("#data-source"); s.value = "file:/texts/one.txt"; s.dispatchEvent(new Event("change", { bubbles: true })); })()`)
	p.Click("#delete-text")
	p.says("#text-dialog", "one.txt", "No kept run reads it.")
	p.Click("#text-yes")
	p.Until(`document.querySelector("#data-source option:checked").innerText === "Stories (generated)"`)
	if got := p.inStorage(); !slices.Equal(got, []string{"two.txt"}) {
		t.Errorf("the storage holds %q, want two.txt alone", got)
	}
}
