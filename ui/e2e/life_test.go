//go:build !js

package e2e

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// What a new user does: one click, the loss falls, samples change, pause, step, resume; a refresh in the middle loses
// nothing; the checkpoint goes to the command line and one of the command line's comes back.
func TestLife(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	p := open(t, b, "/?debug"+small+"&train.steps=160", options{})
	p.ready()
	if s := p.Text("#status-device"); !strings.Contains(strings.ToLower(s), "software") {
		t.Errorf("the device is said to be %q, want a word about software", s)
	}
	p.Click("#start")
	p.after(20)
	p.Until(`document.querySelector("#samples").innerText.includes("Once upon a time")`)
	p.Until(`!document.querySelector("[data-chart=inner-loop]").classList.contains("chart-is-empty")`)
	first := p.Text("#samples")

	p.Click("#pause")
	p.phase("paused")
	at := p.step()
	time.Sleep(500 * time.Millisecond)
	if p.step() != at {
		t.Errorf("a paused run went from step %d to %d", at, p.step())
	}
	p.Click("#step")
	p.after(at + 1)
	p.phase("paused")
	if got := p.step(); got != at+1 {
		t.Errorf("one step went from %d to %d", at, got)
	}
	p.Do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`), chromedp.KeyEvent(" ")) // the space bar resumes
	p.phase("running")
	p.after(at + 20)
	p.Until(fmt.Sprintf(`document.querySelector("#samples").innerText !== %q`, first))

	// A refresh in the middle: the run is there, paused, with its curves, and goes on.
	id := p.runID()
	p.valid()
	p.Reload()
	p.phase("paused")
	if got := p.runID(); got != id {
		t.Fatalf("after the refresh the page has run %q, want %q", got, id)
	}
	if got := p.step(); got < at+1 {
		t.Errorf("after the refresh the run is at step %d, it was paused and kept at %d", got, at+1)
	}
	p.Click("#resume")
	p.phase("finished")
	whole := ask[curves](p, "metrics", map[string]any{"run": id})
	if len(whole.Step) != 160 || !slices.IsSorted(whole.Step) {
		t.Fatalf("%d steps in the metrics, want 160", len(whole.Step))
	}
	mean := func(x []float64) (s float64) {
		for _, v := range x {
			s += v / float64(len(x))
		}
		return s
	}
	if a, z := mean(whole.Loss[:20]), mean(whole.Loss[140:]); !(z < a-0.8) {
		t.Errorf("the loss fell from %.3f to %.3f", a, z)
	}

	// Nothing was lost: the same run without a refresh has the same curve.
	p.Click("#start")
	p.Until(fmt.Sprintf(`crossed.findLast((m) => m.event === "state" && m.data.run).data.run.id !== %q`, id))
	p.phase("finished")
	second := p.runID()
	again := ask[curves](p, "metrics", map[string]any{"run": second})
	if second == id || !slices.Equal(again.Loss, whole.Loss) {
		t.Errorf("run %s in one go and run %s with a refresh differ", second, id)
	}

	// To the command line.
	p.Click("#tab-runs")
	p.Click("#runs > li .download, #runs > li [data-act=download], #runs > li button[title*='ownload']")
	dir := downloaded(t, b.Downloads)
	if out := innerloop(t, "generate", "--device", "cpu", "--model", dir, "--prompt", "Once", "--tokens", "20", "--temperature", "0"); !strings.HasPrefix(out, "Once") || len(out) < 20 {
		t.Errorf("generate: %q", out)
	}
	innerloop(t, "train", "--device", "cpu", "--resume", dir, "--steps", "165", "--no-sample")

	// And back.
	upload := filepath.Join(t.TempDir(), "run.zip")
	f, err := os.Create(upload)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	if err := z.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.SetUploadFiles(chromedp.CSS("#upload-files"), []string{upload}, chromedp.NodeReady))
	p.Until(`document.querySelectorAll("#runs > li").length === 3 && document.querySelector("#status-step").innerText.startsWith("165")`)
	third := p.runID()
	ask[any](p, "set", map[string]any{"key": "train.steps", "value": 170})
	ask[any](p, "resume", map[string]any{})
	p.after(170)
	p.phase("finished")
	if c := ask[curves](p, "metrics", map[string]any{"run": third}); len(c.Step) != 170 || c.Step[169] != 170 {
		t.Errorf("the uploaded run has %d steps in its metrics", len(c.Step))
	}
}

// The prompt box goes on token by token, from the state.
func TestPrompt(t *testing.T) {
	t.Parallel()
	p := start(t, "/?debug"+tiny+"&train.steps=60", options{})
	p.ready()
	p.Click("#start")
	p.phase("finished")
	p.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "Once upon"))
	p.Click("#continue")
	p.Until(`document.querySelectorAll("#output [tabindex], #output .token, #output span").length >= 10`)
	p.Until(`document.querySelector("#continue-stop").hidden`)
	note := p.Text("#continue-note")
	if !strings.Contains(note, "9") {
		t.Errorf("after the first text the note says %q, want how many tokens were read", note)
	}
	p.Click("#continue")
	p.Until(`crossed.filter((m) => m.result?.kept > 9).length > 0`)
	read := chromium.JS[int](p.Tab, `crossed.findLast((m) => m.result?.kept > 9).result.read`)
	if read > 4 { // the last token, which was drawn but not read
		t.Errorf("going on read %d tokens again", read)
	}
}
