package data

import (
	"bytes"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// documentsOf are the documents of a generated text, without the blank lines that end them.
func documentsOf(t *testing.T, task string, seed uint64, n int) []string {
	t.Helper()
	text, err := Generate(task, seed, n)
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.SplitAfter(string(text), "\n\n")
	if last := docs[len(docs)-1]; last != "" {
		t.Fatalf("%s: the text ends with %q, want a whole document", task, last)
	}
	docs = docs[:len(docs)-1]
	for i := range docs {
		docs[i] = strings.TrimSuffix(docs[i], "\n")
	}
	return docs
}

// Every task that is no sound gives whole documents of clean ASCII and varied length, as many bytes as asked for, each of
// (seed, index) alone.
func TestGenerate(t *testing.T) {
	for _, task := range Tasks() {
		if task.Rate > 0 {
			continue
		}
		const n = 30000
		text, err := Generate(task.Name, 5, n)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < n || len(text) > n+2000 {
			t.Errorf("%s: %d bytes, want %d and at most a document more", task.Name, len(text), n)
		}
		for i, b := range text {
			if b != '\n' && (b < ' ' || b > '~') {
				t.Fatalf("%s: byte %#x at %d, want printable ASCII", task.Name, b, i)
			}
		}
		if bytes.Contains(text, []byte("\n\n\n")) || text[0] == '\n' || bytes.Contains(text, []byte(" \n")) || bytes.Contains(text, []byte("  ")) {
			t.Errorf("%s: stray spaces or blank lines", task.Name)
		}
		shorter, _ := Generate(task.Name, 5, n/3)
		again, _ := Generate(task.Name, 5, n)
		if !bytes.HasPrefix(text, shorter) || !bytes.Equal(text, again) {
			t.Errorf("%s: the same seed gave another text", task.Name)
		}
		if other, _ := Generate(task.Name, 6, n); bytes.Equal(text[:200], other[:200]) {
			t.Errorf("%s: another seed gave the same text", task.Name)
		}
		lengths, seen := map[int]bool{}, map[string]int{}
		docs := documentsOf(t, task.Name, 5, n)
		for _, d := range docs {
			lengths[len(d)] = true
			seen[d]++
		}
		if len(lengths) < 15 {
			t.Errorf("%s: %d lengths of documents, want them varied", task.Name, len(lengths))
		}
		if len(seen) < len(docs)*99/100 {
			t.Errorf("%s: %d different documents of %d", task.Name, len(seen), len(docs))
		}
		for _, n := range []int{0, -1} {
			if got, err := Generate(task.Name, 5, n); got != nil || err != nil {
				t.Errorf("%s: %d bytes gave %d, %v", task.Name, n, len(got), err)
			}
		}
		if !strings.HasSuffix(task.About, ".") || strings.Count(task.About, ".") != 1 {
			t.Errorf("%s: %q is no sentence", task.Name, task.About)
		}
	}
	if stories, _ := Generate("stories", 3, 5000); !bytes.Equal(stories, Stories(3, 5000)) {
		t.Error("the task stories is not Stories")
	}
}

// The sounds are the tokens of Sounds in whole phrases, spread over most of the 256, and known
// for what they are.
func TestGenerateSounds(t *testing.T) {
	const n = 30000
	tokens, err := Generate("sounds", 5, n)
	if err != nil || len(tokens) < n || len(tokens) > n+16000 || !bytes.Equal(tokens, Sounds(5, n, SoundRate).Tokens()) {
		t.Fatalf("%d tokens, want at least %d and those of Sounds: %v", len(tokens), n, err)
	}
	if shorter, _ := Generate("sounds", 5, n/3); !bytes.HasPrefix(tokens, shorter) {
		t.Error("a longer sound does not begin with the shorter")
	}
	used := map[byte]int{}
	for _, b := range tokens {
		used[b]++
	}
	if len(used) < 200 || used[128] < n/20 || used[128] > n/2 {
		t.Errorf("%d tokens in use, %d of %d are silence", len(used), used[128], len(tokens))
	}
	if none, err := Generate("sounds", 5, 0); none != nil || err != nil {
		t.Error(none, err)
	}
}

// A corpus has its task's name, a sound the rate that is asked for.
func TestGenerateCorpus(t *testing.T) {
	for task, rate := range map[string]int{"sounds": 4000, "copy": 0} {
		c, err := GenerateCorpus(task, 5, 20000, 4000)
		if err != nil || c.Name() != task || c.Rate() != rate || c.Len() < 20000 {
			t.Errorf("%s: %v, %v", task, c.Rate(), err)
		}
	}
	text, _ := Generate("copy", 5, 20000)
	if c, _ := GenerateCorpus("copy", 5, 20000, 0); !bytes.Equal(c.text, text) {
		t.Error("another text than Generate's")
	}
	if c, _ := GenerateCorpus("sounds", 5, 20000, 16000); !bytes.Equal(c.text, Sounds(5, 20000, 16000).Tokens()) {
		t.Error("another sound than Sounds'")
	}
	for task, want := range map[string]string{"sounds": "data: sounds: 0 samples a second, want 1000 to 768000", "x": `data: task "x", want one of `} {
		if c, err := GenerateCorpus(task, 1, 10, 0); c != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, %v, want %s", c, err, want)
		}
	}
}

