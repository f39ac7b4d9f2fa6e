//go:build !unix

package safetensors

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// plainPending does with package os what renameio does on unix.
type plainPending struct {
	*os.File
	path   string
	closed bool
	done   bool
}

func newPending(path string, perm fs.FileMode) (pending, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"*")
	if err != nil {
		return nil, err
	}
	// CreateTemp gives 0600. Where there are no permissions this changes nothing.
	if err := os.Chmod(f.Name(), perm&^0o022); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &plainPending{File: f, path: path}, nil
}

func (p *plainPending) CloseAtomicallyReplace() error {
	if err := p.Sync(); err != nil {
		return err
	}
	p.closed = true
	if err := p.Close(); err != nil {
		return err
	}
	if err := os.Rename(p.Name(), p.path); err != nil {
		return err
	}
	p.done = true
	return nil
}

func (p *plainPending) Cleanup() error {
	if p.done {
		return nil
	}
	p.done = true
	var err error
	if !p.closed {
		err = p.Close()
	}
	return errors.Join(err, os.Remove(p.Name()))
}
