//go:build !js

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"innerloop/bench"
	"innerloop/gpu"
	"innerloop/gpu/gputest"
	"innerloop/prog"
)

func (j job) text() []byte {
	b, _ := json.Marshal(j) // cannot fail
	return b
}

// open opens the machine's GPU.
func open() (prog.Executor, error) { return gpu.Open(gpu.Options{}) }

// Every suite is told result by result, and the report has them all.
func TestSuites(t *testing.T) {
	for _, device := range []string{"cpu", "gpu"} {
		t.Run(device, func(t *testing.T) {
			if device == "gpu" {
				gputest.Device(t) // skips the test where there is none
			}
			var told []string
			var last message
			devices := 0
			s := &session{gpu: open, post: func(m message) {
				last = m
				switch x := m.Data.(type) {
				case bench.Result:
					told = append(told, x.Name)
				case about:
					devices++
					if (x.Backend == "go") != (device == "cpu") || x.Name == "" || x.Problem != "" {
						t.Errorf("device %+v", x)
					}
				}
				if _, err := json.Marshal(m); err != nil {
					t.Error(err)
				}
			}}
			defer s.close()
			for _, suite := range bench.Suites {
				told = nil
				s.serve(job{Device: device, Suite: suite, Small: true}.text())
				r, ok := last.Data.(*bench.Report)
				if !ok {
					t.Fatalf("%s: %+v", suite, last)
				}
				var names []string
				for _, x := range r.Results {
					names = append(names, x.Name)
				}
				if r.Suite != suite || len(names) == 0 || !slices.Equal(told, names) {
					t.Errorf("%s: told of %q, report of %s with %q", suite, told, r.Suite, names)
				}
			}
			if devices != 1 {
				t.Errorf("%d devices were told of, want one for all jobs", devices)
			}
		})
	}
}

// What cannot be done is told in a sentence, and the next job is done all the same.
func TestFailures(t *testing.T) {
	var last message
	s := &session{gpu: func() (prog.Executor, error) { return nil, fmt.Errorf("gpu: %w", gpu.ErrNoAdapter) }, post: func(m message) { last = m }}
	defer s.close()
	for text, want := range map[string]string{
		`{`:                                 "job: unexpected end",
		`{"device":"quartz"}`:               `job: device "quartz", want auto, gpu or cpu`,
		`{"device":"gpu","suite":"matmul"}`: gpu.ErrNoAdapter.Error(),
		`{"device":"cpu","suite":"tempo"}`:  `no suite "tempo"`,
		`{"device":"cpu","suite":"step","seconds":1e99}`: "seconds, want 0 to 3600",
	} {
		s.serve([]byte(text))
		if said, ok := last.Data.(string); !ok || last.Event != "failed" || !strings.Contains(said, want) {
			t.Errorf("%s: %+v, want ...%s", text, last, want)
		}
	}
	var seen about
	s.post = func(m message) {
		if a, ok := m.Data.(about); ok {
			seen = a
		}
		last = m
	}
	s.serve(job{Device: "auto", Suite: bench.Decode, Small: true}.text())
	if _, ok := last.Data.(*bench.Report); !ok || seen.Backend != "go" || !strings.Contains(seen.Problem, gpu.ErrNoAdapter.Error()) {
		t.Errorf("%+v on %+v, want a report of pure Go, and why", last, seen)
	}
	s.gpu = func() (prog.Executor, error) { return nil, errors.New("again") } // not asked: the device stays
	s.serve(job{Device: "auto", Suite: bench.Decode, Small: true}.text())
	if seen.Problem == "again" {
		t.Error("the device was opened anew")
	}
}
