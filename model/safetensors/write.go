package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// WriteFile writes tensors and metadata (nil: none) to path, whole or not at
// all: on any error, a full disk too, an older file at path is untouched and no
// other file is left behind. The bytes depend on nothing but the arguments; see
// [Write] for the order and for what is refused.
func WriteFile(path string, metadata map[string]string, tensors []Tensor) error {
	header, ordered, err := encode(metadata, tensors)
	if err != nil {
		return labelled(path, err)
	}
	err = WriteFileAtomic(path, 0o666, func(w io.Writer) error { return writeParts(w, header, ordered) })
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// Write writes a safetensors file to w. Metadata keys are sorted, the header is
// padded with spaces so that the data starts at a multiple of 8, and tensors
// keep the order given; only if that would leave one at an address that is not
// a multiple of its element size (some loaders refuse that) do wider dtypes go
// first. Duplicate or reserved names, names or metadata that are not UTF-8, bad
// shapes, and data whose length does not fit are errors, before a byte is
// written.
func Write(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	header, ordered, err := encode(metadata, tensors)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if err := writeParts(w, header, ordered); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

func writeParts(w io.Writer, header []byte, tensors []Tensor) error {
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

// encode checks the input and returns everything up to the data, and the
// tensors in the order of their data.
func encode(metadata map[string]string, tensors []Tensor) ([]byte, []Tensor, error) {
	seen := make(map[string]bool, len(tensors))
	for _, t := range tensors {
		if err := check(t); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		if seen[t.Name] {
			return nil, nil, fmt.Errorf("tensor %s: given twice", quote(t.Name))
		}
		seen[t.Name] = true
	}
	if !aligned(tensors) {
		tensors = slices.Clone(tensors)
		slices.SortStableFunc(tensors, func(a, b Tensor) int { return b.DType.Size() - a.DType.Size() })
	}
	b := append(make([]byte, 8, 1024), '{') // room for the length
	var err error
	str := func(s string) {
		var e error
		if b, e = jsontext.AppendQuote(b, s); e != nil && err == nil {
			err = fmt.Errorf("%s is not valid UTF-8", quote(s))
		}
	}
	if len(metadata) > 0 {
		str(metadataKey)
		sep := ":{"
		for _, k := range slices.Sorted(maps.Keys(metadata)) {
			b = append(b, sep...)
			str(k)
			b = append(b, ':')
			str(metadata[k])
			sep = ","
		}
		b = append(b, '}')
	}
	var at int64
	for _, t := range tensors {
		if len(b) > 9 {
			b = append(b, ',')
		}
		str(t.Name)
		b = append(b, `:{"dtype":"`...)
		b = append(b, t.DType...)
		b = append(b, `","shape":[`...)
		for i, d := range t.Shape {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, `],"data_offsets":[`...)
		b = strconv.AppendInt(b, at, 10)
		at += int64(len(t.Data))
		b = append(b, ',')
		b = strconv.AppendInt(b, at, 10)
		b = append(b, "]}"...)
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if err == nil && len(b)-8 > maxHeader {
		err = fmt.Errorf("header of %d bytes, want at most %d", len(b)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, tensors, err
}

func check(t Tensor) error {
	if t.Name == metadataKey {
		return fmt.Errorf("the name is reserved for metadata")
	}
	want, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if int64(len(t.Data)) != want {
		return fmt.Errorf("%d bytes of data, want %d for %s %v", len(t.Data), want, t.DType, t.Shape)
	}
	return nil
}

func aligned(tensors []Tensor) bool {
	at := 0
	for _, t := range tensors {
		if at%t.DType.Size() != 0 {
			return false
		}
		at += len(t.Data)
	}
	return true
}
