//go:build !js

package train

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// decodeTOML reads text into c and notes in set the keys that it has.
func decodeTOML(name string, text []byte, c *Config, set map[string]bool) error {
	text, err := plainText(name, text)
	if err != nil {
		return err
	}
	before := *c
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		line, col, said := explain(err, c)
		if line == 0 {
			return fmt.Errorf("%s: %w", name, said)
		}
		// The library speaks of its grammar and of Go's types. Where our own reader stumbles over the same line, it says what
		// is wanted there.
		if n, err := smallLines(string(text), &before, map[string]bool{}); err != nil && n == line {
			said = err
		}
		return fmt.Errorf("%s:%d:%d: %w", name, line, col, said)
	}
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	noteKeys(all, "", set)
	return nil
}

// explain is where an error of the library is, from 1, and what it says; line 0 is no place.
func explain(err error, c *Config) (line, col int, said error) {
	var strict *toml.StrictMissingError
	var dec *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		e := strict.Errors[0]
		line, col = e.Position()
		return line, col, unknownKey(reflect.TypeOf(*c), strings.Join(e.Key(), "."))
	case errors.As(err, &dec):
		line, col = dec.Position()
		msg := strings.TrimPrefix(dec.Error(), "toml: ")
		if k := dec.Key(); len(k) > 0 {
			key := strings.Join(k, ".")
			// The library's message names Go's types and fields; the key tells what is wanted.
			if got, _, ok := strings.Cut(strings.TrimPrefix(msg, "cannot decode TOML "), " into "); ok {
				want := "a table"
				if f, err := field(reflect.ValueOf(c).Elem(), key); err == nil {
					want = typeName(f.Type())
				}
				msg = fmt.Sprintf("got %s %s, want %s", article(got), got, want)
			}
			msg = key + ": " + msg
		}
		return line, col, errors.New(msg)
	}
	return 0, 0, err
}

// noteKeys notes the dotted keys of a table.
func noteKeys(table map[string]any, prefix string, set map[string]bool) {
	for key, v := range table {
		if t, ok := v.(map[string]any); ok {
			noteKeys(t, prefix+key+".", set)
		} else {
			set[prefix+key] = true
		}
	}
}

// setTOML sets f to a value in TOML, or says that it is none of f's type.
func setTOML(f reflect.Value, val string) bool {
	if f.Kind() == reflect.Float64 && !strings.ContainsAny(val, ".eEn") {
		val += ".0" // TOML tells integers from floats, people do not
	}
	holder := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: f.Type(), Tag: `toml:"v"`}}))
	if err := toml.Unmarshal([]byte("v = "+val), holder.Interface()); err != nil {
		return false
	}
	f.Set(holder.Elem().Field(0))
	return true
}

// encodeTOML writes c with the keys' comments.
func encodeTOML(c Config) ([]byte, error) {
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	err := e.Encode(c)
	return b.Bytes(), err
}

// article is a or an, as a word wants it.
func article(word string) string {
	if word != "" && strings.ContainsRune("aeiou", rune(word[0])) {
		return "an"
	}
	return "a"
}
