package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// matrix is the shape [rows,cols], swapped where trans, of a batch where batch > 0.
func matrix(batch, rows, cols int, trans bool) []int {
	if trans {
		rows, cols = cols, rows
	}
	if batch > 0 {
		return []int{batch, rows, cols}
	}
	return []int{rows, cols}
}

// matmulForms are the transpositions that MatMul takes.
var matmulForms = [][2]bool{{false, false}, {false, true}, {true, false}}

func TestMatMulGradient(t *testing.T) {
	for _, f := range matmulForms {
		// Batch (0: none), M, N, K: one by one, odd, and what the kernels of vec4 take.
		for _, s := range [][4]int{{0, 1, 1, 1}, {0, 3, 5, 7}, {2, 5, 1, 3}, {3, 1, 4, 2}, {0, 4, 8, 12}, {2, 8, 4, 4}, {0, 40, 3, 5}} {
			check.Gradients(t, 1, 1e-7, []check.Input{{Name: "a", Shape: matrix(s[0], s[1], s[3], f[0])}, {Name: "b", Shape: matrix(s[0], s[3], s[2], f[1])}},
				func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					return []*prog.Tensor{op.MatMul(r, in[0], in[1], f[0], f[1])}
				})
		}
	}
}

func TestLinearGradient(t *testing.T) {
	for _, s := range []struct{ x, w []int }{
		{[]int{1, 1}, []int{1, 1}}, {[]int{7}, []int{3, 7}}, {[]int{2, 3, 5}, []int{6, 5}}, {[]int{3, 8}, []int{12, 8}}, {[]int{2, 2, 4, 4}, []int{4, 4}},
	} {
		check.Gradients(t, 2, 1e-7, []check.Input{{Name: "x", Shape: s.x}, {Name: "w", Shape: s.w}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				out := op.Linear(r, in[0], in[1])
				want := fmt.Sprint(append(append([]int{}, s.x[:len(s.x)-1]...), s.w[0]))
				if fmt.Sprint(out.Shape()) != want {
					r.Failf("Linear of %v: shape %v, want %s", s.x, out.Shape(), want)
				}
				return []*prog.Tensor{out}
			})
	}
}

// TestMatMulValue compares every form with sums written out here, so that reference and gradient cannot be wrong
// together.
func TestMatMulValue(t *testing.T) {
	const batch, m, n, k = 2, 35, 6, 33
	rnd := rand.New(rand.NewPCG(1, 5))
	values := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rnd.NormFloat64())
		}
		return v
	}
	for _, f := range matmulForms {
		a, b := values(batch*m*k), values(batch*k*n)
		got := runFloat32(t, []tensorValues{{"a", matrix(batch, m, k, f[0]), a}, {"b", matrix(batch, k, n, f[1]), b}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.MatMul(r, in[0], in[1], f[0], f[1])}
			}).outs[0]
		want := make([]float64, batch*m*n)
		for i := range want {
			z, row, col := i/(m*n), i/n%m, i%n
			for p := range k {
				ai, bi := row*k+p, p*n+col
				if f[0] {
					ai = p*m + row
				}
				if f[1] {
					bi = col*k + p
				}
				want[i] += float64(a[z*m*k+ai]) * float64(b[z*k*n+bi])
			}
		}
		check.Within(t, fmt.Sprintf("MatMul %v", f), got, want, 1e-6)
	}
}

// A row's products with the rows of b are shared out by these, in blocks that go on from one of the batch to the next: they
// are those that the row has among others, with any number of workers.
func TestMatMulOneRow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 7))
	for _, s := range []struct{ batch, n, k int }{{3, 1000, 128}, {2, 1003, 130}, {1, 3000, 97}, {5, 4, 20000}} {
		values := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32(rnd.NormFloat64())
			}
			return v
		}
		a, b := values(s.batch*s.k), values(s.batch*s.k*s.n)
		var twice []float32
		for z := range s.batch {
			row := a[z*s.k:][:s.k]
			twice = append(append(twice, row...), row...)
		}
		run := func(m, workers int, a []float32) []float32 {
			ex := prog.NewCPU[float32](workers)
			defer ex.Close()
			return runOn(t, ex, []tensorValues{{"a", []int{s.batch, m, s.k}, a}, {"b", []int{s.batch, s.n, s.k}, b}}, nil,
				func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					return []*prog.Tensor{op.MatMul(r, in[0], in[1], false, true)}
				}).outs[0]
		}
		want := run(2, 1, twice)
		for _, workers := range []int{1, 3} {
			got := run(1, workers, a)
			for i, y := range got {
				if w := want[i/s.n*2*s.n+i%s.n]; y != w {
					t.Fatalf("%+v, %d workers: element %d is %g, want %g", s, workers, i, y, w)
				}
			}
		}
	}
}

