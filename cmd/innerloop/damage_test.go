package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"innerloop/model"
	"innerloop/train"
)

// flipConfig is a run of which each command takes milliseconds. Its layer has a normaliser, so that there is a norms.log.
const flipConfig = `device = "cpu"
[model]
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
mini_batch_size = 8
variant = "video"
[data]
story_bytes = 3000
[train]
steps = 6
batch_size = 2
seq_len = 32
warmup_steps = 1
save_every = 1
save_seconds = 0
keep_checkpoints = 3
eval_every = 2
[sample]
tokens = 4
`

// flips is what TestBitFlips flips in: a stopped run, a state, and the exports of its model.
type flips struct {
	t         *testing.T
	dir       string
	untouched map[string]string // what each command says of whole files
}

// do runs a command and returns all that it computed, and what it said.
func (f *flips) do(args ...string) (result, stderr string, code int) {
	f.t.Helper()
	out, stderr, code := innerloop(args...)
	if code == exitInternal || strings.Contains(stderr, "goroutine ") {
		f.t.Fatalf("innerloop %s: exit code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return fmt.Sprint(code, " ", out), stderr, code
}

// commands are those that read a model, by name; each returns what it computed, files too, and what it said.
func (f *flips) commands(folder string) map[string]func() (result, stderr string) {
	at := func(name string) string { return filepath.Join(f.dir, name) }
	convert := func(command string) func() (string, string) {
		return func() (string, string) {
			to := at("out-" + command)
			defer os.RemoveAll(to) //nolint:errcheck // in a temporary folder
			result, stderr, code := f.do(command, "--model", at(folder), "--out", to)
			if code == exitOK {
				result += content(f.t, filepath.Join(to, model.WeightsFile)) + content(f.t, filepath.Join(to, model.ConfigFile))
			}
			return result, stderr
		}
	}
	plain := func(args ...string) func() (string, string) {
		return func() (string, string) {
			result, stderr, _ := f.do(args...)
			return result, stderr
		}
	}
	return map[string]func() (string, string){
		"eval":           plain("eval", "--model", at(folder), "--device", "cpu", "--json", "--all", "--seq-len", "32"),
		"generate":       plain("generate", "--model", at(folder), "--device", "cpu", "--prompt", "The", "--tokens", "4"),
		"generate state": plain("generate", "--model", at(folder), "--device", "cpu", "--state", at("state"), "--tokens", "4"),
		"export":         convert("export"),
		"import":         convert("import"),
		"diagnose":       plain("diagnose", at(folder), "--device", "cpu", "--json"),
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// resume goes on with a copy of the run to its end: the weights, and what was said.
func (f *flips) resume() (weights, stderr string) {
	f.t.Helper()
	to := filepath.Join(f.dir, "resumed")
	defer os.RemoveAll(to) //nolint:errcheck // in a temporary folder
	if err := os.CopyFS(to, os.DirFS(filepath.Join(f.dir, "run"))); err != nil {
		f.t.Fatal(err)
	}
	result, stderr, code := f.do("train", "--resume", to, "--quiet", "--no-sample")
	if code != exitOK {
		return result, stderr
	}
	return content(f.t, filepath.Join(to, model.WeightsFile)), stderr
}

// 500 bits, one at a time, in the weights, optimiser states, states, configurations and logs that a run's folder holds, in
// a state file, and in exports as one file and as shards: no command computes anything else than before without naming
// the file, and a run goes on to the same weights, from an older checkpoint where it must.
func TestBitFlips(t *testing.T) {
	f := &flips{t: t, dir: t.TempDir(), untouched: map[string]string{}}
	t.Chdir(f.dir)
	if err := os.WriteFile("c.toml", []byte(flipConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"train", "--config", "c.toml", "--out", "run", "--quiet", "--stop-after", "4"},
		{"generate", "--model", "run", "--device", "cpu", "--prompt", "The sea", "--tokens", "2", "--save-state", "state"},
		{"export", "--model", "run", "--out", "one"},
		{"export", "--model", "run", "--out", "shards"},
	} {
		if _, stderr, code := f.do(args...); code != exitOK || stderr != "" {
			t.Fatalf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	if err := intoShards("shards"); err != nil {
		t.Fatal(err)
	}
	folders := []string{"run", "one", "shards"}
	for _, folder := range folders {
		for name, command := range f.commands(folder) {
			result, stderr := command()
			if !strings.HasPrefix(result, "0 ") || stderr != "" {
				t.Fatalf("%s of whole files in %s: %.200s, %s", name, folder, result, stderr)
			}
			f.untouched[folder+" "+name] = result
		}
	}
	whole, said := f.resume()
	if said != "" || len(whole) < 100 {
		t.Fatalf("resume of whole files: %.200s, %s", whole, said)
	}
	var files []string
	for _, root := range append(folders, "state") {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			name := d.Name()
			if !d.IsDir() && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "events.") && name != train.ExitFile {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, need := range []string{"run/norms.log", "run/metrics.jsonl", "run/config.toml", "run/checkpoints/step-00000004/optimizer.safetensors", "shards/model.safetensors.index.json", "state"} {
		if !slices.Contains(files, filepath.FromSlash(need)) {
			t.Fatalf("no %s among %v", need, files)
		}
	}
	flipped, named, passed := 500, 0, 0
	if testing.Short() {
		flipped = 10
	}
	r := rand.New(rand.NewPCG(12, 500))
	for range flipped {
		path := files[r.IntN(len(files))]
		b := []byte(content(t, path))
		bit := r.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		folder, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		if folder == "state" {
			folder = "run"
		}
		what := fmt.Sprintf("bit %d of byte %d in %s", bit%8, bit/8, path)
		for name, command := range f.commands(folder) {
			result, stderr := command()
			// What is named may be passed over, with the same result, or not be read at all.
			if result != f.untouched[folder+" "+name] && !strings.Contains(stderr, filepath.Base(path)) {
				t.Errorf("%s: %s computes something else and names nothing: %s", what, name, stderr)
			}
			if stderr != "" {
				named++
			}
		}
		if folder == "run" {
			weights, stderr := f.resume()
			edited := path == filepath.Join("run", train.RunConfigFile) // is people's to edit: it counts, and is shown
			switch {
			case weights == whole && stderr != "":
				passed++
			case weights != whole && (!edited || !strings.Contains(stderr, train.RunConfigFile)):
				t.Errorf("%s: the run goes on to other weights, or not: %.200q, %s", what, weights, stderr)
			}
		}
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if named < flipped || passed < flipped/10 {
		t.Errorf("of %d flips, commands named something %d times, and %d were passed over by a run that went on", flipped, named, passed)
	}
}
