package data

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// Sampler draws training batches: rows of seqLen tokens that start anywhere in
// a part with equal chance. It has no state: a batch depends on the seed, the
// step and the micro-batch only, so a run resumes from its step number. Methods
// may be called concurrently.
type Sampler struct {
	part         Part
	seed         uint64
	rows, seqLen int
}

// NewSampler makes a sampler of batches [rows, seqLen]. A part shorter than
// seqLen, and sizes below 1, are errors.
func NewSampler(part Part, seed uint64, rows, seqLen int) (*Sampler, error) {
	if rows < 1 || seqLen < 1 {
		return nil, fmt.Errorf("data: %s: batch of [%d,%d], want at least 1 in each", part.name, rows, seqLen)
	}
	if part.Len() < seqLen {
		return nil, fmt.Errorf("data: %s: %d bytes, want at least seq_len %d", part.name, part.Len(), seqLen)
	}
	return &Sampler{part, seed, rows, seqLen}, nil
}

// Fill writes the ids of one batch to dst ([rows, seqLen]) without allocating.
// step and micro count from 0; micro is the micro-batch within a step. Row b of
// micro-batch m is row m*rows+b of the step, drawn by that number alone: however
// a step's rows are cut into micro-batches, they are the same. A dst of another
// length and negative numbers are errors.
func (s *Sampler) Fill(dst []uint32, step, micro int) error {
	if len(dst) != s.rows*s.seqLen {
		return fmt.Errorf("data: batch of %d ids, want %d for [%d,%d]", len(dst), s.rows*s.seqLen, s.rows, s.seqLen)
	}
	if step < 0 || micro < 0 {
		return fmt.Errorf("data: step %d, micro-batch %d, want 0 or more", step, micro)
	}
	for b := range s.rows {
		s.part.copy(dst[b*s.seqLen:(b+1)*s.seqLen], s.start(step, micro, b))
	}
	return nil
}

// start is where row b of a batch begins in the part.
func (s *Sampler) start(step, micro, b int) int {
	var p rand.PCG
	row := uint64(micro)*uint64(s.rows) + uint64(b)
	p.Seed(mix(mix(s.seed)+uint64(step)), mix(row))
	return int(uniform(&p, uint64(s.part.Len()-s.seqLen+1)))
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014): neighbouring
// counters become unrelated keys.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// uniform draws from [0, n) without bias (Lemire 2019). It is spelled out, as
// math/rand/v2 fixes what PCG gives but not what rand.Rand makes of it, and a
// resumed run must see the same data under a later Go.
func uniform(p *rand.PCG, n uint64) uint64 {
	hi, lo := bits.Mul64(p.Uint64(), n)
	if lo < n {
		for reject := -n % n; lo < reject; {
			hi, lo = bits.Mul64(p.Uint64(), n)
		}
	}
	return hi
}

// IgnoreIndex is the target of a position without one; it has no loss.
const IgnoreIndex = 0xFFFFFFFF

// Targets writes the next token of each position of ids ([rows, seqLen]) to dst
// (same shape), row by row; a row's last position gets [IgnoreIndex]. It does
// not allocate. Lengths that do not fit are errors.
func Targets(dst, ids []uint32, rows, seqLen int) error {
	if rows < 1 || seqLen < 1 || len(ids) != rows*seqLen || len(dst) != len(ids) {
		return fmt.Errorf("data: targets of %d for %d ids, want both [%d,%d]", len(dst), len(ids), rows, seqLen)
	}
	for b := 0; b < len(ids); b += seqLen {
		copy(dst[b:b+seqLen-1], ids[b+1:b+seqLen])
		dst[b+seqLen-1] = IgnoreIndex
	}
	return nil
}
