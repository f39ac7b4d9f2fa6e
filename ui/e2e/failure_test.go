//go:build !js

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"innerloop/gpu/gputest/chromium"
)

// What goes wrong, and what the person then sees.

// sabotage runs in a worker before its own script: what the other scripts put into the object do happens when the test
// asks for it.
const sabotage = `globalThis.sabotage = {};
new BroadcastChannel("sabotage").addEventListener("message", (e) => {
  if (!sabotage[e.data]) return;
  sabotage[e.data]();
  new BroadcastChannel("sabotage").postMessage("done " + e.data);
});
`

// destroyable has the device lost on demand.
const destroyable = sabotage + `{
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...a) {
    const device = await request.apply(this, a);
    sabotage.destroy = () => device.destroy();
    return device;
  };
}`

// spoilable has the weights become no numbers on demand.
const spoilable = sabotage + `{
  const create = GPUDevice.prototype.createBuffer;
  GPUDevice.prototype.createBuffer = function (d) {
    const buffer = create.call(this, d);
    if (d.label === "arena params") sabotage.spoil = () => this.queue.writeBuffer(buffer, 0, new Float32Array(d.size / 4).fill(NaN));
    return buffer;
  };
}
`

// spoil makes the weights no numbers, which ends the run.
func (p *page) spoil() {
	p.t.Helper()
	p.sabotage("spoil")
	p.spoilt()
}

// spoilt waits for the end of a run whose weights are no numbers. What it told of them before that is left out of what
// crossed: there JSON has null for what is no number.
func (p *page) spoilt() {
	p.t.Helper()
	p.phase("failed")
	chromium.JS[any](p.Tab, `void crossed.splice(0, crossed.length, ...crossed.filter((m) => m.event !== "inner" || !m.data.drift.includes(null)))`)
}

// part opens the page in the browser b at an origin of its own, whose worker runs o.worker before its own script. The
// tab ends with t.
func part(t *testing.T, b *chromium.Browser, path string, o options) *page {
	t.Helper()
	s, err := site()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, b.Origin(t, before(s.Handler(), o.worker)), path, o)
}

// sabotage makes what goes wrong go wrong.
func (p *page) sabotage(what string) {
	p.t.Helper()
	chromium.JS[bool](p.Tab, fmt.Sprintf(`new Promise((f) => {
  const channel = new BroadcastChannel("sabotage");
  channel.onmessage = (e) => e.data === "done " + %[1]q && (channel.close(), f(true));
  channel.postMessage(%[1]q);
})`, what))
}

