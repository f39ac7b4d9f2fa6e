package data

import (
	"fmt"
	"slices"
	"strings"
)

// Task is a kind of text that Generate makes.
type Task struct {
	Name  string
	About string // what the text is and what it shows, one sentence
	Rate  int    // where the text is a sound: Generate's samples a second, each a mu-law token; 0: it is none
}

// generator writes one document of a task: lines, none of them empty, each with its newline. uniform draws from [0, n).
// Documents are about as long as a row of training by default, which holds few of them: the tasks can be learned whether
// or not the inner state begins anew with each.
type generator struct {
	Task
	document func(out []byte, uniform func(n int) int) []byte // nil: Stories, and Sounds where there is a rate
}

// generators are all tasks. Their order seeds them: a new one goes to the end.
var generators = []generator{
	{Task{"stories", "Short English stories from a built-in grammar: the weights learn words and plots, the inner state who plays in the story that is being read.", 0}, nil},
	{Task{"recall", "Letters are given digits, then asked for them: as every text gives others, only a model that remembers can answer.", 0}, recallDocument},
	{Task{"copy", "A line of random letters, then the same line again and again: the first is a guess, the others cost nothing to a model that remembers.", 0}, copyDocument},
	{Task{"sums", "Small additions, one a line: the weights alone must learn them, as nothing that was read before helps.", 0}, sumsDocument},
	{Task{"sounds", "Periodic sounds in 8-bit mu-law samples: notes of a few overtones, whose period the inner state learns while it hears them, and phrases that repeat.", SoundRate}, nil},
}

// Tasks lists the texts and sounds that Generate knows, the default first.
func Tasks() (ts []Task) {
	for _, g := range generators {
		ts = append(ts, g.Task)
	}
	return ts
}

// CheckTask is an error that begins with the task where Generate does not know it, and lists those that it knows.
func CheckTask(task string) error {
	var names []string
	for _, g := range generators {
		if g.Name == task {
			return nil
		}
		names = append(names, g.Name)
	}
	return fmt.Errorf("%.60q, want one of %s", task, strings.Join(names, ", "))
}

// Generate makes a text of a task, at least nbytes long, that ends with a whole document. Document i of a task depends on
// (seed, i) alone, so a longer text begins with the shorter. Documents end with a blank line, and there is none inside
// one; all other bytes are printable ASCII and newlines. Of a sound, whose bytes are the tokens of [MuLaw] and any of
// 256, a document is a phrase, with nothing to mark its end. nbytes of 0 or less gives nil; an unknown task is an error.
func Generate(task string, seed uint64, nbytes int) ([]byte, error) {
	if err := CheckTask(task); err != nil {
		return nil, fmt.Errorf("data: task %w", err)
	}
	k := slices.IndexFunc(generators, func(g generator) bool { return g.Name == task })
	switch {
	case generators[k].Rate > 0:
		return soundTokens(seed, nbytes, SoundRate), nil
	case generators[k].document == nil:
		return Stories(seed, nbytes), nil
	}
	var out []byte
	for i := 0; len(out) < nbytes; i++ {
		p := storyRand(seed, uint64(i), 1+uint64(k)) // the stories have 0 and 1
		out = generators[k].document(out, func(n int) int { return int(uniform(p, uint64(n))) })
		out = append(out, '\n')
	}
	return out, nil
}

// GenerateCorpus is what Generate makes, as a corpus with the task's name; a sound has rate samples a second.
func GenerateCorpus(task string, seed uint64, nbytes, rate int) (*Corpus, error) {
	if !slices.ContainsFunc(generators, func(g generator) bool { return g.Name == task && g.Rate > 0 }) {
		text, err := Generate(task, seed, nbytes)
		if err != nil {
			return nil, err
		}
		return NewCorpus(task, text)
	}
	if err := checkRate(task, rate); err != nil {
		return nil, err
	}
	c, err := NewCorpus(task, soundTokens(seed, nbytes, rate))
	if err == nil {
		c.rate = rate
	}
	return c, err
}

// recallDocument is associative recall: a line that gives two to six letters a digit each, then one that asks for them 50
// to 130 times, each at least once, every letter with its answer:
//
//	k7 a4 z1
//	a4 k7 k7 z1 a4 z1 z1 k7 a4 k7 z1 k7 ...
//
// What a model can learn by heart: that a letter and a digit take turns, and where lines end. A guess at a digit costs
// ln 10 = 2.30 nats, one among the document's own ln 2 to ln 6. All below that is learned while reading: the inner state
// holds the pairs. What it cannot learn: the digits where they are given, and which letter comes next.
func recallDocument(out []byte, uniform func(n int) int) []byte {
	names, digits := []byte("abcdefghijklmnopqrstuvwxyz"), [6]byte{}
	n := 2 + uniform(5)
	for i := range n {
		j := i + uniform(len(names)-i)
		names[i], names[j] = names[j], names[i]
		digits[i] = '0' + byte(uniform(10))
		out = append(out, names[i], digits[i], ' ')
	}
	out[len(out)-1] = '\n'
	asked := make([]int, 50+uniform(81))
	for i := range asked {
		asked[i] = i
		if i >= n {
			asked[i] = uniform(n)
		}
	}
	for i := range asked {
		j := i + uniform(len(asked)-i)
		asked[i], asked[j] = asked[j], asked[i]
		out = append(out, names[asked[i]], digits[asked[i]], ' ')
	}
	out[len(out)-1] = '\n'
	return out
}

// copyDocument is a line of two to eight random small letters, and the same line again until there are 150 to 400 bytes.
//
// What a model can learn by heart: that letters are equally likely, ln 26 = 3.26 nats each, and no more of a first line.
// Its repetitions cost next to nothing to whoever remembers the line and where in it they are. What it cannot learn:
// where the first line ends, and which repetition is the last. Short lines are learned first; long ones oftener have the
// same letter twice, and want a memory of more than what followed it.
func copyDocument(out []byte, uniform func(n int) int) []byte {
	from := len(out)
	size := 150 + uniform(251)
	for range 2 + uniform(7) {
		out = append(out, 'a'+byte(uniform(26)))
	}
	out = append(out, '\n')
	for line := out[from:]; len(out)-from < size; {
		out = append(out, line...)
	}
	return out
}

// sumsDocument is 20 to 50 additions of numbers below 100, one a line: 57+6=63.
//
// What a model can learn by heart: to add, which makes the digits after the equals sign certain; it is slow, as carries
// go against the order of reading. What it cannot learn: the summands. No line helps with another, so nothing is gained
// by remembering: a text to compare the others with, on which the loss does not fall with the position.
func sumsDocument(out []byte, uniform func(n int) int) []byte {
	for range 20 + uniform(31) {
		a, b := uniform(100), uniform(100)
		out = fmt.Appendf(out, "%d+%d=%d\n", a, b, a+b)
	}
	return out
}
