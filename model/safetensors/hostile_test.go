package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// raw builds a file from a header as it stands and n data bytes.
func raw(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

// lying builds a file whose header length says n.
func lying(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

// one is the header entry of an F32 [2 2] tensor "a" with some text replaced.
func one(old, text string) string {
	return strings.Replace(`{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}`, old, text, 1)
}

// two is a header of U8 tensors "a" and "b" at the given offsets.
func two(a0, a1, b0, b1 int) string {
	return fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`, a1-a0, a0, a1, b1-b0, b0, b1)
}

var hostile = []struct {
	name string
	file []byte
	want string // after "safetensors: memory: "
}{
	{"empty", nil, `0 bytes, want at least 8 for the header length`},
	{"seven bytes", []byte("1234567"), `7 bytes, want at least 8 for the header length`},
	{"huge header", lying(math.MaxUint64, "{}"), `header length 18446744073709551615, want at most 100000000: not a safetensors file?`},
	{"just over the limit", lying(100_000_001, "{}"), `header length 100000001, want at most 100000000: not a safetensors file?`},
	{"lying header length", lying(99_000_000, "{}"), `header length 99000000, but 2 bytes follow: truncated, or not a safetensors file`},
	{"header cut", raw(one("", ""), 16)[:40], `header length 57, but 32 bytes follow: truncated, or not a safetensors file`},
	{"no header", lying(0, ""), `header starts with "", want "{"`},
	{"leading space", raw(" {}", 0), `header starts with " ", want "{"`},
	{"an array", raw("[]", 0), `header starts with "[", want "{"`},
	{"not JSON", raw("{?}", 0), `header is not valid JSON at byte 9: invalid character '?' at start of value`},
	{"unclosed", raw(`{"a":{"dtype":"F32"`, 0), `header is not valid JSON: it ends too early`},
	{"only a brace", raw(`{`, 0), `header is not valid JSON: it ends too early`},
	{"trailing value", raw("{}{}", 0), `header has more after its closing brace at byte 10, want only spaces`},
	{"trailing garbage", raw("{}\x00", 0), `header is not valid JSON at byte 10: invalid character '\x00' at start of value`},
	{"invalid UTF-8 name", raw("{\"\xff\":1}", 0), `header is not valid JSON at byte 10: invalid UTF-8`},
	{"lone surrogate", raw(`{"\ud800":1}`, 0), `header is not valid JSON at byte 10: invalid surrogate pair ` + "`\\ud800\":1}` in string"},
	{"duplicate tensor", raw(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}`, 0), `header has the key "a" twice`},
	{"duplicate by escape", raw(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0061":{}}`, 0), `header has the key "a" twice`},
	{"duplicate key", raw(one(`"shape"`, `"dtype":"F32","shape"`), 16), `header has the key "dtype" twice`},
	{"duplicate metadata", raw(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `header has the key "k" twice`},
	{"metadata is a string", raw(`{"__metadata__":"x"}`, 0), `__metadata__ is a string, want an object of strings`},
	{"metadata holds a number", raw(`{"__metadata__":{"k":1}}`, 0), `__metadata__ "k" is a number, want a string`},
	{"metadata holds null", raw(`{"__metadata__":{"k":null}}`, 0), `__metadata__ "k" is null, want a string`},
	{"tensor is an array", raw(`{"a":[]}`, 0), `tensor "a" is an array, want an object`},
	{"unknown key", raw(one(`"shape"`, `"stride":1,"shape"`), 16), `tensor "a": unknown key "stride", want dtype, shape and data_offsets`},
	{"no dtype", raw(one(`"dtype":"F32",`, ``), 16), `tensor "a": no dtype`},
	{"no shape", raw(one(`"shape":[2,2],`, ``), 16), `tensor "a": no shape`},
	{"no offsets", raw(one(`,"data_offsets":[0,16]`, ``), 16), `tensor "a": data_offsets has 0 numbers, want 2`},
	{"unknown dtype", raw(one("F32", "F31"), 16), `tensor "a": unknown dtype "F31"`},
	{"long dtype", raw(one("F32", strings.Repeat("Z", 999)), 16), `tensor "a": unknown dtype "` + strings.Repeat("Z", 80) + `"... (999 bytes)`},
	{"dtype is a number", raw(one(`"F32"`, `32`), 16), `tensor "a": dtype is a number, want a string`},
	{"negative dimension", raw(one("2,2", "-2,2"), 16), `tensor "a": shape[0] is -2, want a whole number from 0 to 9223372036854775807`},
	{"fractional dimension", raw(one("2,2", "2,2.0"), 16), `tensor "a": shape[1] is 2.0, want a whole number from 0 to 9223372036854775807`},
	{"exponent", raw(one("2,2", "4e0"), 16), `tensor "a": shape[0] is 4e0, want a whole number from 0 to 9223372036854775807`},
	{"huge dimension", raw(one("2,2", "99999999999999999999"), 16), `tensor "a": shape[0] is 99999999999999999999, want a whole number from 0 to 9223372036854775807`},
	{"overflowing shape", raw(one("2,2", "4294967296,4294967296"), 16), `tensor "a": shape [4294967296 4294967296] of F32 overflows 64-bit sizes`},
	{"overflowing bytes", raw(one("2,2", "4611686018427387904"), 16), `tensor "a": shape [4611686018427387904] of F32 overflows 64-bit sizes`},
	{"dimension is a string", raw(one("2,2", `"2",2`), 16), `tensor "a": shape[0] is a string, want a whole number`},
	{"shape is a number", raw(one("[2,2]", "4"), 16), `tensor "a": shape is a number, want an array of whole numbers`},
	{"too many dimensions", raw(one("2,2", strings.Repeat("1,", 64)+"4"), 16), `tensor "a": shape has more than 64 numbers`},
	{"size mismatch", raw(one("0,16", "0,12"), 12), `tensor "a": data_offsets [0,12) hold 12 bytes, want 16 for F32 [2 2]`},
	{"one offset", raw(one("0,16", "16"), 16), `tensor "a": data_offsets has 1 numbers, want 2`},
	{"three offsets", raw(one("0,16", "0,8,16"), 16), `tensor "a": data_offsets has more than 2 numbers`},
	{"reversed offsets", raw(one("0,16", "16,0"), 16), `tensor "a": data_offsets [16,0) are reversed`},
	{"negative offset", raw(one("0,16", "-16,0"), 16), `tensor "a": data_offsets[0] is -16, want a whole number from 0 to 9223372036854775807`},
	{"huge offset", raw(one("0,16", "0,9223372036854775807"), 16), `tensor "a": data_offsets [0,9223372036854775807) reach past the 16 bytes of data in the file`},
	{"data cut", raw(one("", ""), 15), `tensor "a": data_offsets [0,16) reach past the 15 bytes of data in the file`},
	{"data tail", raw(one("", ""), 17), `tensors cover 16 bytes of data, the file has 17`},
	{"data without tensors", raw("{}", 3), `tensors cover 0 bytes of data, the file has 3`},
	{"overlap", raw(two(0, 8, 4, 12), 12), `tensor "b": data starts at 4, inside tensor "a", which ends at 8`},
	{"same place", raw(two(0, 8, 0, 8), 8), `tensor "b": data starts at 0, inside tensor "a", which ends at 8`},
	{"empty one inside", raw(two(0, 8, 4, 4), 8), `tensor "b": data starts at 4, inside tensor "a", which ends at 8`},
	{"hole", raw(two(0, 4, 6, 12), 12), `tensor "b": data starts at 6, want 4: a hole of 2 bytes`},
	{"hole in front", raw(two(8, 12, 2, 8), 12), `tensor "b": data starts at 2, want 0: a hole of 2 bytes`},
	{"newline in a name", raw(`{"a\nb":{}}`, 0), `tensor "a\nb": no dtype`},
}

func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			_, err := Parse(h.file)
			if err == nil || err.Error() != "safetensors: memory: "+h.want {
				t.Errorf("got  %v\nwant safetensors: memory: %s", err, h.want)
			}
			path := filepath.Join(dir, "h.safetensors")
			if err := os.WriteFile(path, h.file, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Open(path)
			if err == nil || err.Error() != "safetensors: "+path+": "+h.want {
				t.Errorf("got  %v\nwant safetensors: %s: %s", err, path, h.want)
			}
		})
	}
}

// A small file that promises much costs little.
func TestHostileMemory(t *testing.T) {
	var before, after runtime.MemStats
	for _, h := range hostile {
		runtime.ReadMemStats(&before)
		_, _ = Parse(h.file)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
			t.Errorf("%s: a file of %d bytes took %d bytes of memory", h.name, len(h.file), n)
		}
	}
}

