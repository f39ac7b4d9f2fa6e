package op_test

import (
	"slices"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestProductGradient(t *testing.T) {
	for _, s := range [][]int{{1}, {3, 7}, {2, 3, 5}, {37, 41}} {
		check.Gradients(t, 2, 1e-7, []check.Input{{Name: "a", Shape: s}, {Name: "b", Shape: s, Scale: 2}, {Name: "c", Shape: s}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.Product(r, in[0], in[1], in[2])}
			})
	}
}

func TestProductValues(t *testing.T) {
	in := func(name string, v ...float32) tensorValues { return tensorValues{name, []int{len(v)}, v} }
	res := runFloat32(t, []tensorValues{in("a", 2, -3, 0), in("b", 5, 0.5, 7), in("c", 1, 4, -2)}, [][]float32{{1, 10, 100}},
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			return []*prog.Tensor{op.Product(r, in[0], in[1], in[2])}
		})
	for _, c := range []struct {
		what      string
		got, want []float32
	}{
		{"product", res.outs[0], []float32{10, -6, 0}},
		{"da", res.grads[0], []float32{5, 20, -1400}},
		{"db", res.grads[1], []float32{2, -120, 0}},
		{"dc", res.grads[2], []float32{10, -15, 0}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
}
