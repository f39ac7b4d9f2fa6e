package train

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"innerloop/model"
	"innerloop/model/safetensors"
)

// NormLog is a run's NormsFile, to which steps are added.
type NormLog struct {
	path string
	f    *os.File // nil: nothing was added yet
	size int64    // bytes of the whole steps in f
	b    []byte   // reused
}

// OpenNorms opens the log of the normalisers of the run in dir, which goes on after a step: it loses the lines of later
// steps, what is half a line, and those that are not as they were written, of which the second result tells. A run without
// one gets it with the first Add.
func OpenNorms(dir string, after int) (*NormLog, Broken, error) {
	l := &NormLog{path: filepath.Join(dir, NormsFile)}
	later := false
	var good normLines
	err := l.lines(func(n int, line string, whole bool) error {
		if !whole || stepOf(line) > after {
			later = true
			return nil
		}
		good.line(n, line)
		return nil
	})
	good.end()
	if err != nil || !later && good.broken.Count == 0 {
		return l, good.broken, err
	}
	return l, good.broken, safetensors.WriteFileAtomic(l.path, 0o644, func(w io.Writer) error {
		return l.lines(func(n int, line string, whole bool) error {
			if !whole || stepOf(line) > after || good.bad[n] {
				return nil
			}
			_, err := io.WriteString(w, line)
			return err
		})
	})
}

