package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
)

// stopper turns the signals that ask a program to end into the end of a context. All but a second SIGINT are ignored from
// then on: batch systems send theirs to every process of a job, and again.
type stopper struct {
	ctx     context.Context
	cancel  context.CancelFunc
	signals chan os.Signal

	mu      sync.Mutex
	nothing func() // is there to save yet: called in the place of cancel; nil once there is
}

// takeSignals takes the signals that endSignals names. Until begin is called, the first of them ends the program with what
// nothing says.
func takeSignals(nothing func()) *stopper {
	s := &stopper{signals: make(chan os.Signal, 8), nothing: nothing}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	signal.Notify(s.signals, endSignals()...)
	signal.Stop(quits)
	go func() {
		for sig := range s.signals {
			s.mu.Lock()
			if s.nothing != nil {
				s.nothing()
			}
			s.mu.Unlock()
			s.cancel()
			if sig == os.Interrupt {
				signal.Reset(os.Interrupt) // the next one is the system's again: it kills
			}
		}
	}()
	return s
}

// begin tells that there is something to save: signals end the context from now on.
func (s *stopper) begin() {
	s.mu.Lock()
	s.nothing = nil
	s.mu.Unlock()
}

// stop gives the signals back to the system.
func (s *stopper) stop() {
	signal.Stop(s.signals)
	close(s.signals)
	s.cancel()
}

// quits gets SIGQUIT in the commands that take no signals.
var quits = make(chan os.Signal, 1)

// endAtQuit makes of SIGQUIT, which Go answers with its stacks and exit code 2, an interruption as any other.
func endAtQuit() {
	if len(quitSignals) == 0 {
		return
	}
	signal.Notify(quits, quitSignals...)
	go func() {
		<-quits
		endInterrupted("interrupted")
	}()
}

// endInterrupted ends the program where there is nothing to save.
func endInterrupted(what string) {
	fmt.Fprintf(os.Stderr, "innerloop: %s\n", what)
	os.Exit(exitInterrupted)
}

// untilSignal calls fn with a context that the first signal ends.
func untilSignal(fn func(ctx context.Context) error) error {
	s := takeSignals(nil)
	defer s.stop()
	err := fn(s.ctx)
	if err != nil && s.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return failf(exitInterrupted, "bench: interrupted")
	}
	return err
}
