package rundir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The hidden folders of a swap, in the folder whose files it swaps, and so on its file system.
const (
	freshDir = ".innerloop-new"  // what is going to be put in, and the list of its names
	oldDir   = ".innerloop-old"  // what was taken out: while it is there, the swap can be taken back
	goneDir  = ".innerloop-gone" // the same, once the new files are all in
	listFile = ".names"
)

// Swap puts new files into a folder in the place of old ones, all or none. A process that is killed meanwhile leaves the
// old files, the new ones, or a folder without the first of Old and the last of New, which Recover brings back to the old
// ones. The caller has locked the folder.
type Swap struct {
	Old  []string               // names of files and folders that go, in this order; those that are not there are no error
	New  []string               // names of files that come, in this order; one that is there already must be in Old
	Fill func(dir string) error // writes New to a folder
}

// before is called before everything that changes a file; tests end the process there, or let it fail.
var before = func(string) error { return nil }

// change makes one change.
func change(what string, f func() error) error {
	if err := before(what); err != nil {
		return err
	}
	return f()
}

func move(from, to string) error {
	return change("move "+to, func() error { return os.Rename(from, to) })
}

func removeAll(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return change("remove "+dir, func() error { return os.RemoveAll(dir) })
}

// Do makes the swap in dir. On an error dir holds what it held.
func (s Swap) Do(dir string) error {
	if err := Recover(dir); err != nil {
		return err
	}
	if err := s.do(dir); err != nil {
		return errors.Join(err, Recover(dir))
	}
	syncFolder(dir)
	_ = Recover(dir) // what it cannot remove now, it removes when it is called next: the swap itself is made
	return nil
}

func (s Swap) do(dir string) error {
	fresh, old := filepath.Join(dir, freshDir), filepath.Join(dir, oldDir)
	if err := change("make "+fresh, func() error { return os.Mkdir(fresh, 0o755) }); err != nil {
		return err
	}
	if err := change("fill "+fresh, func() error { return s.Fill(fresh) }); err != nil {
		return &fillError{err, fresh + string(filepath.Separator), dir + string(filepath.Separator)}
	}
	list, err := json.Marshal(s.New)
	if err != nil {
		return err
	}
	if err := change("list "+fresh, func() error { return os.WriteFile(filepath.Join(fresh, listFile), list, 0o644) }); err != nil {
		return err
	}
	syncFolder(fresh)
	if err := change("make "+old, func() error { return os.Mkdir(old, 0o755) }); err != nil {
		return err
	}
	for _, name := range s.Old {
		if err := moveBelow(dir, old, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range s.New {
		if err := move(filepath.Join(fresh, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	syncFolder(dir)
	return move(old, filepath.Join(dir, goneDir)) // from here on the new files are the folder's
}

// fillError is an error of Fill that names files as they would be called after the swap.
type fillError struct {
	err      error
	from, to string
}

// Error implements error.
func (e *fillError) Error() string { return strings.ReplaceAll(e.err.Error(), e.from, e.to) }

// Unwrap gives errors.Is and errors.As the cause.
func (e *fillError) Unwrap() error { return e.err }

// moveBelow moves a file or folder from one folder to the same name in another.
func moveBelow(from, to, name string) error {
	if _, err := os.Lstat(filepath.Join(from, name)); err != nil {
		return err
	}
	if parent := filepath.Dir(name); parent != "." {
		at := filepath.Join(to, parent)
		if err := change("make "+at, func() error { return os.MkdirAll(at, 0o755) }); err != nil {
			return err
		}
	}
	return move(filepath.Join(from, name), filepath.Join(to, name))
}

// Recover brings a folder in which a swap was killed back to what it was before, or removes what is left of one that was
// made. The caller has locked the folder.
func Recover(dir string) error {
	fresh, old, gone := filepath.Join(dir, freshDir), filepath.Join(dir, oldDir), filepath.Join(dir, goneDir)
	if _, err := os.Lstat(old); err == nil {
		if err := takeBack(dir, fresh, old); err != nil {
			return err
		}
		if err := removeAll(old); err != nil { // empty folders
			return err
		}
	}
	return errors.Join(removeAll(gone), removeAll(fresh))
}

// takeBack moves the new files out again, and the old ones in. It may itself be killed and begun anew.
func takeBack(dir, fresh, old string) error {
	b, err := os.ReadFile(filepath.Join(fresh, listFile))
	if err != nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	for _, name := range names { // one that is not in fresh was put in
		if _, err := os.Lstat(filepath.Join(fresh, name)); errors.Is(err, fs.ErrNotExist) && filepath.IsLocal(name) {
			if err := move(filepath.Join(dir, name), filepath.Join(fresh, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return restore(old, dir, ".")
}

// restore moves what lies below a folder back to where it was.
func restore(from, to, at string) error {
	es, err := os.ReadDir(filepath.Join(from, at))
	if err != nil {
		return err
	}
	for _, e := range es {
		name := filepath.Join(at, e.Name())
		if st, err := os.Lstat(filepath.Join(to, name)); err == nil && st.IsDir() && e.IsDir() { // only some of it was taken
			if err := restore(from, to, name); err != nil {
				return err
			}
			continue
		}
		if err := moveBelow(from, to, name); err != nil {
			return err
		}
	}
	return nil
}

// Repair is Recover for those who only read a folder: where a swap was killed there, and nobody trains in it.
func Repair(dir string) error {
	for _, name := range []string{oldDir, goneDir, freshDir} {
		if !exists(dir, name) {
			continue
		}
		l, err := lock(dir)
		if errors.Is(err, ErrLocked) {
			return nil // its own affair
		}
		if err != nil {
			return err
		}
		return errors.Join(Recover(dir), l.Close())
	}
	return nil
}

// syncFolder makes a folder's entries durable, where folders can be.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
