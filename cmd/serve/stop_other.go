//go:build !unix

package main

import (
	"os"
	"syscall"
)

// endSignals are those that end the server. SIGTERM is what Go calls it that a window closes.
func endSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// outliveReaders has nothing to do here: see stop_unix.go.
func outliveReaders() {}
