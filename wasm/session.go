package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"innerloop/prog"
	"innerloop/train"
)

// Host is what a session needs of the place that it runs in.
type Host interface {
	// Post sends a message to the page. Columns are added to its result or its data under their names.
	Post(message any, columns map[string][]float64)
	Storage() Storage
	// Lock says whether name is now this session's alone, until Unlock.
	Lock(name string) bool
	Unlock(name string)
	// Open opens the machine's GPU, which with hardware is no adapter of software: gpu.ErrSoftware says that there are only
	// those. compiled is told of kernels that compilers have done while a program is loaded.
	Open(hardware bool, compiled func(done, total int)) (Device, error)
	// Yield lets messages arrive.
	Yield()
	// Memory is the number of bytes that the program has taken.
	Memory() int64
}

// Device is an executor that knows how much memory it holds, and ends a Load that waits for compilers when it is told to.
type Device interface {
	prog.Executor
	Bytes() int64
	Cancel()
}

// The states of a session.
const (
	stateIdle     = "idle" // no run is open
	stateLoading  = "loading"
	stateRunning  = "running"
	statePaused   = "paused"
	stateFinished = "finished"
	stateFailed   = "failed"
)

// Session answers the page: at most one run is open, and trains between two requests.
type Session struct {
	host    Host
	root    string // of the files: "/" in the browser
	version string // of innerloop

	wake chan struct{} // something is in the queue

	mu        sync.Mutex
	queue     []request
	interrupt context.CancelFunc // ends the training under way; nil: there is none
	cancelled bool               // the generation under way, or what makes a run ready, should end
	ending    bool               // a request waits that the training under way should end for, in the middle of a step too
	prep      *preparation       // nil: no run is made ready

	asked string // of the devices: what hello asked for
	dev   prog.Executor
	about deviceInfo
	costs costs

	state string
	open  *openRun // nil: none
	gen   *generation
}

// NewSession returns a session over the files below root.
func NewSession(host Host, root string) *Session {
	return &Session{host: host, root: root, version: "devel", wake: make(chan struct{}, 1), state: stateIdle}
}

// Receive takes a message of the page.
func (s *Session) Receive(message []byte) {
	var q request
	if err := json.Unmarshal(message, &q); err != nil || q.ID < 1 {
		// Without a number there is nothing to answer to.
		if q.ID >= 1 {
			s.answer(q, nil, failf(codeUsage, "message: %v", err))
		}
		return
	}
	s.mu.Lock()
	if q.Method == "cancel" {
		s.cancelled = true // what was asked for before it; the request itself is answered in its turn
		s.giveUp()
	}
	s.ending = s.ending || ends[q.Method]
	s.queue = append(s.queue, q)
	if s.interrupt != nil {
		s.interrupt()
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// ends are the requests that training ends for: a long step is given up for them.
var ends = map[string]bool{"pause": true, "stop": true, "start": true, "open": true, "hello": true}

// breathe lets messages arrive in the middle of a step and says whether the step should be given up.
func (s *Session) breathe() bool {
	s.host.Yield()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending && (s.open == nil || s.open.run.Pace() == 0 || s.open.run.Pace() > patience.Seconds())
}

// patience is how long a step may take that ends before training does.
const patience = 2 * time.Second

// next takes the next request; nil: there is none.
func (s *Session) next() *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	q := s.queue[0]
	s.queue = slices.Delete(s.queue, 0, 1)
	s.ending = slices.ContainsFunc(s.queue, func(q request) bool { return ends[q.Method] })
	return &q
}

// Run serves requests, and trains between them, until ctx ends; what is open then is closed.
func (s *Session) Run(ctx context.Context) {
	defer s.shut()
	for ctx.Err() == nil {
		q := s.next()
		switch {
		case q != nil:
			s.serve(*q)
		case s.gen != nil:
			s.continueText()
			s.host.Yield()
		case s.state == stateRunning:
			s.slice(ctx)
			s.host.Yield()
		default:
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
		}
	}
}

// methods are those of the schema.
var methods = map[string]func(*Session, request) (any, error){
	"hello":    method((*Session).hello),
	"describe": method((*Session).describe),
	"start":    method((*Session).start),
	"open":     method((*Session).openKept),
	"pause":    method((*Session).pause),
	"resume":   method((*Session).resume),
	"step":     method((*Session).step),
	"stop":     method((*Session).stop),
	"save":     method((*Session).save),
	"runs":     method((*Session).runs),
	"cancel":   method((*Session).cancel),
	"set":      method((*Session).set),
	"download": method((*Session).download),
	"delete":   method((*Session).remove),
	"rename":   method((*Session).rename),
	"import":   method((*Session).takeOver),
}

func method[P any](fn func(*Session, P) (any, error)) func(*Session, request) (any, error) {
	return func(s *Session, q request) (any, error) {
		p, err := decode[P](q)
		if err != nil {
			return nil, err
		}
		return fn(s, p)
	}
}

// serve answers a request.
func (s *Session) serve(q request) {
	if s.dev == nil && q.Method != "hello" {
		s.answer(q, nil, failf(codeUsage, "%s: the first request is hello", q.Method))
		return
	}
	switch q.Method {
	case "metrics": // has columns
		p, err := decode[runParams](q)
		var columns map[string][]float64
		if err == nil {
			columns, err = s.metrics(p.Run)
		}
		if err != nil {
			s.answer(q, nil, err)
			return
		}
		s.host.Post(reply{ID: q.ID, Result: metricsResult(p)}, columns)
		return
	case "diagnose": // has columns too
		if err := s.diagnose(q); err != nil {
			s.answer(q, nil, err)
		}
		return
	case "norms":
		if err := s.pastNorms(q); err != nil {
			s.answer(q, nil, err)
		}
		return
	case "generate": // is answered at its end
		p, err := decode[generateParams](q)
		if err == nil {
			err = s.generate(q.ID, p)
		}
		if err != nil {
			s.answer(q, nil, err)
		}
		return
	}
	fn := methods[q.Method]
	if fn == nil {
		s.answer(q, nil, failf(codeUsage, "unknown method %.60q", q.Method))
		return
	}
	result, err := fn(s, q)
	s.answer(q, result, err)
}

func (s *Session) answer(q request, result any, err error) {
	if err != nil {
		f := asFailure(err)
		if s.open != nil && f.Checkpoint < 0 {
			f.Checkpoint = s.open.saved
		}
		s.host.Post(reply{ID: q.ID, Error: f}, nil)
		return
	}
	if result == nil {
		result = empty{}
	}
	s.host.Post(reply{ID: q.ID, Result: result}, nil)
}

func (s *Session) send(name string, data any) { s.host.Post(event{name, data}, nil) }

// enter changes the state and tells the page.
func (s *Session) enter(state string, err error) {
	s.state = state
	d := stateData{State: state}
	if s.open != nil {
		d.Run = s.open.info()
	}
	if err != nil {
		d.Error = asFailure(err)
		if s.open != nil && d.Error.Checkpoint < 0 {
			d.Error.Checkpoint = s.open.saved
		}
	}
	s.send("state", d)
}

// notice tells the page of something that does not end the run.
func (s *Session) notice(err error) {
	f := asFailure(err)
	if s.open != nil {
		f.Checkpoint = s.open.saved
	}
	s.send("notice", f)
}

// slice trains until a request arrives or the run ends.
func (s *Session) slice(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.interrupt = cancel
	waiting := len(s.queue) > 0
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.interrupt = nil
		s.mu.Unlock()
	}()
	if waiting {
		return
	}
	s.trained(s.open.train(ctx))
}

