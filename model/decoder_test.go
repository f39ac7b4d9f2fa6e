package model_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/model"
	"innerloop/prog"
)

// randomModel puts a small model with random options and parameters on ex.
func randomModel(t *testing.T, r *rand.Rand, ex prog.Executor) *model.LM {
	t.Helper()
	c := model.DefaultConfig()
	c.VocabSize, c.NumHiddenLayers, c.NumAttentionHeads = 20+r.IntN(20), 1+r.IntN(2), 1+r.IntN(2)
	c.HiddenSize = c.NumAttentionHeads * []int{4, 8, 16}[r.IntN(3)]
	c.IntermediateSize, c.MiniBatchSize, c.ConvKernel = 8+r.IntN(20), 1+r.IntN(6), 1+r.IntN(5)
	c.TTTLayerType = []string{"linear", "mlp"}[r.IntN(2)]
	c.UseGate, c.ShareQK, c.PreConv, c.TieWordEmbeddings = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
	c.InitializerRange, c.MaxPositionEmbeddings = 0.2, 1200
	kind := r.IntN(4)
	if kind&1 == 1 {
		c.Variant, c.UseGate, c.ShareQK = model.VariantVideo, false, false
	}
	if kind&2 == 2 {
		c.Block, c.PreConv, c.Window, c.GateInit = model.BlockHybrid, false, []int{0, 1 + r.IntN(9)}[r.IntN(2)], 0.8
		c.Layers = []string{"all", "middle", "0", "none"}[r.IntN(4)]
	}
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Free(ex) })
	if err := m.Prepare(ex); err != nil {
		t.Fatal(err)
	}
	if err := m.Init(ex, r.Uint64()); err != nil {
		t.Fatal(err)
	}
	return m
}

// logitsOf is the full forward pass over ids: [len(ids), V].
func logitsOf(t *testing.T, m *model.LM, ex prog.Executor, ids []uint32) []float32 {
	t.Helper()
	s, err := model.NewLogitsStep(m, 1, len(ids))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free(ex)
	run := load(t, ex, s.Program)
	copy(s.IDs(), ids)
	if err := s.Run(ex, run); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, s.Act.Logits.Len())
	if err := run.Read(s.Act.Logits, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A prompt read in pieces, and what follows, give the logits of the full forward pass: for any model, options and
// split, also where the state goes through a file in between.
func TestDecoderEqualsForward(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		trials := 12
		if ex.Info().Backend != "go" {
			trials = 2 // every model compiles anew
		}
		for n := range trials {
			r := rand.New(rand.NewPCG(uint64(n), 21))
			m := randomModel(t, r, ex)
			c := m.Config
			ids := make([]uint32, 2+r.IntN(18*c.MiniBatchSize+20))
			for i := range ids {
				ids[i] = uint32(r.IntN(c.VocabSize))
			}
			want := logitsOf(t, m, ex, ids)
			d := model.NewDecoder(m, ex)
			// A text before, which must leave no trace.
			if _, err := d.Feed(ids[:1+r.IntN(len(ids)-1)]); err != nil {
				t.Fatal(err)
			}
			d.Reset()
			for at := 0; at < len(ids); {
				k := 1 + r.IntN(len(ids)-at)
				got, err := d.Feed(ids[at : at+k])
				if err != nil {
					t.Fatal(err)
				}
				at += k
				if e := check.RelErr(got, want[(at-1)*c.VocabSize:at*c.VocabSize]); !(e <= 1e-4) {
					t.Fatalf("model %d (%+v): after %d of %d tokens: relative error %.3g, want at most 1e-4", n, c, at, len(ids), e)
				}
				if r.IntN(2) == 0 {
					path := filepath.Join(t.TempDir(), "state.safetensors")
					if err := d.Save(path); err != nil {
						t.Fatal(err)
					}
					d.Close()
					d = model.NewDecoder(m, ex)
					if err := d.Load(path); err != nil {
						t.Fatal(err)
					}
				}
			}
			d.Close()
		}
	})
}

// The future never changes the past: other tokens from a place on leave every logit before it as it was.
func TestCausality(t *testing.T) {
	ex := prog.NewCPU[float32](0)
	defer ex.Close()
	for n := range 20 {
		r := rand.New(rand.NewPCG(uint64(n), 22))
		m := randomModel(t, r, ex)
		v := m.Config.VocabSize
		ids := make([]uint32, 3+r.IntN(40))
		for i := range ids {
			ids[i] = uint32(r.IntN(v))
		}
		before := logitsOf(t, m, ex, ids)
		cut := 1 + r.IntN(len(ids)-1)
		for i := cut; i < len(ids); i++ {
			ids[i] = uint32(r.IntN(v))
		}
		after := logitsOf(t, m, ex, ids)
		for i := range cut * v {
			if before[i] != after[i] {
				t.Fatalf("model %d (%+v): changing tokens from %d on changed the logits of token %d", n, m.Config, cut, i/v)
			}
		}
	}
}
