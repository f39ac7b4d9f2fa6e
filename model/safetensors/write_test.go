package safetensors

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bytes are part of the contract: the same input, the same file, forever.
func TestBytes(t *testing.T) {
	got := mustWrite(t, map[string]string{"b": "2", "a": "1"}, []Tensor{
		Float32("x", []int{1, 2}, []float32{1, -2}), Uint32("n", nil, []uint32{7}),
	})
	header := `{"__metadata__":{"a":"1","b":"2","innerloop.check":"innerloop.sha256 is the SHA-256 of this file with the sum's own digits as zeros; without both keys it is not checked",` +
		`"innerloop.sha256":"73aee3269984f9f9856478f35d5fef1dc108651f0d70175deb0ac40a438d5643"},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"n":{"dtype":"U32","shape":[],"data_offsets":[8,12]}}`
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	want := string([]byte{byte(len(header)), byte(len(header) >> 8), 0, 0, 0, 0, 0, 0}) + header + "\x00\x00\x80\x3f\x00\x00\x00\xc0\x07\x00\x00\x00"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOrderAndAlignment(t *testing.T) {
	flag := Tensor{"flag", Bool, []int{3}, []byte{1, 1, 1}}
	x, step := Float32("x", []int{1}, []float32{1}), Int64("step", nil, []int64{1})
	for want, tensors := range map[string][]Tensor{
		"x flag":      {x, flag},
		"step x flag": {flag, x, step}, // as given, x would start at 3
	} {
		f, err := Parse(mustWrite(t, nil, tensors))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(f.Names(), " "); got != want {
			t.Errorf("order %s, want %s", got, want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	x := Float32("x", []int{1}, []float32{1})
	path := filepath.Join(t.TempDir(), "m.safetensors")
	for want, c := range map[string]struct {
		metadata map[string]string
		tensors  []Tensor
	}{
		`tensor "x": given twice`:                                    {nil, []Tensor{x, x}},
		`tensor "x": 4 bytes of data, want 8 for F32 [2]`:            {nil, []Tensor{Float32("x", []int{2}, []float32{1})}},
		`tensor "x": shape [-1 -1] has dimension -1, want 0 or more`: {nil, []Tensor{Float32("x", []int{-1, -1}, []float32{1})}},
		`tensor "x": unknown dtype "F4"`:                             {nil, []Tensor{{"x", "F4", nil, nil}}},
		`tensor "__metadata__": the name is reserved for metadata`:   {nil, []Tensor{Float32("__metadata__", nil, []float32{1})}},
		`"\xff" is not valid UTF-8`:                                  {nil, []Tensor{Float32("\xff", nil, []float32{1})}},
		`"v\xc0" is not valid UTF-8`:                                 {map[string]string{"k": "v\xc0"}, nil},
		`tensor "x": 65 dimensions, want at most 64`:                 {nil, []Tensor{Float32("x", make([]int, 65), nil)}},

		`metadata "innerloop.sha256": the name is reserved for the file's check`: {map[string]string{"innerloop.sha256": ""}, nil},
	} {
		var b bytes.Buffer
		if err := Write(&b, c.metadata, c.tensors); err == nil || err.Error() != "safetensors: "+want || b.Len() > 0 {
			t.Errorf("got  %v, %d bytes\nwant safetensors: %s", err, b.Len(), want)
		}
		if err := WriteFile(path, c.metadata, c.tensors); err == nil || err.Error() != "safetensors: "+path+": "+want {
			t.Errorf("got  %v\nwant safetensors: %s: %s", err, path, want)
		}
		onlyFiles(t, filepath.Dir(path))
	}
}

// onlyFiles fails unless dir holds exactly the named files.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

func checkContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Fatalf("%s holds %q, %v, want %q", path, got, err, want)
	}
}

func TestWriteFileAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	put := func(s string, end error) func(io.Writer) error {
		return func(w io.Writer) error {
			if _, err := io.WriteString(w, s); err != nil {
				return err
			}
			return end
		}
	}
	if err := WriteFileAtomic(path, 0o600, put("old", nil)); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", st.Mode(), err)
	}
	broken := errors.New("out of ideas")
	long := strings.Repeat("x", 1<<20) // more than any buffer
	if err := WriteFileAtomic(path, 0o600, put(long, broken)); !errors.Is(err, broken) || err.Error() != path+": out of ideas" {
		t.Errorf("got %v", err)
	}
	checkContent(t, path, "old")
	onlyFiles(t, dir, "config.json")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		err := WriteFileAtomic(path, 0o600, func(w io.Writer) error {
			if _, err := io.WriteString(w, long); err != nil {
				return err
			}
			panic("bug")
		})
		t.Error(err)
	}()
	checkContent(t, path, "old")
	onlyFiles(t, dir, "config.json")
	if err := WriteFileAtomic(path, 0o600, put("new", nil)); err != nil {
		t.Fatal(err)
	}
	checkContent(t, path, "new")

	missing := filepath.Join(dir, "no", "such")
	if err := WriteFileAtomic(missing, 0o600, put("x", nil)); err == nil || err.Error() != missing+": open: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFileAtomic(filepath.Join(dir, "d"), 0o600, put("x", nil)); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, "d")+": rename: ") {
		t.Errorf("got %v", err)
	}
	onlyFiles(t, dir, "config.json", "d")
}

// errWriter fails after n bytes.
type errWriter struct{ n int }

func (w *errWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteReportsTheWriter(t *testing.T) {
	for _, n := range []int{0, 80} {
		err := Write(&errWriter{n}, nil, []Tensor{Float32("x", []int{9}, make([]float32, 9))})
		if !errors.Is(err, io.ErrShortWrite) || err.Error() != "safetensors: short write" {
			t.Errorf("after %d bytes: got %v", n, err)
		}
	}
}
