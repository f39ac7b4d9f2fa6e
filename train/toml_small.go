package train

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A browser's program reads and writes the configurations of runs without the TOML library, which would be a tenth of it:
// what is here takes what Config.Text writes, anywhere, and anything of TOML 1.0 that has the same shape: tables of
// numbers, truth values, strings on one line and lists of them.

// smallRead reads text into c and notes in seen, which is empty, the keys and tables that text has. Errors have the place:
// name:line.
func smallRead(name string, text []byte, c *Config, seen map[string]bool) error {
	text, err := plainText(name, text)
	if err != nil {
		return err
	}
	if line, err := smallLines(string(text), c, seen); err != nil {
		return fmt.Errorf("%s:%d: %w", name, line, err)
	}
	return nil
}

// smallLines is smallRead; an error comes with the number of its line.
func smallLines(text string, c *Config, seen map[string]bool) (n int, err error) {
	root := reflect.ValueOf(c).Elem()
	table := ""
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		switch {
		case !utf8.ValidString(line):
			return n, fmt.Errorf("got %.60q, which is not UTF-8: save the file as UTF-8", line)
		case isComment(line):
		case line[0] == '[':
			if table, err = smallTable(root.Type(), line); err == nil && seen[table] {
				err = fmt.Errorf("[%s] comes twice: want all of its keys below one", table)
			}
			if err != nil {
				return n, err
			}
			seen[table] = true
		default:
			if err := smallPair(root, table, line, seen); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// smallTable reads the line that a table begins with.
func smallTable(root reflect.Type, line string) (string, error) {
	end := strings.IndexByte(line, ']')
	if end < 0 || !strings.HasPrefix(line, "[[") && !isComment(line[end+1:]) {
		return "", fmt.Errorf("got %.60q, want a table as [train]", line)
	}
	table := strings.TrimSpace(strings.TrimLeft(line[:end], "["))
	names, _ := tables(root)
	switch {
	case !slices.Contains(names, table):
		return "", unknownTable(root, table)
	case strings.HasPrefix(line, "[["):
		return "", fmt.Errorf("got [[%s]], a list of tables, want one: [%s]", table, table)
	}
	return table, nil
}

// smallPair reads a line of a key and its value.
func smallPair(root reflect.Value, table, line string, seen map[string]bool) error {
	name, value, ok := strings.Cut(line, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" {
		return fmt.Errorf("got %.60q, want KEY = VALUE", line)
	}
	key := name
	if table != "" {
		key = table + "." + name
	}
	if seen[key] {
		return fmt.Errorf("%s comes twice: want it once", plain(key))
	}
	f, err := field(root, key)
	if err != nil {
		return err
	}
	seen[key] = true
	rest, err := smallValue(f, value)
	if err == nil && !isComment(rest) {
		err = fmt.Errorf("got %s", shown(value))
	}
	if err == nil {
		return nil
	}
	want := typeName(f.Type())
	if f.Kind() == reflect.String {
		switch {
		case !strings.ContainsAny(value[:min(1, len(value))], `"'`):
			want = "a string in quotes"
		case strings.Contains(value, `\`):
			want = `a string: in double quotes a backslash is written \\, or single quotes`
		}
	}
	return fmt.Errorf("%s: %w, want %s", key, err, want)
}

// isComment says whether nothing of a line counts.
func isComment(s string) bool {
	s = strings.TrimSpace(s)
	return s == "" || s[0] == '#'
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
			return "", fmt.Errorf("got %s", shown(s))
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
				return "", fmt.Errorf("got %s", shown(s))
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
	if word == "" {
		return "", errors.New("got no value")
	}
	plain := strings.ReplaceAll(word, "_", "")
	switch f.Kind() {
	case reflect.Bool:
		if word != "true" && word != "false" {
			return "", fmt.Errorf("got %s", shown(word))
		}
		f.SetBool(word == "true")
	case reflect.Int:
		v, err := strconv.ParseInt(plain, 10, 64)
		if err != nil || zeroFirst(plain) {
			return "", badNumber(word, err)
		}
		f.SetInt(v)
	case reflect.Uint64:
		v, err := strconv.ParseUint(plain, 10, 63)
		if err != nil || zeroFirst(plain) {
			return "", badNumber(word, err)
		}
		f.SetUint(v)
	case reflect.Float64:
		v, err := strconv.ParseFloat(plain, 64)
		if err != nil || strings.ContainsAny(plain, "xXpP") || zeroFirst(plain) {
			return "", badNumber(word, err)
		}
		f.SetFloat(v)
	default:
		return "", fmt.Errorf("got %s", shown(word))
	}
	return rest, nil
}

// zeroFirst says whether a number begins with a zero that it does not need, which TOML forbids.
func zeroFirst(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

// badNumber is the error of a word that is no number of its key's kind.
func badNumber(word string, err error) error {
	why := ""
	switch {
	case errors.Is(err, strconv.ErrRange):
		why = ", which is too large"
	case zeroFirst(word):
		why = ", which begins with a needless 0"
	}
	return fmt.Errorf("got %s%s", shown(word), why)
}

// shown is a value as errors show it: as it stands, but for what is long or cannot be seen.
func shown(s string) string {
	if s == "" || len(s) > 60 || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Sprintf("%.60q", s)
	}
	return s
}

// escapes are those of a basic string.
var escapes = map[byte]string{'b': "\b", 't': "\t", 'n': "\n", 'f': "\f", 'r': "\r", '"': "\"", '\\': "\\", 'e': "\x1b"}

// smallString reads a basic or a literal string.
func smallString(s string) (text, rest string, err error) {
	bad := fmt.Errorf("got %s", shown(s))
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
