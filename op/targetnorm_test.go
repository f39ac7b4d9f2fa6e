package op_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

func TestTargetNormGradient(t *testing.T) {
	for _, s := range [][]int{{1, 1, 2}, {3, 2, 5}, {2, 3, 1, 4}, {2, 2, 33}} {
		for _, eps := range []float64{0, 1e-5, 0.5} {
			if s[len(s)-1] == 2 && eps < 0.5 {
				continue // of two elements z is (almost) independent
			}
			p := s[len(s)-2:]
			check.Gradients(t, 1, 1e-6, []check.Input{{Name: "xv", Shape: s}, {Name: "xk", Shape: s}, {Name: "w", Shape: p},
				{Name: "b", Shape: p}, {Name: "eps", Shape: []int{1}, Fixed: true, Fill: func(int) float64 { return eps }}},
				func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					out, _, _ := op.TargetNorm(r, in[0], in[1], in[2], in[3], in[4])
					return []*prog.Tensor{out}
				})
		}
	}
}

// targetNorm is a recorded TargetNorm with its backward, that can run with other data each time.
type targetNorm struct {
	t                            testing.TB
	ex                           prog.Executor
	run                          prog.Runner
	xv, xk, w, b, eps, dout      *prog.Tensor
	out, z, std                  *prog.Tensor
	dxv, dxk, dw, db             *prog.Tensor
	arenas                       []*prog.Arena
	gotOut, gotZ, gotStd         []float32
	gotDXV, gotDXK, gotDW, gotDB []float32
}

func newTargetNorm(t testing.TB, ex prog.Executor, shape ...int) *targetNorm {
	t.Helper()
	n := &targetNorm{t: t, ex: ex}
	in, fixed := prog.NewArena("in"), prog.NewArena("fixed")
	head := shape[len(shape)-2:]
	n.xv, n.xk = in.Add("xv", prog.F32, shape...), in.Add("xk", prog.F32, shape...)
	n.w, n.b = in.Add("w", prog.F32, head...), in.Add("b", prog.F32, head...)
	n.eps, n.dout = fixed.Add("eps", prog.F32, 1), fixed.Add("dout", prog.F32, shape...)
	g := in.Mirror("grad")
	in.WithGrad(g)
	n.dxv, n.dxk, n.dw, n.db = g.In(n.xv), g.In(n.xk), g.In(n.w), g.In(n.b)
	n.arenas = []*prog.Arena{in, fixed, g}
	p, err := prog.Record("target norm", func(r *prog.Recorder) {
		for _, t := range g.Tensors() {
			r.Clear(t)
		}
		n.out, n.z, n.std = op.TargetNorm(r, n.xv, n.xk, n.w, n.b, n.eps)
		for _, o := range []*prog.Tensor{n.out, n.z, n.std} {
			r.Keep(o)
		}
		r.SetGrad(n.out, n.dout)
		r.Backward()
	})
	n.must(err)
	n.run, err = ex.Load(p)
	n.must(err)
	t.Cleanup(func() {
		n.run.Close()
		for _, a := range n.arenas {
			ex.Free(a)
		}
	})
	return n
}

func (n *targetNorm) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *targetNorm) write(t *prog.Tensor, v []float32) { n.t.Helper(); n.must(n.ex.Write(t, v)) }

// step runs once and reads everything.
func (n *targetNorm) step(eps float32) {
	n.t.Helper()
	n.write(n.eps, []float32{eps})
	n.must(n.run.Run())
	for t, dst := range map[*prog.Tensor]*[]float32{n.out: &n.gotOut, n.z: &n.gotZ, n.std: &n.gotStd} {
		*dst = make([]float32, t.Len())
		n.must(n.run.Read(t, *dst))
	}
	for t, dst := range map[*prog.Tensor]*[]float32{n.dxv: &n.gotDXV, n.dxk: &n.gotDXK, n.dw: &n.gotDW, n.db: &n.gotDB} {
		*dst = make([]float32, t.Len())
		n.must(n.ex.Read(t, *dst))
	}
}

// TestGoldenNorm compares with PyTorch in float64: ordinary, wide, near-zero and zero standard deviation.
func TestGoldenNorm(t *testing.T) {
	for _, g := range check.Goldens(t, "norm-") {
		t.Run(g.Name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { targetNormGolden(t, g, ex) })
		})
	}
}

