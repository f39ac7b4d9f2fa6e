// Package symlink tells of symbolic links that lead nowhere.
package symlink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dangling is an error where path, or what it lies in, is a symbolic link to something that is not there. The system says
// of such a name only that there is no such file, and of a new one that it exists.
func Dangling(path string) error {
	d := filepath.Clean(path)
	st, err := os.Lstat(d)
	for err != nil && filepath.Dir(d) != d { // what is not there may lie in a link
		d = filepath.Dir(d)
		st, err = os.Lstat(d)
	}
	if err != nil || st.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	to, err := os.Readlink(d)
	if err != nil {
		return nil // it is gone by now
	}
	return fmt.Errorf("%s: is a symbolic link to %q, which is not there: make that, or remove the link", d, to)
}
