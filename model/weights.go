package model

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	path    string // of the one file, or of the index
	files   []*safetensors.File
	paths   []string             // of files
	tensors map[string]inWeights // by name, wrappers taken off
	wrapper string               // that was taken off the names; empty: none
}

// inWeights is where a tensor lies.
type inWeights struct {
	file *safetensors.File
	path string // of file
	name string // in file
}

// OpenWeights opens the weights at path: a safetensors file, an index of shards (a name that ends in .json), or a
// folder with model.safetensors or else model.safetensors.index.json in it. Every tensor of every shard must be where
// the index says, and every file that carries a check must pass it. What torch.compile and its like add to the names is
// taken off.
func OpenWeights(path string) (*Weights, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		dir := path
		path = filepath.Join(dir, WeightsFile)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if index := filepath.Join(dir, IndexFile); exists(index) {
				path = index
			} else if err := pickled(dir); err != nil {
				return nil, err
			}
		}
	}
	w := &Weights{path: path, tensors: map[string]inWeights{}}
	err := w.open()
	if err == nil {
		err = w.unwrap()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// pickledFiles are weights as PyTorch alone reads them.
var pickledFiles = []string{"pytorch_model.bin", "pytorch_model.bin.index.json"}

// pickled says what to do with a folder that has weights only as PyTorch pickles them; nil: it has none of that kind.
func pickled(dir string) error {
	for _, name := range pickledFiles {
		if exists(filepath.Join(dir, name)) {
			return fmt.Errorf("model: %s: its weights are in %s, a pickle, which can run any program and is not read here: write them as %s in Python, "+
				"TTTForCausalLM.from_pretrained(%q).save_pretrained(\"NEW\", safe_serialization=True), and take the folder NEW", dir, name, WeightsFile, dir)
		}
	}
	return nil
}

func (w *Weights) open() error {
	if strings.HasSuffix(w.path, ".json") {
		return w.openShards()
	}
	f, err := safetensors.Open(w.path)
	if err != nil {
		return err
	}
	w.add(f, w.path)
	return nil
}

func (w *Weights) add(f *safetensors.File, path string) {
	w.files, w.paths = append(w.files, f), append(w.paths, path)
	for _, n := range f.Names() {
		w.tensors[n] = inWeights{f, path, n}
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
		w.add(f, path)
		for _, n := range f.Names() {
			switch want, ok := index[n]; {
			case !ok:
				return fmt.Errorf("model: %s: tensor %.80q is in shard %q, but not in the index", w.path, n, s)
			case want != s:
				return fmt.Errorf("model: %s: tensor %.80q is in shard %q, want it in %q only", w.path, n, s, want)
			}
		}
	}
	var missing []string
	for n := range index {
		if _, ok := w.tensors[n]; !ok {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		n := slices.Min(missing)
		return fmt.Errorf("model: %s: tensor %.80q is not in shard %q", w.path, n, index[n])
	}
	return nil
}

// wrappers are the modules that PyTorch puts around others, by the names that tensors get from them.
var wrappers = []string{"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

// unwrap takes the wrappers' names off those of the tensors, and the first part, "module", where all have it.
func (w *Weights) unwrap() error {
	all := len(w.tensors) > 0
	for n := range w.tensors {
		rest := n
		for _, p := range wrappers {
			rest = strings.TrimPrefix(rest, p+".")
		}
		all = all && strings.HasPrefix(rest, "module.")
	}
	tensors := make(map[string]inWeights, len(w.tensors))
	for _, n := range w.Names() {
		parts := slices.DeleteFunc(strings.Split(n, "."), func(part string) bool {
			is := slices.Contains(wrappers, part)
			if is {
				w.wrapper = part
			}
			return is
		})
		if all && parts[0] == "module" {
			parts, w.wrapper = parts[1:], "module"
		}
		name := strings.Join(parts, ".")
		if old, ok := tensors[name]; ok {
			return fmt.Errorf("model: %s: the tensors %.80q and %.80q are both the parameter %.80q", w.path, old.name, n, name)
		}
		tensors[name] = w.tensors[n]
	}
	w.tensors = tensors
	return nil
}

// Names lists the tensors, sorted.
func (w *Weights) Names() []string {
	return slices.Sorted(maps.Keys(w.tensors))
}

// Info describes a tensor; ok is false where there is none of that name.
func (w *Weights) Info(name string) (info safetensors.Info, ok bool) {
	t, ok := w.tensors[name]
	if !ok {
		return safetensors.Info{}, false
	}
	return t.file.Info(t.name)
}

// Float32 reads a tensor of F32, F16, BF16 or F64, row major.
func (w *Weights) Float32(name string) ([]float32, error) {
	t, ok := w.tensors[name]
	if !ok {
		return nil, fmt.Errorf("model: %s: no tensor %.80q", w.path, name)
	}
	return t.file.Float32(t.name)
}

// at is the path of the file that holds a tensor.
func (w *Weights) at(name string) string { return w.tensors[name].path }

// Checked says whether every file carried its own check, which it then has passed.
func (w *Weights) Checked() bool {
	return !slices.ContainsFunc(w.files, func(f *safetensors.File) bool { return !f.Checked() })
}

// Close releases the files.
func (w *Weights) Close() {
	for _, f := range w.files {
		f.Close()
	}
}

// notes are what a person should know who reads these weights together with the config.json that is given.
func (w *Weights) notes(dir string, config []byte) (notes []string) {
	var unchecked []string
	for i, f := range w.files {
		if !f.Checked() {
			unchecked = append(unchecked, w.paths[i])
		}
	}
	if n := len(unchecked); n > 0 {
		who, has := unchecked[0], "has"
		if n > 1 {
			who, has = fmt.Sprintf("%s and %d other files", who, n-1), "have"
		}
		notes = append(notes, fmt.Sprintf("%s %s no checksum, as files of other programs and of older versions: read as it is, damage would not be seen", who, has))
	}
	if w.wrapper != "" {
		notes = append(notes, fmt.Sprintf("%s: its tensors' names have %q in them, which PyTorch adds to a wrapped model: read without it", w.path, w.wrapper))
	}
	if changed := w.edited(dir, config); changed != "" {
		notes = append(notes, changed)
	}
	return notes
}

// edited says in what the config.json that is given is not the one that the weights were written with; empty: it is, or
// they do not tell.
func (w *Weights) edited(dir string, config []byte) string {
	for _, f := range w.files {
		if was, ok := f.Metadata()[configMeta]; ok && was != string(config) {
			return fmt.Sprintf("%s was changed since the weights were written: %s", filepath.Join(dir, ConfigFile), configDifference([]byte(was), config))
		}
	}
	return ""
}

// checkFor reports the first thing that keeps w from being the parameters of p: all of them in their shapes and of a
// floating-point type, and nothing else. Where the head is tied, a copy of it is accepted if it equals the embedding.
func (w *Weights) checkFor(p *Params) error {
	const head = "lm_head.weight"
	tied := p.Config.TieWordEmbeddings
	for _, n := range w.Names() {
		if p.Lookup(n) == nil && (n != head || !tied) {
			return fmt.Errorf("model: %s: tensor %.80q is no parameter of the configuration", w.at(n), n)
		}
	}
	check := func(n string, shape []int) error {
		info, ok := w.Info(n)
		if !ok {
			return fmt.Errorf("model: %s: parameter %q is missing", w.path, n)
		}
		if !slices.Equal(info.Shape, shape) {
			return fmt.Errorf("model: %s: parameter %q has shape %v, want %v", w.at(n), n, info.Shape, shape)
		}
		switch info.DType {
		case safetensors.F32, safetensors.F16, safetensors.BF16, safetensors.F64:
			return nil
		default:
			return fmt.Errorf("model: %s: parameter %q has dtype %s, want F32, F16 or BF16", w.at(n), n, info.DType)
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
		return fmt.Errorf("model: %s: %s differs from %s, but the configuration ties them", w.at(head), head, p.embed.Name())
	}
	return nil
}
