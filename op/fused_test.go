package op_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// fusedUses are the ways in which products do more than add: on inputs of few elements, and what their kernels do not take.
func fusedUses(n, i, o int) []fusedCase {
	wide := [][]int{{n, i}, {n, i}, {o, i}, {n, o}}
	return append(fusedCases(n, o, i),
		fusedCase{"swiglu and residual", wide, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.SwiGLULinear(r, in[0], in[1], in[2], in[3])
		}},
		fusedCase{"gelu and residual", wide, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.GELUGateLinear(r, in[0], in[1], in[2], in[3])
		}},
		// What is gated has a gradient already when the product adds to it, and so has the residual.
		fusedCase{"others use them", wide, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			gate, up := op.Add(r, in[0], in[0]), op.Add(r, in[1], in[1])
			plus := op.Add(r, in[3], in[3])
			y := op.SwiGLULinear(r, gate, up, in[2], plus)
			y = op.LinearPlus(r, op.Product(r, gate, up, in[0]), in[2], y)
			return op.Add(r, y, plus)
		}},
		fusedCase{"in float16", wide, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			op.HalfWeights(r, in[2].Arena().Span("weights", in[2], in[2]))
			gate, up := op.Half(r, in[0]), op.Half(r, in[1])
			return op.GELUGateLinear(r, gate, up, in[2], op.SwiGLULinear(r, gate, up, in[2], in[3]))
		}},
		fusedCase{"joined", [][]int{{n, o}, {i, o}, {i, o}, {o, i}}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			gu := op.Linears(r, prog.F32, in[0], in[1], in[2])
			return op.SwiGLULinear(r, gu[0], gu[1], in[3], in[0])
		}},
	)
}

func TestFusedGradient(t *testing.T) {
	for _, s := range [][3]int{{3, 16, 16}, {5, 8, 4}, {1, 4, 4}, {3, 6, 5}} {
		for i, c := range fusedUses(s[0], s[1], s[2]) {
			var ins []check.Input
			for j, shape := range c.shapes {
				ins = append(ins, check.Input{Name: strconv.Itoa(j), Shape: shape})
			}
			t.Run(fmt.Sprintf("%s/%v", c.name, s), func(t *testing.T) {
				check.Gradients(t, uint64(i), 1e-6, ins, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					out := c.build(r, in)
					if out.Dim(0) != s[0] || out.Dim(1) != s[2] {
						t.Errorf("result %v", out)
					}
					return []*prog.Tensor{out}
				})
			})
		}
	}
}

// In one dispatch or in several: the same to rounding, on every executor, in fewer dispatches.
func TestFusedIsSeparate(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, c := range fusedUses(67, 64, 32) {
			rnd := rand.New(rand.NewPCG(3, 4))
			var ins []tensorValues
			for j, s := range c.shapes {
				v := make([]float32, prog.Shape(s).Len())
				for k := range v {
					v[k] = float32(rnd.NormFloat64())
				}
				ins = append(ins, tensorValues{strconv.Itoa(j), s, v})
			}
			run := func() results {
				return runOn(t, ex, ins, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor { return []*prog.Tensor{c.build(r, in)} })
			}
			got := run()
			undo := op.Separate()
			want := run()
			undo()
			check.Within(t, c.name, got.outs[0], want.outs[0], 1e-6)
			for j := range want.grads {
				check.Within(t, fmt.Sprintf("%s: gradient %d", c.name, j), got.grads[j], want.grads[j], 2e-6)
			}
		}
	})
}

// What is kept of a gated layer for its backward pass is its inputs alone, and the program says what is fused.
func TestFusedProgram(t *testing.T) {
	params := prog.NewArena("params")
	x, gate, up := params.Add("x", prog.F32, 8, 16), params.Add("gate", prog.F32, 16, 16), params.Add("up", prog.F32, 16, 16)
	down := params.Add("down", prog.F32, 16, 16)
	params.WithGrad(params.Mirror("grad"))
	record := func() string {
		p, err := prog.Record("ffn", func(r *prog.Recorder) {
			var out *prog.Tensor
			r.Scope("ffn", func() {
				gu := op.Linears(r, prog.F32, x, gate, up)
				out = op.SwiGLULinear(r, gu[0], gu[1], down, x)
			})
			g := r.Temp("seed", out.Len())
			r.Clear(g)
			r.SetGrad(out, g)
			r.Backward()
		})
		if err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		for _, st := range p.Steps {
			fmt.Fprintf(&s, "%s", st.Label()[:strings.IndexAny(st.Label()+"(", "( ")])
			for _, x := range st.Tensors {
				s.WriteString(" " + x.Name())
			}
			s.WriteByte('\n')
		}
		return s.String()
	}
	want := `matmul_nt x gate ffn.linears
swiglu_fwd ffn.linear ffn.linear#2 ffn.swiglu
matmul_nt_add ffn.swiglu down x ffn.linear#3
clear seed
matmul_nn_glu_bwd dffn.linear#3 down ffn.linear ffn.linear#2 dffn.linear dffn.linear#2 ffn.swiglu.again
matmul_tn dffn.linear#3 ffn.swiglu.again grad.down
add_bwd dffn.linear#3 grad.x
matmul_nn dffn.linears gate grad.x
matmul_nn dffn.linears gate grad.x
matmul_tn dffn.linears x grad.gate
`
	if got := record(); got != want {
		t.Errorf("program:\n%swant:\n%s", got, want)
	}
}

func TestFusedRefuses(t *testing.T) {
	for want, f := range map[string]func(r *prog.Recorder){
		"[out 3] and one element": func(r *prog.Recorder) { op.LinearPlus(r, r.Temp("x", 2, 3), r.Temp("w", 3, 2), r.Temp("p", 2, 3)) },
		"LinearPlus of x [2 4]":   func(r *prog.Recorder) { op.LinearPlus(r, r.Temp("x", 2, 4), r.Temp("w", 8, 4), r.Temp("p", 8)) },
		"plus p [8]": func(r *prog.Recorder) {
			op.SwiGLULinear(r, r.Temp("g", 2, 4), r.Temp("u", 2, 4), r.Temp("w", 8, 4), r.Temp("p", 8))
		},
		"up u [2 8]": func(r *prog.Recorder) {
			op.SwiGLULinear(r, r.Temp("g", 2, 4), r.Temp("u", 2, 8), r.Temp("w", 8, 4), nil)
		},
		"weight w [8 8]": func(r *prog.Recorder) {
			op.GELUGateLinear(r, r.Temp("g", 2, 4), r.Temp("u", 2, 4), r.Temp("w", 8, 8), nil)
		},
	} {
		if _, err := prog.Record("refused", f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
}
