package op_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// TestHalfGradients compares gradients through packed activations and weights with differences: in float64, where nothing
// is rounded, they are those of the exact functions.
func TestHalfGradients(t *testing.T) {
	x, y, w, b := check.Input{Name: "x", Shape: []int{3, 6}}, check.Input{Name: "y", Shape: []int{3, 6}}, check.Input{Name: "w", Shape: []int{6}}, check.Input{Name: "b", Shape: []int{6}}
	pair := []check.Input{{Name: "x", Shape: []int{3, 5}}, {Name: "g", Shape: []int{3, 5}}}
	for name, c := range map[string]struct {
		ins   []check.Input
		build func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor
	}{
		"half": {pair, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor { return op.Half(r, op.Add(r, in[0], in[1])) }},
		"rmsnorm": {[]check.Input{x, w}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.RMSNormTo(r, prog.F16, in[0], in[1], 1e-6)
		}},
		"layernorm": {[]check.Input{x, w, b}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.LayerNormTo(r, prog.F16, in[0], in[1], in[2], 1e-6)
		}},
		"addrmsnorm": {[]check.Input{x, y, w}, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			_, out := op.AddRMSNormTo(r, prog.F16, in[0], in[1], in[2], 1e-6)
			return out
		}},
		"swiglu": {pair, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.SwiGLU(r, op.Half(r, in[0]), op.Half(r, in[1]))
		}},
		"gelugate": {pair, func(r *prog.Recorder, in []*prog.Tensor) *prog.Tensor {
			return op.GELUGate(r, op.Half(r, in[0]), op.Half(r, in[1]))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			check.Gradients(t, 4, 1e-6, c.ins, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				out := c.build(r, in)
				if out.DType() != prog.F16 {
					r.Failf("result of %v, want f16", out.DType())
				}
				return []*prog.Tensor{out}
			})
		})
	}
}

// The gradients of products with packed weights, in shapes of the fast kernels and others.
func TestHalfWeightGradients(t *testing.T) {
	for _, s := range [][3]int{{5, 8, 12}, {3, 8, 6}, {6, 12, 1}} { // rows, in, out
		for _, to := range []prog.DType{prog.F32, prog.F16} {
			check.Gradients(t, 5, 1e-6, []check.Input{{Name: "x", Shape: []int{s[0], s[1]}}, {Name: "w", Shape: []int{s[2], s[1]}}, {Name: "b", Shape: []int{s[2]}}},
				func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					op.HalfWeights(r, in[1])
					x := op.Add(r, in[0], in[0])
					y, z := op.LinearTo(r, to, x, in[1]), op.LinearBias(r, x, in[1], in[2])
					if y.DType() != to {
						r.Failf("result of %v, want %v", y.DType(), to)
					}
					return []*prog.Tensor{y, z}
				})
		}
	}
}

// Linear with rounded weights is the product of rounded factors, summed in float32, and the result is rounded where it is to
// be; the weight's gradient is of F32 and of the weight itself.
func TestHalfLinearValue(t *testing.T) {
	const m, n, k = 7, 8, 12
	rnd := rand.New(rand.NewPCG(8, 8))
	x, w := make([]float32, m*k), make([]float32, n*k)
	for _, v := range [][]float32{x, w} {
		for i := range v {
			v[i] = float32(rnd.NormFloat64())
		}
	}
	outs := runFloat32(t, []tensorValues{{"x", []int{m, k}, x}, {"w", []int{n, k}, w}}, nil, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		op.HalfWeights(r, in[1])
		return []*prog.Tensor{op.Linear(r, in[0], in[1]), op.LinearTo(r, prog.F16, in[0], in[1])}
	}).outs
	want := make([]float64, m*n)
	for i := range want {
		for j := range k {
			want[i] += float64(prog.RoundHalf(x[i/n*k+j])) * float64(prog.RoundHalf(w[i%n*k+j]))
		}
	}
	check.Within(t, "of f32", outs[0], want, 1e-6)
	for i, v := range outs[1] {
		if v != prog.RoundHalf(outs[0][i]) {
			t.Errorf("of f16: element %d is %g, want %g rounded", i, v, outs[0][i])
		}
	}
}

func TestHalfRefuses(t *testing.T) {
	a := prog.NewArena("a")
	x, w, v := a.Add("x", prog.F32, 4, 6), a.Add("w", prog.F32, 4, 6), a.Add("v", prog.F32, 6)
	for want, f := range map[string]func(r *prog.Recorder){
		"want an even number for a result of f16": func(r *prog.Recorder) { op.RMSNormTo(r, prog.F16, r.Temp("x", 2, 3), r.Temp("w", 3), 1e-6) },
		"is half [4 6] of f16, want f32":          func(r *prog.Recorder) { op.RMSNorm(r, op.Half(r, x), v, 1e-6) },
		"want a multiple of 128":                  func(r *prog.Recorder) { op.HalfWeights(r, a.Span("all", x, v)); op.Linear(r, x, w) },
	} {
		if _, err := prog.Record("refused", f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an arena took a tensor of f16")
		}
	}()
	a.Add("h", prog.F16, 2)
}
