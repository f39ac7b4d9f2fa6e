package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// File is an open safetensors file: its checked header in memory, its data
// read on demand. All methods but Close may be called concurrently.
type File struct {
	label    string
	r        io.ReaderAt
	closer   io.Closer // nil when the caller owns r
	data     int64     // offset of the data in r
	metadata map[string]string
	infos    []Info
	byName   map[string]int
	checked  bool
}

// Open reads and checks the header of the file at path, and the whole file
// against its own check where it carries one: a file that is not as it was
// written is a [DamageError]. The caller closes the File. Every error names
// path.
func Open(path string) (*File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, labelled(path, diskError(err))
	}
	if !st.Mode().IsRegular() {
		return nil, labelled(path, fmt.Errorf("is a %s, want a regular file", fileKind(st.Mode())))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, labelled(path, diskError(err))
	}
	file, err := NewReader(f, st.Size(), path)
	if err != nil {
		f.Close() //nolint:errcheck // err is what matters
		return nil, err
	}
	file.closer = f
	return file, nil
}

// Parse checks a file held in memory, as in a browser. It keeps data, which
// must not change while the File is in use.
func Parse(data []byte) (*File, error) {
	return NewReader(bytes.NewReader(data), int64(len(data)), "memory")
}

// NewReader checks the size bytes of r as a safetensors file; label stands for
// its name in errors. Of a file without a check only the header is read, until
// a tensor is asked for; see [Open]. Closing the File leaves r open.
func NewReader(r io.ReaderAt, size int64, label string) (*File, error) {
	f := &File{label: label, r: r}
	if size < 8 {
		return nil, labelled(label, fmt.Errorf("%d bytes, want at least 8 for the header length", size))
	}
	var word [8]byte
	if err := readAt(r, word[:], 0); err != nil {
		return nil, labelled(label, err)
	}
	n := binary.LittleEndian.Uint64(word[:])
	if n > maxHeader {
		return nil, labelled(label, fmt.Errorf("header length %d, want at most %d: not a safetensors file?", n, maxHeader))
	}
	if n > uint64(size-8) {
		return nil, labelled(label, fmt.Errorf("header length %d, but %d bytes follow: truncated, or not a safetensors file", n, size-8))
	}
	header := make([]byte, n)
	if err := readAt(r, header, 8); err != nil {
		return nil, labelled(label, err)
	}
	f.data = 8 + int64(n)
	var err error
	f.metadata, f.infos, err = parseHeader(header, size-f.data)
	if err == nil && copied(header) {
		f.metadata = withoutCheck(f.metadata)
	} else if f.checked = expectsCheck(header); f.checked {
		if err == nil {
			err = verify(r, size, word[:], header)
		}
		if err != nil {
			return nil, &DamageError{label, err}
		}
		f.metadata = withoutCheck(f.metadata)
	}
	if err != nil {
		return nil, labelled(label, err)
	}
	f.byName = make(map[string]int, len(f.infos))
	for i, t := range f.infos {
		f.byName[t.Name] = i
	}
	return f, nil
}

// Names lists the tensors in the order of their data in the file.
func (f *File) Names() []string {
	names := make([]string, len(f.infos))
	for i, t := range f.infos {
		names[i] = t.Name
	}
	return names
}

// Info describes the tensor name; ok is false if the file has none such.
func (f *File) Info(name string) (info Info, ok bool) {
	i, ok := f.byName[name]
	if !ok {
		return Info{}, false
	}
	info = f.infos[i]
	info.Shape = slices.Clone(info.Shape)
	return info, true
}

// Metadata returns a copy of the file's __metadata__ but for its check, nil if
// it has none.
func (f *File) Metadata() map[string]string { return maps.Clone(f.metadata) }

// Float32 reads the tensor name, row major, converting from F64 (rounding to
// nearest; beyond float32's range to infinity), F32, F16 or BF16. A missing
// tensor and any other dtype are errors.
func (f *File) Float32(name string) ([]float32, error) { return floats[float32](f, name) }

