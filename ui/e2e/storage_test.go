//go:build !js

package e2e

import (
	"testing"

	"innerloop/gpu/gputest/chromium"
)

// Runs are kept although the storage, the program or another tab stands in the way; and where they are not, it is said.
func TestKeeping(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	t.Run("refused", func(t *testing.T) { refused(t, b) })
	t.Run("full", func(t *testing.T) { full(t, b) })
	t.Run("full from the start", func(t *testing.T) { fullAtFirst(t, b) })
	t.Run("panic", func(t *testing.T) {
		broken(t, b, panics, "panic: JavaScript error: the roof is on fire")
	})
	t.Run("trap", func(t *testing.T) {
		broken(t, b, `{
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = (response, imports) => {
    const clock = imports.gojs["runtime.nanotime1"];
    let bad = false;
    sabotage.break = () => { bad = true; };
    imports.gojs["runtime.nanotime1"] = (sp) => {
      if (bad) throw new WebAssembly.RuntimeError("memory access out of bounds");
      return clock(sp);
    };
    return instantiate(response, imports);
  };
}`, "RuntimeError: memory access out of bounds")
	})
	t.Run("two tabs", func(t *testing.T) { twoTabs(t, b) })
}

// refused trains where the browser keeps no files.
func refused(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=60", options{worker: `StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException("It was determined that certain files are unsafe", "SecurityError"));`})
	p.ready()
	p.says("[data-notice=memory-only]", "Runs are kept only until you leave.", "certain files are unsafe", "download what you want to keep", "Private windows")
	p.says("#status-storage", "until refresh")
	p.Click("#start")
	p.phase("finished")
	p.silent("#failure")
	p.Click("#tab-runs")
	p.says("#runs", "step 60 / 60")
	p.Reload()
	p.ready()
	p.says("[data-notice=memory-only]", "Runs are kept only until you leave.")
	p.Click("#tab-runs")
	p.says("#runs-empty", "None yet")
}

// panics has Go panic on demand, with whatever it next tells the page.
const panics = `{
  let host;
  Object.defineProperty(globalThis, "innerloopHost", {
    get: () => host,
    set(h) {
      const post = h.post.bind(h);
      let bad = false;
      sabotage.break = () => { bad = true; };
      h.post = (...a) => {
        if (bad) throw new Error("the roof is on fire");
        return post(...a);
      };
      host = h;
    },
  });
}
`

// filling has writes fail for want of room while the test says so.
const filling = sabotage + `{
  const write = FileSystemSyncAccessHandle.prototype.write;
  let no = false;
  sabotage.fill = () => { no = true; };
  sabotage.empty = () => { no = false; };
  FileSystemSyncAccessHandle.prototype.write = function (...a) {
    if (no) throw new DOMException("No space available for this operation", "QuotaExceededError");
    return write.apply(this, a);
  };
}
`

// full takes the room away in the middle of a run and gives it back.
func full(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000", options{worker: filling})
	p.ready()
	p.Click("#start")
	p.saves()
	p.sabotage("fill")
	kept := p.saved()
	p.says("[data-notice=storage]", "the browser's storage is full", "delete runs")
	p.Until(`crossed.some((m) => m.event === "notice" && m.data.message.includes("checkpoint"))`)
	p.says("[data-notice=storage]", "could not be written")
	at := p.step()
	p.after(at + 20) // it goes on
	p.silent("#failure")
	if p.saved() != kept {
		t.Errorf("a checkpoint of step %d was written where there was no room", p.saved())
	}

	// The checkpoint of before is whole.
	list := ask[struct{ Runs []struct{ Problem string } }](p, "runs", map[string]any{})
	if len(list.Runs) != 1 || list.Runs[0].Problem != "" {
		t.Errorf("runs: %+v", list)
	}
	p.Reload() // what was not kept is lost, and no more
	p.phase("paused")
	if got := p.step(); got < kept || got > at+20000 {
		t.Errorf("after the refresh the run is at step %d, its checkpoint was of %d", got, kept)
	}
	p.silent("#failure")

	p.Click("#resume")
	p.after(p.step() + 5)
	p.sabotage("fill")
	p.says("[data-notice=storage]", "could not be written")
	p.sabotage("empty")
	p.saves()
	p.Until(`!document.querySelector("[data-notice=storage]")`)
	p.Click("#pause")
	p.phase("paused")
	p.whole(p.runID(), p.step())
}

// fullAtFirst opens the page where there is no room.
func fullAtFirst(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=60", options{worker: filling + `sabotage.fill();`})
	p.ready()
	p.says("#notices", "storage is full", "until runs are deleted")
	p.Click("#start")
	p.says("#notices", "The run could not start", "storage is full")
	p.phase("idle")
	p.sabotage("empty")
	p.Click("#start")
	p.phase("finished")
	p.Until(`!document.querySelector("#notices").innerText.includes("full")`)
}

// broken ends the program in the middle of a run.
func broken(t *testing.T, b *chromium.Browser, script, words string) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000", options{noisy: true, worker: sabotage + script})
	p.ready()
	p.Click("#start")
	p.saves()
	id, kept := p.runID(), p.saved()
	p.sabotage("break")
	p.phase("broken")
	p.says("#failure", "Something broke inside", "The trainer stopped", words, "The run is kept as it was at its last checkpoint", "Restart the worker", "report it")
	p.says("#status-state", "Not running")
	p.Click("#restart-worker")
	p.phase("paused")
	p.silent("#failure")
	if got := p.step(); p.runID() != id || got < kept {
		t.Errorf("after the restart the page has run %s at step %d, want %s at %d or later", p.runID(), got, id, kept)
	}
	p.Click("#resume")
	p.undisturbed(kept + 10)
	p.logged(words)
}

// twoTabs opens the same run twice.
func twoTabs(t *testing.T, b *chromium.Browser) {
	s, err := site()
	if err != nil {
		t.Fatal(err)
	}
	b = b.Origin(t, s.Handler())
	first := &page{Tab: b.Tab(record), t: t}
	first.Go(onGPU("/?debug" + tiny + "&train.steps=100000"))
	first.ready()
	first.Click("#start")
	first.saves()

	second := open(t, b, "/?debug", options{})
	second.ready()
	second.says("[data-notice=reopen]", "The last run did not open", "the run is open in another tab: close it there first")
	second.Click("#tab-runs")
	second.Click("#runs .open")
	second.says("#failure", "Another tab has this run open", "Close it there, then try again.", "Try again")
	second.silent("#failure #go-on")
	first.Click("#pause") // it is as it was there
	first.phase("paused")
	at := first.step()
	first.check()
	first.Close()
	second.Click("#try-again")
	second.phase("paused")
	second.silent("#failure")
	if got := second.step(); got != at {
		t.Errorf("the run is at step %d in the second tab, it was paused at %d in the first", got, at)
	}
}
