package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"innerloop/model/safetensors"
)

// Past is what a run's metrics say.
type Past struct {
	Last    Step    // the last step; zero: none
	Eval    *Eval   // the last validation; nil: none
	Seconds float64 // of training, as far as the steps' rates tell
	Later   bool    // there are lines of later steps than were asked for, or half a line at the end, as a killed process leaves it
	Broken  Broken  // lines that are not as they were written
}

// Broken tells of lines of a file that are not as they were written, and were passed over.
type Broken struct {
	Count int    // 0: none
	Line  int    // of the first one, from 1
	Why   string // the first one is
}

// add counts a line.
func (b *Broken) add(line int, why string) {
	if b.Count++; b.Count == 1 {
		b.Line, b.Why = line, why
	}
}

// In names the lines of the file at path in one line; empty: there are none.
func (b Broken) In(path string) string {
	switch b.Count {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s:%d: %s: passed over", path, b.Line, b.Why)
	case 2:
		return fmt.Sprintf("%s:%d: %s: passed over, and 1 other line", path, b.Line, b.Why)
	}
	return fmt.Sprintf("%s:%d: %s: passed over, and %d other lines", path, b.Line, b.Why, b.Count-1)
}

// Metric is a line of a run's metrics: a step with its speed, or a validation.
type Metric struct {
	Step            Step
	TokensPerSecond float64
	Eval            *Eval // not nil: the line is a validation
}

// metricLine is a line as it lies in the file.
type metricLine struct {
	Step
	TokensPerSecond float64 `json:"tokens_per_second"`
}

// metricsReader reads metrics. It holds a step's line back until the next step's is known: where the steps go backwards,
// one of the two is wrong, and the one before it tells which.
type metricsReader struct {
	past *Past
	upTo int
	each func(m Metric, line []byte) error
	last int          // the last step whose line stands
	held []heldMetric // a step's line, and the validations after it
}

// heldMetric is a line that was read and not yet given on.
type heldMetric struct {
	m    Metric
	line []byte
	at   int // its number
}

// read reads metrics and gives each the lines of steps up to the one given, each step and each validation once, and no
// line that is not as it was written.
func (p *Past) read(r io.Reader, upTo int, each func(m Metric, line []byte) error) error {
	b := bufio.NewReaderSize(r, 1<<16)
	mr := metricsReader{past: p, upTo: upTo, each: each}
	for n := 1; ; n++ {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			p.Later = p.Later || len(line) > 0
			return mr.flush()
		}
		if err != nil {
			return err
		}
		if err := mr.line(n, line); err != nil {
			return err
		}
	}
}

