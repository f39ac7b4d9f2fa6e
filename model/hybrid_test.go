package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/prog"
)

// hybrid is a small model with everything that the official one has not got.
func hybrid() model.Config {
	c := model.DefaultConfig()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize = 11, 8, 12, 3, 2, 4
	c.Block, c.Variant, c.Layers, c.GateInit, c.TargetEps, c.MaxPositionEmbeddings, c.InitializerRange = model.BlockHybrid, model.VariantVideo, "1,2", 0.7, 1e-2, 32, 0.3
	return c
}

// gradients are those of one batch's loss, by parameter.
func gradients(t *testing.T, m *model.LM, ex prog.Executor, ids []uint32, b, l int) map[string][]float32 {
	t.Helper()
	s, err := model.NewTrainStep(m, model.StepOptions{Batch: b, SeqLen: l})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free(ex)
	run := load(t, ex, s.Program)
	copy(s.IDs(0), ids)
	if err := s.SetBatch(); err != nil {
		t.Fatal(err)
	}
	s.SetHyper(model.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, 0, 1) // a learning rate of 0: nothing moves
	if err := ex.Upload(s.Inputs); err != nil {
		t.Fatal(err)
	}
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	grads := map[string][]float32{}
	for _, n := range m.Names() {
		p := m.Lookup(n)
		g := make([]float32, p.Len())
		if err := ex.Read(m.Grads.In(p), g); err != nil {
			t.Fatal(err)
		}
		grads[n] = g
	}
	return grads
}

// The whole model's gradients, in float64, against central differences, for hybrids and the video variant; in float32 on
// every executor, against those.
func TestHybridGradient(t *testing.T) {
	const b, l = 2, 10
	r := rand.New(rand.NewPCG(3, 4))
	ids := make([]uint32, b*l)
	for i := range ids {
		ids[i] = uint32(r.IntN(11))
	}
	for _, kind := range []string{"linear", "mlp", "lm", "window", "none", "video alone"} {
		c := hybrid()
		switch kind {
		case "mlp":
			c.TTTLayerType = "mlp"
		case "lm":
			c.Variant, c.UseGate, c.ShareQK = model.VariantLM, true, true
		case "window":
			c.Window = 3
		case "none":
			c.Layers = "none"
		case "video alone":
			c.Block, c.Layers, c.PreConv = model.BlockTTT, "all", true
		}
		fresh := func(t *testing.T, ex prog.Executor) *model.LM {
			t.Helper()
			m, err := model.New(c, model.ScanOptions{CheckpointEvery: 2})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Free(ex) })
			if err := m.Prepare(ex); err != nil {
				t.Fatal(err)
			}
			if err := m.Init(ex, 5); err != nil {
				t.Fatal(err)
			}
			// Inner states that are not nearly zero, where the inner norm bends too much for differences.
			r := rand.New(rand.NewPCG(8, 8))
			for _, n := range m.Names() {
				if !slices.Contains([]string{"W1", "b1", "W2", "b2"}, n[strings.LastIndexByte(n, '.')+1:]) {
					continue
				}
				v := make([]float32, m.Lookup(n).Len())
				for i := range v {
					v[i] = float32(0.7 * r.NormFloat64())
				}
				if err := ex.Write(m.Lookup(n), v); err != nil {
					t.Fatal(err)
				}
			}
			return m
		}
		var exact map[string][]float32
		t.Run(kind+"/differences", func(t *testing.T) {
			ex := prog.NewCPU[float64](0)
			m := fresh(t, ex)
			exact = gradients(t, m, ex, ids, b, l)
			s, err := model.NewEvalStep(m, b, l, model.EvalOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Free(ex)
			run := load(t, ex, s.Program)
			copy(s.IDs(), ids)
			loss := func() float64 {
				sum, n, err := s.Score(ex, run, b)
				if err != nil {
					t.Fatal(err)
				}
				return sum / float64(n)
			}
			for _, name := range m.Names() {
				p := m.Lookup(name)
				v := make([]float32, p.Len())
				if err := ex.Read(p, v); err != nil {
					t.Fatal(err)
				}
				largest := 0.0
				for _, g := range exact[name] {
					largest = math.Max(largest, math.Abs(float64(g)))
				}
				for range 4 {
					i := r.IntN(len(v))
					old := v[i]
					h := float32(1.0 / 1024)
					at := func(x float32) float64 {
						v[i] = x
						if err := ex.Write(p, v); err != nil {
							t.Fatal(err)
						}
						return loss()
					}
					up, down := old+h, old-h
					// The fourth-order difference: losses come back in float32.
					d := (8*(at(old+h)-at(old-h)) - (at(old+2*h) - at(old-2*h))) / (6 * float64(up-down))
					at(old)
					if e := math.Abs(d - float64(exact[name][i])); e > 2e-3*largest+2e-4 {
						t.Errorf("%s[%d]: gradient %g, by differences %g", name, i, exact[name][i], d)
					}
				}
			}
		})
		t.Run(kind, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				got := gradients(t, fresh(t, ex), ex, ids, b, l)
				for n, g := range got {
					var diff, norm float64
					for i, v := range g {
						diff += math.Pow(float64(v-exact[n][i]), 2)
						norm += math.Pow(float64(exact[n][i]), 2)
					}
					if math.Sqrt(diff) > 1e-3*math.Sqrt(norm)+1e-6 {
						t.Errorf("%s: gradient is off by %g of %g", n, math.Sqrt(diff), math.Sqrt(norm))
					}
				}
			})
		})
	}
}

func TestHybridConfig(t *testing.T) {
	for _, c := range []struct {
		change func(*model.Config)
		want   string
	}{
		{func(c *model.Config) { c.Causal = false }, "causal false, want true"},
		{func(c *model.Config) { c.Reverse = true }, "reverse true, want false"},
		{func(c *model.Config) { c.Layers = "29,30,31" }, `layers "29,30,31": "29", want all, none, middle, or numbers from 0 to 2`},
		{func(c *model.Config) { c.Layers = "one" }, "want all, none, middle"},
		{func(c *model.Config) { c.Block = "ttt" }, "want \"all\""},
		{func(c *model.Config) { c.Block = "mamba" }, "want \"ttt\" or \"hybrid\""},
		{func(c *model.Config) { c.Variant = "audio" }, "want \"lm\" or \"video\""},
		{func(c *model.Config) { c.UseGate = true }, "want both false"},
		{func(c *model.Config) { c.TargetEps = -1 }, "target_eps -1, want 0 to 1"},
		{func(c *model.Config) { c.TargetEps = math.NaN() }, "target_eps NaN"},
		{func(c *model.Config) { c.Window = -1 }, "attention_window -1"},
		{func(c *model.Config) { c.PreConv = true }, "no pre_conv"},
	} {
		h := hybrid()
		c.change(&h)
		if err := h.Validate(); err == nil || !strings.HasPrefix(err.Error(), "model: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	for layers, want := range map[string]string{"all": "[true true true true true true]", "none": "[false false false false false false]", "middle": "[false false true true false false]", "5,0": "[true false false false false true]"} {
		h := hybrid()
		h.NumHiddenLayers, h.Layers = 6, layers
		if got, err := h.TTTLayers(); err != nil || fmt.Sprint(got) != want {
			t.Errorf("layers %q: %v %v, want %s", layers, got, err, want)
		}
	}
}
