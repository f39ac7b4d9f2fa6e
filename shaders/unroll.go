package shaders

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// unrolled ends the head of a loop that Source writes out.
const unrolled = "  // unroll"

// unroll writes out the loops of lines that ask for it, as blocks in which the loop's variable is a literal: where an
// index has to be known, and the compiler would leave the loop. Their bounds are among consts.
func unroll(lines []string, consts map[string]any) ([]string, error) {
	var out []string
	for i := 0; i < len(lines); i++ {
		head, found := strings.CutSuffix(lines[i], unrolled)
		if !found {
			out = append(out, lines[i])
			continue
		}
		// for (var i = 0u; i < NAME; i++) {
		indent := head[:len(head)-len(strings.TrimLeft(head, " "))]
		f := strings.Fields(head)
		if len(f) != 10 || head != fmt.Sprintf("%sfor (var %s = 0u; %[2]s < %s %[2]s++) {", indent, f[2], f[7]) {
			return nil, fmt.Errorf("cannot unroll %q: want for (var i = 0u; i < NAME; i++) {", strings.TrimSpace(head))
		}
		bound := strings.TrimSuffix(f[7], ";")
		n, isInt := consts[bound].(int)
		if !isInt {
			return nil, fmt.Errorf("cannot unroll %q: %s is no integer constant", strings.TrimSpace(head), bound)
		}
		size := slices.Index(lines[i+1:], indent+"}")
		if size < 0 {
			return nil, fmt.Errorf("cannot unroll %q: its end is not found", strings.TrimSpace(head))
		}
		body, err := unroll(lines[i+1:i+1+size], consts)
		if err != nil {
			return nil, err
		}
		for v := range n {
			out = append(out, indent+"{")
			for _, l := range body {
				out = append(out, substitute(l, f[2], strconv.Itoa(v)+"u"))
			}
			out = append(out, indent+"}")
		}
		i += 1 + size
	}
	return out, nil
}

// substitute puts value for the variable name in a line of WGSL, not for a component or a part of another name.
func substitute(line, name, value string) string {
	var b strings.Builder
	for at := 0; ; {
		i := strings.Index(line[at:], name)
		if i < 0 {
			b.WriteString(line[at:])
			return b.String()
		}
		i += at
		end := i + len(name)
		b.WriteString(line[at:i])
		if i > 0 && (inName(line[i-1]) || line[i-1] == '.') || end < len(line) && inName(line[end]) {
			b.WriteString(name)
		} else {
			b.WriteString(value)
		}
		at = end
	}
}

func inName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|32 >= 'a' && c|32 <= 'z'
}
