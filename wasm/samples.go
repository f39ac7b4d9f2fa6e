package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"innerloop/model/safetensors"
	"innerloop/train"
)

// samplesFile has the newest samples of a run, as the page was shown them.
const samplesFile = "samples.json"

// keptSamples is how many of them stay: as many steps as the page shows.
const keptSamples = 24

// said is a sample as it is kept: Sound is base64 there.
type said struct {
	Step   int    `json:"step"`
	Prompt string `json:"prompt,omitempty"`
	Text   string `json:"text,omitempty"`
	Sound  []byte `json:"sound,omitempty"`
}

// shownSamples are the samples of an open run.
type shownSamples struct {
	list  []said
	dirty bool // the file has not got them all
}

// readSamples reads those of a run in dir up to a step. What cannot be read is not shown again, and no more is lost.
func readSamples(dir string, upTo int) shownSamples {
	var s shownSamples
	if b, err := os.ReadFile(filepath.Join(dir, samplesFile)); err == nil && json.Unmarshal(b, &s.list) != nil {
		s.list = nil
	}
	n := 0
	for _, x := range s.list {
		if x.Step <= upTo {
			s.list[n] = x
			n++
		}
	}
	s.list, s.dirty = s.list[:n], n < len(s.list)
	return s
}

// add takes a new sample, in the place of the oldest where there are many.
func (s *shownSamples) add(x said) {
	if len(s.list) >= keptSamples {
		s.list = append(s.list[:0], s.list[len(s.list)-keptSamples+1:]...)
	}
	s.list, s.dirty = append(s.list, x), true
}

// at says whether there is one of a step: the end of a run, which is shown however it comes, needs no second one.
func (s *shownSamples) at(step int) bool {
	return len(s.list) > 0 && s.list[len(s.list)-1].Step == step
}

// write brings the file up to date.
func (s *shownSamples) write(dir string) error {
	if !s.dirty {
		return nil
	}
	err := safetensors.WriteFileAtomic(filepath.Join(dir, samplesFile), 0o644, func(w io.Writer) error { return json.NewEncoder(w).Encode(s.list) })
	s.dirty = err != nil
	return err
}

// tell sends the page a sample.
func (o *openRun) tell(x said) {
	o.s.send("sample", sampleData{Run: o.id, Step: x.Step, Prompt: x.Prompt, Text: x.Text, Bytes: x.Sound})
}

// lastLogged is the last step in the metrics of the run in dir, as far as their end tells; 0: none.
func lastLogged(dir string) (step int) {
	const tail = 16 << 10
	f, err := os.Open(filepath.Join(dir, train.MetricsFile))
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // it is only read
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0
	}
	b := make([]byte, min(end, tail))
	if _, err := f.ReadAt(b, end-int64(len(b))); err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		var x train.Step
		if json.Unmarshal(line, &x) == nil {
			step = max(step, x.Step)
		}
	}
	return step
}
