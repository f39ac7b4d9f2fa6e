package data

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Layout says how rows are cut from a text whose documents end somewhere. The zero value takes every row for a document
// of its own, drawn at random.
type Layout struct {
	Separator string // ends a document, and belongs to it; empty: the text is one
	Carry     bool   // row b of step s+1 goes on where row b of step s stopped, in one of as many streams as there are rows
	Length    int    // with Carry, tokens of a sequence, whole rows: then the stream goes on elsewhere, drawn at random; 0: with the text
	Rows      int    // rows of a whole step, all micro-batches together; wanted with Carry
	MiniBatch int    // K: a row goes on at a multiple of it, where an inner step begins
	Reach     int    // tokens that a convolution looks back: a document that began that little before a row begins anew
}

// Documents are where the documents of a part begin.
type Documents struct {
	starts []int // after the first, ascending
}

// Documents are the part's, each but the last ended by separator, which belongs to it; empty: the part is one.
func (p Part) Documents(separator string) Documents {
	var d Documents
	if separator == "" {
		return d
	}
	for at := 0; ; {
		i := bytes.Index(p.text[at:], []byte(separator))
		if i < 0 {
			return d
		}
		if at += i + len(separator); at < len(p.text) {
			d.starts = append(d.starts, at)
		}
	}
}

// Longest is the length of the longest document of a part of n tokens.
func (d Documents) Longest(n int) int {
	most, last := 0, 0
	for _, s := range d.starts {
		most, last = max(most, s-last), s
	}
	return max(most, n-last)
}

// MiniBatches is the largest number of inner steps, of k tokens each, in a row of l: a document's end cuts one short.
func (d Documents) MiniBatches(l, k int) int {
	k = max(1, k)
	most := 0
	for i, j := 0, 0; i < len(d.starts); i++ {
		for d.starts[i]-d.starts[j] >= l {
			j++
		}
		most = max(most, i-j+1)
	}
	return (l+k-1)/k + min(most, l-1)
}

// Positions writes the positions, in their documents, of the tokens from at on, of which the first has position first
// unless a document begins there.
func (d Documents) Positions(dst []uint32, at, first int) {
	next, _ := slices.BinarySearch(d.starts, at)
	p := uint32(first)
	for i := range dst {
		if next < len(d.starts) && d.starts[next] == at+i {
			next++
			p = 0
		}
		dst[i] = p
		p++
	}
}

// Reader draws batches with the positions of their tokens in their documents.
type Reader struct {
	s      *Sampler
	layout Layout
	docs   Documents
}

// NewReader returns a reader over what s samples from. With Carry, rows that are no multiple of MiniBatch long, and a
// text too short to give every stream a row of its own, are errors.
func NewReader(s *Sampler, l Layout) (*Reader, error) {
	r := &Reader{s: s, layout: l, docs: s.part.Documents(l.Separator)}
	if !l.Carry {
		return r, nil
	}
	if l.MiniBatch < 1 || s.seqLen%l.MiniBatch != 0 {
		return nil, fmt.Errorf("data: %s: rows of %d tokens go on from each other, want a multiple of the mini-batch %d", s.part.name, s.seqLen, l.MiniBatch)
	}
	if l.Length != 0 {
		if l.Length < 0 || l.Length%s.seqLen != 0 || l.Length > s.part.Len() {
			return nil, fmt.Errorf("data: %s: sequences of %d tokens, want whole rows of %d and at most the text's %d", s.part.name, l.Length, s.seqLen, s.part.Len())
		}
		return r, nil
	}
	if n := r.segments(); l.Rows < 1 || n < l.Rows {
		return nil, fmt.Errorf("data: %s: %d bytes are %d rows of %d, want at least one for each of %d streams", s.part.name, s.part.Len(), n, s.seqLen, l.Rows)
	}
	return r, nil
}

// segments is the number of whole rows in the text.
func (r *Reader) segments() int { return r.s.part.Len() / r.s.seqLen }

// MiniBatches is the largest number of inner steps in a row: a document's end cuts one short.
func (r *Reader) MiniBatches() int { return r.docs.MiniBatches(r.s.seqLen, r.layout.MiniBatch) }

// Fill writes the ids of a batch and their positions, both [rows, seqLen], without allocating; see Sampler.Fill. A
// position of 0 is a document's first token; a row's first position is 0 or a multiple of MiniBatch.
func (r *Reader) Fill(ids, positions []uint32, step, micro int) error {
	l := r.s.seqLen
	if len(positions) != r.s.rows*l {
		return fmt.Errorf("data: positions of %d ids, want %d for [%d,%d]", len(positions), r.s.rows*l, r.s.rows, l)
	}
	if !r.layout.Carry {
		if err := r.s.Fill(ids, step, micro); err != nil {
			return err
		}
	} else if len(ids) != r.s.rows*l || step < 0 || micro < 0 || (micro+1)*r.s.rows > r.layout.Rows {
		return fmt.Errorf("data: batch of %d ids at step %d, micro-batch %d, want %d of [%d,%d] in %d streams", len(ids), step, micro, r.s.rows*l, r.s.rows, l, r.layout.Rows)
	}
	for b := range r.s.rows {
		row, pos := ids[b*l:(b+1)*l], positions[b*l:(b+1)*l]
		at, p := r.s.start(step, micro, b), 0
		if r.layout.Carry {
			at, p = r.stream(step, micro*r.s.rows+b)
			r.s.part.copy(row, at)
		}
		r.docs.Positions(pos, at, p)
	}
	return nil
}

// stream is where row b of a step begins in the text, and the position there.
func (r *Reader) stream(step, b int) (at, position int) {
	at, position = r.place(step, b)
	i, _ := slices.BinarySearch(r.docs.starts, at+1)
	if i == 0 || at-r.docs.starts[i-1] >= position {
		return at, position
	}
	// The row before ended inside this document, its last inner step cut short: go on at the next whole one.
	position = at - r.docs.starts[i-1]
	if position <= r.layout.Reach {
		return at, 0
	}
	k := r.layout.MiniBatch
	return at, (position + k - 1) / k * k
}

// place is stream with documents left aside. Without a Length the streams begin spread evenly over the text, wrap at
// its end, and begin a new sequence there; with one, each has sequences of that length at random places, and the
// streams change over at different steps.
func (r *Reader) place(step, b int) (at, position int) {
	l := r.s.seqLen
	if r.layout.Length > 0 {
		rows := r.layout.Length / l
		n := step + b%rows // row of the stream's sequences, the first of which may begin in its middle
		within := n % rows
		var p rand.PCG
		p.Seed(mix(mix(r.s.seed)+uint64(b)), mix(uint64(n/rows)))
		begin := int(uniform(&p, uint64(r.s.part.Len()-r.layout.Length+1)))
		return begin + within*l, min(within, step) * l
	}
	n := r.segments()
	first := int(int64(n) * int64(b) / int64(r.layout.Rows))
	seg := int((int64(first) + int64(step)) % int64(n))
	rows := min(step, seg) // of this stream since it began or wrapped
	if step < n && seg >= first {
		rows = seg - first
	}
	return seg * l, rows * l
}
