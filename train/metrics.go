package train

import (
	"bufio"
	"encoding/json"
	"errors"
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
	Dropped int     // lines that are not whole, or of later steps
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

// read reads metrics and gives each the lines of steps up to the one given, each step and each validation once, and no
// line that is not whole.
func (p *Past) read(r io.Reader, upTo int, each func(m Metric, line []byte) error) error {
	b := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				p.Dropped++
			}
			return nil
		}
		if err != nil {
			return err
		}
		var v struct {
			metricLine
			Loss    *float64 `json:"loss"`
			ValLoss *float64 `json:"val_loss"`
		}
		keep := json.Unmarshal(line, &v) == nil && v.Step.Step <= upTo
		var m Metric
		switch {
		case !keep:
		case v.ValLoss != nil:
			e := new(Eval)
			if keep = json.Unmarshal(line, e) == nil && (p.Eval == nil || e.Step > p.Eval.Step); keep {
				p.Eval, m.Eval = e, e
			}
		case v.Loss != nil && v.Step.Step > p.Last.Step:
			v.Step.Loss = *v.Loss
			if v.TokensPerSecond > 0 {
				p.Seconds += float64(v.Tokens-p.Last.Tokens) / v.TokensPerSecond
			}
			p.Last = v.Step
			m.Step, m.TokensPerSecond = v.Step, v.TokensPerSecond
		default:
			keep = false
		}
		if !keep {
			p.Dropped++
			continue
		}
		if err := each(m, line); err != nil {
			return err
		}
	}
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
// is half a line.
func OpenLog(dir string, after int) (*Log, Past, error) {
	p, err := ReadMetrics(dir, after, nil)
	if err != nil {
		return nil, p, err
	}
	path := filepath.Join(dir, MetricsFile)
	if p.Dropped > 0 {
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
