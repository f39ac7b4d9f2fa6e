//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// lockFolder keeps other processes' runs out of a folder until it is closed or the process ends, however it ends. It
// leaves no file. A file system that knows no locks is no error.
func lockFolder(dir string) (io.Closer, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, failf(exitOutput, "%s: %w", dir, cause(err))
	}
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) { // one that was killed may still be ending
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return d, nil
		}
		if time.Now().After(end) {
			d.Close() //nolint:errcheck // was only read
			return nil, failf(exitOutput, "%s: another process is training this run", dir)
		}
	}
}

// runLock says whether a process trains in a folder now. It waits for nothing; known is false where the file system
// does not tell.
func runLock(dir string) (held, known bool) {
	d, err := os.Open(dir)
	if err != nil {
		return false, false
	}
	defer d.Close() //nolint:errcheck // was only read
	switch err := syscall.Flock(int(d.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); {
	case err == nil:
		return false, true
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, true
	}
	return false, false
}
