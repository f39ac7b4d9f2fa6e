package web

import (
	"context"
	"syscall"
	"testing"
)

// A mount point cannot be renamed.
func TestExportToMountPoint(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("innerloop-test", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("this process may not mount: ", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	for range 2 { // into an empty one, and over an earlier export
		if err := small(t).Export(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, dir); got[index] == "" || got[marker] == "" {
			t.Errorf("holds %d files", len(got))
		}
	}
}
