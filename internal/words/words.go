// Package words writes numbers and nouns, and guesses at misspelt names, the same in every part of the program.
package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Count prints 1,048,576.
func Count[T int | int64 | float64](n T) string {
	s := strconv.FormatInt(int64(math.Round(float64(n))), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural prints 1 layer, 2 layers, 3 batches, 0 entries.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	end := func(of ...string) bool {
		for _, e := range of {
			if strings.HasSuffix(noun, e) {
				return true
			}
		}
		return false
	}
	switch {
	case end("ch", "sh", "s", "x"):
		noun += "es"
	case end("y") && !end("ay", "ey", "oy", "uy"):
		noun = noun[:len(noun)-1] + "ies"
	default:
		noun += "s"
	}
	return Count(n) + " " + noun
}

// Range says which numbers are wanted: 0 to 1000, 0 to less than 1, or where only a float32 bounds them, a finite number.
func Range(lo, hi float64) string {
	switch above := math.Ceil(hi); {
	case hi >= math.MaxFloat32:
		return fmt.Sprintf("a finite number, %g or more", lo)
	case above > hi && above-hi < 1e-6:
		return fmt.Sprintf("%g to less than %g", lo, above)
	}
	return fmt.Sprintf("%g to %g", lo, hi)
}

// Nearest is the name that somebody who wrote word most likely meant, or "" where none is near: one that differs by no
// more than a third of its letters. The first of equally near ones counts.
func Nearest(word string, names []string) string {
	best, least := "", math.MaxInt
	word = strings.ToLower(word)
	for _, n := range names {
		if d := distance(word, n); d <= max(1, len(n)/3) && d < min(least, len(n)) {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out, changed, or swapped with the next one to make b of a.
func distance(a, b string) int {
	if len(a) > 2*len(b)+8 { // too far, and perhaps very long
		return len(a)
	}
	var before, last, now []int // rows of the table: for a[:i-2], a[:i-1], a[:i]
	for j := range len(b) + 1 {
		last = append(last, j)
	}
	for i := 1; i <= len(a); i++ {
		now = append(make([]int, 0, len(b)+1), i)
		for j := 1; j <= len(b); j++ {
			d := last[j-1]
			if a[i-1] != b[j-1] {
				d++
			}
			d = min(d, last[j]+1, now[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			now = append(now, d)
		}
		before, last = last, now
	}
	return last[len(b)]
}