func targetNormGolden(t *testing.T, f check.Golden, ex prog.Executor) {
	var cases map[string]struct{ Eps float64 }
	if err := json.Unmarshal([]byte(f.Metadata()["cases"]), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("the file's metadata lists no cases")
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			load := func(what string) []float64 { t.Helper(); return f.F64(t, name+"."+what) }
			n := newTargetNorm(t, ex, f.Shape(t, name+".XV")...)
			for what, to := range map[string]*prog.Tensor{"XV": n.xv, "XK": n.xk, "weight": n.w, "bias": n.b, "dout": n.dout} {
				v := load(what)
				f := make([]float32, len(v))
				for i := range v {
					f[i] = float32(v[i])
				}
				n.write(to, f)
			}
			n.step(float32(cases[name].Eps))
			var report []string
			for _, c := range []struct {
				what string
				got  []float32
				tol  float64
			}{{"out", n.gotOut, 1e-5}, {"std", n.gotStd, 1e-5}, {"dXV", n.gotDXV, 1e-4}, {"dXK", n.gotDXK, 1e-4},
				{"dweight", n.gotDW, 1e-4}, {"dbias", n.gotDB, 1e-4}} {
				want := load(c.what)
				check.Within(t, c.what, c.got, want, c.tol)
				report = append(report, fmt.Sprintf("%s %.1e", c.what, check.RelErr(c.got, want)))
			}
			t.Log(strings.Join(report, " "))
		})
	}
}

// kindsOfRows fills rows of xv and xk with what breaks a careless normaliser.
var kindsOfRows = []struct {
	name     string
	constant bool // all of d are equal: std and z must be 0
	exact    bool // compare z with float64
	row      func(r *rand.Rand, n int, xv, xk []float32)
}{
	{"normal", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) { return normal(r), normal(r) })},
	{"constant that rounds", true, false, fillRow(func(_ *rand.Rand, _ int) (v, k float32) { return 0.1, -1. / 3 })},
	{"zero", true, false, fillRow(func(_ *rand.Rand, _ int) (v, k float32) { return 0, 0 })},
	{"equal V and K", true, false, fillRow(func(r *rand.Rand, _ int) (v, k float32) { x := normal(r); return x, x })},
	{"constant, huge", true, false, fillRow(func(_ *rand.Rand, _ int) (v, k float32) { return math.MaxFloat32, -math.MaxFloat32 })},
	{"constant, subnormal", true, false, fillRow(func(_ *rand.Rand, _ int) (v, k float32) { return 3e-45, -4e-45 })},
	{"near-equal V and K", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) {
		k = normal(r)
		return k + 1e-6*normal(r), k
	})},
	{"mean far above std", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) { return 1000 + 1e-3*normal(r), 0.3 })},
	{"huge", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) { return 1e30 * normal(r), 1e30 * normal(r) })},
	{"largest, both signs", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) {
		v = math.MaxFloat32 * float32(1-2*r.IntN(2))
		return v, -v
	})},
	{"one largest", false, true, fillRow(func(_ *rand.Rand, i int) (v, k float32) {
		if i == 0 {
			return math.MaxFloat32, -math.MaxFloat32
		}
		return 0, 0
	})},
	{"tiny", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) { return 1e-30 * normal(r), 1e-30 * normal(r) })},
	{"subnormal", false, false, fillRow(func(r *rand.Rand, _ int) (v, k float32) { return 1e-43 * normal(r), 1e-43 * normal(r) })},
	{"one smallest", false, false, fillRow(func(_ *rand.Rand, i int) (v, k float32) {
		if i == 0 {
			return 1e-45, 0
		}
		return 0, 0
	})},
	{"huge with one ulp", false, true, fillRow(func(_ *rand.Rand, i int) (v, k float32) {
		return math.Float32frombits(math.Float32bits(1e30) + uint32(i%2)), 0
	})},
	{"mixed magnitudes", false, true, fillRow(func(r *rand.Rand, _ int) (v, k float32) {
		return normal(r) * float32(math.Pow(10, float64(r.IntN(60)-30))), normal(r)
	})},
	{"any bits", false, false, fillRow(func(r *rand.Rand, _ int) (v, k float32) { return anyFinite(r), anyFinite(r) })},
}

func fillRow(f func(r *rand.Rand, i int) (v, k float32)) func(r *rand.Rand, n int, xv, xk []float32) {
	return func(r *rand.Rand, n int, xv, xk []float32) {
		for i := range n {
			xv[i], xk[i] = f(r, i)
		}
	}
}

func normal(r *rand.Rand) float32 { return float32(r.NormFloat64()) }

func anyFinite(r *rand.Rand) float32 {
	for {
		if v := math.Float32frombits(r.Uint32()); v-v == 0 {
			return v
		}
	}
}

func TestTargetNormBound(t *testing.T) { gputest.Each(t, targetNormBound) }

