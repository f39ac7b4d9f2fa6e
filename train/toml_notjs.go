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
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		var strict *toml.StrictMissingError
		var dec *toml.DecodeError
		switch {
		case errors.As(err, &strict):
			e := strict.Errors[0]
			line, col := e.Position()
			return fmt.Errorf("%s:%d:%d: unknown key %s", name, line, col, strings.Join(e.Key(), "."))
		case errors.As(err, &dec):
			line, col := dec.Position()
			msg := strings.TrimPrefix(dec.Error(), "toml: ")
			if k := dec.Key(); len(k) > 0 {
				// The library's message names Go's types and fields; the key tells what is wanted.
				if got, _, ok := strings.Cut(strings.TrimPrefix(msg, "cannot decode TOML "), " into "); ok {
					want := "a table"
					if f, err := field(reflect.ValueOf(c).Elem(), "", k); err == nil {
						want = typeName(f.Type())
					}
					msg = fmt.Sprintf("got %s %s, want %s", article(got), got, want)
				}
				msg = strings.Join(k, ".") + ": " + msg
			}
			return fmt.Errorf("%s:%d:%d: %s", name, line, col, msg)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	noteKeys(all, "", set)
	return nil
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
