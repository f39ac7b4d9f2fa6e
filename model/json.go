package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json/jsontext"
)

// mostJSON bounds the JSON files of a checkpoint, in bytes: far above any real one.
const mostJSON = 1 << 24

// readJSON reads a small JSON file. A byte order mark, which some editors put first, is left out.
func readJSON(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if m := st.Mode(); !m.IsRegular() && !m.IsDir() { // of a folder, reading tells
		return nil, fmt.Errorf("model: %s: no regular file", path)
	}
	if st.Size() > mostJSON {
		return nil, fmt.Errorf("model: %s: %d bytes, want at most %d", path, st.Size(), mostJSON)
	}
	b, err := os.ReadFile(path)
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("model: %s: is in UTF-16: save it as UTF-8", path)
	}
	return bytes.TrimPrefix(b, []byte("\ufeff")), err
}

// eachMember calls visit with every member of the object that b is. Anything else, a key that comes twice, and text
// that is no JSON are errors of one line.
func eachMember(b []byte, visit func(key string, value jsontext.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	if k := d.PeekKind(); k != '{' {
		if _, err := d.ReadToken(); err != nil {
			return explainJSON(err)
		}
		return errors.New("got " + kindName(k) + ", want an object")
	}
	if _, err := d.ReadToken(); err != nil {
		return explainJSON(err)
	}
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return explainJSON(err)
		}
		name := key.String()
		v, err := d.ReadValue()
		if err != nil {
			return explainJSON(err)
		}
		if err := visit(name, v); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return explainJSON(err)
	}
	if _, err := d.ReadToken(); err == nil {
		return fmt.Errorf("more after the closing brace at byte %d", d.InputOffset())
	} else if !errors.Is(err, io.EOF) {
		return explainJSON(err)
	}
	return nil
}

func explainJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("unexpected end of JSON input")
	}
	var s *jsontext.SyntacticError
	if !errors.As(err, &s) {
		return err
	}
	if errors.Is(s, jsontext.ErrDuplicateName) {
		return fmt.Errorf("the key %.80q comes twice", s.JSONPointer.LastToken())
	}
	return fmt.Errorf("not valid JSON at byte %d: %.120s", s.ByteOffset, s.Err.Error())
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
	return k.String()
}

// brief is a JSON value for an error: what it is, or itself where it is short.
func brief(v jsontext.Value) string {
	if k := v.Kind(); k == '{' || k == '[' || len(v) > 60 {
		return kindName(k)
	}
	return string(v)
}
