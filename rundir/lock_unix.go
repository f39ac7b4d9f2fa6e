//go:build unix

package rundir

import (
	"errors"
	"os"
	"syscall"
)

// openLocked opens a folder and locks it; held: another process has it.
func openLocked(dir string) (d *os.File, held bool, err error) {
	if d, err = os.Open(dir); err != nil {
		return nil, false, err
	}
	return d, flock(d, syscall.LOCK_EX) == syscall.EWOULDBLOCK, nil
}

func flock(d *os.File, how int) syscall.Errno {
	for {
		var e syscall.Errno
		if err := syscall.Flock(int(d.Fd()), how|syscall.LOCK_NB); !errors.As(err, &e) || e != syscall.EINTR {
			return e
		}
	}
}

// Locked says whether a process trains in a folder now. It waits for nothing; known is false where the file system does
// not tell.
func Locked(dir string) (held, known bool) {
	d, err := os.Open(dir)
	if err != nil {
		return false, false
	}
	defer d.Close() //nolint:errcheck // was only read
	e := flock(d, syscall.LOCK_SH)
	return e == syscall.EWOULDBLOCK, e == 0 || e == syscall.EWOULDBLOCK
}
