package op_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestAddRMSNormGradient(t *testing.T) {
	for _, s := range [][]int{{1, 2}, {3, 7}, {2, 3, 5}} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "a", Shape: s}, {Name: "b", Shape: s}, {Name: "w", Shape: s[len(s)-1:]}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				sum, out := op.AddRMSNorm(r, in[0], in[1], in[2], 1e-6)
				return []*prog.Tensor{op.Add(r, sum, in[0]), out}
			})
	}
}

func TestAddRMSNormIsAddAndRMSNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	ins := []tensorValues{{"a", []int{5, 12}, nil}, {"b", []int{5, 12}, nil}, {"w", []int{12}, nil}}
	for i := range ins {
		v := make([]float32, prog.Shape(ins[i].shape).Len())
		for j := range v {
			v[j] = float32(r.NormFloat64())
		}
		ins[i].values = v
	}
	one := runFloat32(t, ins, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		sum, out := op.AddRMSNorm(r, in[0], in[1], in[2], 1e-6)
		return []*prog.Tensor{op.Add(r, sum, in[0]), out}
	})
	two := runFloat32(t, ins, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		sum := op.Add(r, in[0], in[1])
		out := op.RMSNorm(r, sum, in[2], 1e-6)
		return []*prog.Tensor{op.Add(r, sum, in[0]), out}
	})
	if got, want := fmt.Sprint(one), fmt.Sprint(two); got != want {
		t.Errorf("in one step %s, in two %s", got, want)
	}
}

// TestInheritedGradients differentiates random graphs of sums, whose gradients share memory, and of other operations,
// which write and read them in every order.
func TestInheritedGradients(t *testing.T) {
	var copies, dispatches int
	for seed := range uint64(150) {
		build := func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			rnd := rand.New(rand.NewPCG(seed, 1))
			ts := []*prog.Tensor{op.RMSNorm(r, in[0], in[2], 0.1), op.RMSNorm(r, in[1], in[2], 0.1)}
			pick := func() *prog.Tensor { return ts[max(0, len(ts)-1-rnd.IntN(4))] }
			for range 3 + rnd.IntN(6) {
				switch a, b := pick(), pick(); rnd.IntN(4) {
				case 0:
					ts = append(ts, op.RMSNorm(r, a, in[2], 0.1))
				case 1:
					sum, out := op.AddRMSNorm(r, a, b, in[2], 0.1)
					ts = append(ts, sum, out)
				default:
					ts = append(ts, op.Add(r, a, b))
				}
			}
			return []*prog.Tensor{op.RMSNorm(r, op.Add(r, op.Add(r, pick(), pick()), op.Add(r, ts[0], ts[1])), in[2], 0.1)}
		}
		check.Gradients(t, seed, 1e-5, []check.Input{{Name: "a", Shape: []int{2, 3}}, {Name: "b", Shape: []int{2, 3}}, {Name: "w", Shape: []int{3}}}, build)
		if t.Failed() {
			t.Fatalf("graph %d", seed)
		}
		ps := prog.NewArena("in")
		ins := []*prog.Tensor{ps.Add("a", prog.F32, 2, 3), ps.Add("b", prog.F32, 2, 3), ps.Add("w", prog.F32, 3)}
		ps.WithGrad(ps.Mirror("grads"))
		p, err := prog.Record("graph", func(r *prog.Recorder) {
			out := build(r, ins)[0]
			r.SetGrad(out, r.Temp("seed", 2, 3))
			r.Clear(r.Grad(out))
			r.Backward()
		})
		if err != nil {
			t.Fatal(err)
		}
		list := p.String()
		copies += strings.Count(list, "add_bwd") - strings.Count(list, "da+=")
		dispatches += strings.Count(list, "add_fwd") + strings.Count(list, "add_rmsnorm_fwd")
	}
	if copies == 0 || copies >= dispatches {
		t.Errorf("%d copies of gradients for %d sums, want some and fewer", copies, dispatches)
	}
	t.Logf("%d copies of gradients for %d sums", copies, dispatches)
}
