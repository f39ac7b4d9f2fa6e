package gpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"innerloop/gpu"
	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// tunings makes the device specialise as for each kind of hardware in turn.
func tunings(t *testing.T, dev *gpu.Device, fn func(t *testing.T)) {
	rounds := dev.Info().Traits.LoopRounds
	own := dev.Info().Traits
	for _, c := range []struct {
		name            string
		software, short bool
	}{{"gpu", false, false}, {"cpu", true, false}, {"short loops", true, true}} {
		if runtime.GOOS == "js" && c.software && c.short != own.ShortLoops {
			continue // compiling takes seconds there, and the native run tests it
		}
		t.Run(c.name, func(t *testing.T) {
			defer dev.SetTraits(c.software, rounds)()
			defer dev.SetShortLoops(c.short)()
			fn(t)
		})
	}
}

// product is a product, of its kernel's step in a program, with its inputs.
type product struct {
	p    *prog.Program
	step int
	ins  []*prog.Tensor
	vals [][]float32
	out  *prog.Tensor // kept, or an arena's
}

// newProduct records a batch of products of [m,k] and [k,n], transposed as form says, or one that does what fuse says, with
// random inputs.
func newProduct(t *testing.T, fuse string, form [2]bool, batch, m, n, k int) product {
	shape := func(rows, cols int, trans bool) []int {
		if trans {
			rows, cols = cols, rows
		}
		if fuse != "" {
			return []int{rows, cols}
		}
		return []int{batch, rows, cols}
	}
	arena, seeds := prog.NewArena("in"), prog.NewArena("seeds")
	grads := arena // until it is one
	var w product
	in := func(shape ...int) *prog.Tensor {
		x := arena.Add(strconv.Itoa(len(w.ins)), prog.F32, shape...)
		w.ins = append(w.ins, x)
		return x
	}
	a, b := in(shape(m, k, form[0])...), in(shape(k, n, form[1])...)
	p, err := prog.Record(fmt.Sprint(fuse, form, batch, m, n, k), func(r *prog.Recorder) {
		switch fuse {
		case "":
			w.out = r.Keep(op.MatMul(r, a, b, form[0], form[1]))
		case "bias":
			w.out = r.Keep(op.LinearBias(r, a, b, in(n)))
		case "residual":
			w.out = r.Keep(op.LinearPlus(r, a, b, in(m, n)))
		default: // a is the gradient of what gate and up make
			gate, up := in(m, n), in(m, n)
			grads = arena.Mirror("grad")
			arena.WithGrad(grads)
			layer := op.SwiGLULinear
			if fuse == "gelu" {
				layer = op.GELUGateLinear
			}
			r.SetGrad(layer(r, gate, up, b, nil), seeds.Add("seed", prog.F32, m, k))
			w.ins[0] = seeds.Lookup("seed")
			r.Backward()
			w.out = grads.In(gate)
			if fuse == "gelu" {
				w.out = grads.In(up)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.p = p
	w.step = slices.IndexFunc(p.Steps, func(s prog.Step) bool {
		return fuse != "swiglu" && fuse != "gelu" || s.Kernel.Name == "matmul_nn_glu_bwd"
	})
	rnd := rand.New(rand.NewPCG(uint64(m), uint64(n)))
	for _, x := range w.ins {
		v := make([]float32, x.Len())
		for i := range v {
			v[i] = float32(rnd.NormFloat64())
		}
		w.vals = append(w.vals, v)
	}
	return w
}

// run is out on ex.
func (w product) run(t *testing.T, ex prog.Executor) []float32 {
	t.Helper()
	run, err := ex.Load(w.p)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	for i, x := range w.ins {
		defer ex.Free(x.Arena())
		if err := ex.Write(x, w.vals[i]); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]float32, w.out.Len())
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	if w.out.Arena() != nil {
		defer ex.Free(w.out.Arena())
		err = ex.Read(w.out, out)
	} else {
		err = run.Read(w.out, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// products are batch, m, n and k of shapes at the edges of tiles and inside them, with the form.
var products = []struct {
	fuse string
	form [2]bool
	dims [4]int
}{
	{"", [2]bool{false, false}, [4]int{1, 67, 132, 36}}, {"", [2]bool{false, false}, [4]int{2, 130, 260, 20}}, {"", [2]bool{false, false}, [4]int{1, 5, 8, 300}},
	{"", [2]bool{false, true}, [4]int{1, 67, 132, 36}}, {"", [2]bool{false, true}, [4]int{2, 130, 260, 20}}, {"", [2]bool{false, true}, [4]int{1, 5, 8, 300}},
	{"", [2]bool{true, false}, [4]int{1, 68, 132, 35}}, {"", [2]bool{true, false}, [4]int{2, 132, 260, 20}}, {"", [2]bool{true, false}, [4]int{1, 4, 8, 301}},

	{"gelu", [2]bool{false, false}, [4]int{1, 67, 132, 36}}, {"swiglu", [2]bool{false, false}, [4]int{1, 130, 260, 20}}, {"swiglu", [2]bool{false, false}, [4]int{1, 5, 8, 300}},
	{"bias", [2]bool{false, true}, [4]int{1, 67, 132, 36}}, {"residual", [2]bool{false, true}, [4]int{1, 130, 260, 20}}, {"bias", [2]bool{false, true}, [4]int{1, 5, 8, 300}},
}

// Every variant of a product gives the same bits on a device, those of its first, and they are right. So a trial cannot
// change what a run computes.
func TestVariantsAgree(t *testing.T) {
	dev := gputest.Device(t)
	oracle := prog.NewCPU[float64](1)
	defer oracle.Close()
	seen := map[string]bool{} // shaders
	tunings(t, dev, func(t *testing.T) {
		for i, c := range products {
			if runtime.GOOS == "js" && i%3 != 1 {
				continue
			}
			w := newProduct(t, c.fuse, c.form, c.dims[0], c.dims[1], c.dims[2], c.dims[3])
			want := w.run(t, oracle)
			st := w.p.Steps[w.step]
			var first []float32
			for i, v := range st.Kernel.Variants(st.C, dev.Info().Traits) {
				undo := dev.SetVariant(i)
				got := w.run(t, dev)
				undo()
				seen[v.Shader] = true
				if e := check.RelErr(got, want); !(e <= st.Kernel.Tol) {
					t.Errorf("%s, %s: relative error %.3g, want at most %.3g", st.Label(), v.Name, e, st.Kernel.Tol)
				}
				if first == nil {
					first = got
				}
				for j := range got {
					if math.Float32bits(got[j]) != math.Float32bits(first[j]) {
						t.Errorf("%s, %s: element %d is %g, of the first variant %g", st.Label(), v.Name, j, got[j], first[j])
						break
					}
				}
			}
		}
	})
	for _, k := range op.Kernels {
		if len(k.Shaders) < 2 || packed(k) {
			continue
		}
		for _, s := range k.Shaders {
			if !seen[s] {
				t.Errorf("%s.wgsl was not run", s)
			}
		}
	}
}

// TestConformanceVariants runs what TestConformance does on every variant, those of other hardware too.
func TestConformanceVariants(t *testing.T) {
	dev := gputest.Device(t)
	if runtime.GOOS == "js" {
		t.Skip("the native run tests it, and TestVariantsAgree compares the variants in the browser")
	}
	tunings(t, dev, func(t *testing.T) {
		for _, k := range kernels() {
			r := rand.New(rand.NewPCG(1, 1))
			names := []string{}
			for range 50 {
				if vs := k.Variants(k.Sample(r), dev.Info().Traits); len(vs) > len(names) {
					names = names[:0]
					for _, v := range vs {
						names = append(names, v.Name)
					}
				}
			}
			for i := 1; i < len(names); i++ {
				t.Run(fmt.Sprintf("%s/%d", k.Name, i), func(t *testing.T) {
					defer dev.SetVariant(i)()
					check.Conform(t, dev, k, 3)
				})
			}
		}
	})
}

// The names of a shape's variants differ, and the first variant is what a device that tried nothing takes.
func TestVariantNames(t *testing.T) {
	for _, k := range kernels() {
		r := rand.New(rand.NewPCG(2, 2))
		for range 50 {
			c := k.Sample(r)
			for name, tr := range traits() {
				var names []string
				for _, v := range k.Variants(c, tr) {
					if slices.Contains(names, v.Name) || !slices.Contains(k.Shaders, v.Shader) {
						t.Fatalf("%s(%+v) on a %s: variant %q twice, or its shader %q not in %v", k.Name, c, name, v.Name, v.Shader, k.Shaders)
					}
					names = append(names, v.Name)
				}
			}
		}
	}
}
