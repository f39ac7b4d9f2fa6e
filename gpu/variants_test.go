package gpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
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

// product is out = a·b with its inputs.
type product struct {
	p    *prog.Program
	x, y *prog.Tensor
	out  *prog.Tensor
	a, b []float32
}

// newProduct records a batch of products of [m,k] and [k,n], transposed as form says, with random inputs.
func newProduct(t *testing.T, form [2]bool, batch, m, n, k int) product {
	shape := func(rows, cols int, trans bool) []int {
		if trans {
			rows, cols = cols, rows
		}
		return []int{batch, rows, cols}
	}
	arena := prog.NewArena("in")
	w := product{x: arena.Add("a", prog.F32, shape(m, k, form[0])...), y: arena.Add("b", prog.F32, shape(k, n, form[1])...)}
	p, err := prog.Record(fmt.Sprint(form, batch, m, n, k), func(r *prog.Recorder) {
		w.out = r.Keep(op.MatMul(r, w.x, w.y, form[0], form[1]))
	})
	if err != nil {
		t.Fatal(err)
	}
	w.p = p
	rnd := rand.New(rand.NewPCG(uint64(m), uint64(n)))
	w.a, w.b = make([]float32, w.x.Len()), make([]float32, w.y.Len())
	for _, v := range [][]float32{w.a, w.b} {
		for i := range v {
			v[i] = float32(rnd.NormFloat64())
		}
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
	defer ex.Free(w.x.Arena())
	defer run.Close()
	out := make([]float32, w.out.Len())
	for _, err := range []error{ex.Write(w.x, w.a), ex.Write(w.y, w.b), run.Run(), run.Read(w.out, out)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// products are batch, m, n and k of shapes at the edges of tiles and inside them, with the form.
var products = []struct {
	form [2]bool
	dims [4]int
}{
	{[2]bool{false, false}, [4]int{1, 67, 132, 36}}, {[2]bool{false, false}, [4]int{2, 130, 260, 20}}, {[2]bool{false, false}, [4]int{1, 5, 8, 300}},
	{[2]bool{false, true}, [4]int{1, 67, 132, 36}}, {[2]bool{false, true}, [4]int{2, 130, 260, 20}}, {[2]bool{false, true}, [4]int{1, 5, 8, 300}},
	{[2]bool{true, false}, [4]int{1, 68, 132, 35}}, {[2]bool{true, false}, [4]int{2, 132, 260, 20}}, {[2]bool{true, false}, [4]int{1, 4, 8, 301}},
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
			w := newProduct(t, c.form, c.dims[0], c.dims[1], c.dims[2], c.dims[3])
			want := w.run(t, oracle)
			st := w.p.Steps[0]
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
