//go:build !js

package e2e

import (
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// origin is the list that the failure panel has of where the first value that is not finite came from, a line each.
func (p *page) origin() string {
	p.t.Helper()
	p.says("#failure #origin", "Where it began")
	return chromium.JS[string](p.Tab, `[...document.querySelectorAll("#origin dl > div")].map((d) => d.querySelector("dt").innerText + " " + d.querySelector("dd").innerText).join("\n")`)
}

// tells checks that a list has a line for each pattern.
func tells(t *testing.T, list string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)^" + p + "$").MatchString(list) {
			t.Errorf("the origin lacks %s:\n%s", p, list)
		}
	}
}

// Where numbers run away, the page names step, micro-batch, layer, operation, tensor and index, and what was read; the
// last good checkpoint is kept, and the run goes on from it.
func TestOrigin(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	t.Run("steps that are too large", func(t *testing.T) {
		p := part(t, b, "/?debug"+tiny+"&train.steps=100000&train.eval_every=0&sample.prompts=%5B%5D", options{})
		p.ready()
		p.Click("#start")
		p.after(5)
		p.Click("#pause")
		p.phase("paused")
		kept := p.step()
		ask[any](p, "set", map[string]any{"key": "train.clip", "value": 0})
		ask[any](p, "set", map[string]any{"key": "train.lr", "value": 1000})
		p.Click("#resume")
		p.phase("failed")
		p.says("#failure", "The numbers ran away", fmt.Sprintf("The checkpoint of step %d is kept", kept))
		tells(t, p.origin(), `step \d+`, `place micro-batch 0, .+`, `operation [a-z_]+\(.+\)`,
			`wrote .+: \[[0-9,]+\] is (NaN|\+Inf|-Inf), the first of \d+ of \d+ that are not finite`, `read .+ begins .+`)
		p.audit("where numbers that ran away began")
		ask[any](p, "set", map[string]any{"key": "train.lr", "value": 0.003})
		ask[any](p, "set", map[string]any{"key": "train.clip", "value": 1})
		p.Click("#go-on")
		p.Until(fmt.Sprintf(`crossed.some((m) => m.event === "state" && m.data.state === "loading" && m.data.run?.step === %d)`, kept))
		p.after(kept + 20)
		p.silent("#failure")
	})
	t.Run("a weight that comes so", func(t *testing.T) {
		const name = "model.layers.1.mlp.up_proj.weight"
		p := part(t, b, "/?debug"+tiny, options{})
		p.ready()
		p.Do(chromedp.SetUploadFiles(chromedp.CSS("#upload-files"), weights(t, name, 19, float32(math.NaN())), chromedp.NodeReady))
		p.says("#failure, #notices", name, "not finite")
		p.phase("idle")
	})
	t.Run("a weight", func(t *testing.T) {
		const name = "model.embed_tokens.weight"
		p := part(t, b, "/?debug"+tiny, options{worker: spoilable})
		p.ready()
		p.Do(chromedp.SetUploadFiles(chromedp.CSS("#upload-files"), weights(t, name, 0, 0), chromedp.NodeReady))
		p.phase("paused")
		p.sabotage("spoil")
		p.Click("#resume")
		p.spoilt()
		p.says("#failure", "A weight was no number from the start", "before the step, parameter "+name+"[0,0] is NaN", "It was so before the run's first step",
			"Begin with another checkpoint", "Choose another checkpoint", "Start anew with random weights")
		p.silent("#halve-lr, #go-on")
		p.shoot("failure")
		if s := p.Text("#failure"); strings.Contains(s, "too large") || strings.Contains(s, "lower train.lr") {
			t.Errorf("the learning rate is blamed for a weight that was loaded so: %s", s)
		}
		list := p.origin()
		tells(t, list, "step 1", "place micro-batch 0, outside the layers", `operation [a-z_]+\(.+\)`,
			`given `+name+` \[256 16\]: \[0,0\] is NaN, the first of 4096 of 4096 that are not finite`, `read .*`+name+` .*4096 not finite.*`)
		if out, err := exec.Command("git", "describe", "--always", "--tags").Output(); err == nil {
			p.Click("#failure > details:last-child summary")
			p.says("#failure pre", `"version": "`+strings.TrimSpace(string(out)))
		}
		if strings.Contains(p.Text("#failure"), "is kept") {
			t.Errorf("a checkpoint is said to be kept where there was none: %s", p.Text("#failure"))
		}
		p.Click("#start-anew")
		p.after(2)
		p.silent("#failure")
	})
}

// weights are the files of a model of two layers in which one element of a weight has a value.
func weights(t *testing.T, name string, at int, value float32) []string {
	t.Helper()
	c := train.Demo().Model
	c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize = 16, 24, 2, 2, 4
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ex := prog.NewCPU[float32](1)
	defer m.Free(ex)
	if err := m.Init(ex, 1); err != nil {
		t.Fatal(err)
	}
	w := m.Lookup(name)
	v := make([]float32, w.Len())
	if err := ex.Read(w, v); err != nil {
		t.Fatal(err)
	}
	v[at] = value
	if err := ex.Write(w, v); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.Save(ex, dir); err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(dir, model.WeightsFile), filepath.Join(dir, model.ConfigFile)}
}
