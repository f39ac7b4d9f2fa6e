//go:build unix

package safetensors

import (
	"io/fs"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// newPending stays in path's directory: $TMPDIR, renameio's first choice, may
// be small.
func newPending(path string, perm fs.FileMode) (pending, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(perm))
	if err != nil {
		return nil, err // not a nil *PendingFile in an interface
	}
	return f, nil
}
