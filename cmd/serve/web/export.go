package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"innerloop/internal/symlink"
)

// marker is the file that makes a folder known for an export: a line "SHA-256  path" for each of its other files, as
// sha256sum reads.
const marker = ".innerloop-export"

// staging is how the hidden folders begin in which an export is written before its files get their places.
const staging = ".innerloop-export-"

// Export writes the site to the folder dir, best compressed: beside FILE lie FILE.br and FILE.gz where they are smaller, for
// servers that send such. A folder that is there stays the same one, with its owner and rights, be it a mount point: an
// earlier export in it is replaced file by file, the pages last, so that whoever asks meanwhile, and whoever finds what a
// kill left, has the earlier site or this one. A folder that holds anything else is refused. The page carries its policy
// itself, but for what only a header may say.
func (s *Site) Export(ctx context.Context, dir string) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	if err := errors.Join(symlink.Dangling(dir), replaceable(dir)); err != nil {
		return err
	}
	files, err := s.files(ctx)
	if err != nil {
		return err
	}

	_, none := os.Stat(dir)
	in := dir
	if none != nil { // it comes into being whole
		in = filepath.Dir(dir)
		if err := os.MkdirAll(in, 0o755); err != nil {
			return err
		}
	}
	fresh, err := os.MkdirTemp(in, staging+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // an empty folder, or what could not be removed
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(fresh, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(ctx.Err(), replaceable(dir)); err != nil { // again: it took a while
		return err
	}
	if none != nil {
		return os.Rename(fresh, dir)
	}
	return replace(dir, fresh, files)
}

// replace moves the files of an export from the folder fresh, which lies in dir, to dir, in the place of an earlier one's.
func replace(dir, fresh string, files map[string][]byte) error {
	old, err := readMarker(os.DirFS(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// While both sites' files lie there, the marker knows both: what a kill leaves is an export still.
	both := bytes.Clone(files[marker])
	var gone []string
	for _, name := range old {
		if _, ok := files[name]; !ok {
			gone = append(gone, name)
			both = fmt.Appendf(both, "%x  %s\n", sha256.Sum256(nil), name)
		}
	}
	if err := os.WriteFile(filepath.Join(fresh, "both"), both, 0o644); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(fresh, "both"), filepath.Join(dir, marker)); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	isPage := func(name string) bool { return strings.Contains(path.Base(name), ".html") }
	slices.SortStableFunc(names, func(a, b string) int { // what pages ask for before them, and the marker at the end
		return rank(a == marker, isPage(a)) - rank(b == marker, isPage(b))
	})
	for _, name := range names {
		if name == marker {
			for _, old := range gone {
				if err := os.Remove(filepath.Join(dir, filepath.FromSlash(old))); err != nil && !errors.Is(err, os.ErrNotExist) {
					return err
				}
			}
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(fresh, filepath.FromSlash(name)), to); err != nil {
			return err
		}
	}
	return cleanStaging(dir)
}

func rank(last, late bool) int {
	switch {
	case last:
		return 2
	case late:
		return 1
	}
	return 0
}

// cleanStaging removes what exports that were killed left in dir.
func cleanStaging(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), staging) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// files are those of an export, by path.
func (s *Site) files(ctx context.Context) (map[string][]byte, error) {
	out := &Site{Assets: maps.Clone(s.Assets), cache: s.cache, log: s.log}
	for name, a := range s.Assets {
		if path.Ext(name) != ".html" {
			continue
		}
		page, err := withPolicy(name, a.Data, s.policy())
		if err != nil {
			return nil, err
		}
		if err := out.add(name, page); err != nil {
			return nil, err
		}
	}
	if err := out.Compress(ctx); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, a := range out.Assets {
		files[name] = a.Data
		for ext, b := range map[string][]byte{".br": a.Brotli(), ".gz": a.Gzip()} {
			if b != nil {
				files[name+ext] = b
			}
		}
	}
	var sums bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	files[marker] = sums.Bytes()
	return files, nil
}

// readMarker returns the paths that the marker of an export lists.
func readMarker(dir fs.FS) ([]string, error) {
	text, err := fs.ReadFile(dir, marker)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || len(sum) != 2*sha256.Size || !fs.ValidPath(name) {
			return nil, fmt.Errorf("%s:%d: want a SHA-256, two spaces and a path", marker, len(names)+1)
		}
		names = append(names, name)
	}
	return names, nil
}

// replaceable refuses a folder with anything in it that no export put there.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	entries = slices.DeleteFunc(entries, passedOver)
	if len(entries) == 0 {
		return nil
	}
	fsys := os.DirFS(dir)
	names, err := readMarker(fsys)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is neither empty nor an earlier export: choose another folder, or empty it", dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && passedOver(d) && path.Dir(name) == "." {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || name == marker || slices.Contains(names, name) {
			return err
		}
		return fmt.Errorf("%s holds %s, which no export put there: move it away first", dir, name)
	})
}

// passedOver says whether something in a folder that is exported to is in nobody's way: what a killed export left, and the
// folder that a file system has of its own at its root.
func passedOver(e fs.DirEntry) bool {
	return e.IsDir() && (strings.HasPrefix(e.Name(), staging) || e.Name() == "lost+found")
}
