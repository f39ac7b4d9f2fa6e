package gpu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/prog"
	"innerloop/ttt"
)

// Scans of so many mini-batches that a device whose invocations make few rounds of loops takes them in many parts give
// what the Go executor gives: a part that reckoned with too few rounds would end early, silently.
func TestLongScans(t *testing.T) {
	dev := gputest.Device(t)
	if dev.Info().Traits.LoopRounds == 0 {
		t.Skip("the device has no limit on loops")
	}
	host := prog.NewCPU[float32](2)
	defer host.Close()
	for _, s := range []struct{ f, k, batches int }{{64, 16, 300}, {64, 1, 2000}, {32, 32, 300}, {16, 16, 600}, {48, 16, 200}} {
		t.Run(fmt.Sprintf("head=%d/minibatch=%d", s.f, s.k), func(t *testing.T) {
			l, row := s.k*s.batches, ttt.Row(1, s.f)
			in := prog.NewArena("in")
			xs, tok := in.Add("xs", prog.F32, 2*l, row), in.Add("tok", prog.F32, s.k)
			w := ttt.LinearParams{W1: in.Add("w1", prog.F32, 1, s.f, s.f), B1: in.Add("b1", prog.F32, 1, 1, s.f),
				Gamma: in.Add("gamma", prog.F32, 1, s.f), Beta: in.Add("beta", prog.F32, 1, s.f)}
			var outs []*prog.Tensor
			p, err := prog.Record("long", func(r *prog.Recorder) {
				y := w.Scan(r, xs, tok, nil, ttt.Options{Heads: 1, SeqLen: l, MiniBatch: s.k, CheckpointEvery: 16})
				outs = []*prog.Tensor{r.Keep(y.Out), r.Keep(y.State)}
			})
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 1))
			values := map[*prog.Tensor][]float32{}
			for _, x := range []*prog.Tensor{xs, tok, w.W1, w.B1, w.Gamma, w.Beta} {
				v := make([]float32, x.Len())
				for i := range v {
					if v[i] = float32(0.1 * r.NormFloat64()); x == w.Gamma {
						v[i]++
					}
				}
				values[x] = v
			}
			for i := range 2 * l {
				x := values[xs][i*row:][:row]
				for c := range 3 * s.f {
					x[c] *= 10
				}
				x[3*s.f] = float32(r.Float64() / float64(s.f))
				x[3*s.f+1] = float32(ttt.PlaceCode(i%l, s.k))
			}
			run := func(ex prog.Executor) (got [][]float32) {
				run, err := ex.Load(p)
				if err != nil {
					t.Fatal(err)
				}
				defer ex.Free(in)
				defer run.Close()
				for x, v := range values {
					if err := ex.Write(x, v); err != nil {
						t.Fatal(err)
					}
				}
				if err := run.Run(); err != nil {
					t.Fatal(err)
				}
				for _, o := range outs {
					v := make([]float32, o.Len())
					if err := run.Read(o, v); err != nil {
						t.Fatal(err)
					}
					got = append(got, v)
				}
				return got
			}
			want, got := run(host), run(dev)
			check.Within(t, "output", got[0], want[0], 1e-5)
			check.Within(t, "state", got[1], want[1], 1e-5)
		})
	}
}
