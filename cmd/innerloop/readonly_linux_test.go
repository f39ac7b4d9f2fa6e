package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody calls f where the rights of files are those of a user who owns nothing, also where the tests run as root, who
// may write everywhere.
func asNobody(f func()) {
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if was, err := unix.SetfsuidRetUid(65534); err == nil { // of this thread alone
			defer unix.Setfsuid(was) //nolint:errcheck // 0 is what it was
		}
	}
	f()
}

// A run in a folder that cannot be written is complete, which is said and is no error, or cannot go on, which is one;
// neither changes the folder.
func TestReadOnly(t *testing.T) {
	root, err := os.MkdirTemp("", "innerloop-readonly-") // that of t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	done, open, folderOnly := filepath.Join(root, "done"), filepath.Join(root, "open"), filepath.Join(root, "folder")
	rights := func(dir string, files, folders os.FileMode) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				return os.Chmod(path, folders)
			}
			return os.Chmod(path, files)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		rights(root, 0o644, 0o755)
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	for _, args := range [][]string{leastArgs(done, 2), leastArgs(folderOnly, 2), append(leastArgs(open, 4), "--stop-after", "2")} {
		if _, errs, code := innerloop(args...); code != exitOK {
			t.Fatal(errs)
		}
	}
	// What a killed process left there cannot be removed either, and does no harm.
	if err := os.WriteFile(filepath.Join(done, ".metrics.jsonl123"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	rights(done, 0o444, 0o555)
	rights(open, 0o444, 0o555)
	rights(folderOnly, 0o666, 0o555)
	was := map[string]string{done: endState(t, done), open: endState(t, open), folderOnly: endState(t, folderOnly)}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"--resume=auto", "--out", done}, exitOK, `done: the run is complete: it made all of its 2 steps\n$`, `^$`},
		{[]string{"--resume", folderOnly}, exitOK, `folder: the run is complete: it made all of its 2 steps\n$`, `^$`},
		{[]string{"--resume", done, "--quiet"}, exitOK, `^\S+done\n$`, `^$`},
		{[]string{"--resume=auto", "--out", open}, exitOutput, `^$`, `^innerloop: \S+metrics.jsonl: permission denied: the run is at step 2 of 4 and can only go on where it may write: make its folder writable, or go on in a copy of it\n$`},
		{[]string{"--resume", done, "--steps", "3"}, exitOutput, `^$`, `permission denied: the run is at step 2 of 3 `},
	} {
		var stdout, stderr string
		var code int
		asNobody(func() { stdout, stderr, code = innerloop(append([]string{"train", "--no-sample"}, c.args...)...) })
		if code != c.code || !regexp.MustCompile(c.stdout).MatchString(stdout) || !regexp.MustCompile(c.stderr).MatchString(stderr) {
			t.Errorf("%s: exit code %d, want %d; standard output %q, want %s; standard error %q, want %s", strings.Join(c.args, " "), code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
	}
	for dir, state := range was {
		if now := endState(t, dir); now != state {
			t.Errorf("%s is\n%s\nwas\n%s", dir, now, state)
		}
	}
}