// trained is told how a slice of training ended.
func (s *Session) trained(err error) {
	o := s.open
	switch {
	case err == nil && o.run.Step() >= o.run.Config.Train.Steps:
		s.enter(stateFinished, nil)
	case err == nil: // a single step
		s.enter(statePaused, nil)
	case errors.Is(err, context.Canceled):
	default:
		s.failed(err)
	}
}

// failed ends the open run's training with an error, from which a lost device recovers once.
func (s *Session) failed(err error) {
	o := s.open
	f := asFailure(err)
	if f.Step == 0 {
		f.Step = o.run.Step()
	}
	f.Checkpoint = o.saved
	if f.Code != codeLost {
		s.enter(stateFailed, f)
		return
	}
	if o.losses++; o.losses > 1 {
		f.Message = strings.TrimRight(f.Message, ".") + ". It is the second time in this run: the system or another program takes the GPU away. Close what uses it, make the model or the batch smaller, and go on from the checkpoint"
		s.enter(stateFailed, f)
		return
	}
	if err := s.recover(); err != nil {
		g := asFailure(err)
		g.Message = f.Message + "; and the run could not go on: " + g.Message
		g.Step, g.Checkpoint = f.Step, f.Checkpoint
		s.enter(stateFailed, g)
		return
	}
	f.Message = fmt.Sprintf("%s. The run goes on from the checkpoint of step %d on a new device", strings.TrimRight(f.Message, "."), s.open.run.Step())
	s.notice(f)
}

// revive opens a new device where the one that there is was lost, as while the machine slept.
func (s *Session) revive() {
	if s.dev.Sync() == nil {
		return
	}
	s.dev.Close()
	s.openDevice(s.asked)
	s.send("device", s.about)
}

// recover opens a new device and goes on from the newest checkpoint there.
func (s *Session) recover() error {
	o := s.open
	state := s.state
	o.close()
	s.dev.Close()
	s.openDevice(s.asked)
	s.send("device", s.about)
	s.enter(stateLoading, nil)
	next, err := s.load(o.id, loadOptions{text: o.run.Config.Data.File, otherText: true})
	if err != nil {
		return err
	}
	next.losses = o.losses
	s.open = next
	s.enter(stateLoading, nil) // the page's curves go back to the checkpoint
	s.enter(state, nil)
	return nil
}

