package model_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/model"
	"innerloop/prog"
)

const (
	outputTol   = 1e-5 // relative Frobenius error of logits and outputs
	gradientTol = 1e-4 // and of gradients
)

// goldenModel lays out the model that a golden file describes and puts its parameters on ex.
func goldenModel(t *testing.T, g check.Golden, ex prog.Executor) *model.LM {
	t.Helper()
	c, err := model.ParseConfig(g.Name, []byte(g.Metadata()["config"]))
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.New(c, model.ScanOptions{CheckpointEvery: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(ex); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Free(ex) })
	for _, n := range m.Names() {
		if got, want := fmt.Sprint(m.Lookup(n).Shape()), fmt.Sprint(g.Shape(t, "param."+n)); got != want {
			t.Fatalf("%s: shape %v, want %v", n, got, want)
		}
		if err := ex.Write(m.Lookup(n), g.F32(t, "param."+n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range g.Names() {
		if p, ok := strings.CutPrefix(n, "param."); ok && m.Lookup(p) == nil {
			t.Errorf("the file's parameter %s is not the model's", p)
		}
	}
	return m
}

func load(t *testing.T, ex prog.Executor, p *prog.Program) prog.Runner {
	t.Helper()
	run, err := ex.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.Close)
	return run
}

// TestGoldenLM compares logits, every TTT layer's output, the loss and the gradient of every parameter with the
// official model's.
func TestGoldenLM(t *testing.T) {
	for _, g := range check.Goldens(t, "lm-") {
		t.Run(g.Name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { goldenLM(t, g, ex, outputTol, gradientTol) })
			// In float64 what is left is the rounding to float32 of the file, the rotary table and the loss's scale.
			t.Run("float64", func(t *testing.T) { goldenLM(t, g, prog.NewCPU[float64](0), 1e-6, 5e-6) })
		})
	}
}

func goldenLM(t *testing.T, g check.Golden, ex prog.Executor, outTol, gradTol float64) {
	m := goldenModel(t, g, ex)
	shape, ids := g.Shape(t, "input_ids"), g.U32(t, "input_ids")

	fwd, err := model.NewLogitsStep(m, shape[0], shape[1])
	if err != nil {
		t.Fatal(err)
	}
	defer fwd.Free(ex)
	run := load(t, ex, fwd.Program)
	copy(fwd.IDs(), ids)
	if err := fwd.Run(ex, run); err != nil {
		t.Fatal(err)
	}
	compare := func(name string, ten *prog.Tensor) {
		t.Helper()
		got := make([]float32, ten.Len())
		if err := run.Read(ten, got); err != nil {
			t.Fatal(err)
		}
		check.Within(t, name, got, g.F64(t, name), outTol)
	}
	compare("logits", fwd.Act.Logits)
	for i, b := range fwd.Act.Blocks {
		if name := fmt.Sprintf("act.layers.%d.seq_modeling_block", i); g.Has(name) {
			compare(name, b)
		}
	}

	step, err := model.NewTrainStep(m, model.StepOptions{Batch: shape[0], SeqLen: shape[1]})
	if err != nil {
		t.Fatal(err)
	}
	defer step.Free(ex)
	train := load(t, ex, step.Program)
	copy(step.IDs(0), ids)
	loss, _ := runStep(t, ex, train, step, model.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, 0, 1)
	if want := g.F64(t, "loss")[0]; !(math.Abs(loss-want) <= outTol*math.Abs(want)) {
		t.Errorf("loss: got %.9g, want %.9g", loss, want)
	}
	for _, n := range m.Names() {
		got := make([]float32, m.Lookup(n).Len())
		if err := ex.Read(m.Grads.In(m.Lookup(n)), got); err != nil {
			t.Fatal(err)
		}
		check.Within(t, "grad."+n, got, g.F64(t, "grad."+n), gradTol)
	}
}

// runStep runs one training step on the tokens in step.IDs and returns its loss and gradient norm.
func runStep(t *testing.T, ex prog.Executor, run prog.Runner, step *model.TrainStep, o model.AdamW, lr float64, n int) (loss, norm float64) {
	t.Helper()
	if err := step.SetBatch(); err != nil {
		t.Fatal(err)
	}
	step.SetHyper(o, lr, n)
	if err := ex.Upload(step.Inputs); err != nil {
		t.Fatal(err)
	}
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	v := make([]float32, 2*step.Options.Ring)
	if err := step.Metrics(ex, v); err != nil {
		t.Fatal(err)
	}
	row := (n - 1) % step.Options.Ring
	return float64(v[2*row]), float64(v[2*row+1])
}

// TestGoldenTrain follows a run of the official model: every loss and gradient norm, and the parameters at its end.
func TestGoldenTrain(t *testing.T) {
	for _, g := range check.Goldens(t, "train-") {
		t.Run(g.Name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { goldenTrain(t, g, ex) })
		})
	}
}

func goldenTrain(t *testing.T, g check.Golden, ex prog.Executor) {
	const tol = 1e-4
	m := goldenModel(t, g, ex)
	var o struct {
		LR    float64    `json:"lr"`
		Betas [2]float64 `json:"betas"`
		Eps   float64    `json:"eps"`
		Decay float64    `json:"weight_decay"`
		Clip  float64    `json:"clip_grad_norm"`
		Steps int        `json:"steps"`
	}
	if err := json.Unmarshal([]byte(g.Metadata()["optimizer"]), &o); err != nil {
		t.Fatal(err)
	}
	shape, ids := g.Shape(t, "input_ids"), g.U32(t, "input_ids")
	step, err := model.NewTrainStep(m, model.StepOptions{Batch: shape[1], SeqLen: shape[2], Ring: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer step.Free(ex)
	run := load(t, ex, step.Program)
	losses, norms := g.F64(t, "loss"), g.F64(t, "grad_norm")
	n := shape[1] * shape[2]
	for s := range o.Steps {
		copy(step.IDs(0), ids[s*n:(s+1)*n])
		loss, norm := runStep(t, ex, run, step, model.AdamW{Beta1: o.Betas[0], Beta2: o.Betas[1], Eps: o.Eps, WeightDecay: o.Decay, Clip: o.Clip}, o.LR, s+1)
		for _, c := range []struct {
			name      string
			got, want float64
		}{{"loss", loss, losses[s]}, {"grad_norm", norm, norms[s]}} {
			if !(math.Abs(c.got-c.want) <= tol*math.Abs(c.want)) {
				t.Errorf("%s[%d]: got %.9g, want %.9g", c.name, s, c.got, c.want)
			}
		}
	}
	for _, p := range m.Names() {
		got := make([]float32, m.Lookup(p).Len())
		if err := ex.Read(m.Lookup(p), got); err != nil {
			t.Fatal(err)
		}
		if name := "final." + p; g.Has(name) {
			check.Within(t, name, got, g.F64(t, name), 1e-3)
		}
	}
}
