//go:build !js

package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// The contenders, as their scripts are called, and what the tables call them.
var (
	matmulContenders = []string{"ours", "hand", "jax", "tf"}
	stepContenders   = []string{"ours", "jax", "tf"}
	titles           = map[string]string{"ours": "innerloop", "hand": "8x4 shader by hand", "jax": "jax-js 0.1.25", "tf": "TensorFlow.js 4.22"}
)

// What a contender may be off before it is timed: relative errors, of a product and of a loss.
const (
	productTolerance = 1e-4
	lossTolerance    = 1e-3
	lossSteps        = 4
)

// result is what -json prints.
type result struct {
	Adapters map[string]string `json:"adapters"` // what each contender says it runs on
	Matmul   map[string]table  `json:"matmul,omitempty"`
	Step     table             `json:"step,omitempty"`
	Profile  []kernelTime      `json:"profile,omitempty"`

	Parameters int `json:"parameters"`
}

// table are the contenders of one comparison, ours first.
type table []timing

// timing is one contender's times.
type timing struct {
	Name   string    `json:"name"`
	Count  int       `json:"count"` // products or steps a turn
	Ms     float64   `json:"ms"`    // of one, the median
	Least  float64   `json:"ms_least"`
	Most   float64   `json:"ms_most"`
	Ratio  float64   `json:"ratio"` // this one's time by ours in the same round, the median; more than 1: ours is faster
	RatioL float64   `json:"ratio_least"`
	RatioM float64   `json:"ratio_most"`
	CPU    float64   `json:"cpu_ms"`    // processor time of one, the median
	CPUR   float64   `json:"cpu_ratio"` // this one's by ours in the same round, the median
	GFLOPS float64   `json:"gflops"`
	Error  float64   `json:"error"` // of the product, or the largest of a loss against ours
	Losses []float64 `json:"losses,omitempty"`
}

// kernelTime sums up the dispatches of one kernel in our step.
type kernelTime struct {
	Kernel     string  `json:"kernel"`
	Label      string  `json:"label"` // with its constants
	Dispatches int     `json:"dispatches"`
	Ms         float64 `json:"ms"`
	Share      float64 `json:"share"` // of the sum of all
	GFLOPS     float64 `json:"gflops"`
	GBPerS     float64 `json:"gb_per_second"`
}

// measure checks and times the contenders.
func measure(p page, o options, errs io.Writer) (*result, error) {
	r := &result{Adapters: map[string]string{}}
	names := matmulContenders
	if o.suite == "step" {
		names = stepContenders
	}
	for _, name := range o.take(names) {
		fmt.Fprintln(errs, "init", name)
		a, err := call[string](p, name, "init")
		if err != nil {
			return nil, err
		}
		r.Adapters[name] = a
	}
	if o.suite != "step" {
		r.Matmul = map[string]table{}
		for _, form := range forms {
			t, err := matmul(p, form, o, errs)
			if err != nil {
				return nil, err
			}
			r.Matmul[form] = t
		}
	}
	if o.suite == "matmul" {
		return r, nil
	}
	m, err := newLM()
	if err != nil {
		return nil, err
	}
	r.Parameters = m.count()
	if r.Step, err = steps(p, m.step.Stats().Flops, o, errs); err != nil {
		return nil, err
	}
	if o.profile {
		fmt.Fprintln(errs, "profile")
		r.Profile, err = profile(p)
	}
	return r, err
}

// take are those of the contenders that are asked for, ours first.
func (o options) take(names []string) (out []string) {
	asked := strings.Split(o.only, ",")
	for _, name := range names {
		if name == "ours" || slices.Contains(asked, name) {
			out = append(out, name)
		}
	}
	return out
}

// matmul compares the product of one form.
func matmul(p page, form string, o options, errs io.Writer) (table, error) {
	var t table
	for _, name := range o.take(matmulContenders) {
		e, err := call[float64](p, name, "error", form)
		if err != nil {
			return nil, err
		}
		if !(e <= productTolerance) { // NaN too
			return nil, fmt.Errorf("%s: product %s: relative error %.3g, want at most %g", name, form, e, productTolerance)
		}
		t = append(t, timing{Name: name, Error: e})
	}
	return t, t.time(p, "matmul "+form, "multiply", []any{form}, 2*size*size*size, o, errs)
}

// steps compares training steps of flops operations.
func steps(p page, flops float64, o options, errs io.Writer) (table, error) {
	var t table
	for _, name := range o.take(stepContenders) {
		fmt.Fprintln(errs, "losses", name)
		l, err := call[[]float64](p, name, "losses", lossSteps)
		if err != nil {
			return nil, err
		}
		x := timing{Name: name, Losses: l}
		if len(t) > 0 {
			x.Error = lossError(l, t[0].Losses)
		}
		if !(x.Error <= lossTolerance) {
			return nil, fmt.Errorf("%s: losses %v, want %v to %g", name, l, t[0].Losses, lossTolerance)
		}
		t = append(t, x)
	}
	return t, t.time(p, "step", "train", nil, flops, o, errs)
}

// lossError is the largest relative difference of two runs' losses, infinite where there are not as many.
func lossError(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst := 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(got[i]-w)/math.Abs(w)) // NaN stays
	}
	return worst
}

