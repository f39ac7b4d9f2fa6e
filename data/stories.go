package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Stories generates short English stories from the built-in grammar until they
// hold at least nbytes bytes, and ends with a whole story. Paragraphs end with
// a newline, stories with a blank line; all other bytes are printable ASCII.
// Story i depends on (seed, i) alone, so a longer text begins with the shorter.
// nbytes of 0 or less gives nil.
func Stories(seed uint64, nbytes int) []byte {
	var out []byte
	order := make([]int, len(plots))
	for i := 0; len(out) < nbytes; i++ {
		if i%len(plots) == 0 { // every plot once, then all again in another order
			p := storyRand(seed, uint64(i), 1)
			for j := range order {
				k := int(uniform(p, uint64(j+1)))
				order[j], order[k] = order[k], j
			}
		}
		t := newTeller(&plots[order[i%len(plots)]], storyRand(seed, uint64(i), 0))
		out = append(out, t.story()...)
		out = append(out, '\n')
	}
	return out
}

func storyRand(seed, i, use uint64) *rand.PCG {
	return rand.NewPCG(mix(mix(seed)+i), mix(use))
}

// A line is one place in a story: its alternative templates, of which a story
// takes one; an empty one leaves the place out. In a template, {word} is a
// variable and [a|b] a choice; both may nest.
//
// Variables: A and B are the names of the hero and the friend; he, him, his and
// himself belong to A, bhe, bhim and bhis to B; kind and bkind are what they
// are; K is an elder of A's family, khe, khim and khis are theirs. Any other
// variable is drawn once a story from the table of that name, the plot's own
// before the common ones. Digits at the end ({place2}) ask for another entry of
// the same table; an entry cut by slashes has fields {thing.0}, {thing.1}.
type line []string

// plot is a kind of story.
type plot struct {
	name  string
	cast  cast
	words map[string][]string
	paras [][]line
}

// cast says who can play in a plot.
type cast int

const (
	anyone cast = iota
	children
	animals
)

// teller tells one story.
type teller struct {
	plot *plot
	draw func(n int) int // uniform in [0,n)
	vars map[string]string
	used map[string][]int // entries taken, by table
}

func newTeller(p *plot, r *rand.PCG) *teller {
	return &teller{
		plot: p,
		draw: func(n int) int { return int(uniform(r, uint64(n))) },
		vars: map[string]string{},
		used: map[string][]int{},
	}
}

// story tells the story, one paragraph a line.
func (t *teller) story() string {
	t.castRoles()
	var out strings.Builder
	for _, para := range t.plot.paras {
		var sentences []string
		for _, l := range para {
			if s := t.expand(l[t.draw(len(l))]); s != "" {
				sentences = append(sentences, s)
			}
		}
		if len(sentences) > 0 {
			out.WriteString(polish(strings.Join(sentences, " ")))
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// castRoles draws who plays.
func (t *teller) castRoles() {
	who := t.plot.cast
	if who == anyone {
		who = children
		if t.draw(5) < 2 {
			who = animals
		}
	}
	t.vars["paw"], t.vars["home"] = "hand", "{childHome}"
	names, kinds := childNames, [][]string{{"girl"}, {"boy"}}
	if who == animals {
		t.vars["paw"], t.vars["home"] = "paw", "{animalHome}"
		names, kinds = animalNames, [][]string{species, species}
	}
	a, b := t.draw(2), t.draw(2)
	na, nb := t.draw(len(names[a])), t.draw(len(names[b]))
	if a == b && na == nb {
		nb = (nb + 1) % len(names[b])
	}
	ka, kb := t.draw(len(kinds[a])), t.draw(len(kinds[b]))
	if who == animals && ka == kb { // two of a kind would be "the mouse and the mouse"
		kb = (kb + 1) % len(species)
	}
	t.vars["A"], t.vars["B"] = names[a][na], names[b][nb]
	t.vars["kind"], t.vars["bkind"] = kinds[a][ka], kinds[b][kb]
	elder := t.draw(len(elders))
	t.vars["K"] = elders[elder]
	t.pronouns("", a)
	t.pronouns("b", b)
	t.pronouns("k", elder%2)
}

// pronouns sets those of one role; gender 0 is she, 1 is he.
func (t *teller) pronouns(role string, gender int) {
	words := [2][4]string{{"she", "her", "her", "herself"}, {"he", "him", "his", "himself"}}[gender]
	for i, key := range [4]string{"he", "him", "his", "himself"} {
		t.vars[role+key] = words[i]
	}
}

// expand fills a template in.
func (t *teller) expand(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			end := i + strings.IndexByte(s[i:], '}')
			out.WriteString(t.value(s[i+1 : end]))
			i = end
		case '[':
			parts, end := choices(s, i)
			out.WriteString(t.expand(parts[t.draw(len(parts))]))
			i = end
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

// choices cuts the bracket that opens at s[open] at its own bars and returns
// its parts and the index of its closing bracket.
func choices(s string, open int) (parts []string, end int) {
	depth, from := 0, open+1
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case '|':
			if depth == 1 {
				parts = append(parts, s[from:i])
				from = i + 1
			}
		case ']':
			if depth--; depth == 0 {
				return append(parts, s[from:i]), i
			}
		}
	}
	panic("data: template without a closing bracket: " + s) // a bug in the tables, which a test expands whole
}

// value is what a variable stands for in this story.
func (t *teller) value(name string) string {
	v, ok := t.vars[name]
	if !ok {
		key, field := name, -1
		if k, f, ok := strings.Cut(name, "."); ok {
			key = k
			field, _ = strconv.Atoi(f)
		}
		entry, drawn := t.vars["entry "+key]
		if !drawn {
			entry = t.pick(strings.TrimRight(key, "0123456789"))
			t.vars["entry "+key] = entry
		}
		if v = entry; field >= 0 {
			v = strings.Split(entry, "/")[field]
		}
	}
	if strings.ContainsAny(v, "{[") {
		v = t.expand(v)
	}
	t.vars[name] = v
	return v
}

// pick draws an entry of a table that the story has not used yet.
func (t *teller) pick(table string) string {
	entries, ok := t.plot.words[table]
	if !ok {
		entries = words[table]
	}
	if len(entries) <= len(t.used[table]) {
		panic(fmt.Sprintf("data: plot %s: table %q has %d entries, want more", t.plot.name, table, len(entries))) // as above
	}
	i := t.draw(len(entries))
	for slices.Contains(t.used[table], i) {
		i = (i + 1) % len(entries)
	}
	t.used[table] = append(t.used[table], i)
	return entries[i]
}

// polish starts sentences with a capital and makes a and an agree with the
// word that follows, which only a filled-in template shows.
func polish(s string) string {
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' && (startsSentence(s[:i]) || strings.HasSuffix(s[:i], `"`) && startsSentence(s[:i-1])) {
			c -= 'a' - 'A'
		}
		out = append(out, c)
		if c|0x20 == 'a' && i+2 < len(s) && s[i+1] == ' ' && (i == 0 || s[i-1] == ' ' || s[i-1] == '"') && strings.IndexByte("aeiou", s[i+2]|0x20) >= 0 {
			out = append(out, 'n') // no word of the tables starts with a mute h or a "yoo"
		}
	}
	return string(out)
}

// startsSentence says whether a sentence begins after s. Quoted speech ends one
// with its full stop; after ?" and !" the words "he said" may follow.
func startsSentence(s string) bool {
	if s == "" {
		return true
	}
	for _, end := range [...]string{". ", "! ", "? ", `." `} {
		if strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}
