//go:build !unix

package rundir

import "os"

// openLocked locks nothing: Go's library has no locks here that end with the process. A folder that is moved away is
// noticed all the same. The folder is not kept open, since Windows would let nobody rename it.
func openLocked(dir string) (d *os.File, held bool, err error) {
	_, err = os.Stat(dir)
	return nil, false, err
}

// Locked knows nothing here.
func Locked(string) (held, known bool) { return false, false }
