//go:build unix

package check

import (
	"os"
	"os/signal"
	"syscall"
)

// HearSignals undoes what nohup and a shell's background do to a test: they have its process ignore SIGHUP and SIGINT, and
// the programs that it starts inherit that, so that a test of such a signal would wait forever. The test itself goes on
// ignoring them.
func HearSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			heard := make(chan os.Signal, 1) // nobody reads it: what is full is dropped
			signal.Notify(heard, s)
		}
	}
}
