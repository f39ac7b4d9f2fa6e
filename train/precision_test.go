package train

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/prog"
)

// half is tiny in float16, with what a TTT layer may have.
func half() Config {
	c := tiny()
	c.Model.UseGate, c.Model.PreConv = true, true
	c.Train.Precision = "f16"
	return c
}

// losses trains c on ex and returns each step's loss.
func losses(t *testing.T, c Config, ex prog.Executor) (out []float64) {
	t.Helper()
	var n notes
	if err := beginOn(t, c, ex).Train(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	for _, s := range n.steps {
		out = append(out, s.Loss)
	}
	return out
}

// A run in float16 follows the run in float32.
func TestHalfFollows(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		c := half()
		c.Train.Steps = 100
		got := losses(t, c, ex)
		c.Train.Precision = "f32"
		want := losses(t, c, ex)
		var most float64
		for i, w := range want {
			most = max(most, math.Abs(got[i]-w)/w)
		}
		t.Logf("loss %.4f to %.4f, in float32 to %.4f; at most %.3g apart", got[0], got[99], want[99], most)
		if !(most < 0.005) || slices.Equal(got, want) || want[99] > want[0]-2 {
			t.Errorf("losses differ by %.3g at most, want more than 0 and less than 0.005, and to fall by 2: %.4f to %.4f", most, want[0], want[99])
		}
	})
}

// One seed gives the same bits, and the executors agree as far as their sums do.
func TestHalfIsExact(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		var all [][]float32
		for range 2 {
			r := beginOn(t, half(), ex)
			if err := r.Train(context.Background(), &notes{}); err != nil {
				t.Fatal(err)
			}
			all = append(all, weights(t, r))
			r.Close()
		}
		if !sameBits(all[0], all[1]) {
			t.Error("two runs with one seed differ")
		}
		rounded := 0
		for _, w := range all[0] {
			if prog.RoundHalf(w) == w {
				rounded++
			}
		}
		if rounded > len(all[0])/10 { // norms' weights and biases among them
			t.Errorf("%d of %d weights are binary16: they should stay in float32", rounded, len(all[0]))
		}
	})
}

// A checkpoint of either precision is one of the other's.
func TestHalfResumes(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, ps := range [][2]string{{"f32", "f16"}, {"f16", "f32"}} {
			c := half()
			c.Train.Steps, c.Train.Precision = 12, ps[0]
			want := losses(t, c, ex)
			dir := t.TempDir()
			r := beginOn(t, c, ex)
			r.StopAt = 6
			if err := r.Train(context.Background(), saver{r, dir}); err != nil {
				t.Fatal(err)
			}
			before := weights(t, r)
			r.Close()
			last, _, err := Latest(dir)
			if err != nil {
				t.Fatal(err)
			}
			c.Train.Precision = ps[1]
			r = beginOn(t, c, ex)
			if err := r.Restore(last); err != nil {
				t.Fatal(err)
			}
			if !sameBits(weights(t, r), before) {
				t.Errorf("%s, restored in %s: the weights are others", ps[0], ps[1])
			}
			var n notes
			if err := r.Train(context.Background(), &n); err != nil {
				t.Fatal(err)
			}
			r.Close()
			same := 0
			for i, s := range n.steps {
				w := want[6+i]
				if s.Step != 7+i || !(math.Abs(s.Loss-w) < 0.01*w) {
					t.Errorf("%s, gone on in %s: step %d has loss %.6f, without a change %.6f", ps[0], ps[1], s.Step, s.Loss, w)
				}
				if s.Loss == w {
					same++
				}
			}
			if same > 1 { // once may happen
				t.Errorf("%s, gone on in %s: %d of %d losses are as without a change", ps[0], ps[1], same, len(n.steps))
			}
		}
	})
}

// What a binary16 cannot hold is an infinity, which ends the run and is traced to the operation.
func TestHalfOverflow(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		c := half()
		for _, c.Train.Precision = range []string{"f32", "f16"} {
			r := beginOn(t, c, ex)
			change(t, ex, r.Model.Lookup("model.layers.0.ffn_norm.weight"), all(1e4))
			change(t, ex, r.Model.Lookup("model.layers.0.mlp.up_proj.weight"), all(3))
			bad, err := steps(r, 1)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			switch {
			case c.Train.Precision == "f32" && bad != nil:
				t.Errorf("in float32: %v", bad)
			case c.Train.Precision == "f32":
			case bad == nil || bad.Origin == nil || bad.Origin.Operation != "matmul_nt_f16_out" || !strings.HasPrefix(bad.Origin.Tensor, "layers.0.linear#") || math.Abs(float64(bad.Origin.Value)) != math.Inf(1):
				t.Errorf("got %v, want an infinity of matmul_nt_f16_out", bad)
			case bad.Cause() != "half" || !strings.Contains(bad.Error(), "set train.precision=f32") || strings.Contains(bad.Error(), "train.lr"):
				t.Errorf("cause %s, advice: %v; want float32, in which it is finite", bad.Cause(), bad)
			}
		}
	})
}

// A step in float16 that is replayed allocates nothing, and needs less memory than one in float32.
func TestHalfMemory(t *testing.T) {
	c := half()
	c.Train.BatchSize, c.Train.SeqLen = 8, 64
	r, _ := begin(t, c)
	if err := r.advance(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { _ = r.trainR.Run() }); n != 0 {
		t.Errorf("%g allocations a run, want 0", n)
	}
	m, err := model.New(c.Model, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var bytes [2]int64
	for i := range bytes {
		s, err := model.NewTrainStep(m, model.StepOptions{Batch: 8, SeqLen: 512, Half: i == 1})
		if err != nil {
			t.Fatal(err)
		}
		bytes[i] = s.Program.Stats().TempBytes
		if cpu := s.Program.CPUBytes(); cpu < bytes[i] || i == 0 && cpu != bytes[i] {
			t.Errorf("%d bytes on a CPU, %d elsewhere", cpu, bytes[i])
		}
	}
	if got := float64(bytes[1]) / float64(bytes[0]); got > 0.9 {
		t.Errorf("temporaries take %.2f of those in float32", got)
	}
}
