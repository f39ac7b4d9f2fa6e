package data

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// reader makes a reader over text and its batch buffers.
func reader(t testing.TB, text string, rows, seqLen int, l Layout) (*Reader, []uint32, []uint32) {
	t.Helper()
	c, err := NewCorpus("t", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	part, _, err := c.Split(0, seqLen)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSampler(part, 1, rows, seqLen)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(s, l)
	if err != nil {
		t.Fatal(err)
	}
	return r, make([]uint32, rows*seqLen), make([]uint32, rows*seqLen)
}

func TestReaderPositions(t *testing.T) {
	r, ids, pos := reader(t, "abcd.efgh.ij", 1, 12, Layout{Separator: ".", MiniBatch: 4})
	if err := r.Fill(ids, pos, 0, 0); err != nil {
		t.Fatal(err)
	}
	if want := []uint32{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1}; !slices.Equal(pos, want) {
		t.Errorf("positions %v, want %v", pos, want)
	}
	if n := r.MiniBatches(); n != 5 {
		t.Errorf("%d mini-batches, want 5 at most: 3 and 2 that documents cut short", n)
	}
}

// Streams go on row by row, wrap at the end, and together read the whole text.
func TestReaderStreams(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 10)
	r, ids, pos := reader(t, text, 2, 16, Layout{Carry: true, Rows: 4, MiniBatch: 8})
	read := map[int]int{}
	at, next := make([]int, 4), make([]uint32, 4)
	for step := range 25 {
		for micro := range 2 {
			if err := r.Fill(ids, pos, step, micro); err != nil {
				t.Fatal(err)
			}
			for b := range 2 {
				s := micro*2 + b
				o, p := r.stream(step, s)
				read[o]++
				if step > 0 && o != 0 && (o != at[s]+16 || pos[b*16] != next[s]) {
					t.Errorf("step %d stream %d: at %d position %d, want %d and %d", step, s, o, pos[b*16], at[s]+16, next[s])
				}
				if (o == 0 || step == 0) && pos[b*16] != 0 {
					t.Errorf("step %d stream %d: position %d at the start, want 0", step, s, pos[b*16])
				}
				if uint32(p) != pos[b*16] || byte(ids[b*16]) != text[o] {
					t.Errorf("step %d stream %d: not the row at %d", step, s, o)
				}
				at[s], next[s] = o, pos[b*16]+16
			}
		}
	}
	if len(read) != 10 {
		t.Errorf("the streams read %d of 10 rows", len(read))
	}
}

// Whatever the text: a position is 0 exactly at a document's first token (and where a row begins one), a row begins at
// a multiple of the mini-batch, positions count up, and no row holds more inner steps than MiniBatches.
func TestReaderProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ab.]{40,120}`).Draw(rt, "text")
		k := rapid.IntRange(1, 5).Draw(rt, "k")
		seqLen := k * rapid.IntRange(2, 4).Draw(rt, "n")
		carry := rapid.Bool().Draw(rt, "carry")
		reach := rapid.IntRange(0, 3).Draw(rt, "reach")
		r, ids, pos := reader(t, text, 2, seqLen, Layout{Separator: ".", Carry: carry, Rows: 2, MiniBatch: k, Reach: reach})
		for step := range 12 {
			if err := r.Fill(ids, pos, step, 0); err != nil {
				rt.Fatal(err)
			}
			for b := range 2 {
				row, p := ids[b*seqLen:(b+1)*seqLen], pos[b*seqLen:(b+1)*seqLen]
				if p[0]%uint32(k) != 0 || !carry && p[0] != 0 {
					rt.Fatalf("row begins at position %d", p[0])
				}
				batches, in := 0, 0
				for i := range p {
					if i > 0 && (p[i] == 0) != (row[i-1] == '.') {
						rt.Fatalf("position %d after %q", p[i], rune(row[i-1]))
					}
					if i > 0 && p[i] != 0 && p[i] != p[i-1]+1 {
						rt.Fatalf("position %d after %d", p[i], p[i-1])
					}
					if p[i] == 0 || in == k || i == 0 {
						batches, in = batches+1, 0
					}
					in++
				}
				if batches > r.MiniBatches() {
					rt.Fatalf("%d inner steps in a row, MiniBatches says %d", batches, r.MiniBatches())
				}
			}
		}
	})
}

func TestReaderRefuses(t *testing.T) {
	c, _ := NewCorpus("t", []byte(strings.Repeat("x", 40)))
	part, _, err := c.Split(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSampler(part, 1, 2, 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewReader(s, Layout{Carry: true, Rows: 2, MiniBatch: 4})
	checkError(t, err, "data: t: rows of 10 tokens go on from each other, want a multiple of the mini-batch 4")
	_, err = NewReader(s, Layout{Carry: true, Length: 15, Rows: 2, MiniBatch: 5})
	checkError(t, err, "data: t: sequences of 15 tokens, want whole rows of 10 and at most the text's 40")
	_, err = NewReader(s, Layout{Carry: true, Rows: 5, MiniBatch: 5})
	checkError(t, err, "data: t: 40 bytes are 4 rows of 10, want at least one for each of 5 streams")
}

// Sequences of a given length: each stream reads whole ones, at places of its own, and not all change over at once.
func TestReaderSequences(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 40)
	r, ids, pos := reader(t, text, 4, 8, Layout{Carry: true, Length: 32, Rows: 4, MiniBatch: 4})
	at, next := make([]int, 4), make([]uint32, 4)
	begins, together := map[int]bool{}, 0
	for step := range 40 {
		if err := r.Fill(ids, pos, step, 0); err != nil {
			t.Fatal(err)
		}
		fresh := 0
		for b := range 4 {
			o, _ := r.stream(step, b)
			p := pos[b*8]
			switch {
			case p == 0:
				fresh++
				begins[o] = true
			case step == 0 || o != at[b]+8 || p != next[b] || p >= 32:
				t.Errorf("step %d stream %d: at %d position %d after %d and %d", step, b, o, p, at[b], next[b])
			}
			if byte(ids[b*8]) != text[o] {
				t.Errorf("step %d stream %d: not the text at %d", step, b, o)
			}
			at[b], next[b] = o, p+8
		}
		if step > 0 && fresh != 1 {
			together++
		}
	}
	if together > 0 || len(begins) < 20 {
		t.Errorf("%d steps without just one new sequence, %d different beginnings of 40", together, len(begins))
	}
}
