package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
)

// piece is how much is compressed between two looks at the context.
const piece = 128 << 10

// coding is a way to compress.
type coding struct {
	ext         string
	quick, best int // levels
	writer      func(w io.Writer, level, size int) (io.WriteCloser, error)
	reader      func(r io.Reader) (io.Reader, error)
}

var (
	codingBrotli = coding{".br", 5, 11,
		// The window spans the content, up to 16 MiB, the most that browsers take.
		func(w io.Writer, level, size int) (io.WriteCloser, error) {
			return brotli.NewWriterOptions(w, brotli.WriterOptions{Quality: level, LGWin: min(max(bits.Len(uint(size)), 16), 24)}), nil
		},
		func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }}
	codingGzip = coding{".gz", 6, 9,
		func(w io.Writer, level, _ int) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, level) },
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }}
)

// pack compresses data, or returns nil where that does not shrink it.
func (c *coding) pack(ctx context.Context, data []byte, level int) ([]byte, error) {
	var out bytes.Buffer
	w, err := c.writer(&out, level, len(data))
	if err != nil {
		return nil, err
	}
	for p := range slices.Chunk(data, piece) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := w.Write(p); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Len() >= len(data) {
		return nil, nil
	}
	return out.Bytes(), nil
}

// holds says whether packed is data compressed.
func (c *coding) holds(packed, data []byte) bool {
	r, err := c.reader(bytes.NewReader(packed))
	if err != nil {
		return false
	}
	got, err := io.ReadAll(io.LimitReader(r, int64(len(data))+1))
	return err == nil && bytes.Equal(got, data)
}

// each calls f for every asset, as many at once as there are processors, the largest first.
func (s *Site) each(f func(a *Asset) error) error {
	names := s.Paths()
	slices.SortStableFunc(names, func(x, y string) int { return len(s.Assets[y].Data) - len(s.Assets[x].Data) })
	var group sync.WaitGroup
	errs := make([]error, len(names))
	free := make(chan bool, runtime.GOMAXPROCS(0))
	for i, name := range names {
		free <- true
		group.Go(func() {
			errs[i] = f(s.Assets[name])
			<-free
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// quick compresses every asset in a moment, or takes its best form from the cache.
func (s *Site) quick(ctx context.Context) error {
	return s.each(func(a *Asset) error {
		if br, gz := s.cache.get(a, &codingBrotli), s.cache.get(a, &codingGzip); br != nil && gz != nil {
			a.packed.Store(&packed{br, gz, true})
			return nil
		}
		br, err := codingBrotli.pack(ctx, a.Data, codingBrotli.quick)
		if err != nil {
			return err
		}
		gz, err := codingGzip.pack(ctx, a.Data, codingGzip.quick)
		a.packed.Store(&packed{br: br, gz: gz})
		return err
	})
}

// Compress gives every asset its smallest compressed forms; for WebAssembly of some megabytes that takes half a minute,
// unless the cache holds them. What few fetch keeps its quick forms. Handlers serve the new forms as they come. Nothing
// fails but by ctx: a cache that cannot be written is told to Options.Log. A Site must not be compressed twice at once.
func (s *Site) Compress(ctx context.Context) error {
	var once sync.Once
	warn := func(err error) {
		if err != nil && s.log != nil {
			once.Do(func() { s.log("what was compressed cannot be kept for the next start: %v", err) })
		}
	}
	err := s.each(func(a *Asset) error {
		if a.forms().best || a.rare && a.packed.Load() != nil {
			return nil
		}
		br, err := codingBrotli.pack(ctx, a.Data, codingBrotli.best)
		if err != nil {
			return err
		}
		gz, err := codingGzip.pack(ctx, a.Data, codingGzip.best)
		if err != nil {
			return err
		}
		a.packed.Store(&packed{br, gz, true})
		warn(errors.Join(s.cache.put(a, &codingBrotli, br), s.cache.put(a, &codingGzip, gz)))
		return nil
	})
	if err == nil {
		warn(s.cache.prune())
	}
	return err
}

// cache is a folder of compressed files, each named by the SHA-256 of what it holds; empty: none.
type cache struct {
	dir   string
	limit int64 // bytes of all files
}

const (
	cacheLimit = 64 << 20
	// cacheLeast is the size of content that is worth a file: less compresses at once.
	cacheLeast = 16 << 10
)

func (c cache) path(a *Asset, k *coding) string { return filepath.Join(c.dir, a.sum+k.ext) }

// get returns a's compressed form, or nil. A file that does not hold a's content, damaged as it may be, is no hit: what
// is returned was decompressed and compared.
func (c cache) get(a *Asset, k *coding) []byte {
	if c.dir == "" || len(a.Data) < cacheLeast {
		return nil
	}
	b, err := os.ReadFile(c.path(a, k))
	if err != nil || !k.holds(b, a.Data) {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(c.path(a, k), now, now) // prune goes by it; a cache that cannot be written is not pruned
	return b
}

// put keeps a's compressed form for later runs.
func (c cache) put(a *Asset, k *coding, b []byte) error {
	if c.dir == "" || len(a.Data) < cacheLeast || b == nil {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the renaming
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.path(a, k))
}

// prune removes the files that were not used for the longest, until the rest is within the limit.
func (c cache) prune() error {
	if c.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var files []os.FileInfo
	for _, e := range entries {
		if f, err := e.Info(); err == nil && f.Mode().IsRegular() {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(x, y os.FileInfo) int { return y.ModTime().Compare(x.ModTime()) })
	var size int64
	for _, f := range files {
		if size += f.Size(); size > c.limit {
			if e := os.Remove(filepath.Join(c.dir, f.Name())); !errors.Is(e, os.ErrNotExist) { // else another process was first
				err = errors.Join(err, e)
			}
		}
	}
	return err
}
