package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ErrLocked is wrapped by the error of a folder in which another process trains.
var ErrLocked = errors.New("another process is training this run")

// ErrMoved is wrapped by errors of a run whose folder was moved away or removed while it trained.
var ErrMoved = errors.New("the folder was moved away or removed while the run trained")

// lockPatience is how long Acquire waits for a process that was killed and is still ending, and for others that only ask
// whether the folder is locked. Nothing that goes well takes so long: who waits in vain finds a run that trains.
var lockPatience = 10 * time.Second

// Lock keeps other processes' runs out of a folder until it is closed or the process ends, however it ends. It leaves no
// file. A file system that knows no locks is no error.
type Lock struct {
	dir string
	id  os.FileInfo // of the folder that was locked; nil: the file system does not tell one from another
	d   *os.File    // holds the lock; nil where there are none
}

// Acquire locks a folder. Where another process has it, for longer than an ending one would, the error is ErrLocked.
func Acquire(dir string) (*Lock, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		l, err := lock(dir)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrLocked) || time.Now().After(end) {
			return nil, err
		}
	}
}

// lock tries once.
func lock(dir string) (*Lock, error) {
	for try := 0; ; try++ {
		d, held, err := openLocked(dir)
		if err != nil {
			return nil, err
		}
		l := &Lock{dir: dir, d: d}
		if held {
			l.Close() //nolint:errcheck // was only read
			return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		if d != nil {
			l.id, err = d.Stat()
		} else if l.id, err = os.Stat(dir); err == nil {
			os.SameFile(l.id, l.id) // Windows asks for the folder's number only now, while it has the name
		}
		if err == nil && l.Check() == nil {
			return l, nil
		}
		if err == nil && try == 2 { // a file system that numbers its folders anew whenever it is asked
			l.id = nil
			return l, nil
		}
		l.Close() //nolint:errcheck // was only read
		if err != nil {
			return nil, err
		}
	}
}

// Check is an ErrMoved where the folder's name leads to another folder than the one that was locked, or nowhere. What the
// file system cannot tell now is no error.
func (l *Lock) Check() error {
	if l.id == nil {
		return nil
	}
	now, err := os.Stat(l.dir)
	switch {
	case err == nil && os.SameFile(l.id, now):
		return nil
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %w", l.dir, ErrMoved)
	}
	return nil
}

// Close lets others have the folder.
func (l *Lock) Close() error {
	if l.d == nil {
		return nil
	}
	return l.d.Close()
}
