//go:build !js

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest/chromium"
	"innerloop/prog"
)

func TestParameters(t *testing.T) {
	m, err := newLM()
	if err != nil {
		t.Fatal(err)
	}
	if n := m.count(); n != 461056 {
		t.Errorf("%d parameters, want 461056", n)
	}
	in, err := newInputs(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.weights) != m.count() || len(in.text) != batches*batchBytes {
		t.Errorf("%d weights and %d bytes, want %d and %d", len(in.weights), len(in.text), m.count(), batches*batchBytes)
	}
}

// goLosses are the losses of the pure-Go executor's first steps.
func goLosses(t *testing.T, in *inputs, steps int) []float64 {
	t.Helper()
	ex := prog.NewCPU[float32](0)
	t.Cleanup(ex.Close)
	tr, err := newTrainer(ex, in.text)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.reset(in.weights); err != nil {
		t.Fatal(err)
	}
	l, err := tr.losses(steps)
	if err != nil {
		t.Fatal(err)
	}
	// A second run from the start has the same bits.
	if err := tr.reset(in.weights); err != nil {
		t.Fatal(err)
	}
	again, err := tr.losses(steps)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l, again) {
		t.Errorf("losses %v, from the start again %v", l, again)
	}
	return l
}

func TestItLearns(t *testing.T) {
	in, err := newInputs(1)
	if err != nil {
		t.Fatal(err)
	}
	l := goLosses(t, in, 40)
	if math.Abs(l[0]-math.Log(lmVocab)) > 0.5 || !(l[len(l)-1] < l[0]-2) {
		t.Errorf("losses from %.3f to %.3f nats: want a first one of about ln 256 = %.3f, and the last one 2 less", l[0], l[len(l)-1], math.Log(lmVocab))
	}
}

// TestBrowser compares our side, in the browser, with the pure-Go executor, and the products that are timed with those
// in float64.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs WebAssembly")
	}
	dir, err := folder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !installed(dir) {
		if os.Getenv("INNERLOOP_REQUIRE_BROWSER") == "1" {
			t.Fatal("the peers are not installed, but INNERLOOP_REQUIRE_BROWSER is 1: .ci/setup does it")
		}
		t.Skip("the peers are not installed: go run ./bench/peers does it")
	}
	in, err := newInputs(1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := build(t.Context(), dir, in)
	if err != nil {
		t.Fatal(err)
	}
	tab := chromium.Open(t, s)
	p := page{eval: func(expression string) (json.RawMessage, error) {
		return chromium.Eval[json.RawMessage](tab, expression)
	}}
	for _, name := range []string{"ours", "hand"} {
		if _, err := call[string](p, name, "init"); err != nil {
			t.Fatal(err)
		}
		for _, form := range forms {
			e, err := call[float64](p, name, "error", form)
			if err != nil {
				t.Fatal(err)
			}
			if !(e <= 1e-5) {
				t.Errorf("%s: product %s: relative error %.3g", name, form, e)
			}
		}
	}
	want := goLosses(t, in, lossSteps)
	got, err := call[[]float64](p, "ours", "losses", lossSteps)
	if err != nil {
		t.Fatal(err)
	}
	if e := lossError(got, want); !(e <= 1e-4) {
		t.Errorf("losses %v, pure Go %v: relative difference %.3g", got, want, e)
	}
	if _, err := call[string](p, "ours", "error", "diagonal"); err == nil || !strings.Contains(err.Error(), "diagonal") {
		t.Errorf("a product that there is none of: error %v", err)
	}
}

func TestLossError(t *testing.T) {
	for _, c := range []struct {
		got, want []float64
		error     float64
	}{
		{[]float64{5, 4}, []float64{5, 4}, 0},
		{[]float64{5, 3}, []float64{5, 4}, 0.25},
		{[]float64{5}, []float64{5, 4}, math.Inf(1)},
	} {
		if e := lossError(c.got, c.want); e != c.error {
			t.Errorf("%v for %v: error %g, want %g", c.got, c.want, e, c.error)
		}
	}
	if e := lossError([]float64{math.NaN()}, []float64{1}); !math.IsNaN(e) {
		t.Errorf("NaN for 1: error %g", e)
	}
}

// TestTime times contenders whose clock is made up: the slower one's ratio is what it is slower by, round by round.
func TestTime(t *testing.T) {
	calls := map[string]int{}
	cpu := 0.0
	eval := func(expression string) (json.RawMessage, error) {
		var args []any
		text := strings.TrimSuffix(strings.TrimPrefix(expression, "call("), ").then((value) => ({ value }))")
		if err := json.Unmarshal([]byte("["+text+"]"), &args); err != nil {
			return nil, err
		}
		name, count := args[0].(string), args[len(args)-1].(float64)
		calls[name]++
		ms := map[string]float64{"ours": 2, "jax": 5}[name] * count * float64(1+(calls["ours"]-1)%3) // the machine's mood
		cpu += map[string]float64{"ours": 3e-3, "jax": 6e-3}[name] * count
		return json.Marshal(map[string]float64{"value": ms})
	}
	x := table{{Name: "ours"}, {Name: "jax"}}
	if err := x.time(page{eval, func() (float64, error) { return cpu, nil }}, "test", "multiply", []any{"nn"}, 2e6, options{rounds: 9, seconds: 0.1}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if got := x[1]; got.Ratio != 2.5 || got.RatioL != 2.5 || got.RatioM != 2.5 || math.Abs(got.CPUR-2) > 1e-9 || math.Abs(got.CPU-6) > 1e-9 {
		t.Errorf("%+v, want ratios of 2.5, 6 ms of processor time and 2 times ours", got)
	}
	if got := x[0]; got.Ratio != 1 || got.Least != 2 || got.Ms != 4 || got.Most != 6 || got.GFLOPS != 0.5 {
		t.Errorf("ours: %+v", got)
	}
	if n := x[0].Count; n < 10 || n > 50 {
		t.Errorf("%d products a turn of 100 ms, want about 25", n)
	}
}
