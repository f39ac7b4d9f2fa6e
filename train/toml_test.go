//go:build !js

package train

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"unicode/utf16"
)

// strange is a configuration with every kind of value.
func strange() Config {
	c := Demo()
	c.Data.File, c.Data.Document = `C:\\a "b" \'c\'.txt`, "\n\n\t\x7f\u00e9"
	c.Train.LR, c.Train.Clip, c.Train.Seed, c.Train.CarryState = 1.25e-7, 3, math.MaxInt64, true
	c.Sample.Prompts = []string{"", "a, b", "]", "#", "\"q\"", "\\", "'", "x\r\ny"}
	return c
}

// What the browser writes and reads is what the library reads and writes.
func TestSmallTOML(t *testing.T) {
	for _, c := range []Config{Default(), Demo(), strange()} {
		var got Config
		if err := smallDecode("small", smallEncode(c), &got); err != nil {
			t.Fatalf("%v\n%s", err, smallEncode(c))
		}
		got.Model.ModelType = c.Model.ModelType // has no key
		if d := Diff(c, got); len(d) > 0 {
			t.Errorf("small, small: %v", d)
		}
		if got, err := Parse("library", smallEncode(c)); err != nil || len(Diff(c, got)) > 0 {
			t.Errorf("small, library: %v %v", Diff(c, got), err)
		}
		text, err := c.Text()
		if err != nil {
			t.Fatal(err)
		}
		got = Default()
		if err := smallDecode("small", text, &got); err != nil || len(Diff(c, got)) > 0 {
			t.Errorf("library, small: %v %v\n%s", Diff(c, got), err, text)
		}
	}
	for text, want := range map[string]string{
		"x = 1": "f:1: unknown key x", "[model]\nattention = 3": "f:2: unknown key model.attention", "[nothing]": "f:1: unknown table [nothing]",
		"[train]\nlr = fast": "f:2: train.lr: got fast, want a number", "[train]\nsteps = 1.5": "want an integer", "[train]\nseed = -1": "want a non-negative integer",
		"[sample]\nprompts = [\"a\"": "want a list of strings", "device = \"a": "want a string", "device": "want KEY = VALUE", "[train]\nlr = 1\nlr = 2": "train.lr comes twice",
		"[train": "want a table", "device = \"\\q\"": "want a string", "device = \xff": "not UTF-8", "device = 'a' b": "want a string",
	} {
		c := Default()
		if err := smallDecode("f", []byte(text), &c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// What editors and shells make of a configuration is read alike: with a byte order mark, with CR and LF, in UTF-16.
func TestEncodedTOML(t *testing.T) {
	want := strange()
	text, err := want.Text()
	if err != nil {
		t.Fatal(err)
	}
	wide := func(order binary.AppendByteOrder, text string) (b []byte) {
		for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
			b = order.AppendUint16(b, u)
		}
		return b
	}
	crlf := strings.ReplaceAll(string(text), "\n", "\r\n")
	for name, b := range map[string][]byte{
		"BOM": append([]byte("\ufeff"), text...), "BOM, CRLF": []byte("\ufeff" + crlf), "UTF-16LE": wide(binary.LittleEndian, string(text)), "UTF-16BE": wide(binary.BigEndian, crlf),
		"two marks": append([]byte("\ufeff\ufeff"), text...), "two marks, UTF-16": wide(binary.LittleEndian, "\ufeff"+string(text)),
	} {
		if got, err := Parse("f", b); err != nil || len(Diff(want, got)) > 0 {
			t.Errorf("%s: %v %v", name, Diff(want, got), err)
		}
		got := Default()
		if err := smallDecode("f", b, &got); err != nil || len(Diff(want, got)) > 0 {
			t.Errorf("%s, small: %v %v", name, Diff(want, got), err)
		}
	}
	for text, want := range map[string]string{
		"\xff\xfed\x00e": "f: is in UTF-16, but ends within a character: save it as UTF-8", "\xff\xfe\x00\x00d\x00\x00\x00": "f: is in UTF-32: save it as UTF-8",
	} {
		_, err := Parse("f", []byte(text))
		c := Default()
		if small := smallDecode("f", []byte(text), &c); err == nil || err.Error() != want || small == nil || small.Error() != want {
			t.Errorf("%q: got %v and %v, want %s", text, err, small, want)
		}
	}
}

// FuzzSmallTOML: what the small reader takes, the library reads to the same.
func FuzzSmallTOML(f *testing.F) {
	for _, c := range []Config{Default(), strange()} {
		f.Add(string(smallEncode(c)))
		text, _ := c.Text()
		f.Add(string(text))
		f.Add("\ufeff" + string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		small, library := Default(), Default()
		if smallDecode("f", []byte(text), &small) != nil {
			return
		}
		if err := decodeTOML("f", []byte(text), &library, map[string]bool{}); err == nil && len(Diff(small, library)) > 0 {
			t.Errorf("%q: %v", text, Diff(small, library))
		}
	})
}

// smallDecode reads text into c. Errors have the place: name:line.
func smallDecode(name string, text []byte, c *Config) error {
	return smallRead(name, text, c, map[string]bool{})
}
