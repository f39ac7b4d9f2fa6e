// Package web builds the page of innerloop (its WebAssembly, scripts, styles and texts), serves it to browsers, and
// writes it as a static site.
package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
)

// Site is the whole page in memory.
type Site struct {
	// Assets are the files by path, without a slash at the start: index.html, and under assets/ what it loads.
	// They are not to be changed.
	Assets map[string]*Asset

	cache cache
	log   func(format string, a ...any) // nil: none
}

// Asset is one file of a Site.
type Asset struct {
	Type string // of the content, as HTTP names it
	Data []byte

	rare   bool   // few fetch it: it is not worth half a minute of compression
	sum    string // SHA-256 of Data in hexadecimal
	packed atomic.Pointer[packed]
}

// packed is Data compressed. A form that is no smaller than Data is nil.
type packed struct {
	br, gz []byte
	best   bool // at the best levels
}

const (
	index  = "index.html"
	bench  = "bench.html"
	folder = "assets/" // of the files that are named by their content
)

// types are the kinds of files that a page may consist of, by the end of their names.
var types = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".json":  "application/json",
	".txt":   "text/plain; charset=utf-8",
	".wasm":  "application/wasm",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".ico":   "image/x-icon",
	".woff2": "font/woff2",
}

// add puts a file into the site, compressed quickly or, where the cache knows it, best.
func (s *Site) add(name string, data []byte) error {
	kind, ok := types[path.Ext(name)]
	if !ok {
		ends := slices.Sorted(maps.Keys(types))
		return fmt.Errorf("%s: no kind of file that a page may have: want one of %s", name, strings.Join(ends, " "))
	}
	sum := sha256.Sum256(data)
	s.Assets[name] = &Asset{Type: kind, Data: data, sum: hex.EncodeToString(sum[:])}
	return nil
}

// addHashed adds data as a file whose name changes with its content, and returns that name.
func (s *Site) addHashed(name string, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	name = fmt.Sprintf("%s%s-%s%s", folder, strings.TrimSuffix(path.Base(name), ext), hex.EncodeToString(sum[:5]), ext)
	return name, s.add(name, data)
}

// Paths are the paths of all files in order.
func (s *Site) Paths() []string { return slices.Sorted(maps.Keys(s.Assets)) }

// Brotli is the asset's content compressed so, or nil where that is no smaller. It changes once, when Compress has
// found a smaller form.
func (a *Asset) Brotli() []byte { return a.forms().br }

// Gzip is like Brotli.
func (a *Asset) Gzip() []byte { return a.forms().gz }

func (a *Asset) forms() *packed { return cmp.Or(a.packed.Load(), &packed{}) }

// immutable says whether the content of that name never changes.
func immutable(name string) bool { return strings.HasPrefix(name, folder) }

// policy is the site's Content-Security-Policy, without what only a header may say.
func (s *Site) policy() string {
	p := "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; " +
		"img-src 'self' data: blob:; worker-src 'self'; base-uri 'none'; form-action 'none'"
	for name := range s.Assets {
		if strings.HasSuffix(name, ".woff2") {
			return p + "; font-src 'self'"
		}
	}
	return p
}

// Load reads a site that Export wrote.
func Load(from fs.FS) (*Site, error) {
	names, err := readMarker(from)
	if err != nil {
		return nil, err
	}
	s := &Site{Assets: map[string]*Asset{}}
	sibling := map[string][]byte{}
	for _, name := range names {
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		if ext := path.Ext(name); ext == ".br" || ext == ".gz" {
			sibling[name] = data
			continue
		}
		if err := s.add(name, data); err != nil {
			return nil, err
		}
	}
	if s.Assets[index] == nil {
		return nil, fmt.Errorf("%s: names no %s", marker, index)
	}
	for name, a := range s.Assets {
		a.packed.Store(&packed{sibling[name+".br"], sibling[name+".gz"], true})
	}
	return s, nil
}
