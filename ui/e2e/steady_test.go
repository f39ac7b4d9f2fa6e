//go:build !js

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
)

// listen keeps of what the worker says only what the tests of this file ask for, so that the page does its own work alone.
const listen = `{
  const Real = globalThis.Worker;
  globalThis.heard = { workers: 0, step: 0, steps: 0, memory: [], first: {} };
  globalThis.Worker = class extends Real {
    constructor(...a) {
      super(...a);
      heard.workers++;
      this.addEventListener("message", ({ data: m }) => {
        if (m.event === "steps") {
          heard.step = m.data.rows.at(-1).step;
          heard.steps += m.data.rows.length;
        } else if (m.event === "memory") heard.memory.push({ step: heard.step, ...m.data });
        if (m.event) heard.first[m.event] ??= heard.step;
      });
    }
  };
}`

// quietly opens the page without a record of its messages.
func quietly(t *testing.T, b *chromium.Browser, path, script string) *page {
	t.Helper()
	p := &page{Tab: b.Tab(listen + script), t: t}
	p.Go(onGPU(path))
	p.ready()
	t.Cleanup(func() {
		if said := p.Console(); len(said) > 0 {
			t.Errorf("the console is not empty: %q", said)
		}
	})
	return p
}

// least is as small as models are, so that many steps take little time.
const least = "#model.hidden_size=8&model.intermediate_size=8&model.num_hidden_layers=1&model.num_attention_heads=1&model.mini_batch_size=4" +
	"&train.batch_size=1&train.seq_len=8&train.warmup_steps=5&train.eval_every=50&data.story_bytes=20000&sample.tokens=4&train.steps=10000"

// memory is what a memory event said, and after which step.
type memory struct {
	Step      int
	Wasm, GPU float64 // bytes
}

// Ten thousand steps take no more memory than a hundred, without another worker.
func TestMemory(t *testing.T) {
	t.Parallel()
	const after, most = 100, 0.01
	b := browse(t, options{})
	p := quietly(t, b, "/?debug"+least, "")
	begin := time.Now()
	p.Click("#start")
	p.Until(fmt.Sprintf("heard.step >= %d", 3*after))
	pageThen, workerThen := p.heaps()
	p.phase("finished")
	pageNow, workerNow := p.heaps()
	took := time.Since(begin)
	heard := chromium.JS[struct {
		Workers, Step, Steps int
		Memory               []memory
		First                map[string]int
	}](p.Tab, "heard")
	if heard.Workers != 1 || heard.Step != 10000 || heard.Steps != 10000 {
		t.Fatalf("%d workers made %d steps up to step %d, want 1 and 10000", heard.Workers, heard.Steps, heard.Step)
	}

	// What is done now and then takes its buffers the first time, which on a slow machine is later.
	all := after
	for _, what := range []string{"sample", "inner", "eval", "saved"} {
		first, ok := heard.First[what]
		if !ok {
			t.Fatalf("there was no %s", what)
		}
		all = max(all, first+1)
	}
	since := func(step int) memory {
		i := slices.IndexFunc(heard.Memory, func(m memory) bool { return m.Step >= step })
		if i < 0 || len(heard.Memory)-i < 5 {
			t.Fatalf("%d memory events, of which too few after step %d", len(heard.Memory), step)
		}
		return heard.Memory[i]
	}
	last := heard.Memory[len(heard.Memory)-1]
	wasm, gpu := since(after), since(all)
	t.Logf("10000 steps in %v; wasm %.0f bytes at step %d, %.0f at step %d; GPU %.0f at step %d, %.0f at the end", took.Round(time.Second),
		wasm.Wasm, wasm.Step, last.Wasm, last.Step, gpu.GPU, gpu.Step, last.GPU)
	t.Logf("JavaScript: page %.0f, worker %.0f bytes at first, %.0f and %.0f at the end", pageThen, workerThen, pageNow, workerNow)
	if wasm.Wasm <= 0 || gpu.GPU <= 0 || gpu.Step > 1000 {
		t.Errorf("the memory is said to be %+v and %+v at first", wasm, gpu)
	}
	if grown := last.Wasm/wasm.Wasm - 1; grown > most {
		t.Errorf("the wasm memory grew by %.1f %%, want %g", 100*grown, 100*most)
	}
	if grown := last.GPU/gpu.GPU - 1; grown > most {
		t.Errorf("the GPU's memory grew by %.1f %%, want %g", 100*grown, 100*most)
	}
	// The page keeps the curves, the worker nothing.
	if workerNow > 1.5*workerThen {
		t.Errorf("the worker's objects grew from %.0f to %.0f bytes", workerThen, workerNow)
	}
}

// heaps are the bytes of JavaScript's objects in the page and in its worker, after a collection.
func (p *page) heaps() (page, worker float64) {
	p.t.Helper()
	ctx := p.Context()
	use := func() float64 {
		_, err := chromedp.Call(ctx, heapprofiler.CollectGarbage, struct{}{})
		if err != nil {
			p.t.Fatal(err)
		}
		u, err := chromedp.Call(ctx, runtime.GetHeapUsage, struct{}{})
		if err != nil {
			p.t.Fatal(err)
		}
		return u.UsedSize
	}
	page = use()
	all, err := chromedp.CallBrowser(ctx, target.GetTargets, target.GetTargetsParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, x := range all.TargetInfos {
		if x.Type == "worker" {
			ctx, _ = chromedp.NewContext(p.Context(), chromedp.WithTargetID(x.TargetID)) // ends with the page's
			return page, use()
		}
	}
	p.t.Fatal("there is no worker")
	return 0, 0
}
