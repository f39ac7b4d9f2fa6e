package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxHeader is the format's own limit on the JSON header, in bytes.
const maxHeader = 100_000_000

// metadataKey is the header entry that is no tensor.
const metadataKey = "__metadata__"

// Info describes a tensor of a file without its data.
type Info struct {
	Name   string
	DType  DType
	Shape  []int // empty: a scalar
	Offset int64 // of the first byte, counted from the end of the header
	Size   int64 // bytes
}

// parseHeader checks the JSON header of a file with dataLen bytes after it and
// returns its tensors by offset (those at one offset in header order).
func parseHeader(header []byte, dataLen int64) (map[string]string, []Info, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, fmt.Errorf("header starts with %s, want \"{\"", quote(string(header[:min(1, len(header))])))
	}
	// The decoder itself refuses duplicate keys and invalid UTF-8.
	p := headerParser{dec: jsontext.NewDecoder(bytes.NewBuffer(header))}
	var metadata map[string]string
	var infos []Info
	err := p.object(func(name string) (err error) {
		if name == metadataKey {
			metadata, err = p.metadata()
			return err
		}
		info, err := p.tensor(name)
		if err != nil {
			return err
		}
		if err := checkInfo(info, dataLen); err != nil {
			return fmt.Errorf("tensor %s: %w", quote(name), err)
		}
		infos = append(infos, info)
		return nil
	})
	if err != nil {
		return nil, nil, p.explain(err)
	}
	if _, err := p.dec.ReadToken(); err == nil {
		return nil, nil, fmt.Errorf("header has more after its closing brace at byte %d, want only spaces", 8+p.dec.InputOffset()-1)
	} else if !errors.Is(err, io.EOF) {
		return nil, nil, p.explain(err)
	}
	return metadata, infos, checkLayout(infos, dataLen)
}

// checkInfo checks what can be said of a tensor by itself.
func checkInfo(t Info, dataLen int64) error {
	end := t.Offset + t.Size
	if end > dataLen {
		return fmt.Errorf("data_offsets [%d,%d) reach past the %d bytes of data in the file", t.Offset, end, dataLen)
	}
	want, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if t.Size != want {
		return fmt.Errorf("data_offsets [%d,%d) hold %d bytes, want %d for %s %v", t.Offset, end, t.Size, want, t.DType, t.Shape)
	}
	return nil
}

// checkLayout sorts infos by offset and requires them to cover the data
// exactly: no overlap, no hole, no tail.
func checkLayout(infos []Info, dataLen int64) error {
	slices.SortStableFunc(infos, func(a, b Info) int {
		switch {
		case a.Offset < b.Offset, a.Offset == b.Offset && a.Size == 0 && b.Size > 0:
			return -1
		case a.Offset > b.Offset, a.Offset == b.Offset && a.Size > 0 && b.Size == 0:
			return 1
		}
		return 0
	})
	var end int64
	for i, t := range infos {
		switch {
		case t.Offset < end:
			return fmt.Errorf("tensor %s: data starts at %d, inside tensor %s, which ends at %d", quote(t.Name), t.Offset, quote(infos[i-1].Name), end)
		case t.Offset > end:
			return fmt.Errorf("tensor %s: data starts at %d, want %d: a hole of %d bytes", quote(t.Name), t.Offset, end, t.Offset-end)
		}
		end += t.Size
	}
	if end != dataLen {
		return fmt.Errorf("tensors cover %d bytes of data, the file has %d", end, dataLen)
	}
	return nil
}

// headerParser walks the header token by token, so that a value of the wrong
// kind is refused before it is read.
type headerParser struct{ dec *jsontext.Decoder }

// explain turns a JSON error into one short line; other errors pass.
func (p headerParser) explain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("header is not valid JSON: it ends too early")
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	if errors.Is(syntax, jsontext.ErrDuplicateName) {
		return fmt.Errorf("header has the key %s twice", quote(syntax.JSONPointer.LastToken()))
	}
	return fmt.Errorf("header is not valid JSON at byte %d: %.120s", 8+syntax.ByteOffset, syntax.Err.Error())
}

