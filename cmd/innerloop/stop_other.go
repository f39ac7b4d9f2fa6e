//go:build !unix

package main

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// endSignals are the signals that ask a program to end. SIGTERM is what Go calls it that a window closes or the machine
// is shut down.
func endSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

var quitSignals []os.Signal

// outliveReaders has nothing to do here: see stop_unix.go.
func outliveReaders() {}

// readerGone says whether an output failed because who read it has gone.
func readerGone(err error) bool {
	const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232) // of Windows
	return errors.Is(err, syscall.EPIPE) || runtime.GOOS == "windows" && (errors.Is(err, brokenPipe) || errors.Is(err, noData))
}
