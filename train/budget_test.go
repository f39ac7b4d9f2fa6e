package train

import (
	"testing"
	"time"
)

// What may take a fifth of the time waits five times as long as it took, and what was not given up its least wait too.
func TestBudget(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		what       string
		took, wait time.Duration
		ends       func(*Budget, time.Time)
	}{
		{"a short one", 100 * time.Millisecond, 3 * time.Second, (*Budget).Spent},
		{"a long one", 2 * time.Second, 10 * time.Second, (*Budget).Spent},
		{"one that was given up", 100 * time.Millisecond, 500 * time.Millisecond, (*Budget).Paid},
	} {
		b := Budget{Every: 3 * time.Second, Share: 0.2, Now: func() time.Time { return now }}
		if !b.Due() {
			t.Fatalf("%s: not due at first", c.what)
		}
		start := now
		now = now.Add(c.took)
		c.ends(&b, start)
		now = now.Add(c.wait - 1)
		if b.Due() {
			t.Errorf("%s: due again before %v", c.what, c.wait)
		}
		if now = now.Add(1); !b.Due() {
			t.Errorf("%s: not due after %v", c.what, c.wait)
		}
		if b.Wait(time.Second); b.Due() {
			t.Errorf("%s: due though it was put off", c.what)
		}
	}
}
