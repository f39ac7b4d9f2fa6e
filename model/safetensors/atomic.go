package safetensors

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// WriteFileAtomic writes the file at path whole or not at all: what write
// produces goes to a temporary file in the same directory, which is synced and
// then renamed to path. On any error, write's own and a panic too, the
// temporary file is removed and an older file at path is untouched. perm is
// subject to the umask. Errors read `path: cause`.
func WriteFileAtomic(path string, perm fs.FileMode, write func(io.Writer) error) error {
	return writeFileAtomic(path, perm, write, nil)
}

// writeFileAtomic is WriteFileAtomic that, where seal is not nil, lets it write
// into the file once all of it is there.
func writeFileAtomic(path string, perm fs.FileMode, write func(io.Writer) error, seal func(io.WriterAt) error) error {
	f, err := newPending(path, perm)
	if err != nil {
		return fmt.Errorf("%s: %w", path, diskError(err))
	}
	defer f.Cleanup() //nolint:errcheck // does nothing once replaced
	b := bufio.NewWriterSize(f, 1<<16)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil && seal != nil {
		err = seal(f)
	}
	if err == nil {
		err = f.CloseAtomicallyReplace()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, diskError(err))
	}
	return nil
}

// pending is a temporary file that becomes path or vanishes.
type pending interface {
	io.Writer
	io.WriterAt
	CloseAtomicallyReplace() error
	Cleanup() error
}

// diskError strips the file name from err, which would be the temporary one or
// repeat what the caller prepends.
func diskError(err error) error {
	switch e := err.(type) { //nolint:errorlint // not errors.As: a callback's own context stays
	case *fs.PathError:
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	case *os.LinkError:
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}
