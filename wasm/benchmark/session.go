package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"

	"innerloop/bench"
	"innerloop/prog"
)

// job is what the page asks for, one at a time.
type job struct {
	Device  string  `json:"device"` // auto, gpu or cpu
	Suite   string  `json:"suite"`
	Seconds float64 `json:"seconds"`
	Small   bool    `json:"small"` // small sizes: a short look
}

// message is what the page is told: device (an about), measured (a bench.Result, as it comes), and at the end of a job
// report (a bench.Report) or failed (a text).
type message struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

// about describes the device that is measured.
type about struct {
	Name     string `json:"name"`
	Backend  string `json:"backend"`  // webgpu, or go: no GPU
	Software bool   `json:"software"` // a processor plays the GPU, or there is none
	Problem  string `json:"problem"`  // why auto did not take a GPU; empty: it did, or was not asked
}

// session does jobs on a device that it keeps from one to the next.
type session struct {
	post func(message)
	gpu  bench.Opener

	dev   prog.Executor // nil: none is open
	asked string        // job.Device of dev
	about about
}

// options are what a browser measures: what the command line does, with buffers that a tab has room for, or small.
func (j job) options() bench.Options {
	o := bench.Default()
	o.Seconds, o.CopyBytes = j.Seconds, 64<<20
	if j.Small {
		o.CopyBytes, o.Sizes, o.Lengths, o.Contexts = 4<<20, []int{128, 256}, []int{128, 256}, []int{32, 128}
		o.Scan.Batch, o.Scan.HeadDim, o.Scan.SeqLen = 1, 16, 128
		m, t := &o.Config.Model, &o.Config.Train
		m.HiddenSize, m.IntermediateSize, m.NumHiddenLayers, t.BatchSize, t.SeqLen = 64, 160, 2, 2, 128
	}
	return o
}

// serve does the job that text is.
func (s *session) serve(text []byte) {
	r, err := s.do(text)
	if err != nil {
		s.close() // what failed may be broken
		s.post(message{"failed", err.Error()})
		return
	}
	s.post(message{"report", r})
}

func (s *session) do(text []byte) (*bench.Report, error) {
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	if !slices.Contains([]string{"auto", "gpu", "cpu"}, j.Device) {
		return nil, fmt.Errorf("job: device %.60q, want auto, gpu or cpu", j.Device)
	}
	o := j.options()
	o.Progress = func(r bench.Result) { s.post(message{"measured", r}) }
	if err := s.open(j.Device); err != nil {
		return nil, err
	}
	open := bench.Keep(s.dev)
	if j.Suite == bench.Load {
		open = s.another
	}
	r, err := bench.Run(context.Background(), j.Suite, open, o)
	if err == nil {
		r.Version = version()
	}
	return r, err
}

// open makes the device that is asked for the session's.
func (s *session) open(which string) error {
	if s.dev != nil && s.asked == which {
		return nil
	}
	s.close()
	var err error
	if which != "cpu" {
		s.dev, err = s.gpu()
	}
	switch {
	case err != nil && which == "gpu":
		s.dev = nil
		return err
	case err != nil || which == "cpu":
		s.dev = prog.NewCPU[float32](0)
	}
	i := s.dev.Info()
	s.asked, s.about = which, about{Name: i.Name, Backend: i.Backend, Software: i.Traits.Software || i.Backend == "go"}
	if err != nil {
		s.about.Problem = err.Error()
	}
	s.post(message{"device", s.about})
	return nil
}

// another opens a second device like the session's.
func (s *session) another() (prog.Executor, error) {
	if s.about.Backend == "go" {
		return prog.NewCPU[float32](0), nil
	}
	return s.gpu()
}

func (s *session) close() {
	if s.dev != nil {
		s.dev.Close()
		s.dev = nil
	}
}

// version is the program's.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, v := range b.Settings {
			if v.Key == "vcs.revision" {
				return v.Value
			}
		}
	}
	return "devel"
}