// lines gives each every line with its number, from 1, and its end; the last one may not be whole.
func (l *NormLog) lines(each func(n int, line string, whole bool) error) error {
	f, err := openRegular(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := bufio.NewReaderSize(f, 1<<16)
	for n := 1; err == nil; n++ {
		var line string
		line, err = b.ReadString('\n')
		if line == "" || err != nil && !errors.Is(err, io.EOF) {
			break
		}
		if e := each(n, line, err == nil); e != nil {
			err = e
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Add adds what the normalisers did in a step, of which there may be none: whole or, where the disk is full, not at all.
func (l *NormLog) Add(step int, list []model.NormStats, headDim int, fault model.Fault) error {
	if len(list) == 0 {
		return nil
	}
	if l.f == nil {
		f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		st, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		l.f, l.size = f, st.Size()
	}
	l.b = AppendNorms(l.b[:0], step, list, headDim, fault)
	n, err := l.f.Write(l.b)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, l.f.Truncate(l.size))
		}
		return err
	}
	l.size += int64(n)
	return nil
}

// Close closes the file.
func (l *NormLog) Close() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// NormPoint is what a run's log says of the normalisers of a layer in a step.
type NormPoint struct {
	Step  int
	Fault model.Fault // that the model had been given
	// Stats is the worst of all heads: the least and the greatest values, the largest HighGain, Gain and NonFinite. Means
	// are those over the heads. Head is -1. HighGain is NaN where the log is of a version that counted rows with std < eps
	// instead, unless the gain itself tells that there was none.
	Stats model.NormStats
}

// ReadNorms gives each the points of the log of the run in dir, in its order. A run without one has none. Lines that are
// not as AppendNorms writes them are passed over, and so is a point of which one is missing; the first result tells of them.
func ReadNorms(dir string, each func(NormPoint)) (Broken, error) {
	l := &NormLog{path: filepath.Join(dir, NormsFile)}
	good := normLines{each: each}
	err := l.lines(func(n int, line string, whole bool) error {
		if whole {
			good.line(n, line)
		}
		return nil
	})
	good.end()
	return good.broken, err
}

// normNames are the quantities of which a point has a line each, in their order; a last one has the rest.
var normNames = []string{"XV input", "XK", "XK length", "std", "z", "XV output", "weight", "bias"}

// normLines makes points of a log's lines.
type normLines struct {
	each   func(NormPoint) // nil: nobody wants them
	p      NormPoint
	seen   []int // the numbers of the lines of the point that is being read: as many of normNames were read
	broken Broken
	bad    map[int]bool // the numbers of the lines that count as broken
}

// drop passes line n over, and with it the point that is being read.
func (g *normLines) drop(n int, why string) {
	if g.bad == nil {
		g.bad = map[int]bool{}
	}
	for _, n := range append([]int{n}, g.seen...) {
		if !g.bad[n] {
			g.broken.add(n, why)
			g.bad[n] = true
		}
	}
	g.seen = g.seen[:0]
}

// end is after the last line.
func (g *normLines) end() {
	if len(g.seen) > 0 {
		g.drop(g.seen[len(g.seen)-1], "a layer's lines end after it, before all are there")
	}
}

// line takes a whole line.
func (g *normLines) line(n int, line string) {
	head, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
	step, layer, ok2 := place(head)
	if !ok || !ok2 {
		g.drop(n, "is no line of the normalisers")
		return
	}
	if len(g.seen) > 0 && (g.p.Step != step || g.p.Stats.Layer != layer) {
		g.drop(g.seen[len(g.seen)-1], "a layer's lines end after it, before all are there")
	}
	if len(g.seen) == 0 {
		g.p = NormPoint{Step: step, Stats: model.NormStats{Layer: layer, Head: -1}}
	}
	var err error
	if at := len(g.seen); at < len(normNames) {
		values, ok := strings.CutPrefix(rest, normNames[at]+": ")
		if !ok {
			g.drop(n, "want "+normNames[at]+" of the layer")
			return
		}
		err = g.p.quantity(normNames[at], values)
	} else if err = g.p.rest(rest); err == nil {
		g.seen = g.seen[:0]
		if g.each != nil {
			g.each(g.p)
		}
		return
	}
	if err != nil {
		g.drop(n, err.Error())
		return
	}
	g.seen = append(g.seen, n)
}

// quantity reads the values of one of normNames.
func (p *NormPoint) quantity(name, values string) error {
	f := fields{text: values}
	r := model.Range{Min: f.number("min="), Max: f.number(", max=")}
	if name != "XK length" && name != "z" {
		r.Mean = f.number(", mean=")
	}
	s := &p.Stats
	switch name {
	case "XV input":
		s.XV = r
	case "XK":
		s.XK = r
	case "XK length":
		s.KeyMin, s.KeyMax = r.Min, r.Max
	case "std":
		s.Std = r
	case "z":
		s.MaxZ = r.Max
	case "XV output":
		s.Out = r
	case "weight":
		s.Weight = r
	case "bias":
		s.Bias = r
	}
	return f.end()
}

// rest reads a layer's last line.
func (p *NormPoint) rest(line string) error {
	s := &p.Stats
	f := fields{text: line}
	s.Eps = f.number("eps=")
	f.number("head_dim=")
	s.Gain = f.number("gain at most ")
	f.number("|z| at most ")
	s.Bound = f.number(" of ")
	if strings.Contains(line, "worst head: high gain ") {
		s.HighGain = f.number("worst head: high gain ")
	} else if f.number("worst head: small "); s.Gain > model.HighGain {
		s.HighGain = math.NaN()
	}
	s.NonFinite = int(f.number(", bad "))
	p.Fault = model.NoFault
	if fault, ok := strings.CutPrefix(f.text, ", fault "); ok {
		p.Fault, f.text = model.Fault(fault), ""
	}
	return f.end()
}

// fields reads numbers from a line, one after the other.
type fields struct {
	text string // what was not read yet
	err  error
}

// number is the number that follows a word, somewhere in what was not read yet.
func (f *fields) number(word string) float64 {
	_, after, ok := strings.Cut(f.text, word)
	n := strings.IndexAny(after, ",; ")
	if n < 0 {
		n = len(after)
	}
	v, err := strconv.ParseFloat(after[:n], 64)
	if f.err == nil && (!ok || err != nil) {
		f.err = errors.New("want a number after " + strconv.Quote(strings.Trim(word, ", ")))
	}
	f.text = after[n:]
	return v
}

// end is the first error; what was not read is one.
func (f *fields) end() error {
	if f.err == nil && f.text != "" {
		return errors.New("ends with " + strconv.QuoteToASCII(f.text[:min(len(f.text), 40)]))
	}
	return f.err
}

// place reads the step and the layer of a line's head, step 10 Layer 29.
func place(head string) (step, layer int, ok bool) {
	f := strings.Fields(head)
	if len(f) != 4 || f[0] != "step" || f[2] != "Layer" {
		return 0, 0, false
	}
	step, err := strconv.Atoi(f[1])
	layer, err2 := strconv.Atoi(f[3])
	return step, layer, err == nil && err2 == nil
}

// stepOf is the step of a line; 0: it has none.
func stepOf(line string) int {
	head, _, _ := strings.Cut(line, ": ")
	step, _, _ := place(head)
	return step
}