// time times the contenders of t in turn; method takes args and how often to do what is timed, and returns milliseconds.
func (t table) time(p page, what, method string, args []any, flops float64, o options, errs io.Writer) error {
	turn := func(x timing) (float64, error) {
		return call[float64](p, x.Name, method, append(slices.Clone(args), x.Count)...)
	}
	for i := range t {
		x := &t[i]
		// One turn compiles what is to be compiled, the next ones tell how many fill the time.
		for x.Count = 1; ; {
			if _, err := turn(*x); err != nil {
				return err
			}
			ms, err := turn(*x)
			if err != nil {
				return err
			}
			want := 1e3 * o.seconds * float64(x.Count) / max(ms, 1e-3)
			if ms > 200*o.seconds {
				x.Count = max(1, int(math.Round(want)))
				break
			}
			x.Count = int(min(want/2, float64(4*x.Count))) + 1
		}
	}
	times, cpus := make([][]float64, len(t)), make([][]float64, len(t))
	for round := range o.rounds {
		fmt.Fprintf(errs, "%s: round %d of %d:", what, round+1, o.rounds)
		for i, x := range t {
			start, err := p.cpu()
			if err != nil {
				return err
			}
			ms, err := turn(x)
			if err != nil {
				return err
			}
			end, err := p.cpu()
			if err != nil {
				return err
			}
			times[i] = append(times[i], ms/float64(x.Count))
			cpus[i] = append(cpus[i], 1e3*(end-start)/float64(x.Count))
			fmt.Fprintf(errs, " %s %.2f (cpu %.2f)", x.Name, ms/float64(x.Count), 1e3*(end-start)/float64(x.Count))
		}
		fmt.Fprintln(errs)
	}
	for i := range t {
		x := &t[i]
		x.Least, x.Ms, x.Most = spread(times[i])
		x.RatioL, x.Ratio, x.RatioM = spread(ratios(times[i], times[0]))
		_, x.CPU, _ = spread(cpus[i])
		_, x.CPUR, _ = spread(ratios(cpus[i], cpus[0]))
		x.GFLOPS = flops / x.Ms / 1e6
	}
	return nil
}

// ratios divides the times of two contenders, round by round; those that the clock did not see are as one tick of it.
func ratios(x, by []float64) []float64 {
	const tick = 1e-6
	out := make([]float64, len(x))
	for i := range x {
		out[i] = max(x[i], tick) / max(by[i], tick)
	}
	return out
}

// spread returns the least, the median and the largest of some numbers.
func spread(x []float64) (least, median, most float64) {
	s := slices.Sorted(slices.Values(x))
	return s[0], (s[(len(s)-1)/2] + s[len(s)/2]) / 2, s[len(s)-1]
}

// profile times each dispatch of our step by itself, and sums up those of one kernel and shape.
func profile(p page) ([]kernelTime, error) {
	type dispatch struct {
		Kernel, Label         string
		Seconds, Flops, Bytes float64
	}
	ds, err := call[[]dispatch](p, "ours", "profile")
	if err != nil {
		return nil, err
	}
	byLabel := map[string]*kernelTime{}
	total := 0.0
	for _, d := range ds {
		k := byLabel[d.Label]
		if k == nil {
			k = &kernelTime{Kernel: d.Kernel, Label: d.Label}
			byLabel[d.Label] = k
		}
		k.Dispatches++
		k.Ms += 1e3 * d.Seconds
		k.GFLOPS += d.Flops
		k.GBPerS += d.Bytes
		total += 1e3 * d.Seconds
	}
	var out []kernelTime
	for _, k := range byLabel {
		if k.Ms > 0 {
			k.Share, k.GFLOPS, k.GBPerS = k.Ms/total, k.GFLOPS/k.Ms/1e6, k.GBPerS/k.Ms/1e6
		}
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b kernelTime) int { return cmp.Or(cmp.Compare(b.Ms, a.Ms), cmp.Compare(a.Label, b.Label)) })
	return out, nil
}

// print writes the tables.
func (r *result) print(out io.Writer) {
	for _, form := range forms {
		if t := r.Matmul[form]; t != nil {
			t.print(out, fmt.Sprintf("matmul %d^3, %s", size, map[string]string{"nn": "a b", "nt": "a b^T", "tn": "a^T b"}[form]), "product")
		}
	}
	if r.Step != nil {
		r.Step.print(out, fmt.Sprintf("training step, MLP language model of %d parameters, %d x %d bytes", r.Parameters, lmRows, lmLength), "step")
	}
	if r.Profile == nil {
		return
	}
	fmt.Fprintln(out, "our step, each dispatch by itself")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "ms\tshare\tdispatches\tGFLOP/s\tGB/s\t  kernel")
	for _, k := range r.Profile {
		fmt.Fprintf(w, "%.3f\t%.1f%%\t%d\t%.1f\t%.1f\t  %s\n", k.Ms, 100*k.Share, k.Dispatches, k.GFLOPS, k.GBPerS, k.Label)
	}
	_ = w.Flush() // to a pipe that is gone, as all printing here
}

// print writes a comparison: one is what a time is of.
func (t table) print(out io.Writer, title, one string) {
	fmt.Fprintln(out, title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tms a %s\tleast..most\tGFLOP/s\ttime / ours\tleast..most\tCPU ms\tCPU / ours\terror\t\n", one)
	for _, x := range t {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f..%.2f\t%.1f\t%.2f\t%.2f..%.2f\t%.2f\t%.2f\t%.1e\t\n",
			titles[x.Name], x.Ms, x.Least, x.Most, x.GFLOPS, x.Ratio, x.RatioL, x.RatioM, x.CPU, x.CPUR, x.Error)
	}
	_ = w.Flush()
	fmt.Fprintln(out)
}
