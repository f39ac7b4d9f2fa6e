//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreFileSizeSignal turns the signal of a file size limit, which would end the program with a trace, into the
// write error that every other full disk gives.
func ignoreFileSizeSignal() { signal.Ignore(syscall.SIGXFSZ) }
