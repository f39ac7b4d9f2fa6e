package data

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// maxCorpus keeps one text, and every index into it, within 31 bits.
const maxCorpus = math.MaxInt32

// Corpus is a named text, one byte a token as the [Bytes] tokenizer gives them, or a sound, one sample a token as
// [MuLaw] gives them.
type Corpus struct {
	name string
	text []byte
	rate int // of a sound, samples a second
}

// NewCorpus makes a corpus of text, which it keeps and which must not change
// afterwards. name stands for it in errors. An empty text is an error.
func NewCorpus(name string, text []byte) (*Corpus, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("data: %s: empty, want text", name)
	}
	if len(text) > maxCorpus {
		return nil, fmt.Errorf("data: %s: %d bytes, want at most %d", name, len(text), maxCorpus)
	}
	return &Corpus{name: name, text: text}, nil
}

// NewSound makes a corpus of a sound, brought to rate samples a second. name stands for it in errors. A sound without
// samples, and one with too many, are errors.
func NewSound(name string, a Audio, rate int) (*Corpus, error) {
	if err := checkRate(name, rate); err != nil {
		return nil, err
	}
	if len(a.Samples) == 0 {
		return nil, fmt.Errorf("data: %s: no samples", name)
	}
	if n := float64(len(a.Samples)) / float64(a.Rate) * float64(rate); n > maxCorpus-1 {
		return nil, fmt.Errorf("data: %s: %.0f samples at %d a second, want at most %d", name, n, rate, maxCorpus)
	}
	return &Corpus{name, a.Resample(rate).Tokens(), rate}, nil
}

// LoadFile reads a file of any bytes as a corpus. A file that is missing,
// empty, larger than 2 GiB or not a regular file is an error that names path.
func LoadFile(path string) (*Corpus, error) {
	st, err := os.Stat(path)
	if err == nil {
		switch {
		case st.IsDir():
			return nil, fmt.Errorf("data: %s: is a directory, want a text file", path)
		case !st.Mode().IsRegular():
			return nil, fmt.Errorf("data: %s: is no regular file, want a text file", path)
		case st.Size() > maxCorpus:
			return nil, fmt.Errorf("data: %s: %d bytes, want at most %d", path, st.Size(), maxCorpus)
		}
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			return NewCorpus(path, text)
		}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // its text would repeat path
	}
	return nil, fmt.Errorf("data: %s: %w", path, err)
}

// checkRate reports a rate that no sound has.
func checkRate(name string, rate int) error {
	if rate < minRate || rate > maxRate {
		return fmt.Errorf("data: %s: %d samples a second, want %d to %d", name, rate, minRate, maxRate)
	}
	return nil
}

// LoadSound reads a file as LoadFile does, but for WAV files, which become sounds of rate samples a second. Sounds of
// another kind, and texts of two bytes a character, are errors.
func LoadSound(path string, rate int) (*Corpus, error) {
	c, err := LoadFile(path)
	if err != nil {
		return nil, err
	}
	if !IsWAV(c.text) {
		if err := checkText(path, c.text); err != nil {
			return nil, err
		}
		return c, nil
	}
	a, err := DecodeWAV(path, c.text)
	if err != nil {
		return nil, err
	}
	c.text = nil // it is many times as large as the tokens
	return NewSound(path, a, rate)
}

// Rate is the rate of a sound, samples a second; 0: the corpus is a text.
func (c *Corpus) Rate() int { return c.rate }

// Tokens are all tokens. They must not be changed.
func (c *Corpus) Tokens() []byte { return c.text }

// unit is what a token is to people.
func (c *Corpus) unit() string {
	if c.rate > 0 {
		return "samples"
	}
	return "bytes"
}

// Name is the name the corpus was made with: for a file, its path.
func (c *Corpus) Name() string { return c.name }

// Len is the number of tokens.
func (c *Corpus) Len() int { return len(c.text) }

// Split holds out the last floor(Len*valFraction) tokens for validation; all
// before them are for training. valFraction is in [0,1). Each part must hold
// one sequence of seqLen tokens (seqLen at least 2, or there is nothing to
// predict), except that valFraction 0 means an empty validation part.
func (c *Corpus) Split(valFraction float64, seqLen int) (train, val Part, err error) {
	if !(valFraction >= 0 && valFraction < 1) { // NaN too
		return Part{}, Part{}, fmt.Errorf("data: %s: val_fraction %v, want at least 0 and below 1", c.name, valFraction)
	}
	if seqLen < 2 {
		return Part{}, Part{}, fmt.Errorf("data: %s: seq_len %d, want at least 2", c.name, seqLen)
	}
	n := c.Len()
	nVal := valLen(n, valFraction)
	nTrain := n - nVal
	if nTrain < seqLen || valFraction > 0 && nVal < seqLen {
		return Part{}, Part{}, fmt.Errorf("data: %s: %d %s split into %d for training and %d for validation (val_fraction %v), want at least seq_len %d in each%s",
			c.name, n, c.unit(), nTrain, nVal, valFraction, seqLen, c.enough(valFraction, seqLen))
	}
	return Part{c.name, c.text[:nTrain:nTrain]}, Part{c.name, c.text[nTrain:]}, nil
}

func valLen(n int, valFraction float64) int { return int(float64(n) * valFraction) }

// enough says how long a text would do, if any allowed one does.
func (c *Corpus) enough(valFraction float64, seqLen int) string {
	need := float64(seqLen-1) / (1 - valFraction) // training has the rounding on its side
	if valFraction > 0 {
		need = max(need, float64(seqLen)/valFraction)
	}
	if need > maxCorpus-2 {
		return ""
	}
	n := max(int(need)-1, 0)
	for n-valLen(n, valFraction) < seqLen || valFraction > 0 && valLen(n, valFraction) < seqLen {
		n++ // a few steps, for rounding
	}
	what := "text"
	if c.rate > 0 {
		what = "sound"
	}
	return fmt.Sprintf(": a %s of %d %s or more", what, n, c.unit())
}

// Part is one side of a [Corpus.Split].
type Part struct {
	name string
	text []byte
}

// Len is the number of tokens.
func (p Part) Len() int { return len(p.text) }

// Windows is the number of whole, consecutive, non-overlapping windows of
// seqLen tokens; the tail that fills none is dropped. 0 if seqLen is not
// positive.
func (p Part) Windows(seqLen int) int {
	if seqLen <= 0 {
		return 0
	}
	return len(p.text) / seqLen
}

// Read fills dst with the tokens from at on. A dst that reaches outside the part is an error.
func (p Part) Read(dst []uint32, at int) error {
	if at < 0 || at+len(dst) > p.Len() {
		return fmt.Errorf("data: %s: %d tokens at %d, want them within %d", p.name, len(dst), at, p.Len())
	}
	p.copy(dst, at)
	return nil
}

// Window fills dst ([L]) with window i of length L, tokens i*L to (i+1)*L, each
// window being scored on its own. i outside [0, Windows(L)) is an error.
func (p Part) Window(dst []uint32, i int) error {
	if n := p.Windows(len(dst)); i < 0 || i >= n {
		return fmt.Errorf("data: %s: window %d of length %d, want below %d", p.name, i, len(dst), n)
	}
	p.copy(dst, i*len(dst))
	return nil
}

func (p Part) copy(dst []uint32, at int) {
	for j, b := range p.text[at : at+len(dst)] {
		dst[j] = uint32(b)
	}
}
