package train

import "time"

// Budget lets something happen now and then, as often as its cost allows.
type Budget struct {
	Every time.Duration    // at most so often
	Share float64          // and at most this share of the time
	Now   func() time.Time // the clock; nil: time.Now

	next time.Time
	cost time.Duration // of the last time
}

func (b *Budget) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// Wait puts the next time off until d from now.
func (b *Budget) Wait(d time.Duration) { b.next = b.now().Add(d) }

// Due says whether it may happen now.
func (b *Budget) Due() bool { return !b.now().Before(b.next) }

// Spent tells that it happened and began at start.
func (b *Budget) Spent(start time.Time) {
	b.Paid(start)
	b.cost = b.now().Sub(start)
	if least := b.now().Add(b.Every); b.next.Before(least) {
		b.next = least
	}
}

// Paid tells that it was given up, having begun at start: it may happen again once its time is made up for.
func (b *Budget) Paid(start time.Time) {
	now := b.now()
	b.next = now.Add(time.Duration(float64(now.Sub(start)) / b.Share))
}

// Load is what it takes as things stand: the part of a second for each second of the rest. 0: it has not happened yet.
func (b *Budget) Load() float64 {
	if b.cost <= 0 {
		return 0
	}
	return b.cost.Seconds() / max(b.Every.Seconds(), b.cost.Seconds()/b.Share)
}
