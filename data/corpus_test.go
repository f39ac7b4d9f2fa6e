package data

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func newCorpus(t testing.TB, text string) *Corpus {
	t.Helper()
	c, err := NewCorpus("book.txt", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestSplitIsExact(t *testing.T) {
	c := newCorpus(t, strings.Repeat("a", 89)+strings.Repeat("b", 10))
	train, val, err := c.Split(0.101, 5) // floor(9.999)
	if err != nil || train.Len() != 90 || val.Len() != 9 {
		t.Fatalf("split %d and %d, %v, want 90 and 9", train.Len(), val.Len(), err)
	}
	got := make([]uint32, 9)
	if err := val.Window(got, 0); err != nil || got[0] != 'b' || got[8] != 'b' {
		t.Errorf("validation holds %v, %v, want the end of the text", got, err)
	}
	train, val, err = c.Split(0, 99)
	if err != nil || train.Len() != 99 || val.Len() != 0 || val.Windows(5) != 0 {
		t.Errorf("split %d and %d, %v, want 99 and 0", train.Len(), val.Len(), err)
	}
}

func TestSplitRefuses(t *testing.T) {
	c := newCorpus(t, strings.Repeat("x", 100))
	for _, x := range []struct {
		frac float64
		len  int
		want string
	}{
		{0.1, 64, "data: book.txt: 100 bytes split into 90 for training and 10 for validation (val_fraction 0.1), want at least seq_len 64 in each: a text of 640 bytes or more"},
		{0.9, 64, "data: book.txt: 100 bytes split into 10 for training and 90 for validation (val_fraction 0.9), want at least seq_len 64 in each: a text of 631 bytes or more"},
		{0, 101, "data: book.txt: 100 bytes split into 100 for training and 0 for validation (val_fraction 0), want at least seq_len 101 in each: a text of 101 bytes or more"},
		{1e-9, 64, "data: book.txt: 100 bytes split into 100 for training and 0 for validation (val_fraction 1e-09), want at least seq_len 64 in each"},
		{1, 2, "data: book.txt: val_fraction 1, want at least 0 and below 1"},
		{-0.1, 2, "data: book.txt: val_fraction -0.1, want at least 0 and below 1"},
		{math.NaN(), 2, "data: book.txt: val_fraction NaN, want at least 0 and below 1"},
		{0.1, 1, "data: book.txt: seq_len 1, want at least 2"},
	} {
		_, _, err := c.Split(x.frac, x.len)
		checkError(t, err, x.want)
	}
}

// The length that the error advises is the least that does.
func TestAdvisedLengthIsLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frac := rapid.Float64Range(0.001, 0.999).Draw(t, "frac")
		seqLen := rapid.IntRange(2, 5000).Draw(t, "seq_len")
		n := seqLen
		for n-valLen(n, frac) < seqLen || valLen(n, frac) < seqLen {
			n += max(1, seqLen-valLen(n, frac), seqLen-(n-valLen(n, frac)))
		}
		hint := (&Corpus{}).enough(frac, seqLen)
		if want := ": a text of " + strconv.Itoa(n) + " bytes or more"; hint != want {
			t.Fatalf("got %q, want %q", hint, want)
		}
	})
}

func TestWindows(t *testing.T) {
	_, val, err := newCorpus(t, "................0123456789").Split(10.5/26, 3)
	if err != nil {
		t.Fatal(err)
	}
	if n := val.Windows(3); n != 3 {
		t.Fatalf("%d windows, want 3 and the tail dropped", n)
	}
	dst := make([]uint32, 3)
	var got []byte
	for i := range 3 {
		if err := val.Window(dst, i); err != nil {
			t.Fatal(err)
		}
		got, _ = Bytes{}.Decode(got, dst)
	}
	if string(got) != "012345678" {
		t.Errorf("windows hold %q", got)
	}
	checkError(t, val.Window(dst, 3), "data: book.txt: window 3 of length 3, want below 3")
	checkError(t, val.Window(dst, -1), "data: book.txt: window -1 of length 3, want below 3")
	checkError(t, val.Window(nil, 0), "data: book.txt: window 0 of length 0, want below 0")
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "book.txt")
	if err := os.WriteFile(path, []byte("\x00\xffany bytes\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadFile(path)
	if err != nil || c.Len() != 13 || c.Name() != path {
		t.Fatalf("got %+v, %v", c, err)
	}
	train, _, err := c.Split(0, 13)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]uint32, 13)
	if err := train.Window(ids, 0); err != nil || ids[0] != 0 || ids[1] != 255 || ids[12] != '\n' {
		t.Errorf("ids %v, %v", ids, err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big") // sparse
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 1<<31); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		empty:                      "empty, want text",
		dir:                        "is a directory, want a text file",
		filepath.Join(dir, "none"): "no such file or directory",
		big:                        "2147483648 bytes, want at most 2147483647",
	} {
		_, err := LoadFile(path)
		checkError(t, err, "data: "+path+": "+want)
	}
}
