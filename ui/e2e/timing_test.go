//go:build !js

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	cdpio "github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// The tests that measure time run alone, under make timing: they ask for the CPU time of the page, or for a ratio of two
// times of one run.

// timing skips a test that measures time where other tests run.
func timing(t *testing.T) {
	t.Helper()
	if os.Getenv("INNERLOOP_TIMING") != "1" {
		t.Skip("measures time: make timing runs it")
	}
}

// task is a task of the page's main thread, in milliseconds.
type task struct {
	cpu, wall float64
}

// tasks are those of the page's main thread while do runs, the longest first.
func (p *page) tasks(do func()) (all []task) {
	p.t.Helper()
	ctx := p.Context()
	check := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	completes := chromedp.Events(ctx, tracing.TracingComplete)
	_, err := chromedp.Call(ctx, tracing.Start, tracing.StartParams{
		TransferMode: tracing.StartTransferModeReturnAsStream,
		TraceConfig:  &tracing.TraceConfig{IncludedCategories: []string{"disabled-by-default-devtools.timeline", "blink.user_timing"}, ExcludedCategories: []string{"*"}},
	})
	check(err)
	p.Do(chromedp.Evaluate[chromedp.Void](`performance.mark("here")`))
	do()
	_, err = chromedp.Call(ctx, tracing.End, struct{}{})
	check(err)
	var text bytes.Buffer
	for e, err := range completes {
		check(err)
		if e.DataLossOccurred {
			p.t.Fatal("the trace has holes")
		}
		for end := false; !end; {
			r, err := chromedp.Call(ctx, cdpio.Read, cdpio.ReadParams{Handle: e.Stream})
			check(err)
			text.Write(r.Data)
			end = r.EOF
		}
		break
	}
	type event struct {
		Name      string
		Pid, Tid  int
		Dur, Tdur float64 // microseconds
	}
	var trace struct{ TraceEvents []event }
	check(json.Unmarshal(text.Bytes(), &trace))
	at := slices.IndexFunc(trace.TraceEvents, func(e event) bool { return e.Name == "here" })
	if at < 0 {
		p.t.Fatalf("the trace of %d events lacks the page's main thread", len(trace.TraceEvents))
	}
	main := trace.TraceEvents[at]
	for _, e := range trace.TraceEvents {
		if e.Name == "RunTask" && e.Pid == main.Pid && e.Tid == main.Tid {
			all = append(all, task{e.Tdur / 1e3, e.Dur / 1e3})
		}
	}
	slices.SortFunc(all, func(a, b task) int { return int(math.Copysign(1, b.cpu-a.cpu)) })
	return all
}

// answers keeps how long each input waits for the frame that shows what came of it: after the next animation frame the
// page draws, and then handles messages.
const answers = `{
  globalThis.answered = [];
  const frame = new MessageChannel();
  let waiting = [];
  frame.port1.onmessage = () => {
    for (const e of waiting.splice(0)) answered.push(performance.now() - e.timeStamp);
  };
  for (const type of ["keydown", "pointerdown", "pointermove", "wheel"]) {
    addEventListener(type, (e) => {
      waiting.push(e);
      requestAnimationFrame(() => frame.port2.postMessage(0));
    }, { capture: true, passive: true });
  }
}`

// frame is the time between two frames of the page while it does nothing, in milliseconds.
func (p *page) frame() float64 {
	p.t.Helper()
	between := chromium.JS[float64](p.Tab, `new Promise((f) => {
  const at = [];
  const next = (t) => (at.push(t), at.length > 40 ? f((at[40] - at[0]) / 40) : requestAnimationFrame(next));
  requestAnimationFrame(next);
})`)
	if !(between > 0) {
		p.t.Fatalf("%v ms between frames", between)
	}
	return between
}

