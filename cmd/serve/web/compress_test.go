package web

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// words is a text of about n bytes that better levels compress better.
func words(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString([]string{"the ", "rays ", "of ", "light ", "refrangible ", "\n"}[r.IntN(6)])
	}
	return b.Bytes()
}

// texts is a site of one text with a cache in dir.
func texts(t *testing.T, dir string, text []byte) (*Site, *Asset) {
	t.Helper()
	s := &Site{Assets: map[string]*Asset{}, cache: cache{dir, cacheLimit}}
	if err := s.add("assets/a.txt", text); err != nil {
		t.Fatal(err)
	}
	if err := s.quick(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, s.Assets["assets/a.txt"]
}

func TestCompress(t *testing.T) {
	dir, text := filepath.Join(t.TempDir(), "cache"), words(100_000)
	s, a := texts(t, dir, text)
	if a.forms().best {
		t.Fatal("an empty cache had it")
	}
	br, gz := len(a.Brotli()), len(a.Gzip())
	if err := s.Compress(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(a.Brotli()) >= br || len(a.Gzip()) > gz {
		t.Errorf("best: %d and %d bytes, quick: %d and %d", len(a.Brotli()), len(a.Gzip()), br, gz)
	}
	if !codingBrotli.holds(a.Brotli(), text) || !codingGzip.holds(a.Gzip(), text) {
		t.Error("the compressed forms hold something else")
	}
	_, b := texts(t, dir, text) // the next start
	if !b.forms().best || !bytes.Equal(b.Brotli(), a.Brotli()) || !bytes.Equal(b.Gzip(), a.Gzip()) {
		t.Error("the next start does not find it in the cache")
	}
	if _, c := texts(t, dir, text[1:]); c.forms().best {
		t.Error("another text has its form")
	}
}

// A damaged file of the cache is neither used nor kept.
func TestCompressDamagedCache(t *testing.T) {
	text, other := words(20_000), words(30_000)
	otherBr, err := codingBrotli.pack(context.Background(), other, 5)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"cut":        func(b []byte) []byte { return b[:len(b)/2] },
		"empty":      func([]byte) []byte { return nil },
		"flipped":    func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"garbage":    func([]byte) []byte { return []byte("garbage") },
		"other text": func([]byte) []byte { return otherBr },
	} {
		dir := t.TempDir()
		s, a := texts(t, dir, text)
		if err := s.Compress(context.Background()); err != nil {
			t.Fatal(err)
		}
		file := s.cache.path(a, &codingBrotli)
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, damage(bytes.Clone(good)), 0o644); err != nil {
			t.Fatal(err)
		}
		s, a = texts(t, dir, text)
		if a.forms().best || !codingBrotli.holds(a.Brotli(), text) {
			t.Errorf("%s: was used", name)
		}
		if err := s.Compress(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, good) {
			t.Errorf("%s: was not mended (%v)", name, err)
		}
	}
}

// A cache that cannot be written costs nothing but a line.
func TestCompressWithoutCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, a := texts(t, file, words(20_000))
	var said []string
	s.log = func(format string, _ ...any) { said = append(said, format) }
	if err := s.Compress(context.Background()); err != nil || !a.forms().best {
		t.Errorf("best %v, %v", a.forms().best, err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "cannot be kept") {
		t.Errorf("said %q, want one line", said)
	}
}

func TestCompressCancelled(t *testing.T) {
	s, a := texts(t, "", words(300_000))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Compress(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want that the deadline has passed", err)
	}
	if a.forms().best || a.Brotli() == nil {
		t.Error("the quick form is gone")
	}
}

// What few fetch keeps its quick forms, and gets the best ones where it has none.
func TestCompressRare(t *testing.T) {
	s, a := texts(t, "", words(20_000))
	a.rare = true
	if err := s.quick(context.Background()); err != nil {
		t.Fatal(err)
	}
	quick := a.Brotli()
	if err := s.Compress(context.Background()); err != nil || quick == nil || !bytes.Equal(a.Brotli(), quick) {
		t.Errorf("compressed anew: %v", err)
	}
	a.packed.Store(nil)
	if err := s.Compress(context.Background()); err != nil || !a.forms().best {
		t.Errorf("best %v, %v", a.forms().best, err)
	}
}

func TestCachePrune(t *testing.T) {
	c := cache{t.TempDir(), 250}
	for i, name := range []string{"new", "old", "oldest"} {
		file := filepath.Join(c.dir, name)
		if err := os.WriteFile(file, make([]byte, 100), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.prune(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(c.dir)
	if err != nil || len(left) != 2 || left[0].Name() != "new" || left[1].Name() != "old" {
		t.Errorf("left %v (%v), want new and old", left, err)
	}
}
