package safetensors

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
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
// [Write] for the order, the check, and what is refused.
func WriteFile(path string, metadata map[string]string, tensors []Tensor) error {
	header, order, err := prepare(metadata, tensors)
	if err != nil {
		return labelled(path, err)
	}
	err = WriteFileAtomic(path, 0o666, func(w io.Writer) error { return writeParts(w, header, order, tensors) })
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// WriteFileFrom is [WriteFile] for tensors that are made one at a time, so that
// no more than one need be in memory: infos says what they are (Offset and Size
// are not looked at), and data is called once for each, in the order of the
// file, and returns the bytes of infos[i], which it may reuse in the next call.
// An error of data ends the writing and comes back wrapped.
func WriteFileFrom(path string, metadata map[string]string, infos []Info, data func(i int) ([]byte, error)) error {
	header, order, err := encode(metadata, infos)
	if err != nil {
		return labelled(path, err)
	}
	sum := sha256.New()
	// The sum of all that follows stands before it: its digits are put in last.
	seal := func(w io.WriterAt) error {
		_, err := w.WriteAt([]byte(hex.EncodeToString(sum.Sum(nil))), int64(sumAt(header)))
		return err
	}
	err = writeFileAtomic(path, 0o666, func(w io.Writer) error {
		w = io.MultiWriter(w, sum)
		if _, err := w.Write(header); err != nil {
			return err
		}
		for _, i := range order {
			b, err := data(i)
			if err != nil {
				return err
			}
			if err := checkLen(infos[i], len(b)); err != nil {
				return fmt.Errorf("tensor %s: %w", quote(infos[i].Name), err)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}, seal)
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
// written. The file carries its own check, which [Open] looks at and
// [File.Metadata] leaves out.
func Write(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	header, order, err := prepare(metadata, tensors)
	if err == nil {
		err = writeParts(w, header, order, tensors)
	}
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// prepare checks the input and returns everything up to the data, with the
// file's sum, and the order of the tensors' data.
func prepare(metadata map[string]string, tensors []Tensor) ([]byte, []int, error) {
	header, order, err := encode(metadata, infosOf(tensors))
	if err == nil {
		err = checkData(tensors)
	}
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.New()
	if err := writeParts(sum, header, order, tensors); err != nil {
		return nil, nil, err
	}
	hex.Encode(header[sumAt(header):], sum.Sum(nil))
	return header, order, nil
}

func infosOf(tensors []Tensor) []Info {
	infos := make([]Info, len(tensors))
	for i, t := range tensors {
		infos[i] = Info{Name: t.Name, DType: t.DType, Shape: t.Shape}
	}
	return infos
}

func writeParts(w io.Writer, header []byte, order []int, tensors []Tensor) error {
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, i := range order {
		if _, err := w.Write(tensors[i].Data); err != nil {
			return err
		}
	}
	return nil
}

// encode checks the input and returns everything up to the data, the digits of
// the sum as zeros, and the order of the tensors' data.
func encode(metadata map[string]string, infos []Info) ([]byte, []int, error) {
	metadata, err := withCheck(metadata)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[string]bool, len(infos))
	sizes := make([]int64, len(infos))
	order := make([]int, len(infos))
	aligned, at := true, int64(0)
	for i, t := range infos {
		var err error
		if sizes[i], err = check(t); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		if seen[t.Name] {
			return nil, nil, fmt.Errorf("tensor %s: given twice", quote(t.Name))
		}
		seen[t.Name] = true
		order[i] = i
		aligned = aligned && at%int64(t.DType.Size()) == 0
		if at += sizes[i]; at < 0 {
			return nil, nil, fmt.Errorf("tensor %s: the file overflows 64-bit sizes", quote(t.Name))
		}
	}
	if !aligned {
		slices.SortStableFunc(order, func(a, b int) int { return infos[b].DType.Size() - infos[a].DType.Size() })
	}
	b := append(make([]byte, 8, 1024), '{') // room for the length
	str := func(s string) {
		var e error
		if b, e = jsontext.AppendQuote(b, s); e != nil && err == nil {
			err = fmt.Errorf("%s is not valid UTF-8", quote(s))
		}
	}
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
	at = 0
	for _, i := range order {
		t := infos[i]
		b = append(b, ',')
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
		at += sizes[i]
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
	return b, order, err
}

// check is the size of a tensor's data in bytes, or what is wrong with it.
func check(t Info) (int64, error) {
	if t.Name == metadataKey {
		return 0, errors.New("the name is reserved for metadata")
	}
	return byteSize(t.DType, t.Shape)
}

func checkData(tensors []Tensor) error {
	for _, t := range tensors {
		if err := checkLen(Info{DType: t.DType, Shape: t.Shape}, len(t.Data)); err != nil {
			return fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
	}
	return nil
}

func checkLen(t Info, got int) error {
	want, err := byteSize(t.DType, t.Shape)
	if err == nil && int64(got) != want {
		err = fmt.Errorf("%d bytes of data, want %d for %s %v", got, want, t.DType, t.Shape)
	}
	return err
}
