package train_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"innerloop/data"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// contextModel is a small model with convolutions, whose state has every part, and a text.
func contextModel(t *testing.T, ex prog.Executor, kind string) (*model.LM, data.Part) {
	t.Helper()
	c := model.DefaultConfig()
	c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads = 16, 20, 2, 2
	c.MiniBatchSize, c.TTTLayerType, c.PreConv, c.ShareQK, c.InitializerRange = 4, kind, true, true, 0.2
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Free(ex) })
	if err := errors.Join(m.Prepare(ex), m.Init(ex, 5)); err != nil {
		t.Fatal(err)
	}
	text, err := data.NewCorpus("stories", data.Stories(3, 800))
	if err != nil {
		t.Fatal(err)
	}
	part, _, err := text.Split(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return m, part
}

// Whatever the pieces and the rows, every token but a window's first is scored as the whole window, read at once,
// scores it.
func TestScoreContext(t *testing.T) {
	ex := prog.NewCPU[float32](0)
	defer ex.Close()
	for _, kind := range []string{"linear", "mlp"} {
		m, part := contextModel(t, ex, kind)
		for _, ns := range [][2]int{{2, 2}, {17, 17}, {33, 20}, {50, 50}, {64, 37}} {
			n, stride := ns[0], ns[1]
			windows := (part.Len()-n)/stride + 1
			step, err := model.NewEvalStep(m, windows, n, model.EvalOptions{})
			if err != nil {
				t.Fatal(err)
			}
			run, err := ex.Load(step.Program)
			if err != nil {
				t.Fatal(err)
			}
			for w := range windows {
				if err := part.Read(step.IDs()[w*n:(w+1)*n], w*stride); err != nil {
					t.Fatal(err)
				}
			}
			losses, err := step.Losses(ex, run)
			if err != nil {
				t.Fatal(err)
			}
			for _, shape := range [][2]int{{4, 1}, {12, 3}, {16, 100}, {128, 2}} {
				chunk := train.ContextChunk(n, shape[0], m.Config.MiniBatchSize)
				done := 0
				got, err := train.ScoreContext(context.Background(), ex, m, part, train.ContextOptions{Context: n, Stride: stride, Chunk: chunk, Rows: shape[1]}, func(d, total int) {
					if d <= done || d > total || total != windows*n {
						t.Errorf("progress %d of %d after %d", d, total, done)
					}
					done = d
				})
				if err != nil {
					t.Fatal(err)
				}
				if done != windows*n || got.Windows != windows || got.Tokens != windows*(n-1) {
					t.Fatalf("context %d: %d done, %d windows, %d tokens, want %d, %d, %d", n, done, got.Windows, got.Tokens, windows*n, windows, windows*(n-1))
				}
				at := 1
				// Relative: against each token's mean over the windows that hold it.
				means := map[int][]float64{}
				for w := range windows {
					for i := 1; i < n; i++ {
						means[w*stride+i] = append(means[w*stride+i], float64(losses[w*n+i-1]))
					}
				}
				for _, b := range got.Buckets {
					var relative float64
					for w := range windows {
						for i := b.From; i <= b.To; i++ {
							var mean float64
							for _, l := range means[w*stride+i] {
								mean += l / float64(len(means[w*stride+i]))
							}
							relative += (float64(losses[w*n+i-1]) - mean) / float64(b.Tokens)
						}
					}
					if math.Abs(b.Relative-relative) > 1e-4 || stride == n && math.Abs(b.Relative) > 1e-12 {
						t.Fatalf("%s, context %d, stride %d: positions %d to %d: relative %.6f, want %.6f", kind, n, stride, b.From, b.To, b.Relative, relative)
					}
					var sum float64
					count := 0
					for ; at <= b.To; at++ {
						for w := range windows {
							sum += float64(losses[w*n+at-1])
							count++
						}
					}
					if want := sum / float64(count); b.Tokens != count || !(math.Abs(b.Loss-want) <= 2e-5*want) {
						t.Fatalf("%s, context %d in pieces of %d, %d rows: positions %d to %d: loss %.8f of %d tokens, want %.8f of %d",
							kind, n, chunk, shape[1], b.From, b.To, b.Loss, b.Tokens, want, count)
					}
				}
				if at != n {
					t.Fatalf("context %d: the buckets end at position %d, want %d", n, at-1, n-1)
				}
			}
			run.Close()
			step.Free(ex)
		}
	}
}

func TestScoreContextRefuses(t *testing.T) {
	ex := prog.NewCPU[float32](0)
	defer ex.Close()
	m, part := contextModel(t, ex, "linear")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := train.ScoreContext(ended, ex, m, part, train.ContextOptions{Context: 8, Chunk: 4, Rows: 1}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: got %v", err)
	}
	for _, c := range []struct {
		n, chunk int
		want     string
	}{
		{100000, 16, "train: 800 bytes to score, want at least a window of context 100000, of 2 tokens or more"},
		{1, 4, "train: 800 bytes to score, want at least a window of context 1, of 2 tokens or more"},
		{32, 6, "model: sequences of 6 tokens, want a multiple of mini_batch_size 4 where the state goes on from one to the next"},
	} {
		if _, err := train.ScoreContext(context.Background(), ex, m, part, train.ContextOptions{Context: c.n, Chunk: c.chunk, Rows: 1}, nil); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
