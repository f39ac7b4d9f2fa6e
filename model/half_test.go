package model_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/prog"
)

// stepGradients makes a training step's loss and gradients, of every parameter, at the initial weights.
func stepGradients(t *testing.T, ex prog.Executor, c model.Config, half bool) (loss float64, grads []float64, names []string, bytes int64) {
	t.Helper()
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free(ex)
	s, err := model.NewTrainStep(m, model.StepOptions{Batch: 4, SeqLen: 32, Micro: 2, Half: half})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free(ex)
	run := load(t, ex, s.Program)
	if err := m.Init(ex, 3); err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(ex); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(4, 4))
	for i := range 2 {
		for j := range s.IDs(i) {
			s.IDs(i)[j] = uint32(rnd.IntN(c.VocabSize))
		}
	}
	loss, _ = runStep(t, ex, run, s, model.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, 0, 1)
	for _, n := range m.Names() {
		v := make([]float32, m.Lookup(n).Len())
		if err := ex.Read(m.Grads.In(m.Lookup(n)), v); err != nil {
			t.Fatal(err)
		}
		for _, g := range v {
			grads = append(grads, float64(g))
			names = append(names, n)
		}
	}
	return loss, grads, names, s.Program.Stats().TempBytes
}

// cosine is the cosine of the angle between a and b.
func cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

// The gradients of a step in float16 point where those in float32 do: of all parameters together, and of each.
func TestHalfGradients(t *testing.T) {
	base := model.DefaultConfig()
	base.VocabSize, base.HiddenSize, base.IntermediateSize, base.NumHiddenLayers, base.NumAttentionHeads, base.MiniBatchSize = 64, 32, 48, 2, 2, 8
	base.InitializerRange = 0.1 // so that every parameter has a gradient that tells
	for name, set := range map[string]func(c *model.Config){
		"linear": func(c *model.Config) { c.PreConv, c.ShareQK, c.UseGate = true, true, true },
		"mlp, all options": func(c *model.Config) {
			c.TTTLayerType, c.PreConv, c.ShareQK, c.UseGate = "mlp", true, true, true
		},
		"odd widths": func(c *model.Config) { c.IntermediateSize, c.VocabSize, c.TieWordEmbeddings = 50, 67, false },
		"video":      func(c *model.Config) { c.Variant, c.TargetEps = model.VariantVideo, 1e-2 },
		"hybrid":     func(c *model.Config) { c.Block, c.GateInit = model.BlockHybrid, 0.5 },
	} {
		t.Run(name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				if ex.Info().Backend != "go" && name != "linear" && name != "odd widths" {
					t.Skip("the others compile for long, and have the same kernels")
				}
				c := base
				set(&c)
				want, wantGrads, names, plain := stepGradients(t, ex, c, false)
				got, gotGrads, _, packed := stepGradients(t, ex, c, true)
				if d := math.Abs(got-want) / want; !(d < 1e-3) {
					t.Errorf("loss %.7f, in float32 %.7f: want them near", got, want)
				}
				if slices.Equal(gotGrads, wantGrads) { // the loss itself may round to the same
					t.Error("the gradients are those in float32")
				}
				if packed >= plain {
					t.Errorf("temporaries of %d bytes, in float32 %d", packed, plain)
				}
				if cos := cosine(gotGrads, wantGrads); !(cos > 0.9999) {
					t.Errorf("gradients: cosine %.6f", cos)
				}
				least, which := 1.0, ""
				for i := 0; i < len(names); {
					j := i
					for j < len(names) && names[j] == names[i] {
						j++
					}
					if cos := cosine(gotGrads[i:j], wantGrads[i:j]); !(cos >= least) {
						least, which = cos, names[i]
					}
					i = j
				}
				t.Logf("loss %.6f and %.6f; cosine of all %.7f, least %.6f of %s; %d and %d bytes", want, got, cosine(gotGrads, wantGrads), least, which, plain, packed)
				if !(least > 0.999) {
					t.Errorf("gradient of %s: cosine %.6f", which, least)
				}
			})
		})
	}
}
