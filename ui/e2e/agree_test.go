//go:build !js

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"innerloop/gpu"
	"innerloop/gpu/gputest/chromium"
	"innerloop/prog"
	"innerloop/train"
)

// How far losses may be apart, relative to the loss: other sums give other roundings, which training amplifies.
const (
	agreeFirst, agreeWithin  = 30, 1e-4
	agreeLater, agreeLoosely = 100, 2e-3
)

// twins are configurations that are trained everywhere. Learning rates are those at which the model learns soonest.
var twins = map[string]map[string]any{
	"linear": {"model.ttt_layer_type": "linear"},
	"mlp":    {"model.ttt_layer_type": "mlp"},
	// What the others leave at its default: a carried state, micro-batches, no convolution, a document's end in a row.
	"carry": {"train.carry_state": true, "train.micro_batches": 2, "model.pre_conv": false, "data.document": "\n\n", "data.task": "recall"},
}

// twin is a twin's configuration.
func twin(name string) map[string]any {
	c := map[string]any{
		"model.hidden_size": 32, "model.intermediate_size": 64, "model.num_hidden_layers": 2, "model.num_attention_heads": 2,
		"model.mini_batch_size": 8, "train.batch_size": 4, "train.seq_len": 64, "train.lr": 3e-3, "train.warmup_steps": 20,
		"train.steps": agreeLater, "train.eval_every": 0, "data.story_bytes": 50000, "sample.tokens": 0,
	}
	maps.Copy(c, twins[name])
	return c
}

// losses are a run's, by step, and those of its validation.
type losses struct {
	Loss, ValLoss []float64
}

// Steps implements train.Observer.
func (l *losses) Steps(steps []train.Step, _ float64) error {
	for _, s := range steps {
		l.Loss = append(l.Loss, s.Loss)
	}
	return nil
}

// Eval implements train.Observer.
func (l *losses) Eval(e train.Eval) error {
	l.ValLoss = append(l.ValLoss, e.Loss)
	return nil
}

// Save implements train.Observer.
func (l *losses) Save(int) error { return nil }

// natively trains the page's configuration in this process.
func natively(t *testing.T, flat map[string]any, ex prog.Executor) losses {
	t.Helper()
	b, err := json.Marshal(flat)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(b, &plain); err != nil {
		t.Fatal(err)
	}
	c := train.Default()
	for k, v := range plain {
		if err := c.SetValue(k, v); err != nil {
			t.Fatal(err)
		}
	}
	text, err := train.Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := train.New(c, ex, text)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var l losses
	if err := r.Train(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// inPage trains a configuration in the page and returns it whole, with the losses.
func inPage(p *page, config map[string]any) (flat map[string]any, l losses) {
	p.t.Helper()
	flat = ask[struct{ Config map[string]any }](p, "describe", map[string]any{"config": config}).Config
	id := ask[struct{ Run struct{ ID string } }](p, "start", map[string]any{"config": config, "name": "", "paused": false, "weights": ""}).Run.ID
	p.Until(3*time.Minute, fmt.Sprintf(`crossed.some((m) => m.event === "state" && m.data.state === "finished" && m.data.run?.id === %q)`, id))
	return flat, ask[losses](p, "metrics", map[string]any{"run": id})
}

// furthest is the largest relative difference of two curves up to a step.
func furthest(a, b []float64, steps int) (most float64) {
	for i := range steps {
		most = max(most, math.Abs(a[i]-b[i])/math.Abs(a[i]))
	}
	return most
}

// agree compares the losses of two places that trained the same.
func agree(t *testing.T, what string, a, b losses) {
	t.Helper()
	if len(a.Loss) != agreeLater || len(b.Loss) != agreeLater || len(a.ValLoss) != 1 || len(b.ValLoss) != 1 {
		t.Errorf("%s: %d and %d losses, %d and %d validations, want %d and 1", what, len(a.Loss), len(b.Loss), len(a.ValLoss), len(b.ValLoss), agreeLater)
		return
	}
	first, later, val := furthest(a.Loss, b.Loss, agreeFirst), furthest(a.Loss, b.Loss, agreeLater), furthest(a.ValLoss, b.ValLoss, 1)
	t.Logf("%s: at most %.1e apart over %d steps, %.1e over %d, validation %.1e", what, first, agreeFirst, later, agreeLater, val)
	if !(first <= agreeWithin && later <= agreeLoosely && val <= agreeLoosely) {
		t.Errorf("%s: losses are %.1e apart over %d steps and %.1e over %d, the validation %.1e, want at most %g, %g and %g",
			what, first, agreeFirst, later, agreeLater, val, agreeWithin, agreeLoosely, agreeLoosely)
	}
}

// The same run in the page, on this machine's native driver and in pure Go has the same losses.
func TestAgree(t *testing.T) {
	b := browse(t, options{limit: 9 * time.Minute})
	native, err := gpu.Open(gpu.Options{})
	if err != nil {
		t.Skip(err)
	}
	defer native.Close()
	onGPU, onCPU := open(t, b, "/?debug", options{}), open(t, b, "/?debug&device=cpu", options{})
	onGPU.ready()
	onCPU.ready()
	if s := chromium.JS[string](onGPU.Tab, `crossed.find((m) => m.result?.device).result.device.backend`); s != "webgpu" {
		t.Fatalf("the page trains on %q, want webgpu", s)
	}
	if s := chromium.JS[string](onCPU.Tab, `crossed.find((m) => m.result?.device).result.device.backend`); s != "go" {
		t.Fatalf("the page trains on %q, want go", s)
	}
	t.Logf("natively on %v", native.Adapter())
	for _, name := range slices.Sorted(maps.Keys(twins)) {
		t.Run(name, func(t *testing.T) {
			flat, page := inPage(onGPU, twin(name))
			_, pageGo := inPage(onCPU, twin(name))
			cpu := prog.NewCPU[float32](0)
			defer cpu.Close()
			pure := natively(t, flat, cpu)
			agree(t, "page on WebGPU and pure Go", page, pure)
			agree(t, "page on WebGPU and native GPU", page, natively(t, flat, native))
			agree(t, "page in pure Go and pure Go", pageGo, pure)
			t.Logf("identical: %v", slices.Equal(pageGo.Loss, pure.Loss))
			exact := prog.NewCPU[float64](0)
			defer exact.Close()
			agree(t, "page on WebGPU and pure Go in 64 bits", page, natively(t, flat, exact))
			if fell := page.Loss[0] - page.Loss[agreeLater-1]; fell < 1 {
				t.Errorf("the loss fell by %.2f from %.2f, so that little was compared", fell, page.Loss[0])
			}
		})
	}
}