func TestGenerateUnknown(t *testing.T) {
	const want = `data: task "x", want one of stories, recall, copy, sums, sounds`
	if text, err := Generate("x", 1, 10); text != nil || err == nil || err.Error() != want {
		t.Errorf("got %q, %v, want %s", text, err, want)
	}
	if err := CheckTask(""); err == nil {
		t.Error("no task is a task")
	}
}

// The generated texts are part of reproducible runs: if this fails by intent, say so where results are compared.
func TestTasksStay(t *testing.T) {
	for task, want := range map[string]uint64{"recall": 0x8ff3272ced6fd08f, "copy": 0x5665adfaceb359b7, "sums": 0xacf8b4192508616e, "sounds": 0x70c7118c1cf0bf5} {
		text, err := Generate(task, 5, 20000)
		if err != nil {
			t.Fatal(err)
		}
		h := fnv.New64a()
		h.Write(text)
		if got := h.Sum64(); got != want {
			t.Errorf("%s changed: hash %#x, want %#x", task, got, want)
		}
	}
}

// What is asked for was stated, once, and every answer is the stated one; digits and letters are evenly spread.
func TestRecall(t *testing.T) {
	docs := documentsOf(t, "recall", 1, 400000)
	digits, letters, pairs := [10]int{}, map[byte]int{}, map[int]int{}
	stated := 0
	for _, d := range docs {
		lines := strings.Split(strings.TrimSuffix(d, "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines in %q, want 2", len(lines), d)
		}
		facts, asked := strings.Fields(lines[0]), strings.Fields(lines[1])
		known, count := map[string]bool{}, map[string]int{}
		for _, f := range facts {
			if len(f) != 2 || f[0] < 'a' || f[0] > 'z' || f[1] < '0' || f[1] > '9' {
				t.Fatalf("%q in %q", f, d)
			}
			if strings.Count(lines[0], f[:1]) != 1 {
				t.Fatalf("%c is stated twice in %q", f[0], d)
			}
			known[f] = true
			digits[f[1]-'0']++
			letters[f[0]]++
			stated++
		}
		pairs[len(facts)]++
		for _, q := range asked {
			if !known[q] {
				t.Fatalf("%s is asked for and not stated in %q", q, d)
			}
			count[q]++
		}
		if n := len(facts); len(count) != n || len(asked) < 50 || len(asked) > 130 {
			t.Fatalf("%d questions about %d of %d pairs in %q", len(asked), len(count), n, d)
		}
	}
	if len(pairs) != 5 || pairs[2] == 0 || pairs[6] == 0 {
		t.Errorf("numbers of pairs %v, want 2 to 6", pairs)
	}
	for d, n := range digits {
		if share := float64(n) / float64(stated); share < 0.08 || share > 0.12 {
			t.Errorf("digit %d has a share of %.3f", d, share)
		}
	}
	if len(letters) != 26 {
		t.Errorf("%d letters", len(letters))
	}
}

func TestCopy(t *testing.T) {
	lengths, letters := map[int]int{}, map[rune]int{}
	for _, d := range documentsOf(t, "copy", 1, 200000) {
		lines := strings.Split(strings.TrimSuffix(d, "\n"), "\n")
		lengths[len(lines[0])]++
		if n := len(d); n < 150 || n >= 400+9 {
			t.Fatalf("%d bytes: %q", n, d)
		}
		for _, l := range lines {
			if l != lines[0] {
				t.Fatalf("%q is no copy in %q", l, d)
			}
		}
		for _, c := range lines[0] {
			letters[c]++
		}
	}
	if len(lengths) != 7 || lengths[2] == 0 || lengths[8] == 0 {
		t.Errorf("lengths %v, want 2 to 8", lengths)
	}
	if len(letters) != 26 {
		t.Errorf("%d letters", len(letters))
	}
}

func TestSums(t *testing.T) {
	sum := regexp.MustCompile(`^(0|[1-9][0-9]?)\+(0|[1-9][0-9]?)=(0|[1-9][0-9]*)$`)
	lines, largest := map[int]int{}, 0
	for _, d := range documentsOf(t, "sums", 1, 200000) {
		ls := strings.Split(strings.TrimSuffix(d, "\n"), "\n")
		lines[len(ls)]++
		for _, l := range ls {
			m := sum.FindStringSubmatch(l)
			if m == nil {
				t.Fatalf("%q in %q", l, d)
			}
			a, _ := strconv.Atoi(m[1])
			b, _ := strconv.Atoi(m[2])
			if c, _ := strconv.Atoi(m[3]); c != a+b {
				t.Fatalf("%q", l)
			}
			largest = max(largest, a, b)
		}
	}
	if len(lines) != 31 || lines[20] == 0 || lines[50] == 0 || largest != 99 {
		t.Errorf("numbers of lines %v, largest summand %d; want 20 to 50, and 99", lines, largest)
	}
}
