package web

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// moduleOf is one with a type section, and then sections as they are.
func moduleOf(sections ...string) []byte {
	return []byte(wasmMagic + "\x01\x04\x01\x60\x00\x00" + strings.Join(sections, ""))
}

// section is one of a few bytes.
func section(id byte, body string) string { return string([]byte{id, byte(len(body))}) + body }

// memoryOf lays out a module's data, or fails.
func memoryOf(t *testing.T, module []byte) (pieces int, memory []byte) {
	t.Helper()
	rest := module[len(wasmMagic):]
	for len(rest) > 0 {
		id := rest[0]
		body, after, ok := wasmBytes(rest[1:])
		if !ok {
			t.Fatalf("%x: cut off", module)
		}
		if rest = after; id != wasmData {
			continue
		}
		pieces, body = int(body[0]), body[1:]
		for range pieces {
			at, shift := 0, 0
			body = body[2:]
			for more := true; more; body = body[1:] {
				at |= int(body[0]&0x7f) << shift
				shift += 7
				more = body[0] >= 0x80
			}
			data, after, ok := wasmBytes(body[1:])
			if !ok {
				t.Fatalf("%x: cut off", module)
			}
			if need := at + len(data); need > len(memory) {
				memory = append(memory, make([]byte, need-len(memory))...)
			}
			copy(memory[at:], data)
			body = after
		}
	}
	return pieces, memory
}

func TestJoined(t *testing.T) {
	piece := func(at, data string) string { return "\x00\x41" + at + "\x0b" + string(byte(len(data))) + data }
	// 0x3f and 0x40: the first of a byte, the second of two; 0x2000 of three.
	data := "\x06" + piece("\x3f", "a") + piece("\xc0\x00", "b") + piece("\x80\x01", "efgh") + piece("\xd0\x00", "cd") +
		piece("\x80\xc0\x00", "z") + piece("\xc5\x01", "i") // 0x80, 0x50, 0x2000, 0xc5
	in := moduleOf(section(wasmData, data), section(0, "\x01nrest"))
	before := slices.Clone(in)
	out := joined(in)
	if !bytes.Equal(in, before) {
		t.Error("the module was changed in its place")
	}
	pieces, memory := memoryOf(t, out)
	if _, want := memoryOf(t, in); !bytes.Equal(memory, want) || len(want) != 0x2001 {
		t.Errorf("the memory is %d bytes %q, want %d: %q", len(memory), bytes.Trim(memory, "\x00"), len(want), bytes.Trim(want, "\x00"))
	}
	if pieces != 3 { // 0xc5 is 65 bytes after what ends at 0x84
		t.Errorf("%d pieces, want 3", pieces)
	}
	if !bytes.HasPrefix(out, moduleOf()) || !bytes.HasSuffix(out, []byte(section(0, "\x01nrest"))) {
		t.Errorf("other sections changed: %q", out)
	}

	for name, in := range map[string][]byte{
		"empty":             {},
		"no module":         []byte("<!doctype html>"),
		"cut off":           in[:len(in)-3],
		"a passive piece":   moduleOf(section(wasmData, "\x01\x01\x01a")),
		"another memory":    moduleOf(section(wasmData, "\x01\x02\x01\x41\x00\x0b\x01a")),
		"another address":   moduleOf(section(wasmData, "\x01\x00\x23\x00\x0b\x01a")),
		"below zero":        moduleOf(section(wasmData, "\x01"+piece("\x7f", "a"))),
		"overlapping":       moduleOf(section(wasmData, "\x02"+piece("\x10", "abc")+piece("\x11", "x"))),
		"more than it says": moduleOf(section(wasmData, "\x01"+piece("\x10", "abc")+"x")),
		"less than it says": moduleOf(section(wasmData, "\x02"+piece("\x10", "abc"))),
		"counted":           moduleOf(section(wasmDataCount, "\x01"), section(wasmData, "\x01"+piece("\x10", "abc"))),
	} {
		if out := joined(in); !bytes.Equal(out, in) {
			t.Errorf("%s: %q became %q", name, in, out)
		}
	}
}
