package train

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A browser's program reads and writes the configurations of runs without the TOML library, which would be a tenth of it:
// what is here takes what Config.Text writes, anywhere, and anything of TOML 1.0 that has the same shape: tables of
// numbers, truth values, strings on one line and lists of them.

// smallDecode reads text into c. Errors have the place: name:line.
func smallDecode(name string, text []byte, c *Config) error {
	return smallRead(name, text, c, map[string]bool{})
}

// smallRead is smallDecode that notes in seen, which is empty, the keys and tables that text has.
func smallRead(name string, text []byte, c *Config, seen map[string]bool) error {
	root := reflect.ValueOf(c).Elem()
	table := ""
	for n, line := range strings.Split(string(text), "\n") {
		bad := func(format string, a ...any) error {
			return fmt.Errorf("%s:%d: %s", name, n+1, fmt.Sprintf(format, a...))
		}
		line = strings.TrimSpace(line)
		switch {
		case !utf8.ValidString(line):
			return bad("not UTF-8")
		case isComment(line):
			continue
		case line[0] == '[':
			end := strings.IndexByte(line, ']')
			if end < 0 || !isComment(line[end+1:]) {
				return bad("%.60q, want a table as [train]", line)
			}
			table = strings.TrimSpace(line[1:end])
			if !isTable(root, table) || seen[table] {
				return bad("unknown key %s", table)
			}
			seen[table] = true
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if table != "" {
			key = table + "." + key
		}
		if !ok || seen[key] {
			return bad("%.60q, want key = value, once", line)
		}
		seen[key] = true
		f, err := field(root, key, strings.Split(key, "."))
		if err != nil {
			return bad("unknown key %s", key)
		}
		rest, err := smallValue(f, strings.TrimSpace(value))
		if err == nil && !isComment(rest) {
			err = fmt.Errorf("got %.60q", value)
		}
		if err != nil {
			return bad("%s: %v, want %s", key, err, typeName(f.Type()))
		}
	}
	return nil
}

// isComment says whether nothing of a line counts.
func isComment(s string) bool {
	s = strings.TrimSpace(s)
	return s == "" || s[0] == '#'
}

// isTable says whether name is a table of a configuration.
func isTable(v reflect.Value, name string) bool {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("toml") == name && v.Field(i).Kind() == reflect.Struct {
			return true
		}
	}
	return false
}

// smallValue sets f to the value that s begins with and returns what follows it.
func smallValue(f reflect.Value, s string) (rest string, err error) {
	switch f.Kind() {
	case reflect.String:
		text, rest, err := smallString(s)
		f.SetString(text)
		return rest, err
	case reflect.Slice:
		if !strings.HasPrefix(s, "[") {
			return "", fmt.Errorf("got %.60q", s)
		}
		list := []string{}
		for s = strings.TrimSpace(s[1:]); !strings.HasPrefix(s, "]"); {
			text, after, err := smallString(s)
			if err != nil {
				return "", err
			}
			list = append(list, text)
			s = strings.TrimSpace(after)
			if next, comma := strings.CutPrefix(s, ","); comma {
				s = strings.TrimSpace(next)
			} else if !strings.HasPrefix(s, "]") {
				return "", fmt.Errorf("got %.60q", s)
			}
		}
		f.Set(reflect.ValueOf(list))
		return s[1:], nil
	}
	end := strings.IndexAny(s, " \t#")
	if end < 0 {
		end = len(s)
	}
	word, rest := s[:end], s[end:]
	plain := strings.ReplaceAll(word, "_", "")
	switch f.Kind() {
	case reflect.Bool:
		if word != "true" && word != "false" {
			return "", fmt.Errorf("got %.60q", word)
		}
		f.SetBool(word == "true")
	case reflect.Int:
		v, err := strconv.ParseInt(plain, 10, 64)
		if err != nil {
			return "", fmt.Errorf("got %.60q", word)
		}
		f.SetInt(v)
	case reflect.Uint64:
		v, err := strconv.ParseUint(plain, 10, 63)
		if err != nil {
			return "", fmt.Errorf("got %.60q", word)
		}
		f.SetUint(v)
	case reflect.Float64:
		v, err := strconv.ParseFloat(plain, 64)
		if err != nil || strings.ContainsAny(plain, "xXpP") {
			return "", fmt.Errorf("got %.60q", word)
		}
		f.SetFloat(v)
	default:
		return "", fmt.Errorf("got %.60q", word)
	}
	return rest, nil
}

// escapes are those of a basic string.
var escapes = map[byte]string{'b': "\b", 't': "\t", 'n': "\n", 'f': "\f", 'r': "\r", '"': "\"", '\\': "\\", 'e': "\x1b"}

// smallString reads a basic or a literal string.
func smallString(s string) (text, rest string, err error) {
	bad := fmt.Errorf("got %.60q", s)
	if strings.HasPrefix(s, "'") {
		end := strings.IndexByte(s[1:], '\'')
		if end < 0 || strings.HasPrefix(s, "'''") {
			return "", "", bad
		}
		return s[1 : 1+end], s[2+end:], nil
	}
	if !strings.HasPrefix(s, `"`) || strings.HasPrefix(s, `"""`) {
		return "", "", bad
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c != '\\':
			b.WriteByte(c)
		case i+1 == len(s):
			return "", "", bad
		default:
			i++
			if e, ok := escapes[s[i]]; ok {
				b.WriteString(e)
				continue
			}
			n := map[byte]int{'u': 4, 'U': 8, 'x': 2}[s[i]]
			if n == 0 || i+n >= len(s) {
				return "", "", bad
			}
			v, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			if err != nil || !utf8.ValidRune(rune(v)) {
				return "", "", bad
			}
			b.WriteRune(rune(v))
			i += n
		}
	}
	return "", "", bad
}

// smallEncode writes c as smallDecode and every TOML reader take it, each key with its comment.
func smallEncode(c Config) []byte {
	var b strings.Builder
	root := reflect.ValueOf(c)
	write := func(v reflect.Value) {
		for i := range v.NumField() {
			t, f := v.Type().Field(i), v.Field(i)
			key := t.Tag.Get("toml")
			if key == "-" || f.Kind() == reflect.Struct {
				continue
			}
			if comment := t.Tag.Get("comment"); comment != "" {
				fmt.Fprintf(&b, "# %s\n", comment)
			}
			fmt.Fprintf(&b, "%s = %s\n", key, smallLiteral(f))
		}
	}
	write(root)
	for i := range root.NumField() {
		if f := root.Field(i); f.Kind() == reflect.Struct {
			fmt.Fprintf(&b, "\n[%s]\n", root.Type().Field(i).Tag.Get("toml"))
			write(f)
		}
	}
	return []byte(b.String())
}

func smallLiteral(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return smallQuote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = smallQuote(v.Index(i).String())
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Float64:
		s := strconv.FormatFloat(v.Float(), 'g', -1, 64)
		if !strings.ContainsAny(s, ".eIN") {
			s += ".0"
		}
		return s
	}
	return literal(v)
}

// smallQuote writes a basic string.
func smallQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
