package web

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree reads all files below dir, by path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestExport(t *testing.T) {
	s := small(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "made", "site")
	if err := s.Export(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	got := tree(t, dir)
	want := []string{".innerloop-export", "assets/i-1.png", "assets/main-1.js", "assets/main-1.js.br", "assets/main-1.js.gz",
		"assets/t-1.wasm", "assets/t-1.wasm.br", "assets/t-1.wasm.gz", "index.html", "index.html.br", "index.html.gz"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("wrote %q, want %q", names, want)
	}
	for name, text := range got {
		if ext := filepath.Ext(name); ext == ".br" && !codingBrotli.holds([]byte(text), []byte(got[strings.TrimSuffix(name, ext)])) ||
			ext == ".gz" && !codingGzip.holds([]byte(text), []byte(got[strings.TrimSuffix(name, ext)])) {
			t.Errorf("%s holds something else than the file beside it", name)
		}
	}
	meta := `<head>` + "\n" + `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; `
	if page := got[index]; !strings.Contains(page, meta) || strings.Contains(page, "frame-ancestors") {
		t.Errorf("page: %.300s", page)
	}
	if strings.Contains(string(s.Assets[index].Data), "http-equiv") {
		t.Error("the site itself was changed")
	}
	if left := tree(t, filepath.Dir(dir)); len(left) != len(got) {
		t.Errorf("left files beside the site: %q", slices.Sorted(maps.Keys(left)))
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if bin, err := exec.LookPath("sha256sum"); err == nil {
		c := exec.Command(bin, "-c", "--strict", "--quiet", marker)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("sha256sum -c: %v\n%s", err, out)
		}
	}

	// What is loaded from there serves the same, and its export is the same.
	loaded, err := Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.Assets["assets/main-1.js"], loaded.Assets["assets/main-1.js"]
	if !bytes.Equal(a.Data, b.Data) || a.Type != b.Type || a.sum != b.sum || b.Brotli() == nil || b.Gzip() == nil {
		t.Error("what is loaded is not what was exported")
	}
	if !slices.Equal(s.Paths(), loaded.Paths()) {
		t.Errorf("loaded %q, want %q", loaded.Paths(), s.Paths())
	}
	again := filepath.Join(parent, "again")
	if err := loaded.Export(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(tree(t, again), got) {
		t.Error("the export of what was loaded differs")
	}
}

func TestExportReplaces(t *testing.T) {
	s, dir := small(t), filepath.Join(t.TempDir(), "site")
	if err := os.Mkdir(dir, 0o755); err != nil { // an empty folder is fine
		t.Fatal(err)
	}
	for _, name := range []string{"assets/old-1.js", "assets/new-1.js"} {
		s := &Site{Assets: maps.Clone(s.Assets)}
		if err := s.add(name, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := s.Export(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
	}
	got := tree(t, dir)
	_, old := got["assets/old-1.js"]
	if _, fresh := got["assets/new-1.js"]; old || !fresh {
		t.Errorf("holds %q", slices.Sorted(maps.Keys(got)))
	}
}

// A folder that is there stays the same one: it may be a mount point, or somebody else's to write to.
func TestExportKeepsFolder(t *testing.T) {
	s, dir := small(t), filepath.Join(t.TempDir(), "site")
	if err := errors.Join(os.Mkdir(dir, 0o750), os.Mkdir(filepath.Join(dir, "lost+found"), 0o700)); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Export(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(dir)
		if err != nil || !os.SameFile(before, now) || now.Mode() != before.Mode() {
			t.Errorf("the folder is another one: %v, %v", now.Mode(), err)
		}
		if got := tree(t, dir); got[index] == "" {
			t.Error("no page")
		}
	}
}

// What a kill leaves at any moment is an export, which serves the old page or the new one and is replaced by the next.
func TestExportKilled(t *testing.T) {
	older, newer := small(t), small(t)
	if err := errors.Join(older.add("assets/old-1.js", []byte("old")), newer.add("assets/new-1.js", []byte("new"))); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "site")
	if err := older.Export(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	// Killed while it wrote.
	if err := os.MkdirAll(filepath.Join(dir, staging+"123", "assets"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Failed, as killed, while it moved: a file cannot take the place of a folder.
	if err := os.MkdirAll(filepath.Join(dir, "assets", "new-1.js"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := newer.Export(context.Background(), dir); err == nil {
		t.Fatal("no error")
	}
	if got := tree(t, dir); got["assets/old-1.js"] != "old" || got[index] == "" {
		t.Errorf("the old page lacks something: %q", slices.Sorted(maps.Keys(got)))
	}
	if err := os.Remove(filepath.Join(dir, "assets", "new-1.js")); err != nil {
		t.Fatal(err)
	}
	if err := newer.Export(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	got := tree(t, dir)
	_, old := got["assets/old-1.js"]
	if names, err := readMarker(os.DirFS(dir)); err != nil || old || got["assets/new-1.js"] != "new" || len(names) != len(got)-1 {
		t.Errorf("%v, %q", err, slices.Sorted(maps.Keys(got)))
	}
	if es, err := filepath.Glob(filepath.Join(dir, staging+"*")); err != nil || len(es) > 0 {
		t.Errorf("left %q, %v", es, err)
	}
}

func TestExportRefuses(t *testing.T) {
	s := small(t)
	dir := t.TempDir()
	exported := func(name string) string {
		d := filepath.Join(dir, name)
		if err := s.Export(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	write := func(text string, parts ...string) {
		file := filepath.Join(parts...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("mine", dir, "foreign", "thesis.txt")
	write("file", dir, "file")
	write("mine", exported("with-git"), ".git", "HEAD")
	write("no list\n", exported("bad-marker"), marker)
	write(strings.Repeat("0", 64)+"  ../../thesis.txt\n", exported("outside"), marker)
	for name, want := range map[string]string{
		"foreign":    "is neither empty nor an earlier export",
		"file":       "not a directory",
		"file/below": "not a directory",
		"with-git":   "holds .git/HEAD, which no export put there",
		"bad-marker": marker + ":1: want a SHA-256",
		"outside":    marker + ":1: want a SHA-256",
	} {
		before := tree(t, dir)
		err := s.Export(context.Background(), filepath.Join(dir, filepath.FromSlash(name)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ...%s...", name, err, want)
		}
		if !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%s: something was changed", name)
		}
	}
}

// An export that fails in the middle leaves what was there, and nothing else.
func TestExportWholeOrNotAtAll(t *testing.T) {
	s, parent := small(t), t.TempDir()
	dir := filepath.Join(parent, "site")
	if err := s.Export(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	before := tree(t, parent)
	bad := &Site{Assets: maps.Clone(s.Assets)}
	if err := bad.add("assets/new-1.js", []byte("x")); err != nil {
		t.Fatal(err)
	}
	long := "assets/" + strings.Repeat("n", 300) + ".js" // longer than file systems take
	if err := bad.add(long, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := bad.Export(context.Background(), dir); err == nil {
		t.Fatal("no error")
	}
	if !maps.Equal(before, tree(t, parent)) {
		t.Errorf("left %q", slices.Sorted(maps.Keys(tree(t, parent))))
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := small(t).Export(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	if !maps.Equal(before, tree(t, parent)) {
		t.Error("a cancelled export changed something")
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(os.DirFS(t.TempDir())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want that there is no marker", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, marker), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "names no index.html") {
		t.Errorf("%v, want that there is no page", err)
	}
}
