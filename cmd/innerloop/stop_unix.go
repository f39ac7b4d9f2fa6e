//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// endSignals are the signals that ask a program to end: those of terminals, and of batch systems before they kill. What
// the parent set to be ignored, as nohup does with SIGHUP and a shell with SIGINT for what is in the background, stays
// ignored.
func endSignals() []os.Signal {
	list := append([]os.Signal{syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGXCPU}, quitSignals...)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

var quitSignals = []os.Signal{syscall.SIGQUIT}

// outliveReaders makes writing to a pipe that nobody reads an error, where it would end the program. The signal is taken,
// to nobody's notice, and not ignored: programs that this one starts would inherit that.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// readerGone says whether an output failed because who read it has gone: a pipe's reader, or the terminal.
func readerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO)
}
