//go:build !js

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

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

// twins are configurations that are trained everywhere.
var twins = map[string]map[string]any{
	"linear": {"model.ttt_layer_type": "linear"},
	"mlp":    {"model.ttt_layer_type": "mlp"},
	// What the others leave at its default: a carried state, micro-batches, no convolution, documents' ends in rows.
	"carry": {"train.carry_state": true, "train.micro_batches": 2, "model.pre_conv": false, "data.document": "\n\n", "model.num_hidden_layers": 1},
}

// twin is a twin's configuration.
func twin(name string) map[string]any {
	c := map[string]any{
		"model.hidden_size": 32, "model.intermediate_size": 64, "model.num_hidden_layers": 2, "model.num_attention_heads": 2,
		"model.mini_batch_size": 8, "train.batch_size": 4, "train.seq_len": 32, "train.lr": 3e-3, "train.warmup_steps": 20,
		"train.steps": agreeLater, "train.eval_every": 0, "data.story_bytes": 20000, "sample.tokens": 0,
	}
	maps.Copy(c, twins[name])
	return c
}

// losses are those of a run's steps and of its validation. It is the observer of one.
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

// configOf is the configuration of a message.
func configOf(t *testing.T, flat map[string]any) train.Config {
	t.Helper()
	b, err := json.Marshal(flat)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any // numbers as the page has them
	if err := json.Unmarshal(b, &plain); err != nil {
		t.Fatal(err)
	}
	c := train.Default()
	for k, v := range plain {
		if err := c.SetValue(k, v); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// natively trains a configuration in this process.
func natively(t *testing.T, c train.Config, ex prog.Executor) (l losses) {
	t.Helper()
	text, err := train.Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := train.New(c, ex, text)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Train(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// plainly trains a configuration with the command line in pure Go, without vector instructions: like the page.
func plainly(t *testing.T, c train.Config) (l losses) {
	t.Helper()
	dir := t.TempDir()
	if err := train.SaveConfig(dir, c); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "run")
	innerloopWith(t, []string{"GODEBUG=cpu.avx2=off"}, "train", "--device", "cpu", "--config", filepath.Join(dir, train.RunConfigFile), "--out", out, "--quiet", "--no-sample")
	if _, err := train.ReadMetrics(out, c.Train.Steps, func(m train.Metric) {
		if m.Eval != nil {
			l.ValLoss = append(l.ValLoss, m.Eval.Loss)
		} else {
			l.Loss = append(l.Loss, m.Step.Loss)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// fused says whether the compiler may make one rounding of a product and a sum, as it does not in the browser.
func fused() bool {
	b, ok := debug.ReadBuildInfo()
	level := func(s debug.BuildSetting) bool { return s.Key == "GOAMD64" && s.Value >= "v3" }
	return runtime.GOARCH != "amd64" || ok && slices.ContainsFunc(b.Settings, level)
}

// inPage trains a configuration in the page and returns it whole, with the losses.
func inPage(p *page, config map[string]any) (train.Config, losses) {
	p.t.Helper()
	flat := ask[struct{ Config map[string]any }](p, "describe", map[string]any{"config": config}).Config
	id := ask[struct{ Run struct{ ID string } }](p, "start", map[string]any{"config": config, "name": "", "paused": false, "weights": ""}).Run.ID
	p.Until(fmt.Sprintf(`crossed.some((m) => m.event === "state" && m.data.state === "finished" && m.data.run?.id === %q)`, id))
	return configOf(p.t, flat), ask[losses](p, "metrics", map[string]any{"run": id})
}

// apart is the largest relative difference of two curves up to a step.
func apart(a, b []float64, steps int) (most float64) {
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
	first, later, val := apart(a.Loss, b.Loss, agreeFirst), apart(a.Loss, b.Loss, agreeLater), apart(a.ValLoss, b.ValLoss, 1)
	t.Logf("%s: at most %.1e apart over %d steps, %.1e over %d, the validation %.1e", what, first, agreeFirst, later, agreeLater, val)
	if !(first <= agreeWithin && later <= agreeLoosely && val <= agreeLoosely) {
		t.Errorf("%s: want at most %g, %g and %g", what, agreeWithin, agreeLoosely, agreeLoosely)
	}
}

// The same run in the page, on this machine's native driver and in pure Go has the same losses. In pure Go it has the
// same bits on the command line and in the page, where nothing is rounded otherwise.
func TestAgree(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	native, err := gpu.Open(gpu.Options{})
	if err != nil {
		if errors.Is(err, gpu.ErrNoAdapter) && os.Getenv("INNERLOOP_REQUIRE_GPU") != "1" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	defer native.Close()
	onGPU, onCPU := open(t, b, "/?debug", options{}), open(t, b, "/?debug&device=cpu", options{})
	for p, want := range map[*page]string{onGPU: "webgpu", onCPU: "go"} {
		p.ready()
		if got := chromium.JS[string](p.Tab, `crossed.find((m) => m.result?.device).result.device.backend`); got != want {
			t.Fatalf("the page trains on %q, want %q", got, want)
		}
	}
	t.Logf("natively on %v", native.Adapter())
	for _, name := range slices.Sorted(maps.Keys(twins)) {
		t.Run(name, func(t *testing.T) {
			c, page := inPage(onGPU, twin(name))
			agree(t, "page on WebGPU, native GPU", page, natively(t, c, native))
			cpu := prog.NewCPU[float32](0)
			defer cpu.Close()
			agree(t, "page on WebGPU, pure Go", page, natively(t, c, cpu))
			exact := prog.NewCPU[float64](0)
			defer exact.Close()
			agree(t, "page on WebGPU, pure Go in 64 bits", page, natively(t, c, exact))

			_, pageGo := inPage(onCPU, twin(name))
			command := plainly(t, c)
			agree(t, "page in pure Go, command line in pure Go", pageGo, command)
			if !fused() && (!slices.Equal(pageGo.Loss, command.Loss) || !slices.Equal(pageGo.ValLoss, command.ValLoss)) {
				t.Errorf("in pure Go the page and the command line do not have the same bits")
			}

			if fell := page.Loss[0] - page.Loss[agreeLater-1]; fell < 1 {
				t.Errorf("the loss fell by %.2f from %.2f, so that little was compared", fell, page.Loss[0])
			}
		})
	}
}
