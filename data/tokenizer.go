// Package data turns text into training batches: tokenizers, corpora split
// into training and validation, seeded batches that depend on the step alone,
// and generators of texts to train on: stories and small tasks.
package data

import (
	"fmt"
	"unicode/utf8"
)

// Tokenizer maps text to token ids and back.
type Tokenizer interface {
	// Vocab is the number of ids; every id is below it.
	Vocab() int
	// Encode appends the ids of text to dst and returns it.
	Encode(dst []uint32, text []byte) []uint32
	// Decode appends the bytes of ids to dst and returns it. An id of Vocab or
	// more is an error; dst then holds the bytes before it.
	Decode(dst []byte, ids []uint32) ([]byte, error)
}

// Bytes is the tokenizer whose tokens are the 256 bytes themselves. Any input
// survives Encode and Decode unchanged.
type Bytes struct{}

// Vocab is 256.
func (Bytes) Vocab() int { return 256 }

// Encode appends each byte of text as an id.
func (Bytes) Encode(dst []uint32, text []byte) []uint32 {
	for _, b := range text {
		dst = append(dst, uint32(b))
	}
	return dst
}

// Decode appends each id as a byte; an id above 255 is an error.
func (Bytes) Decode(dst []byte, ids []uint32) ([]byte, error) {
	for i, id := range ids {
		if id > 255 {
			return dst, fmt.Errorf("data: token %d is %d, want below the vocabulary of 256", i, id)
		}
		dst = append(dst, byte(id))
	}
	return dst, nil
}

// UTF8Stream prints text that arrives in pieces cut anywhere: it holds back an
// unfinished UTF-8 sequence (at most 3 bytes) until the rest comes, and puts
// U+FFFD for each byte that belongs to no valid sequence. What it gives out is
// valid UTF-8, piece by piece. The zero value is ready.
type UTF8Stream struct {
	held [utf8.UTFMax]byte
	n    int
}

// Append adds piece and appends to dst all text that is complete by now.
func (s *UTF8Stream) Append(dst, piece []byte) []byte {
	for _, b := range piece {
		if s.n == 0 && b < utf8.RuneSelf {
			dst = append(dst, b)
			continue
		}
		s.held[s.n] = b
		s.n++
		for s.n > 0 && utf8.FullRune(s.held[:s.n]) {
			dst = s.emit(dst)
		}
	}
	return dst
}

// Flush appends what is held back, as U+FFFD for each byte, and starts anew:
// for the end of the text.
func (s *UTF8Stream) Flush(dst []byte) []byte {
	for s.n > 0 {
		dst = s.emit(dst)
	}
	return dst
}

// emit moves one rune, or one invalid byte as U+FFFD, from held to dst.
func (s *UTF8Stream) emit(dst []byte) []byte {
	r, size := utf8.DecodeRune(s.held[:s.n])
	dst = utf8.AppendRune(dst, r)
	s.n = copy(s.held[:], s.held[size:s.n])
	return dst
}
