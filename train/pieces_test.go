package train

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// told is an observer that keeps the losses, and how many steps it was told at once.
type told struct {
	losses []float64
	sizes  []int
}

func (o *told) Steps(s []Step, _ float64) error {
	for _, x := range s {
		o.losses = append(o.losses, x.Loss)
	}
	o.sizes = append(o.sizes, len(s))
	return nil
}
func (*told) Eval(Eval) error { return nil }
func (*told) Save(int) error  { return nil }

// A step that is given up in its middle, wherever that is, changes nothing: the run that makes it again has the losses, bit
// for bit, of one that was left alone. Where rows carry memories on, no step is given up.
func TestGivenUp(t *testing.T) {
	for _, carry := range []bool{false, true} {
		c := tiny()
		c.Train.Steps, c.Train.EvalEvery, c.Train.LogEvery, c.Train.MicroBatches, c.Train.CarryState = 4, 0, 4, 2, carry
		var whole told
		r, _ := begin(t, c)
		if err := r.Train(context.Background(), &whole); err != nil {
			t.Fatal(err)
		}
		r, _ = begin(t, c)
		var o told
		calls, at, given := 0, 1, 0
		r.Breathe = func() bool {
			calls++
			return calls == at
		}
		for r.Step() < c.Train.Steps && given < 200 {
			r.pace = 100 // each step is long
			calls = 0
			before := r.Step()
			switch err := r.Train(context.Background(), &o); {
			case errors.Is(err, context.Canceled):
				given++
				at += 7 // later in the next try
				if r.Step() < before {
					t.Fatalf("the run went from step %d to %d", before, r.Step())
				}
			case err != nil:
				t.Fatal(err)
			}
		}
		if !slices.Equal(o.losses, whole.losses) {
			t.Errorf("carry %v: losses %v after %d steps that were given up, want %v", carry, o.losses, given, whole.losses)
		}
		if carry && given > 0 || !carry && given < 5 {
			t.Errorf("carry %v: %d steps were given up", carry, given)
		}
	}
}

// Long steps are told one by one, also by a device that only queues them.
func TestLongStepsSingly(t *testing.T) {
	c := tiny()
	c.Train.Steps, c.Train.EvalEvery, c.Train.LogEvery = 6, 0, 6
	r, _ := begin(t, c)
	var o told
	r.pace = 2
	r.Breathe = nil
	if err := r.Train(context.Background(), &o); err != nil {
		t.Fatal(err)
	}
	if o.sizes[0] != 1 {
		t.Errorf("steps were told %v at once where each was known to take 2 s", o.sizes)
	}
}
