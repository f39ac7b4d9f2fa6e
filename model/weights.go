package model

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"innerloop/model/safetensors"
)

// IndexFile names the shards of a checkpoint whose weights are in several files, as the Hugging Face libraries name it.
const IndexFile = WeightsFile + ".index.json"

// mostShards bounds the files that an index may make us open.
const mostShards = 512

// ParseIndex reads a model.safetensors.index.json: which file holds each tensor. Shards are plain names of .safetensors
// files beside the index; anything else is an error. name is the file's, for errors.
func ParseIndex(name string, b []byte) (map[string]string, error) {
	fail := func(format string, a ...any) (map[string]string, error) {
		return nil, fmt.Errorf("model: %s: %w", name, fmt.Errorf(format, a...))
	}
	var tensors map[string]string
	shards := map[string]bool{}
	err := eachMember(b, func(key string, value jsontext.Value) error {
		if key != "weight_map" {
			return nil
		}
		if value.Kind() != '{' {
			return fmt.Errorf("weight_map: got %s, want an object", brief(value))
		}
		tensors = map[string]string{}
		return eachMember(value, func(tensor string, v jsontext.Value) error {
			if v.Kind() != '"' {
				return fmt.Errorf("weight_map: %.80q: got %s, want a file's name", tensor, brief(v))
			}
			text, err := jsontext.AppendUnquote(nil, []byte(v))
			if err != nil {
				return fmt.Errorf("weight_map: %.80q: %w", tensor, err)
			}
			file := string(text)
			// The same names on every system: none that is a path somewhere.
			if strings.ContainsAny(file, `/\:`) || !filepath.IsLocal(file) || !strings.HasSuffix(file, ".safetensors") || strings.IndexFunc(file, func(r rune) bool { return r < ' ' }) >= 0 {
				return fmt.Errorf("weight_map: %.80q: got %.80q, want the plain name of a .safetensors file beside the index", tensor, file)
			}
			if shards[file] = true; len(shards) > mostShards {
				return fmt.Errorf("weight_map: more than %d files", mostShards)
			}
			tensors[tensor] = file
			return nil
		})
	})
	if err != nil {
		return fail("%w", err)
	}
	if tensors == nil {
		return fail("no weight_map")
	}
	return tensors, nil
}

// Weights are the tensors of a checkpoint, in one file or in the shards of an index. Headers are in memory, data is
// read on demand.
type Weights struct {
	path  string // of the one file, or of the index
	files []*safetensors.File
	where map[string]*safetensors.File
	at    map[string]string // the file that holds a tensor
}

// OpenWeights opens the weights at path: a safetensors file, an index of shards (a name that ends in .json), or a
// folder with model.safetensors or else model.safetensors.index.json in it. Every tensor of every shard must be where
// the index says.
func OpenWeights(path string) (*Weights, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		dir := path
		path = filepath.Join(dir, WeightsFile)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if index := filepath.Join(dir, IndexFile); exists(index) {
				path = index
			}
		}
	}
	w := &Weights{path: path, where: map[string]*safetensors.File{}, at: map[string]string{}}
	if !strings.HasSuffix(path, ".json") {
		f, err := safetensors.Open(path)
		if err != nil {
			return nil, err
		}
		w.add(f, path)
		return w, nil
	}
	if err := w.openShards(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func (w *Weights) add(f *safetensors.File, path string) {
	w.files = append(w.files, f)
	for _, n := range f.Names() {
		w.where[n], w.at[n] = f, path
	}
}

func (w *Weights) openShards() error {
	b, err := readJSON(w.path)
	if err != nil {
		return err
	}
	index, err := ParseIndex(w.path, b)
	if err != nil {
		return err
	}
	var shards []string
	for _, s := range index {
		shards = append(shards, s)
	}
	slices.Sort(shards)
	for _, s := range slices.Compact(shards) {
		path := filepath.Join(filepath.Dir(w.path), s)
		f, err := safetensors.Open(path)
		if err != nil {
			return fmt.Errorf("model: %s: shard %q: %w", w.path, s, err)
		}
		w.files = append(w.files, f)
		for _, n := range f.Names() {
			switch want, ok := index[n]; {
			case !ok:
				return fmt.Errorf("model: %s: tensor %.80q is in shard %q, but not in the index", w.path, n, s)
			case want != s:
				return fmt.Errorf("model: %s: tensor %.80q is in shard %q, want it in %q only", w.path, n, s, want)
			}
			w.where[n], w.at[n] = f, path
		}
	}
	var missing []string
	for n := range index {
		if w.where[n] == nil {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		n := slices.Min(missing)
		return fmt.Errorf("model: %s: tensor %.80q is not in shard %q", w.path, n, index[n])
	}
	return nil
}

// Names lists the tensors, sorted.
func (w *Weights) Names() []string {
	names := make([]string, 0, len(w.where))
	for n := range w.where {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Info describes a tensor; ok is false where there is none of that name.
func (w *Weights) Info(name string) (info safetensors.Info, ok bool) {
	f := w.where[name]
	if f == nil {
		return safetensors.Info{}, false
	}
	return f.Info(name)
}

// Float32 reads a tensor of F32, F16, BF16 or F64, row major.
func (w *Weights) Float32(name string) ([]float32, error) {
	f := w.where[name]
	if f == nil {
		return nil, fmt.Errorf("model: %s: no tensor %.80q", w.path, name)
	}
	return f.Float32(name)
}

// Close releases the files.
func (w *Weights) Close() {
	for _, f := range w.files {
		f.Close()
	}
}

// checkFor reports the first thing that keeps w from being the parameters of p: all of them in their shapes and of a
// floating-point type, and nothing else. Where the head is tied, a copy of it is accepted if it equals the embedding.
func (w *Weights) checkFor(p *Params) error {
	const head = "lm_head.weight"
	tied := p.Config.TieWordEmbeddings
	for _, n := range w.Names() {
		if p.Lookup(n) == nil && (n != head || !tied) {
			return fmt.Errorf("model: %s: tensor %.80q is no parameter of the configuration", w.at[n], n)
		}
	}
	check := func(n string, shape []int) error {
		info, ok := w.Info(n)
		if !ok {
			return fmt.Errorf("model: %s: parameter %q is missing", w.path, n)
		}
		if !slices.Equal(info.Shape, shape) {
			return fmt.Errorf("model: %s: parameter %q has shape %v, want %v", w.at[n], n, info.Shape, shape)
		}
		switch info.DType {
		case safetensors.F32, safetensors.F16, safetensors.BF16, safetensors.F64:
			return nil
		default:
			return fmt.Errorf("model: %s: parameter %q has dtype %s, want F32, F16 or BF16", w.at[n], n, info.DType)
		}
	}
	for _, n := range p.names {
		if err := check(n, p.Lookup(n).Shape()); err != nil {
			return err
		}
	}
	if _, ok := w.Info(head); !ok || !tied {
		return nil
	}
	if err := check(head, p.embed.Shape()); err != nil {
		return err
	}
	a, err := w.Float32(head)
	if err != nil {
		return err
	}
	b, err := w.Float32(p.embed.Name())
	if err != nil {
		return err
	}
	if !slices.EqualFunc(a, b, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
		return fmt.Errorf("model: %s: %s differs from %s, but the configuration ties them", w.at[head], head, p.embed.Name())
	}
	return nil
}
