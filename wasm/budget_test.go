package main

import (
	"testing"
	"time"
)

// What may take a fifth of the time waits five times as long as it took, and what was not given up its least wait too.
func TestBudget(t *testing.T) {
	defer func(f func() time.Time) { timeNow = f }(timeNow)
	now := time.Unix(1e9, 0)
	timeNow = func() time.Time { return now }
	for _, c := range []struct {
		what       string
		took, wait time.Duration
		ends       func(*budget, time.Time)
	}{
		{"a short one", 100 * time.Millisecond, 3 * time.Second, (*budget).spent},
		{"a long one", 2 * time.Second, 10 * time.Second, (*budget).spent},
		{"one that was given up", 100 * time.Millisecond, 500 * time.Millisecond, (*budget).paid},
	} {
		b := budget{every: 3 * time.Second, share: 0.2}
		if !b.due() {
			t.Fatalf("%s: not due at first", c.what)
		}
		start := now
		now = now.Add(c.took)
		c.ends(&b, start)
		now = now.Add(c.wait - 1)
		if b.due() {
			t.Errorf("%s: due again before %v", c.what, c.wait)
		}
		if now = now.Add(1); !b.due() {
			t.Errorf("%s: not due after %v", c.what, c.wait)
		}
	}
}
