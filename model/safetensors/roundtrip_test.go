package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var allDTypes = []DType{F64, F32, F16, BF16, F8E4M3, F8E5M2, I64, I32, I16, I8, U64, U32, U16, U8, Bool}

func mustWrite(t testing.TB, metadata map[string]string, tensors []Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, metadata, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func drawTensors(t *rapid.T) []Tensor {
	names := rapid.SliceOfDistinct(rapid.String().Filter(func(s string) bool { return s != metadataKey }), rapid.ID[string]).Draw(t, "names")
	tensors := make([]Tensor, len(names))
	for i, name := range names {
		shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4).Draw(t, "shape")
		dtype := rapid.SampledFrom(allDTypes).Draw(t, "dtype")
		n, err := byteSize(dtype, shape)
		if err != nil {
			t.Fatal(err)
		}
		tensors[i] = Tensor{name, dtype, shape, rapid.SliceOfN(rapid.Byte(), int(n), int(n)).Draw(t, "data")}
	}
	return tensors
}

// Raw tensors of every dtype, and metadata, survive writing and reading, and
// the file obeys its own layout rules.
func TestRoundTripAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := drawTensors(t)
		metadata := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
		var b, again bytes.Buffer
		if err := Write(&b, metadata, tensors); err != nil {
			t.Fatal(err)
		}
		if err := Write(&again, metadata, tensors); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Fatal("the same input gave different bytes")
		}
		if n := binary.LittleEndian.Uint64(b.Bytes()); n%8 != 0 {
			t.Fatalf("header length %d, want a multiple of 8", n)
		}
		f, err := Parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(metadata) == 0 {
			metadata = nil
		}
		if d := cmp.Diff(metadata, f.Metadata()); d != "" {
			t.Fatal(d)
		}
		if len(f.Names()) != len(tensors) {
			t.Fatalf("%d names, want %d", len(f.Names()), len(tensors))
		}
		for _, want := range tensors {
			got, err := f.Tensor(want.Name)
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != want.Name || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("got %v, want %v", got, want)
			}
			if info, _ := f.Info(want.Name); info.Size > 0 && info.Offset%int64(want.DType.Size()) != 0 {
				t.Fatalf("tensor %q starts at %d, want a multiple of %d", want.Name, info.Offset, want.DType.Size())
			}
		}
	})
}

func TestRoundTripNumbers(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		f32 := rapid.SliceOfN(rapid.Float32(), 6, 6).Draw(t, "f32")
		f64 := rapid.SliceOfN(rapid.Float64(), 6, 6).Draw(t, "f64")
		i64 := rapid.SliceOfN(rapid.Int64(), 6, 6).Draw(t, "i64")
		u32 := rapid.SliceOfN(rapid.Uint32(), 6, 6).Draw(t, "u32")
		wide, err := Float32As(F64, "wide", []int{6}, f32)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "t.safetensors")
		if err := WriteFile(path, nil, []Tensor{
			Float32("f32", []int{2, 3}, f32), Float64("f64", []int{3, 2}, f64), wide,
			Int64("i64", []int{6, 1}, i64), Uint32("u32", []int{6}, u32),
		}); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if want := []string{"f32", "f64", "wide", "i64", "u32"}; !slices.Equal(f.Names(), want) {
			t.Fatalf("names %q, want %q", f.Names(), want)
		}
		for _, name := range []string{"f32", "wide"} {
			got, err := f.Float32(name)
			if err != nil || !slices.Equal(got, f32) {
				t.Fatalf("%s: got %v, %v, want %v", name, got, err, f32)
			}
		}
		if got, err := f.Float64("f64"); err != nil || !slices.Equal(got, f64) {
			t.Fatalf("got %v, %v, want %v", got, err, f64)
		}
		if got, err := f.Float64("f32"); err != nil || float32(got[5]) != f32[5] {
			t.Fatalf("got %v, %v, want %v", got, err, f32)
		}
		if got, err := f.Int64s("i64"); err != nil || !slices.Equal(got, i64) {
			t.Fatalf("got %v, %v, want %v", got, err, i64)
		}
		got, err := f.Int64s("u32")
		if err != nil {
			t.Fatal(err)
		}
		for i := range u32 {
			if got[i] != int64(u32[i]) {
				t.Fatalf("got %v, want %v", got, u32)
			}
		}
	})
}

// A tensor of more than one chunk is converted without a seam.
func TestManyChunks(t *testing.T) {
	values := make([]float32, chunkBytes/4*2+3)
	for i := range values {
		values[i] = float32(i)
	}
	f, err := Parse(mustWrite(t, nil, []Tensor{Uint32("pad", []int{1}, []uint32{1}), Float32("x", []int{len(values)}, values)}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Float32("x")
	if err != nil || !slices.Equal(got, values) {
		t.Fatalf("values differ (err %v)", err)
	}
}

func TestIntegers(t *testing.T) {
	le := binary.LittleEndian
	tensors := []Tensor{
		{"u64", U64, []int{1}, le.AppendUint64(nil, math.MaxInt64)},
		{"i32", I32, []int{2}, le.AppendUint32(le.AppendUint32(nil, 1<<31), 7)},
		{"i16", I16, []int{1}, le.AppendUint16(nil, 0xfffe)},
		{"u16", U16, []int{1}, le.AppendUint16(nil, 0xfffe)},
		{"i8", I8, []int{1}, []byte{0x80}},
		{"u8", U8, []int{1}, []byte{0x80}},
		{"scalar", I8, nil, []byte{5}},
	}
	f, err := Parse(mustWrite(t, nil, tensors))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int64{
		"u64": {math.MaxInt64}, "i32": {math.MinInt32, 7}, "i16": {-2}, "u16": {65534}, "i8": {-128}, "u8": {128}, "scalar": {5},
	} {
		if got, err := f.Int64s(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
}
