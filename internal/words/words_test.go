package words

import (
	"strings"
	"testing"
)

func TestPlural(t *testing.T) {
	for _, c := range []struct {
		n    int
		noun string
		want string
	}{
		{1, "thread", "1 thread"}, {2, "thread", "2 threads"}, {0, "build", "0 builds"}, {3, "batch", "3 batches"}, {2, "entry", "2 entries"},
		{2, "key", "2 keys"}, {1234567, "byte", "1,234,567 bytes"}, {2, "micro-batch", "2 micro-batches"}, {1, "entry", "1 entry"},
	} {
		if got := Plural(c.n, c.noun); got != c.want {
			t.Errorf("%d %s: got %q, want %q", c.n, c.noun, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"hidden_size", "intermediate_size", "lr", "steps", "save_every", "eval_every", "seed"}
	for word, want := range map[string]string{
		"hiden_size": "hidden_size", "hiddensize": "hidden_size", "Hidden_Size": "hidden_size", "hdiden_size": "hidden_size", "step": "steps",
		"l": "lr", "rl": "lr", "sede": "seed", "save_evry": "save_every", "nothing": "", "": "", "x": "", strings.Repeat("steps", 1000): "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("%.40q: got %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"ab", "abc", 1}, {"abc", "axc", 1}, {"abcd", "dcba", 3}, {"", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
