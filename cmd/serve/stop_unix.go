//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// endSignals are those that end the server. What the parent set to be ignored, as nohup does with SIGHUP and a shell with
// SIGINT for what is in the background, stays ignored.
func endSignals() []os.Signal {
	list := []os.Signal{syscall.SIGTERM, syscall.SIGQUIT}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// outliveReaders lets the program go on where nobody reads what it prints. The signal is taken, to nobody's notice, and not
// ignored: a browser that this program starts would inherit that.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