// While a model trains the page's thread is free: no task of it takes more than 50 ms of CPU, and it answers what a
// person does within four frames.
func TestTimingSteady(t *testing.T) {
	timing(t)
	const longest, frames = 50, 4 // milliseconds of CPU, and frames
	b := browse(t, options{})
	p := quietly(t, b, "/?debug"+small+"&train.steps=100000", answers)
	frame := p.frame()
	inputs := 0
	use := func(a chromedp.Action[chromedp.Void], events int) {
		p.Do(a)
		inputs += events
		time.Sleep(100 * time.Millisecond)
	}
	tasks := p.tasks(func() {
		p.Click("#start")
		inputs++
		p.Until("heard.step > 20")
		for i := range 20 {
			x := float64(420 + 20*i)
			use(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, 330), 1)
			use(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, 600), 1)
		}
		p.Click("#prompt")
		inputs++
		for range 20 {
			use(chromedp.KeyEvent("a"), 1)
		}
		for range 3 {
			for _, tab := range []string{"#tab-runs", "#tab-text", "#tab-training"} {
				if chromium.JS[bool](p.Tab, fmt.Sprintf("Boolean(document.querySelector(%q)?.checkVisibility())", tab)) {
					use(chromedp.Click(chromedp.CSS(tab)), 1)
				}
			}
		}
		p.Until(`["sample", "inner", "eval", "saved"].every((what) => what in heard.first)`)
		time.Sleep(time.Second)
	})
	took := chromium.JS[[]float64](p.Tab, "answered")
	p.Click("#pause")
	slices.Sort(took)
	sum := 0.0
	for _, x := range tasks {
		sum += x.cpu
	}
	if len(tasks) < 100 || sum == 0 || len(took) < 40 {
		t.Fatalf("%d tasks of %.0f ms and %d answers to %d inputs are too few to judge", len(tasks), sum, len(took), inputs)
	}
	t.Logf("%d tasks, %.0f ms of CPU; the longest %.1f ms (%.1f ms by the clock)", len(tasks), sum, tasks[0].cpu, tasks[0].wall)
	t.Logf("%d answers to %d inputs: median %.0f ms, nine of ten %.0f, the slowest %.0f; a frame takes %.1f", len(took), inputs,
		took[len(took)/2], took[len(took)*9/10], took[len(took)-1], frame)
	if tasks[0].cpu > longest {
		t.Errorf("a task of the page takes %.1f ms of CPU, want at most %d", tasks[0].cpu, longest)
	}
	// By the clock, and so the median: a software GPU takes the same processors.
	if m := took[len(took)/2] / frame; m > frames {
		t.Errorf("input is answered after %.1f frames, want at most %d", m, frames)
	}
}

// A chart of 100,000 points is drawn within two frames.
func TestTimingChart(t *testing.T) {
	timing(t)
	const points, longest, tries = 100_000, 2, 5
	b := browse(t, options{})
	p := quietly(t, b, "/?debug", "")
	best := math.Inf(1)
	for range tries {
		took, frame := chromium.JS[float64](p.Tab, fmt.Sprintf("innerloopPage.benchRedraw(%d)", points)), p.frame()
		t.Logf("%.1f ms; a frame takes %.1f", took, frame)
		best = min(best, took/frame)
	}
	if best > longest {
		t.Errorf("a chart of %d points is drawn in %.2f frames, want at most %d", points, best, longest)
	}
}

// stopwatch tells the page when what the worker waits for began and ended, on a channel.
const stopwatch = `{
  const line = new BroadcastChannel("stopwatch");
  const now = () => performance.timeOrigin + performance.now();
  const tell = (what, begin) => line.postMessage([what, begin, now()]);
  tell("the worker's script runs", now());
  const wrap = (of, name, what) => {
    const real = of?.[name];
    if (real) of[name] = async function (...a) {
      const begin = now();
      try { return await real.apply(this, a); } finally { tell(what, begin); }
    };
  };
  wrap(globalThis, "fetch", "fetch, to the headers");
  wrap(WebAssembly, "instantiateStreaming", "download and compile");
  wrap(globalThis.GPU?.prototype, "requestAdapter", "requestAdapter");
  wrap(globalThis.GPUAdapter?.prototype, "requestDevice", "requestDevice");
  wrap(globalThis.GPUDevice?.prototype, "createComputePipelineAsync", "compile a kernel");
  wrap(globalThis.GPUQueue?.prototype, "onSubmittedWorkDone", "submitted work");
  wrap(FileSystemFileHandle.prototype, "createSyncAccessHandle", "open a file");
  wrap(navigator.storage, "getDirectory", "open the storage");
  let host;
  Object.defineProperty(globalThis, "innerloopHost", { get: () => host, set: (h) => {
    tell("files are ready", now());
    host = h;
    const real = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(h), "receive");
    Object.defineProperty(h, "receive", { get() { return real.get.call(h); }, set(fn) { tell("Go listens", now()); real.set.call(h, fn); } });
  } });
}`

