package op_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/op"
	"innerloop/prog"
)

// fusedCase is what products can do in one dispatch or in several.
type fusedCase struct {
	name   string
	shapes [][]int // of the inputs
	build  func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor
}

// fusedCases are those of n tokens, hidden size c and intermediate size i.
func fusedCases(n, c, i int) []fusedCase {
	return []fusedCase{
		{"swiglu", [][]int{{n, i}, {n, i}, {c, i}}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.SwiGLULinear(r, in[0], in[1], in[2], nil)
		}},
		{"gelu_gate", [][]int{{n, c}, {n, c}, {c, c}}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.GELUGateLinear(r, in[0], in[1], in[2], nil)
		}},
		{"bias", [][]int{{n, c}, {c, c}, {c}}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.LinearBias(r, in[0], in[1], in[2])
		}},
		{"residual", [][]int{{n, c}, {c, c}, {n, c}}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.LinearPlus(r, in[0], in[1], in[2])
		}},
	}
}

// BenchmarkFused runs, on every executor of the machine, what products do in one dispatch in turns with the same in
// several: forward and backward pass of the layers of a step of 2,048 tokens, and the whole step of "bench step". "times"
// is the median of the rounds' ratios, separate over fused, with their quartiles; MiB are of temporaries.
func BenchmarkFused(b *testing.B) {
	for _, ex := range gputest.Executors(b) {
		for _, c := range fusedCases(2048, 256, 688) {
			b.Run(ex.Name+"/"+c.name, func(b *testing.B) { inTurns(b, ex, c.record) })
		}
		for _, gate := range []bool{false, true} {
			name := map[bool]string{false: "/step", true: "/step_gate"}[gate]
			b.Run(ex.Name+name, func(b *testing.B) {
				inTurns(b, ex, func(ex prog.Executor) (*prog.Program, error) { return recordStep(ex, gate) })
			})
		}
	}
}

// record records the case, forward and backward, and fills its inputs.
func (c fusedCase) record(ex prog.Executor) (*prog.Program, error) {
	in, seeds := prog.NewArena("in"), prog.NewArena("seeds")
	var ins []*prog.Tensor
	for i, s := range c.shapes {
		ins = append(ins, in.Add(string(rune('a'+i)), prog.F32, s...))
	}
	grads := in.Mirror("grad")
	in.WithGrad(grads)
	p, err := prog.Record(c.name, func(r *prog.Recorder) {
		r.Clear(grads.Window("grad", 0, grads.Words()))
		// What a product made has a gradient that nothing has written yet.
		out := c.build(r, append([]*prog.Tensor{op.Add(r, ins[0], ins[0]), op.Add(r, ins[1], ins[1])}, ins[2:]...))
		r.SetGrad(out, seeds.Add("seed", prog.F32, out.Shape()...))
		r.Backward()
	})
	if err != nil {
		return nil, err
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, t := range append(ins, seeds.Tensors()...) {
		v := make([]float32, t.Len())
		for i := range v {
			v[i] = float32(rnd.NormFloat64())
		}
		if err := ex.Write(t, v); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// recordStep records the step of "bench step".
func recordStep(ex prog.Executor, gate bool) (*prog.Program, error) {
	c := model.DefaultConfig()
	c.HiddenSize, c.NumAttentionHeads, c.IntermediateSize, c.NumHiddenLayers, c.MiniBatchSize = 256, 4, 688, 4, 16
	c.PreConv, c.UseGate = false, gate
	m, err := model.New(c, model.ScanOptions{CheckpointEvery: 4})
	if err != nil {
		return nil, err
	}
	s, err := model.NewTrainStep(m, model.StepOptions{Batch: 4, SeqLen: 512})
	if err != nil {
		return nil, err
	}
	return s.Program, errors.Join(m.Prepare(ex), m.Init(ex, 1))
}

// inTurns runs two recordings of a program, the second of which keeps apart what products can do.
func inTurns(b *testing.B, ex prog.Executor, record func(ex prog.Executor) (*prog.Program, error)) {
	var runs [2]prog.Runner
	var programs [2]*prog.Program
	for i := range runs {
		undo := func() {}
		if i == 1 {
			undo = op.Separate()
		}
		p, err := record(ex)
		undo()
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			for _, a := range p.Arenas {
				ex.Free(a)
			}
		}()
		run, err := ex.Load(p)
		if err != nil {
			b.Fatal(err)
		}
		defer run.Close()
		if err := errors.Join(run.Run(), ex.Sync()); err != nil {
			b.Fatal(err)
		}
		programs[i], runs[i] = p, run
	}
	var ratios []float64
	for b.Loop() {
		var took [2]time.Duration
		for i, run := range runs {
			start := time.Now()
			if err := errors.Join(run.Run(), ex.Sync()); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(start)
		}
		ratios = append(ratios, float64(took[1])/float64(took[0]))
	}
	slices.Sort(ratios)
	for q, name := range []string{"times-q1", "times", "times-q3"} {
		b.ReportMetric(ratios[(q+1)*(len(ratios)-1)/4], name)
	}
	for i, p := range programs {
		name := [...]string{"", "-separate"}[i]
		b.ReportMetric(float64(p.Stats().TempBytes)/(1<<20), "MiB"+name)
		b.ReportMetric(float64(p.Stats().Dispatches), "dispatches"+name)
	}
	b.ReportMetric(0, "ns/op")
}
