package safetensors

import (
	"encoding/binary"
	"math"
	"testing"
)

// format describes a 16-bit float from its definition, apart from the code
// under test: bit fields to value.
type format struct {
	dtype    DType
	mantissa int // bits
	bias     int
	inf      uint16 // code of +Inf; the finite codes are those below
}

var formats = []format{{F16, 10, 15, 0x7c00}, {BF16, 7, 127, 0x7f80}}

// value of the finite, non-negative code c.
func (f format) value(c uint16) float64 {
	m, e := int(c)&(1<<f.mantissa-1), int(c)>>f.mantissa
	if e == 0 {
		return math.Ldexp(float64(m), 1-f.bias-f.mantissa) // denormal
	}
	return math.Ldexp(float64(m+1<<f.mantissa), e-f.bias-f.mantissa)
}

func (f format) encode(t *testing.T, v float32) uint16 {
	t.Helper()
	x, err := Float32As(f.dtype, "x", nil, []float32{v})
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint16(x.Data)
}

// Every code, and every tie between neighbours with the float32 just below and
// above it, rounds as IEEE 754 says; both signs.
func TestHalfRoundingExhaustive(t *testing.T) {
	for _, f := range formats {
		for c := range f.inf {
			v := float32(f.value(c))
			next := f.value(c)
			if c+1 < f.inf {
				next = f.value(c + 1)
			} else {
				next += f.value(c) - f.value(c-1) // where infinity would lie, were it finite
			}
			tie := (f.value(c) + next) / 2
			even := c + c&1
			below, above := math.Nextafter32(float32(tie), 0), math.Nextafter32(float32(tie), float32(math.Inf(1)))
			if float64(float32(tie)) != tie { // only past float32's own denormals
				t.Fatalf("%s: tie %g after code %#x is no float32", f.dtype, tie, c)
			}
			for _, x := range []struct {
				v    float32
				want uint16
			}{{v, c}, {below, c}, {float32(tie), even}, {above, c + 1}} {
				if got := f.encode(t, x.v); got != x.want {
					t.Fatalf("%s: %g gives %#x, want %#x", f.dtype, x.v, got, x.want)
				}
				if got := f.encode(t, -x.v); got != x.want|0x8000 {
					t.Fatalf("%s: %g gives %#x, want %#x", f.dtype, -x.v, got, x.want|0x8000)
				}
			}
		}
	}
}

// Decoding gives every finite code the value of its definition.
func TestHalfDecode(t *testing.T) {
	for _, f := range formats {
		data := make([]byte, 0, 2*int(f.inf))
		for c := range f.inf {
			data = binary.LittleEndian.AppendUint16(data, c)
		}
		file, err := Parse(mustWrite(t, nil, []Tensor{{"x", f.dtype, []int{int(f.inf)}, data}}))
		if err != nil {
			t.Fatal(err)
		}
		v32, err := file.Float32("x")
		if err != nil {
			t.Fatal(err)
		}
		v64, err := file.Float64("x")
		if err != nil {
			t.Fatal(err)
		}
		for c := range f.inf {
			if want := f.value(c); float64(v32[c]) != want || v64[c] != want {
				t.Fatalf("%s: code %#x gives %g and %g, want %g", f.dtype, c, v32[c], v64[c], want)
			}
		}
	}
}

func TestHalfSpecials(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, f := range formats {
		for _, x := range []struct {
			v    float32
			want uint16
		}{
			{inf, f.inf}, {-inf, f.inf | 0x8000}, {0, 0}, {float32(math.Copysign(0, -1)), 0x8000},
			{math.MaxFloat32, f.inf}, {-math.MaxFloat32, f.inf | 0x8000},
			{math.SmallestNonzeroFloat32, 0},
		} {
			if got := f.encode(t, x.v); got != x.want {
				t.Errorf("%s: %g gives %#x, want %#x", f.dtype, x.v, got, x.want)
			}
		}
		// 0x7f800001: all its set mantissa bits are cut off; it must not become infinity.
		for _, bits := range []uint32{0x7fc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff} {
			nan := f.encode(t, math.Float32frombits(bits))
			if nan&0x7fff <= f.inf {
				t.Errorf("%s: NaN %#x gives %#x, which is no NaN", f.dtype, bits, nan)
			}
			file, err := Parse(mustWrite(t, nil, []Tensor{{"x", f.dtype, nil, []byte{byte(nan), byte(nan >> 8)}}}))
			if err != nil {
				t.Fatal(err)
			}
			if v, err := file.Float32("x"); err != nil || v[0] == v[0] {
				t.Errorf("%s: NaN read back as %v, %v", f.dtype, v, err)
			}
		}
	}
}

func TestFloat32AsRefuses(t *testing.T) {
	for dtype, want := range map[DType]string{
		I32:    `safetensors: tensor "x": dtype "I32", want F64, F32, F16 or BF16`,
		"F4":   `safetensors: tensor "x": dtype "F4", want F64, F32, F16 or BF16`,
		F8E4M3: `safetensors: tensor "x": dtype "F8_E4M3", want F64, F32, F16 or BF16`,
	} {
		if _, err := Float32As(dtype, "x", nil, []float32{1}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
