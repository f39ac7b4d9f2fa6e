package lab

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// logText reads the parts of a log that stand by themselves: lines, and what a progress bar writes over itself, which
// carriage returns part. It reads UTF-8 and, as shells of Windows write it, UTF-16, with or without a byte order mark.
type logText struct {
	r     *bufio.Reader
	order func(b []byte) rune // of two bytes; nil: UTF-8
	wide  []byte              // of a part in UTF-16
}

// The byte order marks.
const markLE, markBE, markUTF8 = "\xff\xfe", "\xfe\xff", "\xef\xbb\xbf"

func littleEndian(b []byte) rune { return rune(b[0]) | rune(b[1])<<8 }
func bigEndian(b []byte) rune    { return rune(b[1]) | rune(b[0])<<8 }

func newLogText(r io.Reader) *logText {
	t := &logText{r: bufio.NewReaderSize(r, 1<<16)}
	head, _ := t.r.Peek(4) // an error comes again with the first part
	for mark, order := range map[string]func([]byte) rune{markLE: littleEndian, markBE: bigEndian, markUTF8: nil} {
		if bytes.HasPrefix(head, []byte(mark)) {
			t.order = order
			_, _ = t.r.Discard(len(mark)) // was peeked at
			return t
		}
	}
	// No text in UTF-8 has a byte of 0, and a log begins with letters that UTF-16 has one beside.
	if len(head) == 4 {
		switch zero := [4]bool{head[0] == 0, head[1] == 0, head[2] == 0, head[3] == 0}; zero {
		case [4]bool{false, true, false, true}:
			t.order = littleEndian
		case [4]bool{true, false, true, false}:
			t.order = bigEndian
		}
	}
	return t
}

// next reads a part without its end, and drops what goes beyond longestLine of it. whole says that the line ends with it:
// a part that a carriage return ends is one of several of a line.
func (t *logText) next() (part string, whole bool, err error) {
	var b []byte
	keep := func(c ...byte) {
		if len(b) < longestLine {
			b = append(b, c...)
		}
	}
	var lead rune // the first half of a pair of UTF-16
	for {
		if t.order == nil {
			c, err := t.r.ReadByte()
			if err != nil || c == '\n' || c == '\r' {
				return string(b), err == nil && c == '\n', err
			}
			keep(c)
			continue
		}
		var two [2]byte
		if _, err := io.ReadFull(t.r, two[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) { // half a character, as a program that was killed leaves it
				err = io.EOF
			}
			return string(b), false, err
		}
		switch c := t.order(two[:]); {
		case c == '\n' || c == '\r':
			return string(b), c == '\n', nil
		case utf16.IsSurrogate(c) && lead == 0:
			lead = c
			continue
		case utf16.IsSurrogate(c):
			c = utf16.DecodeRune(lead, c)
			fallthrough
		default:
			lead = 0
			t.wide = utf8.AppendRune(t.wide[:0], c)
			keep(t.wide...)
		}
	}
}

// clean takes from a part what terminals are told, colours and moves of the cursor, which has numbers of its own, and makes
// a plain number of one that a library prints with its type: tensor(-20.25, device='cuda:0'), np.float32(-20.25),
// <tf.Tensor: shape=(), dtype=float32, numpy=-20.25>.
func clean(part string) string {
	part = withoutEscapes(part)
	for from := 0; ; {
		at := strings.Index(part[from:], "<tf.Tensor:")
		if at < 0 {
			break
		}
		at += from
		value, rest, ok := strings.Cut(part[at:], "numpy=")
		if end := strings.IndexByte(rest, '>'); ok && end >= 0 && !strings.Contains(value, ">") {
			part = part[:at] + " " + rest[:end] + " " + rest[end+1:]
		}
		from = at + 1
	}
	var b strings.Builder
	done := 0
	for i := 0; i < len(part); i++ {
		if part[i] != '(' || !isWrapper(part[done:i]) {
			continue
		}
		end := closing(part, i)
		if end < 0 {
			break
		}
		inside := strings.TrimLeft(part[i+1:end], " [(")
		if cut := strings.IndexAny(inside, ", ])"); cut >= 0 {
			inside = inside[:cut]
		}
		if _, ok := number(inside); !ok {
			continue
		}
		name := strings.TrimRightFunc(part[done:i], inName)
		b.WriteString(name + " " + inside + " ")
		i, done = end, end+1
	}
	return b.String() + part[done:]
}

func inName(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.'
}

// isWrapper says whether s ends with the name of a type that a number is printed in.
func isWrapper(s string) bool {
	name := strings.ToLower(s[len(strings.TrimRightFunc(s, inName)):])
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	switch strings.TrimRight(name, "0123456789_") {
	case "tensor", "array", "float", "bfloat", "double", "half", "longdouble", "int", "uint", "scalar", "parameter", "devicearray", "dtensor":
		return true
	}
	return false
}

// closing is the place of the bracket that closes the one at i, or -1.
func closing(s string, i int) int {
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return j
			}
		}
	}
	return -1
}

// withoutEscapes is s without the escape sequences of terminals.
func withoutEscapes(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for {
		text, after, ok := strings.Cut(s, "\x1b[")
		b.WriteString(text)
		if !ok {
			return b.String()
		}
		b.WriteByte(' ')
		end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return b.String()
		}
		s = after[end+1:]
	}
}
