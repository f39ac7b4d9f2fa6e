package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"innerloop/train"
)

// The exit codes; exitCodesTopic documents them.
const (
	exitOK = iota
	exitInternal
	exitUsage
	exitData
	exitDevice
	exitOutput
	exitDiverged
	exitInterrupted
	exitUnhealthy
)

const exitCodesTopic = `innerloop exits with

  0  all went well
  1  an internal error: a bug of innerloop
  2  bad usage: a command, an option, or a value in the configuration
  3  bad input: a text or a checkpoint that cannot be read or does not fit
  4  the device: none such, it failed, has too little memory, or computes wrong results
  5  the output cannot be written: no permission, a full disk
  6  training diverged: a loss or gradient that is not finite; the message names its origin, the last good step is saved
  7  interrupted by a signal: training finished its step and wrote a checkpoint; bench printed nothing
  8  diagnose, or logs compare, found a cause: the model is not healthy; or diagnose could not test for one

Everything but 0 comes with one line on standard error. The codes of train are in its folder's exit.json too.

SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGXCPU interrupt train and bench; SIGHUP and SIGINT do not where
they were ignored at the start, as by nohup. While the step is finished all others are ignored, but for a second SIGINT,
which ends the program at once. Other commands are ended by SIGINT, SIGTERM and SIGHUP at once, as by the system, and by
SIGQUIT with code 7; SIGABRT prints what the program is doing.

Where nobody reads standard output any more, as after | head, training goes on in silence; other commands end, silently,
by SIGPIPE (a shell says 141). Where standard output is a file on a full disk training goes on, is saved, and exits with 5
at its end; other commands exit with 5, too.`

// failure is an error that knows its exit code.
type failure struct {
	code int
	err  error
}

// Error implements error.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives errors.Is and errors.As the cause.
func (f *failure) Unwrap() error { return f.err }

// fail gives err an exit code, unless it has one or is nil.
func fail(code int, err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{code, err}
}

func failf(code int, format string, a ...any) error {
	return &failure{code, fmt.Errorf(format, a...)}
}

func exitCode(err error) int {
	var f *failure
	var n *train.NonFiniteError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &n):
		return exitDiverged
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitInternal
}

// oneLine is err's text with no line breaks or other control characters in it.
func oneLine(err error) string {
	s := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// cause takes the name of the call and the file off an error of package os, for messages that name the file already.
func cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	var s *os.SyscallError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	case errors.As(err, &s):
		return s.Err
	}
	return err
}
