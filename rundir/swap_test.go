package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// write writes files below dir, given as name and text in turns.
func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(files[i+1]), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// tree is what lies below dir: a line for each file, and for each empty folder.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if es, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(es) == 0 {
				fmt.Fprintln(&s, name)
			}
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(&s, "%s %s\n", name, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func oldFolder(t *testing.T) string {
	dir := t.TempDir()
	write(t, dir, "a", "old a", "b", "old b", "c/1", "old 1", "c/2/x", "old x", "c/mine", "mine", "mine", "mine too")
	return dir
}

// testSwap takes b, a, c/1 and c/2 out of what oldFolder makes and puts a and n in.
func testSwap() Swap {
	return Swap{Old: []string{"b", "a", "c/1", "none", filepath.Join("c", "2")}, New: []string{"a", "n"}, Fill: func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "a"), []byte("new a"), 0o644), os.WriteFile(filepath.Join(dir, "n"), []byte("new n"), 0o644))
	}}
}

const swapped = "a new a\nc/mine mine\nmine mine too\nn new n\n"

func TestSwap(t *testing.T) {
	dir := oldFolder(t)
	if err := testSwap().Do(dir); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); got != swapped {
		t.Errorf("got\n%s\nwant\n%s", got, swapped)
	}
}

// Where any of the operations fails, the folder is what it was, or what it should be.
func TestSwapFails(t *testing.T) {
	defer func() { before = func(string) error { return nil } }()
	failed := errors.New("no")
	for n := 0; ; n++ {
		dir := oldFolder(t)
		was := tree(t, dir)
		at, done := 0, ""
		before = func(what string) error {
			if at++; at == n+1 {
				done = what
				return failed
			}
			return nil
		}
		err := testSwap().Do(dir)
		before = func(string) error { return nil }
		if done == "" {
			if n < 15 || err != nil {
				t.Fatalf("%d operations, %v", n, err)
			}
			return
		}
		want := was
		if err == nil {
			want = swapped
		} else if !errors.Is(err, failed) {
			t.Errorf("%s: %v", done, err)
		}
		if err := Recover(dir); err != nil {
			t.Errorf("%s: %v", done, err)
		}
		if got := tree(t, dir); got != want {
			t.Errorf("failed to %s (%v): got\n%s\nwant\n%s", done, err, got, want)
		}
	}
}

// A process that is killed before any of the operations, also of the recovery, leaves one or the other, or what recovers to
// the old.
func TestSwapKilled(t *testing.T) {
	if dir := os.Getenv("SWAP_IN"); dir != "" { // the process that is killed
		n, err := strconv.Atoi(os.Getenv("SWAP_KILL"))
		if err != nil {
			t.Fatal(err)
		}
		before = func(string) error {
			if n--; n < 0 {
				kill(t)
			}
			return nil
		}
		if os.Getenv("SWAP_RECOVER") != "" {
			err = Recover(dir)
		} else {
			err = testSwap().Do(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	child := func(dir string, n int, env ...string) (killed bool) {
		c := exec.Command(os.Args[0], "-test.run=^TestSwapKilled$")
		c.Env = append(append(os.Environ(), "SWAP_IN="+dir, "SWAP_KILL="+strconv.Itoa(n)), env...)
		out, err := c.CombinedOutput()
		if err != nil && strings.Contains(string(out), "FAIL") {
			t.Fatalf("%v: %s", err, out)
		}
		return err != nil
	}
	old := tree(t, oldFolder(t))
	taken := 0 // kills after which the old files came back
	for n := 0; ; n++ {
		dir := oldFolder(t)
		if !child(dir, n) {
			if n < 15 || taken < 10 {
				t.Errorf("only %d operations, %d taken back", n, taken)
			}
			break
		}
		if n%2 == 0 { // the recovery is killed too, again and again
			m := 0
			for child(dir, m, "SWAP_RECOVER=1") {
				m++
			}
		} else if err := Repair(dir); err != nil {
			t.Fatal(err)
		}
		switch got := tree(t, dir); got {
		case old:
			taken++
		case swapped:
		default:
			t.Errorf("killed at operation %d: got\n%s", n, got)
		}
	}
}
