package op_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// normed is the sum of norms of outs: each of another size, so that none is lost unseen.
func normed(r *prog.Recorder, w *prog.Tensor, outs []*prog.Tensor) *prog.Tensor {
	sum := op.RMSNorm(r, outs[0], w, 0.1)
	for _, o := range outs[1:] {
		sum = op.Add(r, op.Add(r, sum, sum), op.RMSNorm(r, o, w, 0.1))
	}
	return sum
}

func TestLinearsGradient(t *testing.T) {
	for _, s := range []struct{ n, i, o, used int }{{8, 16, 16, 3}, {8, 16, 16, 2}, {8, 8, 16, 3}, {3, 16, 16, 3}, {8, 6, 16, 3}} {
		ins := []check.Input{{Name: "x", Shape: []int{s.n, s.i}}, {Name: "a", Shape: []int{s.o, s.i}}, {Name: "b", Shape: []int{s.o, s.i}},
			{Name: "c", Shape: []int{s.o, s.i}}, {Name: "w", Shape: []int{s.o}}}
		if s.used < 3 {
			ins[3].Fixed = true // in another arena
		}
		check.Gradients(t, 1, 1e-6, ins, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			outs := op.Linears(r, prog.F32, in[0], in[1:4]...)
			return []*prog.Tensor{normed(r, in[4], outs[:s.used])}
		})
	}
}

// One product gives the bits of several, in fewer steps; a result that nothing uses has no gradient, and neither has its
// weight.
func TestLinearsAreLinear(t *testing.T) {
	const n, i, o = 8, 16, 16
	rnd := rand.New(rand.NewPCG(5, 6))
	var ins []tensorValues
	for _, c := range []struct {
		name  string
		shape []int
	}{{"x", []int{n, i}}, {"a", []int{o, i}}, {"b", []int{o, i}}, {"c", []int{o, i}}, {"w", []int{o}}} {
		v := make([]float32, prog.Shape(c.shape).Len())
		for j := range v {
			v[j] = float32(rnd.NormFloat64())
		}
		ins = append(ins, tensorValues{c.name, c.shape, v})
	}
	for _, used := range []int{2, 3} {
		for _, half := range []bool{false, true} {
			steps := map[bool]int{}
			run := func(batch bool) results {
				return runFloat32(t, ins, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					to := prog.F32
					if half {
						op.HalfWeights(r, in[1].Arena().Span("weights", in[1], in[3]))
					}
					var outs []*prog.Tensor
					if batch {
						outs = op.Linears(r, to, in[0], in[1:4]...)
					} else {
						for _, w := range in[1:4] {
							outs = append(outs, op.LinearTo(r, to, in[0], w))
						}
					}
					return []*prog.Tensor{normed(r, in[4], outs[:used])}
				})
			}
			count := func(batch bool) {
				ps := prog.NewArena("in")
				var in []*prog.Tensor
				for _, c := range ins {
					in = append(in, ps.Add(c.name, prog.F32, c.shape...))
				}
				ps.WithGrad(ps.Mirror("grad"))
				p, err := prog.Record("p", func(r *prog.Recorder) {
					var outs []*prog.Tensor
					if batch {
						outs = op.Linears(r, prog.F32, in[0], in[1:4]...)
					} else {
						for _, w := range in[1:4] {
							outs = append(outs, op.Linear(r, in[0], w))
						}
					}
					out := normed(r, in[4], outs)
					r.SetGrad(out, r.Temp("seed", n, o))
					r.Clear(r.Grad(out))
					r.Backward()
				})
				if err != nil {
					t.Fatal(err)
				}
				steps[batch] = strings.Count(p.String(), "matmul_")
			}
			one, all := run(true), run(false)
			if !slices.Equal(one.outs[0], all.outs[0]) {
				t.Errorf("%d used, half %v: results differ", used, half)
			}
			for i := range one.grads {
				tol := 0.0
				if half { // one by one x is rounded for each, and its gradients are added in another order
					tol = 1e-6
				}
				check.Within(t, ins[i].name, one.grads[i], all.grads[i], tol)
			}
			if count(true); steps[true] != 1+3+1 {
				t.Errorf("%d products, want one forward, three for x, one for the weights", steps[true])
			}
			if count(false); steps[false] != 3+3+3 {
				t.Errorf("%d products one by one", steps[false])
			}
		}
	}
}
