// Package shaders holds every WGSL file, one a kernel. Source turns a file's override declarations into constants for one
// specialisation, because naga 0.19 knows no overrides, a constant folds, and overrides size no private arrays.
package shaders

//go:generate go run ./gen

import (
	"embed"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.wgsl
var files embed.FS

// Names lists the shaders, sorted, without their suffix.
func Names() []string {
	es, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err) // an embedded folder can be read
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = strings.TrimSuffix(e.Name(), ".wgsl")
	}
	return names
}

// Text returns the named shader as it stands in its file.
func Text(name string) (string, error) {
	b, err := files.ReadFile(name + ".wgsl")
	if err != nil {
		return "", fmt.Errorf("shaders: no shader %q", name)
	}
	return string(b), nil
}

// Source returns the named shader with each override replaced by the constant of that name: ints and uints as u32,
// float32 and float64 as f32, bools as bool. Every constant wants an override, and every override a constant unless
// its initialiser computes it from others.
//
// A line that ends in the comment "// if NAME > number", or in several such conditions joined by "and", is left out
// where a constant is not so large: shorter than the branch it stands for, for the compiler too. A loop
// "for (var i = 0u; i < NAME; i++) {  // unroll" is written out; it ends at the next line of its indent and a brace.
func Source(name string, consts map[string]any) (string, error) {
	text, err := Text(name)
	if err != nil {
		return "", err
	}
	lines := strings.Split(text, "\n")
	used := map[string]bool{}
	for i, l := range lines {
		rest, ok := strings.CutPrefix(l, "override ")
		if !ok {
			code, cond, found := strings.Cut(l, condition)
			if !found {
				continue
			}
			holds, err := all(cond, consts)
			if err != nil {
				return "", fmt.Errorf("shaders: %s.wgsl:%d: %w", name, i+1, err)
			}
			if lines[i] = code; !holds {
				lines[i] = "\x00"
			}
			continue
		}
		id, decl, _ := strings.Cut(rest, ":")
		decl = strings.TrimSpace(decl)
		typ := decl[:strings.IndexAny(decl+";", " ;=")]
		v, ok := consts[id]
		if !ok {
			if _, init, has := strings.Cut(decl, "="); has && strings.ContainsFunc(init[:strings.IndexByte(init+";", ';')], isIdentStart) {
				lines[i] = "const " + rest // computed from other constants
				continue
			}
			return "", fmt.Errorf("shaders: %s.wgsl:%d: no value for override %s", name, i+1, id)
		}
		lit, litType, err := literal(v)
		if err != nil {
			return "", fmt.Errorf("shaders: %s.wgsl:%d: override %s: %w", name, i+1, id, err)
		}
		if litType != typ {
			return "", fmt.Errorf("shaders: %s.wgsl:%d: override %s is of %s, got %s", name, i+1, id, typ, litType)
		}
		used[id] = true
		lines[i] = fmt.Sprintf("const %s: %s = %s;", id, typ, lit)
	}
	for id := range consts {
		if !used[id] {
			return "", fmt.Errorf("shaders: %s.wgsl: no override for constant %s", name, id)
		}
	}
	lines, err = unroll(slices.DeleteFunc(lines, func(l string) bool { return l == "\x00" }), consts)
	if err != nil {
		return "", fmt.Errorf("shaders: %s.wgsl: %w", name, err)
	}
	return strings.Join(lines, "\n"), nil
}

// condition begins the comment that keeps a line.
const condition = "  // if "

// all says whether every one of the conditions "NAME > number and ..." holds.
func all(conds string, consts map[string]any) (bool, error) {
	for c := range strings.SplitSeq(conds, " and ") {
		id, num, found := strings.Cut(c, " > ")
		v, isInt := consts[id].(int)
		n, err := strconv.Atoi(num)
		if !found || !isInt || err != nil {
			return false, fmt.Errorf("condition %q: want NAME > number, NAME an integer constant", c)
		}
		if v <= n {
			return false, nil
		}
	}
	return true, nil
}

// isIdentStart finds names in an initialiser: they are written in capitals, unlike the suffixes of literals.
func isIdentStart(r rune) bool { return r >= 'A' && r <= 'Z' }

// literal writes v as a typed WGSL literal.
func literal(v any) (text, typ string, err error) {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v), "bool", nil
	case int:
		if v < 0 || v > math.MaxUint32 {
			return "", "", fmt.Errorf("%d is no u32", v)
		}
		return strconv.Itoa(v) + "u", "u32", nil
	case uint32:
		return strconv.FormatUint(uint64(v), 10) + "u", "u32", nil
	case float32:
		return literal(float64(v))
	case float64:
		f := float32(v)
		if math.IsInf(float64(f), 0) || f != f {
			return "", "", fmt.Errorf("%g is no f32", v)
		}
		return strconv.FormatFloat(float64(f), 'e', -1, 32) + "f", "f32", nil
	}
	return "", "", fmt.Errorf("no WGSL literal for %T", v)
}
