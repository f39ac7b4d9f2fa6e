package op_test

import (
	"math"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestLRGateGradient(t *testing.T) {
	for _, s := range [][]int{{1, 1}, {3, 7}, {2, 5, 4}, {9, 33}} {
		check.Gradients(t, 5, 1e-7, []check.Input{{Name: "z", Shape: s}, {Name: "bias", Shape: []int{s[len(s)-1], 1}}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.LRGate(r, in[0], in[1], 1.5, 16)}
			})
	}
}

func TestLRGateValues(t *testing.T) {
	ar := prog.NewArena("in")
	z, bias := ar.Add("z", prog.F32, 3, 2), ar.Add("bias", prog.F32, 2, 1)
	var lr *prog.Tensor
	cpu, run := loadOn[float32](t, func(r *prog.Recorder) { lr = r.Keep(op.LRGate(r, z, bias, 0.5, 8)) })
	zs, bs := []float32{0, 1, -300, 300, -2, 0.5}, []float32{0.25, -1}
	copy(dataOf(t, cpu, z), zs)
	copy(dataOf(t, cpu, bias), bs)
	runOnce(t, run)
	got := make([]float32, 6)
	if err := run.Read(lr, got); err != nil {
		t.Fatal(err)
	}
	want := make([]float64, 6)
	for i, v := range zs {
		want[i] = 0.5 / 8 / (1 + math.Exp(-float64(v+bs[i%2])))
	}
	check.Within(t, "lr", got, want, 1e-6)
}
