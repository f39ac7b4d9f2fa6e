package gpu_test

import (
	"math"
	"testing"

	"innerloop/gpu/gputest"
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