// Float64 reads the tensor name, row major, converting exactly from F64, F32,
// F16 or BF16. A missing tensor and any other dtype are errors.
func (f *File) Float64(name string) ([]float64, error) { return floats[float64](f, name) }

func floats[T float32 | float64](f *File, name string) ([]T, error) {
	t, err := f.find(name, "F64, F32, F16 or BF16", F64, F32, F16, BF16)
	if err != nil {
		return nil, err
	}
	out := make([]T, t.Size/int64(t.DType.Size()))
	return out, f.chunks(t, func(first int, raw []byte) error {
		decodeFloats(out[first:first+len(raw)/t.DType.Size()], t.DType, raw)
		return nil
	})
}

// Int64s reads the tensor name, row major, from any signed or unsigned integer
// dtype. A missing tensor, any other dtype and a U64 above the range of int64
// are errors.
func (f *File) Int64s(name string) ([]int64, error) {
	t, err := f.find(name, "an integer type", I64, I32, I16, I8, U64, U32, U16, U8)
	if err != nil {
		return nil, err
	}
	out := make([]int64, t.Size/int64(t.DType.Size()))
	err = f.chunks(t, func(first int, raw []byte) error {
		if i := decodeInts(out[first:first+len(raw)/t.DType.Size()], t.DType, raw); i >= 0 {
			return fmt.Errorf("element %d is %d, too large for int64", first+i, uint64(out[first+i]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Tensor reads the tensor name as raw little-endian bytes, of any dtype.
func (f *File) Tensor(name string) (Tensor, error) {
	t, err := f.find(name, "")
	if err != nil {
		return Tensor{}, err
	}
	data := make([]byte, t.Size)
	if err := readAt(f.r, data, f.data+t.Offset); err != nil {
		return Tensor{}, f.failed(name, err)
	}
	return Tensor{t.Name, t.DType, slices.Clone(t.Shape), data}, nil
}

// Close releases the file. Reads after it are errors.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	if err := f.closer.Close(); err != nil {
		return labelled(f.label, diskError(err))
	}
	return nil
}

// find looks a tensor up, requiring one of the dtypes if any are given.
func (f *File) find(name, want string, dtypes ...DType) (Info, error) {
	i, ok := f.byName[name]
	if !ok {
		return Info{}, labelled(f.label, fmt.Errorf("no tensor %s among %d", quote(name), len(f.infos)))
	}
	t := f.infos[i]
	if len(dtypes) > 0 && !slices.Contains(dtypes, t.DType) {
		return Info{}, f.failed(name, fmt.Errorf("dtype %s, want %s", t.DType, want))
	}
	return t, nil
}

// chunkBytes is a multiple of every element size.
const chunkBytes = 1 << 20

// chunks calls visit with a tensor's raw bytes, piece by piece, so that a
// conversion never holds the tensor twice; first counts elements.
func (f *File) chunks(t Info, visit func(first int, raw []byte) error) error {
	buf := make([]byte, min(t.Size, chunkBytes))
	for at := int64(0); at < t.Size; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), t.Size-at)]
		if err := readAt(f.r, buf, f.data+t.Offset+at); err != nil {
			return f.failed(t.Name, err)
		}
		if err := visit(int(at/int64(t.DType.Size())), buf); err != nil {
			return f.failed(t.Name, err)
		}
	}
	return nil
}

func (f *File) failed(name string, err error) error {
	return labelled(f.label, fmt.Errorf("tensor %s: %w", quote(name), err))
}

// readAt fills p or says why not; io.EOF here means the file shrank.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF || err == nil {
		return fmt.Errorf("file ends at byte %d, want %d: it shrank while open", off+int64(n), off+int64(len(p)))
	}
	return diskError(err)
}

func labelled(label string, err error) error { return fmt.Errorf("safetensors: %s: %w", label, err) }

func fileKind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
