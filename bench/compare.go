package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Side is one of the two that are compared.
type Side struct {
	Name    string `json:"name"` // device or executable
	Device  string `json:"device"`
	Version string `json:"version"`
}

// Ratio compares one measurement.
type Ratio struct {
	Name    string    `json:"name"`
	Ratio   Spread    `json:"ratio"`             // how many times as fast the first is, of the rounds
	Seconds []Spread  `json:"seconds"`           // of one run: of the first, of the second
	Ratios  []float64 `json:"ratios"`            // round by round
	Skipped string    `json:"skipped,omitempty"` // why there is no ratio
}

// Comparison is what an interleaved comparison found out.
type Comparison struct {
	Suite   string  `json:"suite"`
	Command string  `json:"command"`
	First   Side    `json:"first"`
	Second  Side    `json:"second"`
	Rounds  int     `json:"rounds"`
	Results []Ratio `json:"results"`
	Kernels []Ratio `json:"kernels,omitempty"` // of step: the kernels that both have
}

// ErrDifferent says that the two sides did not measure the same.
var ErrDifferent = errors.New("they do not measure the same")

// Compare compares the reports of two sides, round by round: first[i] and second[i] were measured one after the other.
func Compare(first, second []*Report) (*Comparison, error) {
	if len(first) == 0 || len(first) != len(second) {
		return nil, fmt.Errorf("%d rounds against %d, want as many of both, and one at least", len(first), len(second))
	}
	c := &Comparison{Suite: first[0].Suite, Rounds: len(first)}
	c.First, c.Second = Side{Device: first[0].Device, Version: first[0].Version}, Side{Device: second[0].Device, Version: second[0].Version}
	names := resultNames(first[0])
	for _, r := range slices.Concat(first, second) {
		if r.Suite != c.Suite {
			return nil, fmt.Errorf("%w: suite %s against %s", ErrDifferent, c.Suite, r.Suite)
		}
		if got := resultNames(r); !slices.Equal(names, got) {
			return nil, fmt.Errorf("%w: %s", ErrDifferent, difference(names, got))
		}
	}
	for i, name := range names {
		c.Results = append(c.Results, ratio(name, first, second, func(r *Report) (float64, string) { return r.Results[i].Seconds, r.Results[i].Skipped }))
	}
	if first[0].StepReport == nil || second[0].StepReport == nil {
		return c, nil
	}
	for _, k := range first[0].Kernels {
		x := ratio(k.Name, first, second, func(r *Report) (float64, string) {
			at := slices.IndexFunc(r.Kernels, func(o Kernel) bool { return o.Name == k.Name })
			if at < 0 {
				return 0, "one side has no such kernel"
			}
			return r.Kernels[at].Ms / 1e3, ""
		})
		if x.Skipped == "" {
			c.Kernels = append(c.Kernels, x)
		}
	}
	return c, nil
}

// ratio compares what of tells of each report: seconds, and why there are none.
func ratio(name string, first, second []*Report, of func(*Report) (float64, string)) Ratio {
	x := Ratio{Name: name}
	var seconds [2][]float64
	for i := range first {
		a, whyA := of(first[i])
		b, whyB := of(second[i])
		switch {
		case whyA != "":
			x.Skipped = "the first: " + whyA
		case whyB != "":
			x.Skipped = "the second: " + whyB
		case a <= 0 || b <= 0:
			x.Skipped = "too fast to be timed"
		}
		if x.Skipped != "" {
			return Ratio{Name: name, Skipped: x.Skipped}
		}
		seconds[0], seconds[1] = append(seconds[0], a), append(seconds[1], b)
		x.Ratios = append(x.Ratios, b/a)
	}
	x.Ratio, x.Seconds = Summarise(x.Ratios), []Spread{Summarise(seconds[0]), Summarise(seconds[1])}
	return x
}

func resultNames(r *Report) []string {
	names := make([]string, len(r.Results))
	for i, x := range r.Results {
		names[i] = x.Name
	}
	return names
}

// difference names what only one of two lists has.
func difference(a, b []string) string {
	var said []string
	for _, x := range []struct {
		side    string
		has, no []string
	}{{"the first", a, b}, {"the second", b, a}} {
		only := slices.DeleteFunc(slices.Clone(x.has), func(n string) bool { return slices.Contains(x.no, n) })
		if len(only) > 0 {
			said = append(said, fmt.Sprintf("only %s has %s", x.side, strings.Join(only, ", ")))
		}
	}
	if said == nil {
		return "the order differs"
	}
	return strings.Join(said, "; ")
}

// ReadReport reads a report as JSON. Of builds that knew only the suite step, and no results, it makes the result.
func ReadReport(text []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Results == nil && r.StepReport != nil && r.MsPerStep > 0 {
		r.Suite = Step
		s := r.MsPerStep / 1e3
		r.Results = []Result{{Name: "step", Seconds: s, Best: r.MsBest / 1e3, Q1: s, Q3: s, Runs: r.StepsTimed}}
	}
	if r.Suite == "" || len(r.Results) == 0 {
		return nil, errors.New("no results in it")
	}
	return &r, nil
}
