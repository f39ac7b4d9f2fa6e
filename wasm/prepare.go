package main

import (
	"errors"
	"time"

	"innerloop/gpu"
	"innerloop/prog"
)

// polite is an executor that lets messages arrive, which on one thread nothing else does while it computes; and while a run
// is made ready, it tells how far that is and ends it where the person has said so.
type polite struct {
	prog.Executor
	s    *Session
	last time.Time
}

func (s *Session) polite(ex prog.Executor) *polite { return &polite{Executor: ex, s: s} }

// turn is how long messages may wait for an executor that never blocks.
const turn = 10 * time.Millisecond

// Upload implements prog.Executor: it comes before every step.
func (p *polite) Upload(s *prog.Stage) error {
	if timeNow().Sub(p.last) > turn {
		p.s.host.Yield()
		p.last = timeNow()
	}
	return p.Executor.Upload(s)
}

// Load implements prog.Executor.
func (p *polite) Load(program *prog.Program) (prog.Runner, error) {
	if err := p.s.preparing(stageKernels); err != nil {
		return nil, err
	}
	r, err := p.Executor.Load(program)
	if err == nil {
		if err = p.s.preparing(stageKernels); err != nil {
			r.Close()
		}
	}
	if errors.Is(err, gpu.ErrCancelled) {
		err = errCancelled
	}
	return r, err
}

// Write implements prog.Executor.
func (p *polite) Write(t *prog.Tensor, src []float32) error {
	if err := p.s.preparing(stageWeights); err != nil {
		return err
	}
	return p.Executor.Write(t, src)
}

// The stages of making a run ready.
const (
	stageText       = "text"
	stagePrograms   = "programs"
	stageKernels    = "kernels"
	stageWeights    = "weights"
	stageCheckpoint = "checkpoint"
)

// preparingData tells what a run waits for that is made ready, and how much of it is done; a total of 0: not known.
type preparingData struct {
	What  string `json:"what"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// preparation is what is known of the run that is made ready.
type preparation struct {
	told preparingData
	next time.Time // when more of the same is told
}

// preparingEvery is the least time between two messages of one stage.
const preparingEvery = 50 * time.Millisecond

// errCancelled ends what makes a run ready.
var errCancelled = &failure{Code: codeCancelled, Message: "the run was given up before it was ready", Checkpoint: -1}

// prepare begins to tell how a run is made ready, which a request to cancel ends from then on, until the function that it
// returns is called.
func (s *Session) prepare() (ready func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prep = &preparation{}
	s.uncancel()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.prep = nil
	}
}

// uncancel forgets that something was cancelled, unless it waits to be. s.mu is held.
func (s *Session) uncancel() {
	s.cancelled = false
	for _, q := range s.queue {
		s.cancelled = s.cancelled || q.Method == "cancel"
	}
}

// giveUp has compilers that a program waits for be left to themselves. s.mu is held.
func (s *Session) giveUp() {
	if s.prep == nil {
		return
	}
	if p, ok := s.dev.(*polite); ok {
		if g, ok := p.Executor.(Device); ok {
			g.Cancel()
		}
	}
}

// preparing tells of a stage, where a run is made ready, and returns an error where that is cancelled.
func (s *Session) preparing(what string) error {
	p := s.prep
	if p == nil {
		return nil
	}
	s.tellPreparing(preparingData{What: what})
	s.host.Yield()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelled {
		return errCancelled
	}
	return nil
}

// compiled is told by the device how many kernels are compiled.
func (s *Session) compiled(done, total int) {
	s.tellPreparing(preparingData{stageKernels, done, total})
}

func (s *Session) tellPreparing(d preparingData) {
	p := s.prep
	if p == nil || p.told == d {
		return
	}
	now := timeNow()
	if same := p.told.What == d.What; same && d.Total == 0 || same && p.told.Total > 0 && d.Done < d.Total && now.Before(p.next) {
		return
	}
	p.told, p.next = d, now.Add(preparingEvery)
	s.send("preparing", d)
}
