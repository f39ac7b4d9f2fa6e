package prog_test

import (
	"math"
	"testing"

	"github.com/x448/float16"

	"innerloop/prog"
)

// TestRoundHalf compares every binary16, and what lies around the middle between it and the next, with the library.
func TestRoundHalf(t *testing.T) {
	same := func(a, b float32) bool {
		return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
	}
	check := func(f float32) {
		t.Helper()
		want := float16.Fromfloat32(f).Float32()
		if m := float32(math.Abs(float64(f))); m > prog.MaxHalf {
			want = float32(math.Inf(int(math.Copysign(1, float64(f)))))
		}
		if got := prog.RoundHalf(f); !same(got, want) {
			t.Fatalf("RoundHalf(%g = %08x) = %g, want %g", f, math.Float32bits(f), got, want)
		}
	}
	for i := range 1 << 16 {
		f := float16.Frombits(uint16(i)).Float32()
		check(f)
		if next := float16.Frombits(uint16(i + 1)).Float32(); next-next == 0 && f-f == 0 {
			mid := (f + next) / 2
			for _, m := range []float32{mid, math.Nextafter32(mid, f), math.Nextafter32(mid, next), f + (next-f)/3} {
				check(m)
			}
		}
	}
	for _, f := range []float32{65504, 65505, 65519.99, 65520, 1e5, math.MaxFloat32, 1e-8, 2.9e-8, 3e-8, math.SmallestNonzeroFloat32} {
		check(f)
		check(-f)
	}
}

func TestUnpackHalf(t *testing.T) {
	got := make([]float32, 3)
	prog.UnpackHalf(got, []uint32{uint32(float16.Fromfloat32(-2).Bits())<<16 | uint32(float16.Fromfloat32(0.5).Bits()), 0xffff0000 | uint32(float16.Fromfloat32(3).Bits())})
	for i, want := range []float32{0.5, -2, 3} {
		if got[i] != want {
			t.Errorf("element %d is %g, want %g", i, got[i], want)
		}
	}
}
