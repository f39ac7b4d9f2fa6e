package data

import (
	"slices"
	"testing"
)

// countingPart holds bytes that say where they stand, for up to 256 tokens.
func countingPart(t testing.TB, n int) Part {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(i)
	}
	train, _, err := newCorpus(t, string(text)).Split(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return train
}

func fill(t testing.TB, s *Sampler, n, step, micro int) []uint32 {
	t.Helper()
	dst := make([]uint32, n)
	if err := s.Fill(dst, step, micro); err != nil {
		t.Fatal(err)
	}
	return dst
}

func newSampler(t testing.TB, p Part, seed uint64, rows, seqLen int) *Sampler {
	t.Helper()
	s, err := NewSampler(p, seed, rows, seqLen)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// These rows may never change, or a resumed run would see other data.
func TestSamplerIsPinned(t *testing.T) {
	s := newSampler(t, countingPart(t, 200), 42, 4, 2)
	var got []uint32
	for step := range 2 {
		b := fill(t, s, 8, step, 0)
		got = append(got, b[0], b[2], b[4], b[6])
	}
	if want := []uint32{7, 70, 1, 78, 148, 125, 122, 61}; !slices.Equal(got, want) {
		t.Errorf("rows start at %v, want %v", got, want)
	}
}

// A step's batch depends on seed, step and row alone: not on what was drawn
// before, nor on how the rows are cut into micro-batches.
func TestSamplerHasNoHistory(t *testing.T) {
	part := countingPart(t, 256)
	s := newSampler(t, part, 1, 6, 5)
	var all [][]uint32
	for step := range 5 {
		all = append(all, fill(t, s, 30, step, 0))
	}
	fresh := newSampler(t, part, 1, 6, 5)
	for step := 4; step >= 0; step-- {
		if got := fill(t, fresh, 30, step, 0); !slices.Equal(got, all[step]) {
			t.Errorf("step %d: got %v, want %v", step, got, all[step])
		}
	}
	halves := newSampler(t, part, 1, 2, 5)
	for micro := range 3 {
		if got := fill(t, halves, 10, 3, micro); !slices.Equal(got, all[3][10*micro:10*micro+10]) {
			t.Errorf("micro-batch %d differs from the rows of the whole", micro)
		}
	}
	other := newSampler(t, part, 2, 6, 5)
	if slices.Equal(fill(t, other, 30, 0, 0), all[0]) || slices.Equal(all[0], all[1]) {
		t.Error("another seed or step gave the same batch")
	}
}

// Rows are true windows, every start occurs, and about equally often.
func TestSamplerIsUniform(t *testing.T) {
	const n, seqLen, rows, steps = 50, 8, 10, 4300
	s := newSampler(t, countingPart(t, n), 3, rows, seqLen)
	counts := make([]int, n-seqLen+1)
	for step := range steps {
		b := fill(t, s, rows*seqLen, step, 0)
		for r := 0; r < len(b); r += seqLen {
			counts[b[r]]++
			for j := range seqLen {
				if b[r+j] != b[r]+uint32(j) {
					t.Fatalf("row %v is no window", b[r:r+seqLen])
				}
			}
		}
	}
	mean := float64(rows*steps) / float64(len(counts)) // 1000, deviation 31
	var chi2 float64
	for _, c := range counts {
		chi2 += (float64(c) - mean) * (float64(c) - mean) / mean
	}
	if chi2 < 15 || chi2 > 85 { // 42 degrees of freedom: outside with a chance of 1 in 10,000
		t.Errorf("chi squared %.1f over %d starts, want about 42", chi2, len(counts))
	}
}

func TestSamplerEdges(t *testing.T) {
	part := countingPart(t, 4)
	whole := newSampler(t, part, 9, 1, 4) // one window only
	if got := fill(t, whole, 4, 7, 0); !slices.Equal(got, []uint32{0, 1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	checkError(t, whole.Fill(make([]uint32, 5), 0, 0), "data: batch of 5 ids, want 4 for [1,4]")
	checkError(t, whole.Fill(make([]uint32, 4), -1, 0), "data: step -1, micro-batch 0, want 0 or more")
	_, err := NewSampler(part, 0, 1, 5)
	checkError(t, err, "data: book.txt: 4 bytes, want at least seq_len 5")
	_, err = NewSampler(part, 0, 0, 4)
	checkError(t, err, "data: book.txt: batch of [0,4], want at least 1 in each")
}

func TestNothingAllocates(t *testing.T) {
	s := newSampler(t, countingPart(t, 256), 1, 4, 16)
	ids, dst := make([]uint32, 64), make([]uint32, 64)
	step := 0
	if n := testing.AllocsPerRun(50, func() {
		step++
		if s.Fill(ids, step, 1) != nil || Targets(dst, ids, 4, 16) != nil || s.part.Window(dst, 3) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations a step, want 0", n)
	}
}

func TestTargets(t *testing.T) {
	dst := make([]uint32, 6)
	if err := Targets(dst, []uint32{1, 2, 3, 4, 5, 6}, 2, 3); err != nil || !slices.Equal(dst, []uint32{2, 3, IgnoreIndex, 5, 6, IgnoreIndex}) {
		t.Errorf("got %v, %v", dst, err)
	}
	if err := Targets(dst[:2], []uint32{1, 2}, 2, 1); err != nil || !slices.Equal(dst[:2], []uint32{IgnoreIndex, IgnoreIndex}) {
		t.Errorf("got %v, %v", dst[:2], err)
	}
	checkError(t, Targets(dst, make([]uint32, 5), 2, 3), "data: targets of 6 for 5 ids, want both [2,3]")
	checkError(t, Targets(dst[:5], make([]uint32, 6), 2, 3), "data: targets of 5 for 6 ids, want both [2,3]")
	checkError(t, Targets(nil, nil, 0, 3), "data: targets of 0 for 0 ids, want both [0,3]")
}
