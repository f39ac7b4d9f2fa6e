package op_test

import (
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// pairGradients checks an operation of two tensors of one shape, over ones, odd sizes and several blocks.
func pairGradients(t *testing.T, f func(r *prog.Recorder, a, b *prog.Tensor) *prog.Tensor) {
	t.Helper()
	for _, s := range [][]int{{1}, {3, 7}, {2, 3, 5}, {37, 41}} {
		check.Gradients(t, 2, 1e-7, []check.Input{{Name: "a", Shape: s}, {Name: "b", Shape: s, Scale: 2}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{f(r, in[0], in[1])}
			})
	}
}

func TestAddGradient(t *testing.T) { pairGradients(t, op.Add) }

func TestAddToItself(t *testing.T) {
	check.Gradients(t, 3, 1e-7, []check.Input{{Name: "a", Shape: []int{3, 5}}},
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			return []*prog.Tensor{op.Add(r, in[0], in[0])}
		})
}

func TestAddOfFixed(t *testing.T) {
	for swap := range 2 {
		check.Gradients(t, 4, 1e-7, []check.Input{{Name: "a", Shape: []int{3, 5}}, {Name: "b", Shape: []int{3, 5}, Fixed: true}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.Add(r, in[swap], in[1-swap])}
			})
	}
}

func TestAddWantsOneLength(t *testing.T) {
	_, err := prog.Record("add", func(r *prog.Recorder) {
		a := prog.NewArena("a")
		op.Add(r, a.Add("a", prog.F32, 3), a.Add("b", prog.F32, 4))
	})
	if err == nil || !strings.Contains(err.Error(), "4 elements, want 3") {
		t.Errorf("add of 3 and 4 elements: error %v", err)
	}
}

// loadOn records build and loads it on a new executor of one worker.
func loadOn[F prog.Float](t *testing.T, build func(r *prog.Recorder)) (*prog.CPU[F], prog.Runner) {
	t.Helper()
	p, err := prog.Record(t.Name(), build)
	if err != nil {
		t.Fatal(err)
	}
	cpu := prog.NewCPU[F](1)
	t.Cleanup(cpu.Close)
	run, err := cpu.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	return cpu, run
}

// dataOf returns the elements of a tensor of an arena themselves.
func dataOf[F prog.Float](t *testing.T, cpu *prog.CPU[F], x *prog.Tensor) []F {
	t.Helper()
	d, err := cpu.Data(x)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func runOnce(t *testing.T, run prog.Runner) {
	t.Helper()
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
}
