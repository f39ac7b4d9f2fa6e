package lab_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"

	"innerloop/gpu/gputest"
	"innerloop/lab"
	"innerloop/model"
	"innerloop/prog"
)

// causes are what a diagnosis should name each fault.
var causes = map[model.Fault]string{
	model.NoFault: lab.Healthy, model.StdAliased: lab.Inconsistent, model.StdClamped: lab.NoEps, model.StdMaximum: lab.NoEps, model.OnePass: lab.OnePass,
	model.HalfStats: lab.HalfPrecision, model.BFloatStats: lab.HalfPrecision, model.RawKeys: lab.KeysNotNormalised, model.NearKeys: lab.SmallStd,
	model.StaleEps: lab.StaleEps, model.NormWeights: lab.BadNorm, model.NormBiases: lab.BadNorm, model.Leak: lab.FutureLeak,
}

// diagnose puts a model of configuration c with a fault on ex and diagnoses it on random tokens.
func diagnose(t *testing.T, ex prog.Executor, c model.Config, fault model.Fault, seed uint64, change func(name string, v []float32)) *lab.Report {
	t.Helper()
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free(ex)
	for _, err := range []error{m.SetFault(fault), m.Prepare(ex), m.Init(ex, seed)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		for _, n := range m.Names() {
			v := make([]float32, m.Lookup(n).Len())
			if err := ex.Read(m.Lookup(n), v); err != nil {
				t.Fatal(err)
			}
			change(n, v)
			if err := ex.Write(m.Lookup(n), v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.ApplyFault(ex); err != nil {
		t.Fatal(err)
	}
	const b, l = 2, 24
	r := rand.New(rand.NewPCG(seed, 1))
	ids := make([]uint32, b*l)
	for i := range ids {
		ids[i] = uint32(r.IntN(c.VocabSize))
	}
	e, err := lab.Examine(m, ex, ids, b, l)
	if err != nil {
		t.Fatal(err)
	}
	return lab.Diagnose(e)
}

func small(layer, variant, block string) model.Config {
	c := model.DefaultConfig()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize = 32, 32, 48, 2, 2, 8
	c.TTTLayerType, c.Variant, c.Block, c.MaxPositionEmbeddings = layer, variant, block, 64
	if layer == "mlp" {
		c.TTTBaseLR = 0.1
	}
	return c
}

// precisions are types in which a model's parameters may be kept.
var precisions = map[string]func(name string, v []float32){
	"float32": nil,
	"bfloat16": func(_ string, v []float32) {
		for i, x := range v {
			b := math.Float32bits(x)
			v[i] = math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
		}
	},
	"float16": func(_ string, v []float32) {
		for i, x := range v {
			v[i] = float16.Fromfloat32(x).Float32()
		}
	},
}

// Every fault is named, in every variant of the layer and precision of the parameters, on every executor; a healthy
// model gets a clean bill.
func TestMatrix(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, layer := range []string{"linear", "mlp"} {
			for _, kind := range [][2]string{{"lm", "ttt"}, {"video", "ttt"}, {"video", "hybrid"}} {
				for precision, change := range precisions {
					if ex.Info().Backend != "go" && (precision != "float32" || kind[1] == "ttt" && kind[0] == "video") {
						continue // every model compiles anew
					}
					c := small(layer, kind[0], kind[1])
					for _, f := range append([]model.FaultInfo{{}}, model.Faults()...) {
						if c.CheckFault(f.Fault) != nil {
							continue
						}
						r := diagnose(t, ex, c, f.Fault, 3, change)
						if r.Cause != causes[f.Fault] {
							t.Errorf("%s %v %s, fault %q: named %s, want %s\n%s\n%+v", layer, kind, precision, f.Fault, r.Cause, causes[f.Fault], r.Summary, r.Layers)
						}
					}
				}
			}
		}
	})
}

// No false alarm on 100 random healthy models.
func TestHealthyModels(t *testing.T) {
	ex := prog.NewCPU[float32](0)
	for i := range 100 {
		r := rand.New(rand.NewPCG(uint64(i), 77))
		c := small([]string{"linear", "mlp"}[r.IntN(2)], []string{"lm", "video"}[r.IntN(2)], []string{"ttt", "hybrid"}[r.IntN(2)])
		c.NumAttentionHeads = 1 + r.IntN(3)
		c.HiddenSize = c.NumAttentionHeads * (4 + 2*r.IntN(14))
		c.MiniBatchSize, c.TargetEps = 1+r.IntN(12), math.Pow(10, -8+6*r.Float64())
		c.InitializerRange = 0.02 + 0.3*r.Float64()
		noise := 0.3 * r.Float64()
		rep := diagnose(t, ex, c, model.NoFault, uint64(i), func(_ string, v []float32) {
			for j := range v {
				v[j] += float32(noise * 0.2 * r.NormFloat64())
			}
		})
		if rep.Cause != lab.Healthy {
			t.Errorf("%d: %+v: named %s: %s", i, c, rep.Cause, rep.Summary)
		}
	}
}