// targetNormBound checks the guarantees of TargetNorm's comment on rows of every kind, each several times.
func targetNormBound(t *testing.T, ex prog.Executor) {
	const tokens = 16
	heads := len(kindsOfRows)
	for _, f := range []int{1, 2, 3, 63, 64, 128, 1000} {
		r := rand.New(rand.NewPCG(uint64(f), 5))
		n := newTargetNorm(t, ex, tokens, heads, f)
		xv, xk := make([]float32, n.xv.Len()), make([]float32, n.xv.Len())
		for row := range tokens * heads {
			kindsOfRows[row%heads].row(r, f, xv[row*f:], xk[row*f:])
		}
		n.write(n.xv, xv)
		n.write(n.xk, xk)
		n.write(n.w, slices.Repeat([]float32{1}, heads*f))
		dout := make([]float32, len(xv))
		for i := range dout {
			dout[i] = normal(r)
		}
		n.write(n.dout, dout)
		bound := math.Sqrt(float64(f-1)) * (1 + 1e-5)
		for _, eps := range epsToTry {
			n.step(eps)
			for row, std := range n.gotStd {
				k := kindsOfRows[row%heads]
				z, out := n.gotZ[row*f:(row+1)*f], n.gotOut[row*f:(row+1)*f]
				dxv, dxk := n.gotDXV[row*f:(row+1)*f], n.gotDXK[row*f:(row+1)*f]
				if !(std >= 0 && std <= math.MaxFloat32) || (k.constant || f == 1) && std != 0 {
					t.Fatalf("%s, F=%d, eps=%g: std %g", k.name, f, eps, std)
				}
				for i, v := range z {
					if !(math.Abs(float64(v)) <= bound) || (k.constant || f == 1) && v != 0 {
						t.Fatalf("%s, F=%d, eps=%g: z[%d] = %g, want at most %g", k.name, f, eps, i, v, bound)
					}
					if out[i]-out[i] != 0 {
						t.Fatalf("%s, F=%d, eps=%g: out[%d] = %g of z %g", k.name, f, eps, i, out[i], v)
					}
					if eps >= 1e-8 && (dxv[i]-dxv[i] != 0 || dxk[i]-dxk[i] != 0) {
						t.Fatalf("%s, F=%d, eps=%g: gradients %g and %g", k.name, f, eps, dxv[i], dxk[i])
					}
				}
				if k.exact && f > 1 && eps <= 1 {
					want, wantStd := targetNormFloat64(xv[row*f:(row+1)*f], xk[row*f:(row+1)*f], float64(eps))
					check.Within(t, fmt.Sprintf("%s, F=%d, eps=%g: z", k.name, f, eps), z, want, 5e-6)
					check.Within(t, k.name+": std", []float32{std}, []float64{min(wantStd, math.MaxFloat32)}, 2e-6)
				}
				if t.Failed() {
					return
				}
			}
		}
	}
}

// targetNormFloat64 is the formula as it stands.
func targetNormFloat64(xv, xk []float32, eps float64) (z []float64, std float64) {
	n := float64(len(xv))
	var mean, q float64
	for i := range xv {
		z = append(z, float64(xv[i])-float64(xk[i]))
		mean += z[i] / n
	}
	for i := range z {
		z[i] -= mean
		q += z[i] * z[i]
	}
	std = math.Sqrt(q / (n - 1))
	for i := range z {
		if std+eps == 0 {
			z[i] = 0
		} else {
			z[i] /= std + eps
		}
	}
	return z, std
}

// A change of eps acts on the next run of the same program.
func TestTargetNormEpsIsData(t *testing.T) { gputest.Each(t, targetNormEps) }

func targetNormEps(t *testing.T, ex prog.Executor) {
	n := newTargetNorm(t, ex, 1, 1, 2)
	n.write(n.xv, []float32{1, 3})
	n.write(n.xk, []float32{0, 0})
	n.write(n.w, []float32{1, 1})
	n.write(n.dout, []float32{1, 0})
	for _, eps := range []float32{1e-8, 1, 1e-5, 3, 0} {
		n.step(eps)
		// d = (1, 3), std = sqrt(2); with u = (-1, 1): z = u/(sqrt2+eps), and as u is the only direction left when
		// the mean is taken out, dz0/dd0 = 1/2 * eps/(sqrt2+eps)².
		z := 1 / (math.Sqrt2 + float64(eps))
		check.Within(t, fmt.Sprintf("z, eps=%g", eps), n.gotZ, []float64{-z, z}, 1e-6)
		g := float64(eps) * z * z / 2
		if d := math.Abs(float64(n.gotDXV[0]) - g); d > 1e-6 {
			t.Errorf("dxv, eps=%g: got %g, want %g", eps, n.gotDXV[0], g)
		}
	}
}
