package gpu

import (
	"fmt"
	"strconv"
	"strings"
)

// workgroup is what a specialised shader asks of a workgroup.
type workgroup struct {
	memory int    // bytes of its var<workgroup> variables
	size   [3]int // invocations along each axis
}

// workgroupOf reads a shader without overrides, in which a declaration begins its line and ends with a semicolon. It
// knows integer expressions of constants, and the types of numbers, vectors, arrays and atomics; it fails on anything
// else.
func workgroupOf(src string) (w workgroup, err error) {
	src = uncommented(src)
	p := &wgslParser{consts: map[string]string{}}
	defer func() {
		if e := recover(); e != nil {
			pe, ok := e.(parseError)
			if !ok {
				panic(e)
			}
			w, err = workgroup{}, fmt.Errorf("gpu: %s", string(pe))
		}
	}()
	var shared []string // types
	for rest := src; rest != ""; {
		p.s = rest // a declaration may go on in the next lines
		line, after, _ := strings.Cut(rest, "\n")
		rest = after
		switch {
		case strings.TrimSpace(line) == "":
		case p.keyword("const"):
			if name, _, value := p.declaration(); name != "" && value != "" {
				p.consts[name] = value
			}
		case p.take("var<workgroup>"):
			if name, typ, value := p.declaration(); name != "" && typ != "" && value == "" {
				shared = append(shared, typ)
			}
		}
	}
	for _, typ := range shared {
		p.s = typ
		size, align := p.typ()
		p.end()
		w.memory = roundUp(w.memory, align) + size
	}
	_, after, found := strings.Cut(src, "@workgroup_size(")
	if !found {
		p.fail("no @workgroup_size")
	}
	w.size = [3]int{1, 1, 1}
	p.s = after
	for i := range 3 {
		w.size[i] = p.expr()
		if !p.take(",") {
			break
		}
		if p.peek(")") {
			break
		}
	}
	p.want(")")
	return w, nil
}

// uncommented is src without what follows // in its lines.
func uncommented(src string) string {
	var b strings.Builder
	for line := range strings.Lines(src) {
		code, _, found := strings.Cut(line, "//")
		b.WriteString(code)
		if found {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

type parseError string

// wgslParser reads types and integer expressions off the front of s.
type wgslParser struct {
	s      string
	consts map[string]string
	depth  int
}

func (p *wgslParser) fail(format string, a ...any) { panic(parseError(fmt.Sprintf(format, a...))) }

func (p *wgslParser) peek(tok string) bool {
	p.s = strings.TrimSpace(p.s)
	return strings.HasPrefix(p.s, tok)
}

func (p *wgslParser) take(tok string) bool {
	if !p.peek(tok) {
		return false
	}
	p.s = p.s[len(tok):]
	return true
}

func (p *wgslParser) want(tok string) {
	if !p.take(tok) {
		p.fail("want %q before %.20q", tok, p.s)
	}
}

func (p *wgslParser) end() {
	if strings.TrimSpace(p.s) != "" {
		p.fail("cannot read %.20q", p.s)
	}
}

func (p *wgslParser) word() string {
	p.s = strings.TrimSpace(p.s)
	n := 0
	for n < len(p.s) && (p.s[n] == '_' || p.s[n] >= '0' && p.s[n] <= '9' || p.s[n]|32 >= 'a' && p.s[n]|32 <= 'z') {
		n++
	}
	w := p.s[:n]
	p.s = p.s[n:]
	return w
}

// keyword takes a word that stands alone.
func (p *wgslParser) keyword(w string) bool {
	before := p.s
	if p.word() == w {
		return true
	}
	p.s = before
	return false
}

// declaration reads "name: type = value" up to a semicolon; what there is not is empty.
func (p *wgslParser) declaration() (name, typ, value string) {
	name = p.word()
	text, _, found := strings.Cut(p.s, ";")
	if !found {
		return "", "", ""
	}
	typ, value, _ = strings.Cut(text, "=")
	typ, colon := strings.CutPrefix(strings.TrimSpace(typ), ":")
	if !colon && typ != "" {
		return "", "", ""
	}
	return name, strings.TrimSpace(typ), strings.TrimSpace(value)
}

// typ is the size and the alignment of a type, in bytes, as WGSL lays out memory.
func (p *wgslParser) typ() (size, align int) {
	switch name := p.word(); name {
	case "f32", "u32", "i32", "bool":
		return 4, 4
	case "vec2f", "vec2u", "vec2i":
		return 8, 8
	case "vec3f", "vec3u", "vec3i":
		return 12, 16
	case "vec4f", "vec4u", "vec4i":
		return 16, 16
	case "vec2", "vec3", "vec4", "atomic":
		p.want("<")
		p.typ()
		p.want(">")
		switch name {
		case "vec2":
			return 8, 8
		case "vec3":
			return 12, 16
		case "vec4":
			return 16, 16
		}
		return 4, 4
	case "array":
		p.want("<")
		size, align := p.typ()
		p.want(",")
		n := p.expr()
		p.take(",")
		p.want(">")
		return n * roundUp(size, align), align
	default:
		p.fail("unknown type %q", name)
		return 0, 0
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// expr is the value of a sum.
func (p *wgslParser) expr() int {
	v := p.product()
	for {
		switch {
		case p.take("+"):
			v += p.product()
		case p.take("-"):
			v -= p.product()
		default:
			return v
		}
	}
}

func (p *wgslParser) product() int {
	v := p.atom()
	for {
		op := ""
		for _, o := range []string{"*", "/", "%"} {
			if p.take(o) {
				op = o
			}
		}
		if op == "" {
			return v
		}
		switch r := p.atom(); {
		case op == "*":
			v *= r
		case r == 0:
			p.fail("division by zero")
		case op == "/":
			v /= r
		default:
			v %= r
		}
	}
}

func (p *wgslParser) atom() int {
	if p.take("(") {
		v := p.expr()
		p.want(")")
		return v
	}
	w := p.word()
	if n, err := strconv.Atoi(strings.TrimRight(w, "ui")); err == nil {
		return n
	}
	switch w {
	case "max", "min":
		p.want("(")
		a := p.expr()
		p.want(",")
		b := p.expr()
		p.take(",")
		p.want(")")
		if w == "max" {
			return max(a, b)
		}
		return min(a, b)
	case "u32", "i32":
		p.want("(")
		v := p.expr()
		p.want(")")
		return v
	}
	def, ok := p.consts[w]
	if !ok || p.depth > 50 {
		p.fail("cannot evaluate %.20q", w+p.s)
	}
	in := &wgslParser{s: def, consts: p.consts, depth: p.depth + 1}
	v := in.expr()
	in.end()
	return v
}