// TestLinearProgram holds the recorded program: the fast kernels for multiples of 4, no gradient of an input that
// wants none, and gradients overwritten where nothing is there yet.
func TestLinearProgram(t *testing.T) {
	data, params := prog.NewArena("data"), prog.NewArena("params")
	x, w := data.Add("x", prog.F32, 2, 3, 8), params.Add("w", prog.F32, 12, 8)
	v := params.Add("v", prog.F32, 5, 12)
	params.WithGrad(params.Mirror("grad"))
	p, err := prog.Record("linear", func(r *prog.Recorder) {
		var out *prog.Tensor
		r.Scope("up", func() { out = op.Linear(r, x, w) })
		r.Scope("down", func() { out = op.Linear(r, out, v) })
		g := r.Temp("seed", out.Len())
		r.Clear(g)
		r.SetGrad(out, g)
		r.Backward()
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `  0 matmul_nt(Batch=1 M=6 N=12 K=8 SharedA=false SharedB=false) a=x b=w out=up.linear
  1 matmul_any(Batch=1 M=6 N=5 K=12 TransA=false TransB=true) a=up.linear b=v out=down.linear
  2 clear seed [30]
  3 matmul_any(Batch=1 M=6 N=12 K=5 TransA=false TransB=false) a=ddown.linear b=v out=dup.linear
  4 matmul_any(Batch=1 M=5 N=12 K=6 TransA=true TransB=false) a=ddown.linear b=up.linear out+=grad.v
  5 matmul_tn(Batch=1 M=12 N=8 K=6 SharedA=false SharedB=false) a=dup.linear b=x out+=grad.w
`
	if got := p.String(); got != want {
		t.Errorf("program:\n%swant:\n%s", got, want)
	}
}

func TestMatMulRefuses(t *testing.T) {
	for want, f := range map[string]func(r *prog.Recorder){
		"both transposed":  func(r *prog.Recorder) { op.MatMul(r, r.Temp("a", 2, 2), r.Temp("b", 2, 2), true, true) },
		"inner extents 3":  func(r *prog.Recorder) { op.MatMul(r, r.Temp("a", 2, 3), r.Temp("b", 2, 3), false, false) },
		"want [out 3]":     func(r *prog.Recorder) { op.Linear(r, r.Temp("x", 2, 3), r.Temp("w", 3, 2)) },
		"batch of 65536":   func(r *prog.Recorder) { op.MatMul(r, r.Temp("a", 1<<16, 1, 1), r.Temp("b", 1<<16, 1, 1), false, false) },
		"equal batches of": func(r *prog.Recorder) { op.MatMul(r, r.Temp("a", 2, 2, 2), r.Temp("b", 3, 2, 2), false, false) },
		"[2 3] and b [3]":  func(r *prog.Recorder) { op.MatMul(r, r.Temp("a", 2, 3), r.Temp("b", 3), false, false) },
	} {
		if _, err := prog.Record("refused", f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
}

// TestMatMulGrid checks, for GPUs and CPU adapters and every variant, that tiles and grid agree: every element has an
// invocation, no workgroup is wholly outside, and the limits hold.
func TestMatMulGrid(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	for _, k := range op.Kernels {
		if !strings.HasPrefix(k.Name, "matmul_") {
			continue
		}
		for range 200 {
			c := k.Sample(rnd)
			for _, kind := range [][2]bool{{false, false}, {true, false}, {true, true}} {
				tr := prog.DefaultTraits
				tr.Software, tr.ShortLoops = kind[0], kind[1]
				for _, v := range k.Variants(c, tr) {
					cs, g := k.VariantConsts(c, 0, v), v.Grid
					at := func(name string) int {
						if v, ok := cs[name]; ok {
							return v.(int)
						}
						return 4 // matmul_any's tile
					}
					x, y := at("TN")*at("WX"), at("TM")*at("WY")
					if g[0] != int(math.Ceil(float64(at("N"))/float64(x))) || g[1] != int(math.Ceil(float64(at("M"))/float64(y))) {
						t.Errorf("%s(%+v), %s: grid %v of %dx%d elements", k.Name, c, v.Name, g, y, x)
					}
					most := 64
					if strings.HasSuffix(v.Shader, "_tile") {
						most = 256
					}
					if wg := at("WX") * at("WY"); wg > most || wg < 1 {
						t.Errorf("%s(%+v), %s: workgroup of %dx%d", k.Name, c, v.Name, at("WX"), at("WY"))
					}
				}
			}
		}
	}
}
