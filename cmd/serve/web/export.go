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
)

// marker is the file that makes a folder known for an export: a line "SHA-256  path" for each of its other files, as
// sha256sum reads.
const marker = ".innerloop-export"

// Export writes the site to the folder dir, all files or none, best compressed: beside FILE lie FILE.br and FILE.gz where
// they are smaller, for servers that send such. An earlier export there is replaced; a folder that holds anything else is
// refused. The page carries its policy itself, but for what only a header may say.
func (s *Site) Export(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	if err := replaceable(dir); err != nil {
		return err
	}
	files, err := s.files(ctx)
	if err != nil {
		return err
	}

	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // an empty folder, or what could not be removed
	fresh, old := filepath.Join(tmp, "new"), filepath.Join(tmp, "old")
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
	err = os.Rename(dir, old)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, restore(old, dir))
	}
	return nil
}

// restore moves an earlier export back to its place, if there was one.
func restore(old, dir string) error {
	err := os.Rename(old, dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
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
	case len(entries) == 0:
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
		if err != nil || d.IsDir() || name == marker || slices.Contains(names, name) {
			return err
		}
		return fmt.Errorf("%s holds %s, which no export put there: move it away first", dir, name)
	})
}
