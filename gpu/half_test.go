package gpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// halves are values of every kind that rounding to binary16 tells apart: all binary16, what lies halfway between two of
// them and next to that, what is too large, and no numbers.
func halves() []float32 {
	all := make([]float32, 1<<16)
	words := make([]uint32, 1<<15)
	for i := range words {
		words[i] = uint32(2*i) | uint32(2*i+1)<<16
	}
	prog.UnpackHalf(all, words)
	out := all
	for i := range all {
		f, next := all[i], all[min(i+1, len(all)-1)]
		if mid := (f + next) / 2; mid-mid == 0 {
			out = append(out, mid, math.Nextafter32(mid, f), math.Nextafter32(mid, next))
		}
	}
	for _, v := range []float32{65519, 65520, 1e5, math.MaxFloat32, 1e-8, 2.9e-8, 3e-8, 1e-30} {
		out = append(out, v, -v)
	}
	return out
}

// TestHalfIsExact compares the rounding of every executor with prog.RoundHalf, bit for bit, and that what was packed is
// unpacked again. Of binary16's denormals, which WGSL lets a device take for zero, zero is enough.
func TestHalfIsExact(t *testing.T) {
	x := halves()
	a := prog.NewArena("x")
	in := a.Add("x", prog.F32, 1, len(x))
	up := prog.NewArena("up")
	ones := up.Add("ones", prog.F32, 1, 1)
	var half, back *prog.Tensor
	p, err := prog.Record("half", func(r *prog.Recorder) {
		half = r.Keep(op.Half(r, in))
		// A product with one unpacks: x [N,1] times 1.
		back = r.Keep(op.MatMul(r, ones, half.Reshape(1, len(x)), false, false))
	})
	if err != nil {
		t.Fatal(err)
	}
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		run, err := ex.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
		packed, unpacked := make([]float32, len(x)), make([]float32, len(x))
		for _, err := range []error{ex.Write(in, x), ex.Write(ones, []float32{1}), run.Run(), run.Read(half, packed), run.Read(back, unpacked)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		const denormal = 1.0 / (1 << 14)
		flushed, wrong := 0, 0
		for i, v := range x {
			want := prog.RoundHalf(v)
			for what, got := range map[string]float32{"packed": packed[i], "unpacked": unpacked[i]} {
				small := want > -denormal && want < denormal
				switch {
				case math.Float32bits(got) == math.Float32bits(want), want != want && got != got:
				case want == 0 && got == 0 && what == "unpacked": // the sum of 0 and -0 is 0
				case small && got == 0:
					flushed++
				default:
					if wrong++; wrong <= 10 {
						t.Errorf("%g (%08x) is %g %s, want %g", v, math.Float32bits(v), got, what, want)
					}
				}
			}
		}
		if wrong > 0 || flushed > 0 {
			t.Logf("%d of %d wrong, %d denormals taken for zero", wrong, len(x), flushed)
		}
		ex.Free(a)
		ex.Free(up)
	})
}

// packed says whether a kernel reads or writes binary16.
func packed(k *prog.Kernel) bool {
	return slices.ContainsFunc(k.Binds, func(b prog.Binding) bool { return b.DType == prog.F16 })
}

// TestHalfVariantsAgree is TestVariantsAgree for the products of a Linear with packed input and weight and its gradients.
func TestHalfVariantsAgree(t *testing.T) {
	dev := gputest.Device(t)
	if runtime.GOOS == "js" {
		t.Skip("the native run tests it, and TestTint compiles the variants in the browser")
	}
	cpu := prog.NewCPU[float32](1)
	defer cpu.Close()
	seen := map[string]bool{} // shaders
	tunings(t, dev, func(t *testing.T) {
		for _, c := range []struct {
			to      prog.DType
			m, n, k int
		}{{prog.F32, 67, 132, 36}, {prog.F16, 130, 260, 20}, {prog.F32, 5, 8, 300}} {
			in := prog.NewArena("in")
			x, dout := in.Add("x", prog.F32, c.m, c.k), in.Add("dout", prog.F32, c.m, c.n)
			params := prog.NewArena("params")
			w := params.Add("w", prog.F32, c.n, c.k)
			grads := params.Mirror("grads")
			params.WithGrad(grads)
			var out, dx *prog.Tensor
			p, err := prog.Record(fmt.Sprint(c), func(r *prog.Recorder) {
				op.HalfWeights(r, w)
				r.Clear(grads.In(w))
				h := op.Half(r, op.Add(r, x, x))
				out = r.Keep(op.LinearTo(r, c.to, h, w))
				r.SetGrad(out, dout)
				r.Backward()
				dx = r.Keep(r.Grad(h))
			})
			if err != nil {
				t.Fatal(err)
			}
			rnd := rand.New(rand.NewPCG(uint64(c.m), 3))
			values := map[*prog.Tensor][]float32{}
			for _, v := range []*prog.Tensor{x, dout, w} {
				f := make([]float32, v.Len())
				for i := range f {
					f[i] = float32(rnd.NormFloat64())
				}
				values[v] = f
			}
			results := func(ex prog.Executor) (all [3][]float32) {
				run, err := ex.Load(p)
				if err != nil {
					t.Fatal(err)
				}
				defer run.Close()
				for v, f := range values {
					if err := ex.Write(v, f); err != nil {
						t.Fatal(err)
					}
				}
				all = [3][]float32{make([]float32, out.Len()), make([]float32, dx.Len()), make([]float32, w.Len())}
				for _, err := range []error{run.Run(), run.Read(out, all[0]), run.Read(dx, all[1]), ex.Read(grads.In(w), all[2])} {
					if err != nil {
						t.Fatal(err)
					}
				}
				return all
			}
			want := results(cpu)
			most := 1
			for _, st := range p.Steps {
				if st.Kernel != nil {
					most = max(most, len(st.Kernel.Variants(st.C, dev.Info().Traits)))
				}
			}
			var first [3][]float32
			for n := range most {
				undo := dev.SetVariant(n)
				got := results(dev)
				undo()
				if n == 0 {
					first = got
				}
				for j, name := range []string{"out", "dx", "dw"} {
					tol := 1e-6
					if j == 0 && c.to == prog.F16 {
						tol = 1e-4 // few elements lie so near the middle of two that they are rounded otherwise
					}
					check.Within(t, fmt.Sprintf("%v, variant %d: %s", c, n, name), got[j], want[j], tol)
					if !slices.EqualFunc(got[j], first[j], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
						t.Errorf("%v: %s of variant %d differs from the first's", c, name, n)
					}
				}
				for _, st := range p.Steps {
					if st.Kernel != nil && packed(st.Kernel) {
						vs := st.Kernel.Variants(st.C, dev.Info().Traits)
						seen[vs[n%len(vs)].Shader] = true
					}
				}
			}
			for _, a := range p.Arenas {
				for _, ex := range []prog.Executor{dev, cpu} {
					ex.Free(a)
				}
			}
		}
	})
	for _, k := range op.Kernels {
		for _, s := range k.Shaders {
			if len(k.Shaders) > 1 && packed(k) && !seen[s] {
				t.Errorf("%s.wgsl was not run", s)
			}
		}
	}
}