// object reads an object, calling member at each value.
func (p headerParser) object(member func(name string) error) error {
	if _, err := p.dec.ReadToken(); err != nil { // '{', by the caller's peek
		return err
	}
	for p.dec.PeekKind() != '}' {
		tok, err := p.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(tok.String()); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

// want checks the kind of the next value; place says where it stands.
func (p headerParser) want(kind jsontext.Kind, place, what string) error {
	got := p.dec.PeekKind()
	if got == kind {
		return nil
	}
	if got == 0 { // not JSON
		if _, err := p.dec.ReadToken(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is %s, want %s", place, kindName(got), what)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	}
	return k.String() // null, true, false
}

func (p headerParser) metadata() (map[string]string, error) {
	if err := p.want('{', metadataKey, "an object of strings"); err != nil {
		return nil, err
	}
	m := map[string]string{}
	return m, p.object(func(key string) (err error) {
		m[key], err = p.text(metadataKey + " " + quote(key))
		return err
	})
}

func (p headerParser) text(place string) (string, error) {
	if err := p.want('"', place, "a string"); err != nil {
		return "", err
	}
	tok, err := p.dec.ReadToken()
	if err != nil {
		return "", err
	}
	return tok.String(), nil
}

// numbers reads an array of at most limit whole numbers from 0 to most.
func (p headerParser) numbers(place string, limit int, most uint64) ([]int64, error) {
	if err := p.want('[', place, "an array of whole numbers"); err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return nil, err
	}
	out := []int64{}
	for p.dec.PeekKind() != ']' {
		if err := p.want('0', fmt.Sprintf("%s[%d]", place, len(out)), "a whole number"); err != nil {
			return nil, err
		}
		raw, err := p.dec.ReadValue()
		if err != nil {
			return nil, err
		}
		v, err := strconv.ParseUint(string(raw), 10, 64) // digits only: no sign, fraction or exponent
		if err != nil || v > most {
			return nil, fmt.Errorf("%s[%d] is %.40s, want a whole number from 0 to %d", place, len(out), raw, most)
		}
		if len(out) == limit {
			return nil, fmt.Errorf("%s has more than %d numbers", place, limit)
		}
		out = append(out, int64(v))
	}
	_, err := p.dec.ReadToken()
	return out, err
}

func (p headerParser) tensor(name string) (Info, error) {
	place := "tensor " + quote(name)
	if err := p.want('{', place, "an object"); err != nil {
		return Info{}, err
	}
	t := Info{Name: name}
	var offsets []int64
	err := p.object(func(key string) (err error) {
		switch key {
		case "dtype":
			var s string
			s, err = p.text(place + ": dtype")
			t.DType = DType(s)
		case "shape":
			var dims []int64
			dims, err = p.numbers(place+": shape", maxRank, math.MaxInt)
			t.Shape = make([]int, len(dims))
			for i, d := range dims {
				t.Shape[i] = int(d)
			}
		case "data_offsets":
			offsets, err = p.numbers(place+": data_offsets", 2, math.MaxInt64)
		default:
			err = fmt.Errorf("%s: unknown key %s, want dtype, shape and data_offsets", place, quote(key))
		}
		return err
	})
	if err != nil {
		return Info{}, err
	}
	switch {
	case t.DType == "":
		return Info{}, fmt.Errorf("%s: no dtype", place)
	case t.Shape == nil:
		return Info{}, fmt.Errorf("%s: no shape", place)
	case len(offsets) != 2:
		return Info{}, fmt.Errorf("%s: data_offsets has %d numbers, want 2", place, len(offsets))
	case offsets[0] > offsets[1]:
		return Info{}, fmt.Errorf("%s: data_offsets [%d,%d) are reversed", place, offsets[0], offsets[1])
	}
	t.Offset, t.Size = offsets[0], offsets[1]-offsets[0]
	return t, nil
}