// watch keeps what the stopwatch tells, and when the page could start a run, in milliseconds since the navigation.
const watch = `{
  globalThis.laps = [];
  globalThis.startable = 0;
  const since = () => performance.now();
  new BroadcastChannel("stopwatch").onmessage = ({ data: [what, begin, end] }) => laps.push([what, begin - performance.timeOrigin, end - performance.timeOrigin]);
  const look = () => {
    const start = document.querySelector("#start");
    if (!start || start.disabled || start.hidden) return;
    startable = since();
    seen.disconnect();
  };
  const seen = new MutationObserver(look);
  seen.observe(document, { subtree: true, childList: true, attributes: true });
  addEventListener("DOMContentLoaded", () => laps.push(["the page's scripts run", since(), since()]));
}`

// lap is what took from when to when, in milliseconds since the navigation.
type lap struct {
	what       string
	begin, end float64
}

// laps are those of the page that is open, and when it could start a run.
func (p *page) laps() (startable float64, all []lap) {
	p.t.Helper()
	p.Until("startable > 0")
	time.Sleep(200 * time.Millisecond) // the last of them are under way
	for _, x := range chromium.JS[[][]any](p.Tab, "laps") {
		begin, _ := x[1].(float64)
		end, _ := x[2].(float64)
		what, _ := x[0].(string)
		all = append(all, lap{what, begin, end})
	}
	slices.SortStableFunc(all, func(a, b lap) int { return int(a.begin - b.begin) })
	return chromium.JS[float64](p.Tab, "startable"), all
}

// rendering is the CPU time that the browser's pages and their workers have taken, in seconds.
func (p *page) rendering() (sum float64) {
	p.t.Helper()
	r, err := chromedp.CallBrowser(p.Context(), systeminfo.GetProcessInfo, struct{}{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, x := range r.ProcessInfo {
		if x.Type == "renderer" {
			sum += x.CPUTime
		}
	}
	return sum
}

// A person can start a run after 3 s of CPU time of the page and its worker, with nothing in the browser's cache.
func TestTimingLoad(t *testing.T) {
	timing(t)
	s := packedSite(t)
	const most, tries = 3.0, 3
	cold, warm := 1e9, 1e9
	for range tries {
		t.Run("profile", func(t *testing.T) {
			b := chromium.Start(t, before(s.Handler(), stopwatch))
			p := &page{Tab: b.Tab(record + watch), t: t}
			say := func(what string, least *float64, do func()) {
				was := p.rendering()
				do()
				at, laps := p.laps()
				took := p.rendering() - was
				t.Logf("%s: a run can start after %.2f s of CPU; after %.0f ms by the clock", what, took, at)
				for _, l := range laps {
					t.Logf("  %6.0f to %6.0f  %s", l.begin, l.end, l.what)
				}
				*least = min(*least, took)
			}
			say("first visit", &cold, func() { p.Go("/?debug&device=gpu") })
			say("again", &warm, func() { p.Reload(); p.ready() })
		})
	}
	t.Logf("a run can start after %.2f s of CPU, and after %.2f s where the browser has the page in its cache", cold, warm)
	if !(cold > 0 && warm > 0) || max(cold, warm) > most {
		t.Errorf("a run can start after %.2f s of CPU at best, and after %.2f s at the next visit, want more than 0 and at most %g", cold, warm, most)
	}
}

// A run whose device is lost goes on within twice what its start took, which compiles the same kernels.
func TestTimingLost(t *testing.T) {
	timing(t)
	const tries, most = 3, 2.0
	b := browse(t, options{})
	best := math.Inf(1)
	for range tries {
		t.Run("run", func(t *testing.T) {
			p := part(t, b, "/?debug"+tiny+"&train.steps=100000", options{worker: destroyable})
			p.ready()
			chromium.JS[any](p.Tab, `void (globalThis.at = {}, realWorker.addEventListener("message", ({ data: m }) => {
  if (m.event === "steps" && !at.first) at.first = performance.now();
  if (m.event === "notice" && m.data.code === "lost") at.noticed = performance.now();
  if (m.event === "steps" && at.noticed && !at.again) at.again = performance.now();
}))`)
			chromium.JS[any](p.Tab, `at.start = performance.now()`)
			p.Click("#start")
			p.saves()
			chromium.JS[any](p.Tab, `at.gone = performance.now()`)
			p.sabotage("destroy")
			p.Until(`at.again`)
			again, start := chromium.JS[float64](p.Tab, `at.again - at.gone`), chromium.JS[float64](p.Tab, `at.first - at.start`)
			t.Logf("started in %.0f ms, on again after %.0f ms", start, again)
			best = min(best, again/start)
		})
	}
	if best > most {
		t.Errorf("a run goes on after %.1f times what its start took, want at most %g", best, most)
	}
}
