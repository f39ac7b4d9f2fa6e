package data

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestBytesRoundTrip(t *testing.T) {
	var tok Tokenizer = Bytes{}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		ids := tok.Encode([]uint32{7}, text)
		if len(ids) != 1+len(text) || ids[0] != 7 {
			t.Fatalf("%d ids after one, want %d", len(ids)-1, len(text))
		}
		back, err := tok.Decode([]byte("x"), ids[1:])
		if err != nil || string(back) != "x"+string(text) {
			t.Fatalf("got %q, %v, want %q", back, err, "x"+string(text))
		}
	})
}

func TestBytesDecodeRefuses(t *testing.T) {
	got, err := Bytes{}.Decode(nil, []uint32{'h', 'i', 256})
	if want := "data: token 2 is 256, want below the vocabulary of 256"; err == nil || err.Error() != want || string(got) != "hi" {
		t.Errorf("got %q, %v, want %s", got, err, want)
	}
}

func TestUTF8StreamHoldsBack(t *testing.T) {
	var s UTF8Stream
	for i, step := range []struct{ in, want string }{
		{"a", "a"}, {"\xe2", ""}, {"\x82", ""}, {"\xac!", "\u20ac!"}, // the euro sign in three pieces
		{"\xf0\x9f\x98", ""}, {"\x80", "\U0001F600"},
		{"\xc3", ""}, {"(", "\ufffd("}, // never finished
		{"\xff", "\ufffd"}, {"\xe2\x82", ""},
	} {
		if got := string(s.Append(nil, []byte(step.in))); got != step.want {
			t.Errorf("piece %d, %q: got %q, want %q", i, step.in, got, step.want)
		}
	}
	if got := string(s.Flush([]byte(">"))); got != ">\ufffd\ufffd" {
		t.Errorf("flush: got %q", got)
	}
	if got := string(s.Append(nil, []byte("\xa9"))); got != "\ufffd" {
		t.Errorf("after a flush: got %q, want nothing kept", got)
	}
}

// FuzzUTF8Stream: however a text is cut, the pieces are valid UTF-8, what is
// held back is short, and the whole is what Go's own decoder makes of it.
func FuzzUTF8Stream(f *testing.F) {
	f.Add([]byte("h\u00e9llo \u20ac \U0001F600"), uint64(0x5a5a))
	f.Add([]byte("\xf0\x9f\x98\xe2\x82\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"), ^uint64(0))
	f.Add([]byte("\xf0\x9f\x98a\xe2\x82"), uint64(1))
	f.Fuzz(func(t *testing.T, text []byte, cuts uint64) {
		var s UTF8Stream
		var got []byte
		for from := 0; from < len(text); {
			to := from + 1
			for to < len(text) && cuts>>(to%64)&1 == 0 {
				to++
			}
			piece := s.Append(nil, text[from:to])
			if !utf8.Valid(piece) {
				t.Fatalf("piece %q is not UTF-8", piece)
			}
			got = append(got, piece...)
			if s.n >= utf8.UTFMax || s.n > 0 && utf8.FullRune(text[to-s.n:to]) || !bytes.Equal(s.held[:s.n], text[to-s.n:to]) {
				t.Fatalf("holds %q after %q", s.held[:s.n], text[:to])
			}
			from = to
		}
		got = s.Flush(got)
		if want := string([]rune(string(text))); string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