// shut saves and closes the open run.
func (s *Session) shut() {
	if s.open == nil {
		return
	}
	s.endGeneration(true)
	if s.state != stateFailed {
		if err := s.open.saveNow(); err != nil {
			s.notice(fail(codeStorage, err))
		}
	}
	s.open.close()
	s.host.Unlock(lockName(s.open.id))
	s.open = nil
	s.enter(stateIdle, nil)
}

// need returns the open run.
func (s *Session) need(what string) (*openRun, error) {
	if s.open == nil {
		return nil, failf(codeUsage, "%s: no run is open", what)
	}
	return s.open, nil
}

func (s *Session) pause(empty) (any, error) {
	o, err := s.need("pause")
	if err != nil || s.state != stateRunning {
		return nil, err
	}
	if err := o.saveNow(); err != nil {
		s.notice(fail(codeStorage, err))
	}
	s.enter(statePaused, nil)
	return nil, nil
}

func (s *Session) resume(empty) (any, error) { return nil, s.goOn("resume", 0) }
func (s *Session) step(empty) (any, error)   { return nil, s.goOn("step", 1) }

// goOn trains n steps, or with 0 to the end. After a failure it goes on from the newest checkpoint.
func (s *Session) goOn(what string, n int) error {
	o, err := s.need(what)
	if err != nil {
		return err
	}
	if s.state == stateFailed {
		s.revive()
		o.close()
		if o, err = s.load(o.id, loadOptions{text: o.run.Config.Data.File, otherText: true}); err != nil {
			return err
		}
		s.open = o
		s.enter(stateLoading, nil)
	}
	if o.run.Step() >= o.run.Config.Train.Steps {
		s.enter(stateFinished, nil)
		return failf(codeUsage, "%s: the run has made all of its %d steps; more train.steps make it longer", what, o.run.Step())
	}
	o.run.StopAt = 0
	if n > 0 {
		o.run.StopAt = o.run.Step() + n
	}
	s.enter(stateRunning, nil)
	return nil
}

func (s *Session) stop(empty) (any, error) {
	s.shut()
	return nil, nil
}

func (s *Session) save(empty) (any, error) {
	o, err := s.need("save")
	if err != nil {
		return nil, err
	}
	if s.state == stateFailed {
		return nil, failf(codeUsage, "save: the run has failed: its newest checkpoint is kept")
	}
	return nil, fail(codeStorage, o.saveNow())
}

// live are the keys that a run takes up while it goes on.
var live = []string{
	"train.steps", "train.lr", "train.warmup_steps", "train.min_lr_ratio", "train.weight_decay", "train.clip", "train.eval_every",
	"sample.temperature", "sample.top_k", "sample.tokens", "sample.seconds", "sample.sound_temperature", "sample.prompts", "model.target_eps", "train.fault",
}

func (s *Session) set(p setParams) (any, error) {
	o, err := s.need("set")
	if err != nil {
		return nil, err
	}
	// A run that failed is loaded anew when it goes on, and may then be in another precision.
	if !slices.Contains(live, p.Key) && (s.state != stateFailed || p.Key != "train.precision") {
		return nil, &failure{Code: codeUsage, Message: fmt.Sprintf("set: %.80s cannot change during a run", p.Key), Key: p.Key, Checkpoint: -1}
	}
	c := o.run.Config
	if err := c.SetValue(p.Key, p.Value); err != nil {
		return nil, &failure{Code: codeConfig, Message: err.Error(), Key: p.Key, Checkpoint: -1}
	}
	err = c.Validate()
	if err == nil && c.Train.Steps < o.run.Step() {
		err = fmt.Errorf("train: train.steps %d, want at least the %d that were made", c.Train.Steps, o.run.Step())
	}
	if err != nil {
		return nil, &failure{Code: codeConfig, Message: err.Error(), Key: p.Key, Checkpoint: -1}
	}
	o.took(p.Key, o.run.Config, c)
	if c.Train.Fault != o.run.Config.Train.Fault && (s.state != stateFailed || c.Train.Fault != "") {
		err = s.refit(c)
	} else {
		o.run.Config = c
		err = fail(codeStorage, train.SaveConfig(o.dir, c))
	}
	if s.open == nil || err != nil {
		return nil, err
	}
	o = s.open
	kept := o.kept
	kept.Step = max(o.saved, 0)
	if err := kept.write(o.dir); err != nil {
		return nil, fail(codeStorage, err)
	}
	// A run that has made all its steps is finished, and one that is given more is not.
	switch ended := o.ended(); {
	case s.state == stateFinished && !ended:
		s.enter(statePaused, nil)
	case s.state == statePaused && ended:
		s.enter(stateFinished, nil)
	}
	return runResult{o.info()}, nil
}

func (s *Session) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

// timeNow is the clock of names and budgets.
var timeNow = time.Now
