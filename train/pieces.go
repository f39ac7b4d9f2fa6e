package train

import (
	"errors"
	"math"
	"slices"
	"time"

	"innerloop/prog"
)

// A step that takes longer than longStep is run in pieces of about onePiece, in seconds.
const (
	longStep = 1.0
	onePiece = 0.25
)

// piecesAtFirst is in how many pieces a step runs whose time is not known yet.
const piecesAtFirst = 32

// errGivenUp says that a step was given up before it changed anything.
var errGivenUp = errors.New("train: the step was given up")

// Pace is how long a step takes, in seconds, as far as the last ones tell; 0: none was made yet.
func (r *Run) Pace() float64 { return r.pace }

// execute runs the step's program. A long step, and one whose time is not known yet, runs in pieces where there is a
// Breathe: it is called between them, and may give the step up until the first dispatch that would change the weights.
func (r *Run) execute() error {
	if r.Breathe == nil || r.pace > 0 && r.pace <= longStep {
		return r.trainR.Run()
	}
	pieces := piecesAtFirst
	if r.pace > 0 {
		pieces = int(math.Ceil(r.pace / onePiece))
	}
	start := time.Now()
	last := r.firstChange()
	steps := r.train.Program.Steps
	var total, done float64
	for i := range steps {
		total += work(&steps[i])
	}
	for first, i := 0, 1; i <= len(steps); i++ {
		done += work(&steps[i-1])
		if i < len(steps) && done < total/float64(pieces) {
			continue
		}
		if err := r.trainR.RunSteps(first, i-first); err != nil {
			return err
		}
		if err := r.ex.Sync(); err != nil {
			return err
		}
		first, done = i, 0
		if r.Breathe() && i < last {
			return errGivenUp
		}
	}
	r.pace = time.Since(start).Seconds()
	return nil
}

// work is about how long a step of a program takes, beside others.
func work(s *prog.Step) float64 { return s.Flops() + float64(s.Traffic()) }

// firstChange is the step of the program from which on it changes what the next training step begins with: a training step
// may be given up before. 0: it may not be at all, since memories that rows carry on change within it.
func (r *Run) firstChange() int {
	if len(r.train.Memory) > 0 {
		return 0
	}
	m, v := r.train.Moments()
	return slices.IndexFunc(r.train.Program.Steps, func(s prog.Step) bool {
		return writes(s, r.Model.Arena) || writes(s, m) || writes(s, v) || writes(s, r.train.MetricsArena())
	})
}