// Odd but legal: what other writers produce must be read.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		name  string
		file  []byte
		names string
	}{
		{"nothing", raw("{}", 0), ""},
		{"padded", raw("{}      ", 0), ""},
		{"spaced header", raw("{ \"a\" :\n{\"shape\":[],\"dtype\":\"U8\",\"data_offsets\":[0,1]} } ", 1), "a"},
		{"data order is not header order", raw(two(4, 8, 0, 4), 8), "b a"},
		{"empty tensors share a place", raw(two(0, 0, 0, 0), 0), "a b"},
		{"empty tensor after a full one", raw(two(0, 4, 0, 0), 4), "b a"},
		{"misaligned", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}`, 5), "a b"},
		{"zero times huge", raw(`{"a":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]}}`, 0), "a"},
	} {
		f, err := Parse(c.file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := strings.Join(f.Names(), " "); got != c.names {
			t.Errorf("%s: names %q, want %q", c.name, got, c.names)
		}
	}
}

func TestReadErrors(t *testing.T) {
	f, err := Parse(mustWrite(t, nil, []Tensor{
		Float32("x", []int{1}, []float32{1}), Uint32("n", []int{1}, []uint32{1}),
		{"big", U64, []int{2}, append(make([]byte, 8), bytes.Repeat([]byte{0xff}, 8)...)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for want, read := range map[string]func() error{
		`safetensors: memory: no tensor "y" among 3`:                                                func() error { _, err := f.Tensor("y"); return err },
		`safetensors: memory: tensor "n": dtype U32, want F64, F32, F16 or BF16`:                    func() error { _, err := f.Float32("n"); return err },
		`safetensors: memory: tensor "x": dtype F32, want an integer type`:                          func() error { _, err := f.Int64s("x"); return err },
		`safetensors: memory: tensor "big": element 1 is 18446744073709551615, too large for int64`: func() error { _, err := f.Int64s("big"); return err },
	} {
		if err := read(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, ok := f.Info("y"); ok {
		t.Error("Info found a tensor that is not there")
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "none")
	if _, err := Open(path); err == nil || err.Error() != "safetensors: "+path+": stat: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if _, err := Open(dir); err == nil || err.Error() != "safetensors: "+dir+": is a directory, want a regular file" {
		t.Errorf("got %v", err)
	}
	// A file that shrinks after its header was checked.
	path = filepath.Join(dir, "x")
	if err := WriteFile(path, nil, []Tensor{Float32("x", []int{4}, make([]float32, 4))}); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(path)
	if err := os.Truncate(path, st.Size()-4); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`safetensors: %s: tensor "x": file ends at byte %d, want %d: it shrank while open`, path, st.Size()-4, st.Size())
	if _, err := f.Float32("x"); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensor("x"); err == nil || !strings.Contains(err.Error(), "file already closed") {
		t.Errorf("read after Close: got %v", err)
	}
}

// What a File hands out is the caller's to change.
func TestFileIsImmutable(t *testing.T) {
	f, err := Parse(mustWrite(t, map[string]string{"k": "v"}, []Tensor{Float32("x", []int{2, 1}, []float32{1, 2})}))
	if err != nil {
		t.Fatal(err)
	}
	info, _ := f.Info("x")
	info.Shape[0] = 9
	f.Metadata()["k"] = "changed"
	f.Names()[0] = "y"
	x, err := f.Tensor("x")
	if err != nil {
		t.Fatal(err)
	}
	x.Shape[0], x.Data[3] = 9, 9
	again, err := f.Float32("x")
	info, ok := f.Info("x")
	if err != nil || !ok || info.Shape[0] != 2 || again[0] != 1 || f.Metadata()["k"] != "v" || f.Names()[0] != "x" {
		t.Errorf("the file changed: %v %v %v %v %v", info, again, f.Metadata(), f.Names(), err)
	}
}

// FuzzParse: no input panics or takes memory out of proportion, and what is
// accepted can be written again, the same each time, and read back equal.
func FuzzParse(f *testing.F) {
	for _, h := range hostile {
		f.Add(h.file)
	}
	f.Add(mustWrite(f, map[string]string{"format": "pt", "é\n": "\x00"}, []Tensor{
		Float32("a", []int{2, 2}, []float32{1, 2, 3, 4}), Int64("b", nil, []int64{-1}), {"c", Bool, []int{3}, []byte{1, 0, 1}},
		{"h", F16, []int{1}, []byte{1, 2}}, {"e", BF16, []int{0, 7}, nil},
	}))
	f.Add(raw(two(4, 8, 0, 4), 8))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			if s := err.Error(); strings.ContainsAny(s, "\n\r") || len(s) > 3000 {
				t.Fatalf("not one short line: %q", s)
			}
			return
		}
		var tensors []Tensor
		total := 0
		for _, name := range file.Names() {
			x, err := file.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			total += len(x.Data)
			tensors = append(tensors, x)
			v, errF := file.Float64(name)
			n, errI := file.Int64s(name)
			if want := len(x.Data) / x.DType.Size(); errF == nil && len(v) != want || errI == nil && len(n) != want {
				t.Fatalf("tensor %q: %d floats, %d integers, want %d", name, len(v), len(n), want)
			}
		}
		if total > len(data) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(data))
		}
		first := mustWrite(t, file.Metadata(), tensors)
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("a file we wrote: %v", err)
		}
		for i := range tensors {
			x, err := again.Tensor(tensors[i].Name)
			if err != nil || !bytes.Equal(x.Data, tensors[i].Data) || fmt.Sprint(x.DType, x.Shape) != fmt.Sprint(tensors[i].DType, tensors[i].Shape) {
				t.Fatalf("got %v, %v, want %v", x, err, tensors[i])
			}
		}
		if fmt.Sprint(again.Metadata()) != fmt.Sprint(file.Metadata()) || !bytes.Equal(first, mustWrite(t, again.Metadata(), tensors)) {
			t.Fatal("writing again gave another file")
		}
	})
}
