package op_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestSumTo(t *testing.T) {
	for _, n := range []int{1, 63, 4096, 4097, 100_000} {
		in, out := prog.NewArena("in"), prog.NewArena("out")
		x, scale, dst := in.Add("x", prog.F32, n), in.Add("scale", prog.F32, 1), out.Add("dst", prog.F32, 1)
		cpu, run := loadOn[float32](t, func(r *prog.Recorder) { op.SumTo(r, x, scale, dst) })
		rnd := rand.New(rand.NewPCG(8, uint64(n)))
		var want float64
		for i := range n {
			v := float32(1 + rnd.NormFloat64())
			dataOf(t, cpu, x)[i] = v
			want += float64(v)
		}
		dataOf(t, cpu, scale)[0] = 0.5
		dataOf(t, cpu, dst)[0] = 3
		runOnce(t, run)
		check.Within(t, "sum", dataOf(t, cpu, dst), []float64{3 + want/2}, 1e-6)
		runOnce(t, run)
		check.Within(t, "sum twice", dataOf(t, cpu, dst), []float64{3 + want}, 1e-6)
	}
}

// TestSumToStages: one dispatch where one workgroup does, two where x is large, with at most 1024 partial sums.
func TestSumToStages(t *testing.T) {
	in, out := prog.NewArena("in"), prog.NewArena("out")
	small, large := in.Add("small", prog.F32, 4096), in.Add("large", prog.F32, 30_000_001)
	scale, dst := in.Add("scale", prog.F32, 1), out.Add("dst", prog.F32, 1)
	p, err := prog.Record("sum", func(r *prog.Recorder) {
		op.SumTo(r, small, scale, dst)
		op.SumTo(r, large, scale, dst)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `  0 sum_to(N=4096) x=small scale=scale dst+=dst
  1 sum_part(N=30000001 Parts=1024 Chunk=29297) x=large part=sum.part
  2 sum_to(N=1024) x=sum.part scale=scale dst+=dst
`
	if got := p.String(); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("program:\n%swant:\n%s", got, want)
	}
}
