// Package safetensors reads and writes tensors in the safetensors format: an
// 8-byte little-endian header length, a JSON header, then the raw data.
//
// Files are treated as hostile: nothing is believed before it is checked, and
// no more memory is taken than the file itself has bytes to justify. Files are
// written whole or not at all, and the same input gives the same bytes.
package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/x448/float16"
)

// DType names a tensor's element type, spelled as in the file's header.
type DType string

// The element types this package knows. F8 tensors travel only as raw bytes
// ([File.Tensor], [Write]); sub-byte types are refused as unknown.
const (
	F64    DType = "F64"
	F32    DType = "F32"
	F16    DType = "F16"
	BF16   DType = "BF16"
	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	I64    DType = "I64"
	I32    DType = "I32"
	I16    DType = "I16"
	I8     DType = "I8"
	U64    DType = "U64"
	U32    DType = "U32"
	U16    DType = "U16"
	U8     DType = "U8"
	Bool   DType = "BOOL"
)

// Size is the bytes of one element, 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	case F8E4M3, F8E5M2, I8, U8, Bool:
		return 1
	}
	return 0
}

// Tensor is one named array.
type Tensor struct {
	Name  string
	DType DType
	Shape []int  // nil or empty: a scalar
	Data  []byte // little endian, row major, product(Shape)*DType.Size() bytes
}

// Float32 makes an F32 tensor. values is row major and copied; a length that
// does not match shape is reported by [Write] and [WriteFile].
func Float32(name string, shape []int, values []float32) Tensor {
	return Tensor{name, F32, slices.Clone(shape), appendFloat32s(nil, F32, values)}
}

// Float64 makes an F64 tensor; see [Float32].
func Float64(name string, shape []int, values []float64) Tensor {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return Tensor{name, F64, slices.Clone(shape), data}
}

// Int64 makes an I64 tensor; see [Float32].
func Int64(name string, shape []int, values []int64) Tensor {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	return Tensor{name, I64, slices.Clone(shape), data}
}

// Uint32 makes a U32 tensor; see [Float32].
func Uint32(name string, shape []int, values []uint32) Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, v)
	}
	return Tensor{name, U32, slices.Clone(shape), data}
}

// Float32As makes a tensor of the float type dtype (F64, F32, F16 or BF16)
// from float32 values, rounding to nearest, ties to even; values too large for
// F16 or BF16 become infinite, and NaN stays NaN. Any other dtype is an error.
func Float32As(dtype DType, name string, shape []int, values []float32) (Tensor, error) {
	switch dtype {
	case F64, F32, F16, BF16:
		return Tensor{name, dtype, slices.Clone(shape), appendFloat32s(nil, dtype, values)}, nil
	default:
		return Tensor{}, fmt.Errorf("safetensors: tensor %s: dtype %s, want F64, F32, F16 or BF16", quote(name), quote(string(dtype)))
	}
}

// appendFloat32s encodes values as the float type dtype.
func appendFloat32s(dst []byte, dtype DType, values []float32) []byte {
	dst = slices.Grow(dst, dtype.Size()*len(values))
	le := binary.LittleEndian
	switch dtype {
	case F64:
		for _, v := range values {
			dst = le.AppendUint64(dst, math.Float64bits(float64(v)))
		}
	case F32:
		for _, v := range values {
			dst = le.AppendUint32(dst, math.Float32bits(v))
		}
	case F16:
		for _, v := range values {
			dst = le.AppendUint16(dst, float16.Fromfloat32(v).Bits())
		}
	case BF16:
		for _, v := range values {
			dst = le.AppendUint16(dst, bfloat16(v))
		}
	default:
		panic("safetensors: " + string(dtype) + " is no float type")
	}
	return dst
}

// bfloat16 rounds v to the upper half of its bits, ties to even.
func bfloat16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40 // quiet, or a NaN of low bits only would round to infinity
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// decodeFloats converts the elements of src, of the float type dtype, to dst.
// F64 beyond float32's range becomes infinite there.
func decodeFloats[T float32 | float64](dst []T, dtype DType, src []byte) {
	le := binary.LittleEndian
	switch dtype {
	case F64:
		for i := range dst {
			dst[i] = T(math.Float64frombits(le.Uint64(src[8*i:])))
		}
	case F32:
		for i := range dst {
			dst[i] = T(math.Float32frombits(le.Uint32(src[4*i:])))
		}
	case F16:
		for i := range dst {
			dst[i] = T(float16.Frombits(le.Uint16(src[2*i:])).Float32())
		}
	case BF16:
		for i := range dst {
			dst[i] = T(math.Float32frombits(uint32(le.Uint16(src[2*i:])) << 16))
		}
	default:
		panic("safetensors: " + string(dtype) + " is no float type")
	}
}

// decodeInts converts the elements of src, of the integer type dtype, to dst.
// It returns the index of the first U64 that int64 cannot hold, or -1.
func decodeInts(dst []int64, dtype DType, src []byte) int {
	le := binary.LittleEndian
	for i := range dst {
		switch dtype {
		case I64, U64:
			dst[i] = int64(le.Uint64(src[8*i:]))
			if dtype == U64 && dst[i] < 0 {
				return i
			}
		case I32:
			dst[i] = int64(int32(le.Uint32(src[4*i:])))
		case U32:
			dst[i] = int64(le.Uint32(src[4*i:]))
		case I16:
			dst[i] = int64(int16(le.Uint16(src[2*i:])))
		case U16:
			dst[i] = int64(le.Uint16(src[2*i:]))
		case I8:
			dst[i] = int64(int8(src[i]))
		case U8:
			dst[i] = int64(src[i])
		default:
			panic("safetensors: " + string(dtype) + " is no integer type")
		}
	}
	return -1
}

// maxRank is far above any real tensor and keeps a hostile shape short.
const maxRank = 64

// byteSize is the data length of shape elements of dtype, or why there is none.
func byteSize(dtype DType, shape []int) (int64, error) {
	if dtype.Size() == 0 {
		return 0, fmt.Errorf("unknown dtype %s", quote(string(dtype)))
	}
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%d dimensions, want at most %d", len(shape), maxRank)
	}
	n := int64(dtype.Size())
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has dimension %d, want 0 or more", shape, d)
		}
		if d > 0 && n > math.MaxInt64/int64(d) {
			return 0, fmt.Errorf("shape %v of %s overflows 64-bit sizes", shape, dtype)
		}
		n *= int64(d)
	}
	return n, nil
}

// quote makes a name from a file fit one line of an error.
func quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q... (%d bytes)", s[:80], len(s))
	}
	return fmt.Sprintf("%q", s)
}
