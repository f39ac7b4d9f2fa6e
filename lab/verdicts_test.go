package lab_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/lab"
	"innerloop/model"
	"innerloop/prog"
)

// verdict diagnoses a model of configuration c with a fault on a batch of two rows of l tokens.
func verdict(t *testing.T, ex prog.Executor, c model.Config, fault model.Fault, l int) *lab.Report {
	t.Helper()
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free(ex)
	for _, err := range []error{m.SetFault(fault), m.Prepare(ex), m.Init(ex, 3), m.ApplyFault(ex)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(3, uint64(l)))
	ids := make([]uint32, 2*l)
	for i := range ids {
		ids[i] = uint32(r.IntN(c.VocabSize))
	}
	e, err := lab.Examine(m, ex, ids, 2, l)
	if err != nil {
		t.Fatal(err)
	}
	return lab.Diagnose(e)
}

// The right verdict of every fault, at every eps, length of a mini-batch and length of a row, is that of its cause, and of
// no fault that the model is healthy. Of near-keys it is small-std where the gain 1/eps is above 100, and healthy, with a
// word on it, from an eps of 0.01 on, at which it is harmless. In a mini-batch of one token there is no future, and its
// fault is refused; in a row shorter than a mini-batch there is.
func TestVerdicts(t *testing.T) {
	ex := prog.NewCPU[float32](0)
	want := func(f model.Fault, eps float64) string {
		if f == model.NearKeys && eps >= 0.01 {
			return lab.Healthy
		}
		return causes[f]
	}
	for _, kind := range [][2]string{{model.VariantLM, model.BlockTTT}, {model.VariantVideo, model.BlockTTT}, {model.VariantVideo, model.BlockHybrid}} {
		for _, eps := range []float64{0, 1e-12, 1e-8, 1e-5, 1e-3, 0.0099, 0.01, 0.05, 1} {
			for _, k := range []int{1, 2, 8} {
				for _, l := range []int{2, 5, 24} {
					if (k != 8 || l != 24) && eps != 1e-5 && eps != 0 {
						continue // the lengths and eps have nothing to do with each other
					}
					c := small("linear", kind[0], kind[1])
					c.TargetEps, c.MiniBatchSize = eps, k
					for _, f := range append([]model.FaultInfo{{}}, model.Faults()...) {
						at := fmt.Sprintf("%v, fault %q, eps %g, K %d, rows of %d", kind, f.Fault, eps, k, l)
						if err := c.CheckFault(f.Fault); err != nil {
							if !f.Video && (f.Fault != model.Leak || k != 1) {
								t.Errorf("%s: %v", at, err)
							}
							continue
						}
						r := verdict(t, ex, c, f.Fault, l)
						if r.Cause != want(f.Fault, eps) {
							t.Errorf("%s: named %s, want %s: %s", at, r.Cause, want(f.Fault, eps), r.Summary)
						}
						if harmless := f.Fault == model.NearKeys && eps >= 0.01; r.Cause == lab.Healthy && strings.Contains(r.Summary, "harmless") != harmless {
							t.Errorf("%s: %s", at, r.Summary)
						}
						for _, x := range r.Layers {
							least, most := 0.1, 20.0 // of healthy ones of this size
							if f.Fault == model.NearKeys {
								least, most = 0.9/(eps+1e-7), 1/eps
							}
							if (f.Fault == "" || f.Fault == model.NearKeys) && !(x.Gain >= least && x.Gain <= most*(1+1e-6) || eps == 0 && math.IsInf(x.Gain, 1)) {
								t.Errorf("%s, layer %d: gain %g, want %g to %g", at, x.Layer, x.Gain, least, most)
							}
						}
					}
				}
			}
		}
	}
}

// The verdicts at settings at which little is left of the layer: what is there is judged, and what cannot be is not
// called healthy.
func TestDegenerateVerdicts(t *testing.T) {
	ex := prog.NewCPU[float32](0)
	for _, x := range []struct {
		name   string
		change func(c *model.Config)
		faults []model.Fault
		want   string // empty: the cause of each fault
	}{
		{"heads of two channels", func(c *model.Config) { c.NumAttentionHeads = 16 }, []model.Fault{
			model.NoFault, model.StdAliased, model.StdClamped, model.OnePass, model.HalfStats, model.RawKeys, model.NearKeys, model.StaleEps, model.NormWeights, model.Leak,
		}, ""},
		{"one head", func(c *model.Config) { c.NumAttentionHeads = 1 }, []model.Fault{model.NoFault, model.StdAliased, model.NearKeys, model.Leak}, ""},
		{"mlp", func(c *model.Config) { c.TTTLayerType, c.TTTBaseLR = "mlp", 0.1 }, []model.Fault{model.NoFault, model.NearKeys, model.Leak}, ""},
		{"closed gates", func(c *model.Config) { c.Block, c.GateInit = model.BlockHybrid, 0 }, []model.Fault{model.NoFault, model.StdAliased, model.NearKeys, model.Leak}, ""},
		{"no TTT layer", func(c *model.Config) { c.Block, c.Layers = model.BlockHybrid, "none" }, []model.Fault{model.NoFault}, lab.Healthy},
		{"one TTT layer of two", func(c *model.Config) { c.Block, c.Layers = model.BlockHybrid, "1" }, []model.Fault{model.NoFault, model.StdAliased, model.Leak}, ""},
		{"an inner learning rate of 0", func(c *model.Config) { c.TTTBaseLR = 0 }, []model.Fault{model.NoFault, model.Leak}, lab.NotDecidable},
		{"weights of 0", func(c *model.Config) { c.InitializerRange = 0 }, []model.Fault{model.NoFault, model.RawKeys, model.NearKeys, model.Leak}, lab.ZeroKeys},
		{"large weights", func(c *model.Config) { c.InitializerRange = 2 }, []model.Fault{model.NoFault, model.StdAliased, model.RawKeys}, ""},
		{"small weights", func(c *model.Config) { c.InitializerRange = 1e-4 }, []model.Fault{model.NoFault, model.RawKeys}, ""},
	} {
		for _, variant := range []string{model.VariantLM, model.VariantVideo} {
			c := small("linear", variant, model.BlockTTT)
			x.change(&c)
			for _, f := range x.faults {
				if c.CheckFault(f) != nil {
					continue
				}
				want := x.want
				if want == "" {
					want = causes[f]
				}
				r := verdict(t, ex, c, f, 24)
				if r.Cause != want {
					t.Errorf("%s, %s, fault %q: named %s, want %s: %s", x.name, variant, f, r.Cause, want, r.Summary)
				}
				if r.Cause == lab.NotDecidable && !strings.Contains(r.Summary, "model.ttt_base_lr is 0") {
					t.Errorf("%s, %s: %s", x.name, variant, r.Summary)
				}
			}
		}
	}
}
