package bench

import (
	"context"
	"math"
	"slices"
	"time"
)

// Spread sums up numbers: the five that a box plot has.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	Max    float64 `json:"max"`
}

// Summarise sums up x, of which there must be one at least.
func Summarise(x []float64) Spread {
	s := slices.Sorted(slices.Values(x))
	return Spread{quantile(s, 0.5), s[0], quantile(s, 0.25), quantile(s, 0.75), s[len(s)-1]}
}

// quantile is the q-quantile of sorted numbers, interpolated between those around it (Hyndman and Fan 1996, type 7).
func quantile(s []float64, q float64) float64 {
	at := q * float64(len(s)-1)
	i := min(int(at), len(s)-1)
	if i == len(s)-1 {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

const (
	groupSeconds = 0.05 // what is timed at once takes at least so long, so that waiting for the device weighs nothing
	mostInGroup  = 1000
	mostGroups   = 4096
)

// timed times runs, which makes n of them and waits for their end, for so many seconds and at least three times, or
// once where three would take more than four times as long. Two runs come before, of which the first may compile.
func timed(ctx context.Context, seconds float64, runs func(n int) error) (Result, error) {
	group := func(n int) (float64, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		start := time.Now()
		err := runs(n)
		return time.Since(start).Seconds(), err
	}
	begin := time.Now()
	if _, err := group(1); err != nil {
		return Result{}, err
	}
	one, err := group(1)
	if err != nil {
		return Result{}, err
	}
	times, n, made := make([]float64, 0, mostGroups), 1, 0
	if one < groupSeconds {
		n = min(mostInGroup, int(math.Ceil(groupSeconds/max(one, 1e-6))))
	} else { // as good as any that follows
		times, made = append(times, one), 1
		begin = begin.Add(time.Duration(-one * float64(time.Second)))
	}
	for start := time.Now(); len(times) < mostGroups; {
		spent := time.Since(start).Seconds()
		if len(times) > 0 && spent >= seconds && (len(times) >= 3 || time.Since(begin).Seconds() > 4*max(seconds, groupSeconds)) {
			break
		}
		t, err := group(n)
		if err != nil {
			return Result{}, err
		}
		times = append(times, t/float64(n))
		made += n
	}
	s := Summarise(times)
	return Result{Seconds: s.Median, Best: s.Min, Q1: s.Q1, Q3: s.Q3, Runs: made}, nil
}

// per makes Rate amount a run of a unit.
func (r Result) per(amount float64, unit string) Result {
	if r.Seconds > 0 {
		r.Rate, r.Unit = amount/r.Seconds, unit
	}
	return r
}

// work notes the floating-point operations and the floor of a run, in seconds.
func (r Result) work(flops, floor float64) Result {
	if r.Seconds > 0 {
		r.GFLOPS, r.Share = flops/r.Seconds/1e9, floor/r.Seconds
	}
	return r
}