// says waits until the element of a selector is there to see and says all of it, in whatever case.
func (p *page) says(selector string, words ...string) {
	p.t.Helper()
	for _, w := range words {
		p.Until(fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.innerText.toLowerCase().includes(%q))`, selector, strings.ToLower(w)))
	}
}

// silent checks that there is nothing to see of a selector.
func (p *page) silent(selector string) {
	p.t.Helper()
	if got := chromium.JS[string](p.Tab, fmt.Sprintf(`[...document.querySelectorAll(%q)].filter((e) => e.checkVisibility()).map((e) => e.innerText).join("\n")`, selector)); got != "" {
		p.t.Errorf("%s says %q, want nothing", selector, got)
	}
}

// logged checks the console: each line has one of the words, and each of the words that is required came.
func (p *page) logged(expected ...string) {
	p.t.Helper()
	for _, line := range p.Console() {
		if !slices.ContainsFunc(expected, func(w string) bool { return strings.Contains(line, w) }) {
			p.t.Errorf("the console says %q, want only lines with one of %q", line, expected)
		}
	}
}

// saves waits until the run has written another checkpoint.
func (p *page) saves() {
	p.t.Helper()
	n := chromium.JS[int](p.Tab, `crossed.filter((m) => m.event === "saved").length`)
	p.Until(fmt.Sprintf(`crossed.filter((m) => m.event === "saved").length > %d`, n))
}

// saved is the step of the newest checkpoint.
func (p *page) saved() int {
	p.t.Helper()
	return chromium.JS[int](p.Tab, `crossed.findLast((m) => m.event === "saved").data.step`)
}

// whole returns the losses of a run after checking that it has those of all steps to the last, each once.
func (p *page) whole(run string, last int) []float64 {
	p.t.Helper()
	c := ask[curves](p, "metrics", map[string]any{"run": run})
	for i, s := range c.Step {
		if s != float64(i+1) {
			p.t.Fatalf("the metrics' line %d is of step %v", i+1, s)
		}
	}
	if len(c.Step) != last {
		p.t.Fatalf("%d steps in the metrics, want %d", len(c.Step), last)
	}
	return c.Loss
}

// undisturbed has the run go on to a step at least, and another with the same settings after it from the start, which
// has to have the same losses.
func (p *page) undisturbed(step int) {
	p.t.Helper()
	p.after(step)
	p.Click("#pause")
	p.phase("paused")
	first, last := p.runID(), p.step()
	losses := p.whole(first, last)
	p.Click("#restart")
	p.Until(fmt.Sprintf(`crossed.findLast((m) => m.event === "state" && m.data.run).data.run.id !== %q`, first))
	p.after(last)
	p.Click("#pause")
	p.phase("paused")
	if again := p.whole(p.runID(), p.step()); !slices.Equal(again[:last], losses) {
		p.t.Errorf("the losses of %d steps are not those of a run that nothing disturbed", last)
	}
}

// loss is the loss that the headline tells; 0: none.
func (p *page) loss() float64 {
	p.t.Helper()
	m := regexp.MustCompile(`Loss ([0-9.]+) nats`).FindStringSubmatch(p.Text("#headline-more"))
	if m == nil {
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// plainGo is a configuration that pure Go trains fast in a browser.
const plainGo = "#model.hidden_size=16&model.intermediate_size=24&model.num_hidden_layers=1&model.num_attention_heads=2&model.mini_batch_size=8" +
	"&train.batch_size=2&train.seq_len=32&train.warmup_steps=5&train.lr=0.01&data.story_bytes=20000&sample.tokens=8&train.eval_every=0"

// trainsInGo checks a page that has no GPU: it says so in these words, and learns, and pauses in the middle.
func trainsInGo(t *testing.T, p *page, words ...string) {
	t.Helper()
	p.ready()
	p.says("[data-notice=no-gpu]", append(words, "No GPU: it trains in pure Go, slowly.", "chrome://flags/#enable-unsafe-webgpu")...)
	p.says("#status-device", "pure Go")
	p.Click("#start")
	p.after(5)
	p.Until(`/Loss [0-9]/.test(document.querySelector("#headline-more").innerText)`)
	first := p.loss()
	p.after(150)
	p.Click("#pause")
	p.phase("paused")
	at, last := p.step(), p.loss()
	if !(last > 0 && last < first-0.3) {
		t.Errorf("the loss went from %v to %v in %d steps", first, last, at)
	}
	time.Sleep(300 * time.Millisecond)
	if p.step() != at {
		t.Errorf("a paused run went from step %d to %d", at, p.step())
	}
	p.silent("#failure")
}

func TestNoAdapter(t *testing.T) {
	t.Parallel()
	o := options{without: []string{"enable-unsafe-webgpu"}, noisy: true}
	p := start(t, "/?debug"+plainGo+"&train.steps=100000", o)
	trainsInGo(t, p, "This browser has WebGPU but finds no GPU that it may use.")
	p.logged("No available adapters")
}

func TestDevice(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})

	t.Run("no WebGPU", func(t *testing.T) {
		p := part(t, b, "/?debug"+plainGo+"&train.steps=100000", options{worker: `delete WorkerNavigator.prototype.gpu;`})
		trainsInGo(t, p, "This browser has no WebGPU.", "version 113")
	})

	t.Run("lost", func(t *testing.T) { lost(t, b) })
	t.Run("lost while idle", func(t *testing.T) {
		p := part(t, b, "/?debug"+tiny+"&train.steps=100000", options{worker: destroyable})
		p.ready()
		p.sabotage("destroy")
		p.Click("#start")
		p.after(5)
		p.silent("#failure, #notices")
	})
	t.Run("a kernel that does not compile", func(t *testing.T) { shader(t, b) })
	t.Run("a buffer over the limit", func(t *testing.T) { tooLarge(t, b) })
	t.Run("numbers that run away", func(t *testing.T) { nonFinite(t, b) })
}

// lost loses the device in the middle of a run: it goes on by itself. The second time it says why it does not, and goes
// on when it is told to. In the end nothing was lost.
func lost(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000", options{worker: destroyable})
	p.ready()
	p.Click("#start")
	p.saves()
	p.sabotage("destroy")
	p.Until(`crossed.some((m) => m.event === "notice" && m.data.code === "lost") && crossed.at(-1).event === "steps"`)
	p.says("#notices", "The GPU was lost, and the run goes on.", "goes on from the checkpoint of step", "on a new device")
	p.silent("#failure")
	p.says("#status-state", "Training")

	p.saves()
	p.sabotage("destroy")
	p.phase("failed")
	p.says("#failure", "The GPU went away", "It is the second time in this run", "Close what uses it", "make the model or the batch smaller", "The checkpoint of step", "is kept", "Go on from step")
	p.says("#status-state", "Failed")
	kept := p.saved()
	p.Click("#go-on")
	p.phase("running")
	p.silent("#failure")
	p.undisturbed(kept + 10)
}

// shader breaks a kernel's source.
func shader(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000", options{noisy: true, worker: sabotage + `{
  const create = GPUDevice.prototype.createShaderModule;
  let broken = true;
  sabotage.mend = () => { broken = false; };
  GPUDevice.prototype.createShaderModule = function (d) {
    const lines = d.code.split("\n");
    if (d.label === "ttt_linear_fwd" && broken) lines.splice(6, 0, "const wrong = ;");
    return create.call(this, { ...d, code: lines.join("\n") });
  };
}`})
	p.ready()
	p.Click("#start")
	p.says("#failure", "The GPU's compiler refused a program", "ttt_linear_fwd", "line 7:15", "not of your settings", "newer browser or driver", "report it")
	p.silent("#failure #go-on")
	p.Click("#failure summary")
	p.says("#failure pre", `"code": "shader"`, `"model.hidden_size": 16`, "swiftshader")
	if got := len(ask[struct{ Runs []any }](p, "runs", map[string]any{}).Runs); got != 0 {
		t.Errorf("%d runs are kept of one that did not start", got)
	}
	p.sabotage("mend")
	p.Click("#start")
	p.after(5)
	p.silent("#failure")
	p.logged("WGSL", "ShaderModule")
}

// tooLarge asks for a model whose gradients do not fit the adapter's largest buffer.
func tooLarge(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug#model.hidden_size=4096&model.intermediate_size=16384&model.num_hidden_layers=1&train.batch_size=2&train.seq_len=32", options{})
	p.ready()
	p.says("#size-memory", "GB")
	p.Click("#start")
	p.says("#failure", "The GPU's memory is not enough", "arena grads: 1.0 GiB (", "bytes) asked", "largest buffer of", "a narrower model", "fewer sequences a step")
	p.phase("idle")
	p.Click(`[data-preset="tiny"]`)
	p.Until(`document.querySelector("#size-memory").innerText.includes("MB")`)
	p.Click("#start")
	p.after(2)
	p.silent("#failure")
}

// nonFinite spoils the weights in the middle of a run.
func nonFinite(t *testing.T, b *chromium.Browser) {
	p := part(t, b, "/?debug"+tiny+"&train.steps=100000&train.eval_every=0&sample.prompts=%5B%5D", options{worker: spoilable})
	p.ready()
	p.Click("#start")
	p.saves()
	p.spoil()
	p.says("#failure", "The numbers ran away", "not finite", "the step's update was not made", "Halve the learning rate and go on", "The checkpoint of step", "is kept")
	tells(t, p.origin(), `place micro-batch 0, outside the layers`, `given model\.embed_tokens\.weight \[256 16\]: \[0,0\] is NaN, the first of 4096 of 4096 that are not finite`)
	at := p.step()
	p.Click("#halve-lr")
	p.after(at + 10)
	p.silent("#failure")
	if got := chromium.JS[string](p.Tab, `document.querySelector('[data-value="train.lr"]').value`); got != "0.0015" {
		t.Errorf("the learning rate is %s, want half of 0.003", got)
	}
}
