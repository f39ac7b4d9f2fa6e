package op_test

import (
	"errors"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// BenchmarkAttention is forward and backward of an attention on every executor of the machine, each of its dispatches
// by itself, beside a product of 512³: what it counts is the pairs of tokens that see each other.
func BenchmarkAttention(b *testing.B) {
	bench := func(b *testing.B, ex prog.Executor, in *prog.Arena, build func(r *prog.Recorder)) {
		p, err := prog.Record("bench", build)
		if err != nil {
			b.Fatal(err)
		}
		run, err := ex.Load(p)
		if err != nil {
			b.Fatal(err)
		}
		defer run.Close()
		defer ex.Free(in)
		best := make([]float64, len(p.Steps))
		for b.Loop() {
			s, err := run.Profile()
			if err := errors.Join(err, ex.Sync()); err != nil {
				b.Fatal(err)
			}
			for i, t := range s {
				if best[i] == 0 || t < best[i] {
					best[i] = t
				}
			}
		}
		for i, st := range p.Steps {
			if st.Flops() > 0 {
				b.ReportMetric(st.Flops()/best[i]/1e9, st.Kernel.Name+"-GFLOP/s")
			}
		}
		b.ReportMetric(0, "ns/op")
	}
	for _, ex := range gputest.Executors(b) {
		b.Run(ex.Name+"/matmul", func(b *testing.B) {
			in := prog.NewArena("in")
			bench(b, ex, in, func(r *prog.Recorder) {
				x, y := in.Add("x", prog.F32, 512, 512), in.Add("y", prog.F32, 512, 512)
				op.MatMul(r, x, y, false, true)
			})
		})
		for _, c := range []struct {
			name            string
			b, l, h, f, win int
		}{{"B4L256H4F32", 4, 256, 4, 32, 0}, {"B2L512H4F64", 2, 512, 4, 64, 0}, {"B1L512H2F128", 1, 512, 2, 128, 0}, {"B2L1024H4F64W128", 2, 1024, 4, 64, 128}} {
			b.Run(ex.Name+"/"+c.name, func(b *testing.B) {
				in, inputs := prog.NewArena("in"), prog.NewArena("inputs")
				n, w := c.b*c.l, c.h*c.f
				pos := inputs.Add("pos", prog.U32, n)
				stage := prog.NewStage(inputs)
				for i := range n {
					stage.U32(pos)[i] = uint32(i % c.l)
				}
				if err := ex.Upload(stage); err != nil {
					b.Fatal(err)
				}
				defer ex.Free(inputs)
				bench(b, ex, in, func(r *prog.Recorder) {
					var qkv []*prog.Tensor
					for _, name := range strings.Fields("q k v") {
						qkv = append(qkv, in.Add(name, prog.F32, n, w))
					}
					in.WithGrad(in.Mirror("grad"))
					out := op.Attention(r, qkv[0], qkv[1], qkv[2], pos, op.AttentionOptions{Heads: c.h, SeqLen: c.l, Window: c.win})
					r.SetGrad(out, in.Add("dout", prog.F32, n, w))
					r.Backward()
				})
			})
		}
	}
}