// line takes a whole line.
func (r *metricsReader) line(n int, line []byte) error {
	m, why := parseMetric(line)
	switch {
	case why != "":
		r.past.Broken.add(n, why)
		return nil
	case m.Eval != nil:
		if len(r.held) == 0 {
			return r.give(heldMetric{m, line, n})
		}
		r.held = append(r.held, heldMetric{m, line, n})
		return nil
	}
	if len(r.held) > 0 && m.Step.Step <= r.held[0].m.Step.Step {
		if held := r.held[0]; m.Step.Step > r.last { // it is the held one that leapt
			r.past.Broken.add(held.at, fmt.Sprintf("step %d, but step %d comes next", held.m.Step.Step, m.Step.Step))
			r.held = r.held[1:]
		} else {
			r.past.Broken.add(n, fmt.Sprintf("step %d after step %d", m.Step.Step, held.m.Step.Step))
			return nil
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.held = append(r.held, heldMetric{m, line, n})
	return nil
}

// flush gives on what is held.
func (r *metricsReader) flush() error {
	for _, h := range r.held {
		if err := r.give(h); err != nil {
			return err
		}
	}
	r.held = r.held[:0]
	return nil
}

// give gives a line on, if it is not of a later step.
func (r *metricsReader) give(h heldMetric) error {
	p := r.past
	if e := h.m.Eval; e != nil {
		switch {
		case e.Step > r.upTo:
			p.Later = true
			return nil
		case p.Eval != nil && p.Eval.Step == e.Step:
			p.Broken.add(h.at, fmt.Sprintf("a second validation of step %d", e.Step))
			return nil
		}
		p.Eval = e
		return r.each(h.m, h.line)
	}
	s := h.m.Step
	r.last = s.Step
	if s.Step > r.upTo {
		p.Later = true
		return nil
	}
	if tokens := s.Tokens - p.Last.Tokens; tokens > 0 && h.m.TokensPerSecond > 0 {
		p.Seconds += float64(tokens) / h.m.TokensPerSecond
	}
	p.Last = s
	return r.each(h.m, h.line)
}

// parseMetric reads a line, or says why it is none of metrics.
func parseMetric(line []byte) (m Metric, why string) {
	var v struct {
		metricLine
		Loss    *float64 `json:"loss"`
		ValLoss *float64 `json:"val_loss"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		if bytes.IndexByte(line, 0) >= 0 {
			return m, "holds zero bytes, as a crash of the machine leaves them"
		}
		return m, "is no JSON of a step or a validation"
	}
	switch {
	case v.Step.Step < 0:
		return m, fmt.Sprintf("step %d", v.Step.Step)
	case v.ValLoss != nil:
		m.Eval = new(Eval)
		if json.Unmarshal(line, m.Eval) != nil {
			return m, "is no JSON of a validation"
		}
	case v.Loss == nil:
		return m, "has neither loss nor val_loss"
	case v.Step.Step < 1 || v.Tokens < 1:
		return m, "has no step, or no tokens"
	default:
		v.Step.Loss = *v.Loss
		m.Step, m.TokensPerSecond = v.Step, v.TokensPerSecond
	}
	return m, ""
}

// ReadMetrics reads the metrics of the run in dir up to a step and gives each line to each, where that is not nil. A run
// without metrics has an empty past.
func ReadMetrics(dir string, upTo int, each func(Metric)) (Past, error) {
	var p Past
	f, err := openRegular(filepath.Join(dir, MetricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	err = p.read(f, upTo, func(m Metric, _ []byte) error {
		if each != nil {
			each(m)
		}
		return nil
	})
	return p, errors.Join(err, f.Close())
}

// Log is a run's metrics, to which lines are added.
type Log struct {
	f     *os.File
	lines []byte // not yet written
	size  int64  // bytes of the whole lines in f
}

// OpenLog opens the metrics of the run in dir, which goes on after a step: they lose the lines of later steps, and what
// is half a line or broken.
func OpenLog(dir string, after int) (*Log, Past, error) {
	p, err := ReadMetrics(dir, after, nil)
	if err != nil {
		return nil, p, err
	}
	path := filepath.Join(dir, MetricsFile)
	if p.Later || p.Broken.Count > 0 {
		in, err := openRegular(path)
		if err != nil {
			return nil, p, err
		}
		err = safetensors.WriteFileAtomic(path, 0o644, func(w io.Writer) error {
			return new(Past).read(in, after, func(_ Metric, line []byte) error {
				_, err := w.Write(line)
				return err
			})
		})
		if err := errors.Join(err, in.Close()); err != nil {
			return nil, p, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, p, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, p, errors.Join(err, f.Close())
	}
	return &Log{f: f, size: st.Size()}, p, nil
}

// Steps adds a line for each step, made at so many tokens a second.
func (l *Log) Steps(steps []Step, tokensPerSecond float64) error {
	for _, s := range steps {
		if err := l.add(metricLine{s, math.Round(tokensPerSecond*10) / 10}); err != nil {
			return err
		}
	}
	return l.flush()
}

// Eval adds a line for a validation.
func (l *Log) Eval(e Eval) error {
	if err := l.add(e); err != nil {
		return err
	}
	return l.flush()
}

func (l *Log) add(v any) error {
	b, err := json.Marshal(v)
	l.lines = append(append(l.lines, b...), '\n')
	return err
}

// flush writes the lines that were added: whole or, where the disk is full, not at all. Then they are written with the
// next ones.
func (l *Log) flush() error {
	n, err := l.f.Write(l.lines)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, l.f.Truncate(l.size))
		}
		return err
	}
	l.size += int64(n)
	l.lines = l.lines[:0]
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }
