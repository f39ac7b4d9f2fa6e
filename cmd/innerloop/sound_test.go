package main

import (
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"innerloop/data"
)

// mksound FILE RATE N: writes a WAV file of N samples, RATE a second.
func mkSound(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mksound FILE RATE N")
	}
	rate, n := number(ts, args[1]), number(ts, args[2])
	a := data.Sounds(1, n, rate)
	a.Samples = a.Samples[:n]
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data.EncodeWAV(a), 0o644))
}

// wav FILE RATE N: the file is a WAV file of N samples, RATE a second, not all of them alike, each of 8-bit mu-law.
func wav(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: wav FILE RATE N")
	}
	a, err := data.DecodeWAV(args[0], []byte(ts.ReadFile(args[0])))
	ts.Check(err)
	if a.Rate != number(ts, args[1]) || len(a.Samples) != number(ts, args[2]) {
		ts.Fatalf("%s: %d samples, %d a second", args[0], len(a.Samples), a.Rate)
	}
	used := map[float32]bool{}
	for i, s := range a.Samples {
		if d := s - data.FromMuLaw(data.MuLaw(s)); d > 1.0/32768 || d < -1.0/32768 {
			ts.Fatalf("%s: sample %d is %g, which is no mu-law sample", args[0], i, s)
		}
		used[s] = true
	}
	if len(used) < 2 {
		ts.Fatalf("%s: every sample is %g", args[0], a.Samples[0])
	}
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

func TestLasting(t *testing.T) {
	for _, c := range []struct {
		n, rate int
		want    string
	}{{0, 8000, "0 ms"}, {200, 8000, "25 ms"}, {7995, 8000, "999 ms"}, {7999, 8000, "1.0 s"}, {98400, 8000, "12.3 s"}, {480000, 8000, "1m00s"}, {1480000, 8000, "3m05s"}} {
		if got := lasting(c.n, c.rate); got != c.want {
			t.Errorf("%d samples at %d: got %s, want %s", c.n, c.rate, got, c.want)
		}
	}
	if got, want := soundOf(8000, 4000, 8000), "sound, 8,000 samples/s, 1.5 s (500 ms given)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
