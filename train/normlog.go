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
// steps, and what is half a line. A run without one gets it with the first Add.
func OpenNorms(dir string, after int) (*NormLog, error) {
	l := &NormLog{path: filepath.Join(dir, NormsFile)}
	drop := false
	err := l.lines(func(line string, whole bool) error {
		drop = drop || !whole || stepOf(line) > after
		return nil
	})
	if err != nil || !drop {
		return l, err
	}
	return l, safetensors.WriteFileAtomic(l.path, 0o644, func(w io.Writer) error {
		return l.lines(func(line string, whole bool) error {
			if !whole || stepOf(line) > after {
				return nil
			}
			_, err := io.WriteString(w, line)
			return err
		})
	})
}

// lines gives each every line with its end; the last one may not be whole.
func (l *NormLog) lines(each func(line string, whole bool) error) error {
	f, err := openRegular(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := bufio.NewReaderSize(f, 1<<16)
	for err == nil {
		var line string
		line, err = b.ReadString('\n')
		if line == "" || err != nil && !errors.Is(err, io.EOF) {
			break
		}
		if e := each(line, err == nil); e != nil {
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

// ReadNorms gives each the points of the log of the run in dir, in its order. A run without one has none; lines that
// are not as AppendNorms writes them are passed over.
func ReadNorms(dir string, each func(NormPoint)) error {
	l := &NormLog{path: filepath.Join(dir, NormsFile)}
	var p NormPoint
	return l.lines(func(line string, whole bool) error {
		head, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		step, layer, ok2 := place(head)
		if !whole || !ok || !ok2 {
			return nil
		}
		if p.Step != step || p.Stats.Layer != layer {
			p = NormPoint{Step: step, Stats: model.NormStats{Layer: layer, Head: -1}}
		}
		s := &p.Stats
		if name, values, ok := strings.Cut(rest, ": "); ok && !strings.HasPrefix(rest, "eps=") {
			r := model.Range{Min: number(values, "min="), Max: number(values, "max="), Mean: number(values, "mean=")}
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
			return nil
		}
		if !strings.HasPrefix(rest, "eps=") {
			return nil
		}
		_, ofZ, _ := strings.Cut(rest, "|z| at most ")
		s.Eps, s.Gain, s.Bound = number(rest, "eps="), number(rest, "gain at most "), number(ofZ, " of ")
		s.HighGain, s.NonFinite = number(rest, "worst head: high gain "), int(number(rest, ", bad "))
		if !strings.Contains(rest, "worst head: high gain ") && s.Gain > model.HighGain {
			s.HighGain = math.NaN()
		}
		if _, fault, ok := strings.Cut(rest, ", fault "); ok {
			p.Fault = model.Fault(fault)
		}
		each(p)
		return nil
	})
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

// number is the number that follows a word in s, which a comma, a semicolon, a space or the end ends; 0: there is none.
func number(s, word string) float64 {
	_, after, ok := strings.Cut(s, word)
	if !ok {
		return 0
	}
	if i := strings.IndexAny(after, ",; "); i >= 0 {
		after = after[:i]
	}
	v, _ := strconv.ParseFloat(after, 64)
	return v
}
