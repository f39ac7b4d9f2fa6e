package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"innerloop/model"
	"innerloop/model/safetensors"
)

// raw is a safetensors file with a header as it stands and n bytes of data.
func raw(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

// hostileFiles are weights that nobody should send, by name.
var hostileFiles = map[string]func() []byte{
	"header-100MB": func() []byte { // of which not one tensor is right
		entry := `"%08d":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},`
		b := make([]byte, 0, 99_000_100)
		for i := 0; len(b) < 99_000_000; i++ {
			b = fmt.Appendf(b, entry, i)
		}
		return raw("{"+string(b[:len(b)-1])+"}", 4)
	},
	"header-spaces": func() []byte { return raw("{"+strings.Repeat(" ", 99_999_998), 0) },
	"header-lies":   func() []byte { return append([]byte{0xff, 0xff, 0xff, 5, 0, 0, 0, 0}, "{}"...) },
	"header-nested": func() []byte { return raw(`{"a":`+strings.Repeat("[", 1_000_000), 0) },
	"overlap":       func() []byte { return raw(entries(`"F32","shape":[2]`, [][2]int{{0, 8}, {4, 12}}), 12) },
	"beyond":        func() []byte { return raw(entries(`"F32","shape":[2]`, [][2]int{{0, 8}, {8, 16}}), 12) },
	"beyond-int64": func() []byte {
		return raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808]}}`, 4)
	},
	"shape-overflow": func() []byte {
		return raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`, 4)
	},
	"shape-huge": func() []byte {
		return raw(`{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}`, 4)
	},
	"shape-NaN":        func() []byte { return raw(`{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}`, 4) },
	"shape-fractional": func() []byte { return raw(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4) },
	"shape-exponent":   func() []byte { return raw(`{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}`, 4) },
	"shape-negative":   func() []byte { return raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4) },
	"duplicate": func() []byte {
		return raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)
	},
	"newline": func() []byte { return raw(`{"a\nb\u001b[31m":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4) },
	"long-name": func() []byte {
		return raw(`{"`+strings.Repeat("a", 1_000_000)+`":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4)
	},
	"pickle": func() []byte { return []byte("\x80\x02}q\x00(X\x06\x00\x00\x00weightq\x01") },
}

func entries(what string, offsets [][2]int) string {
	var es []string
	for i, o := range offsets {
		es = append(es, fmt.Sprintf(`"%c":{"dtype":%s,"data_offsets":[%d,%d]}`, 'a'+i, what, o[0], o[1]))
	}
	return "{" + strings.Join(es, ",") + "}"
}

// hostile CONFIG MODEL: for each of hostileFiles, a folder of its weights with that config.json is refused by export,
// generate and as a state: exit code 3, one line of no more than 400 bytes, within a memory that ulimit -v bounds.
func hostile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hostile CONFIG MODEL")
	}
	dir := ts.MkAbs("hostile")
	ts.Check(os.Mkdir(dir, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dir, model.ConfigFile), []byte(ts.ReadFile(args[0])), 0o644))
	for _, name := range slices.Sorted(maps.Keys(hostileFiles)) {
		weights := filepath.Join(dir, model.WeightsFile)
		ts.Check(os.WriteFile(weights, hostileFiles[name](), 0o644))
		commands := []string{
			"export --model hostile --out out", "generate --device cpu --model " + args[1] + " --state hostile/model.safetensors", "import --model hostile --out out",
			"generate --device cpu --model hostile --prompt x", "eval --device cpu --model hostile --all --data " + args[0],
		}
		if st, err := os.Stat(weights); err == nil && st.Size() > 1<<24 {
			commands = commands[:1] // they take a while
		}
		for _, command := range commands {
			ts.Logf("%s: %s", name, command)
			exits(ts, false, []string{"3", "sh", "-c", "ulimit -v 3000000; exec innerloop " + command})
			if line := ts.ReadFile("stderr"); len(line) > 400 || !strings.Contains(line, "hostile/model.safetensors") || strings.ContainsRune(line, 0x1b) {
				ts.Fatalf("%s: %d bytes of error: %.400q", name, len(line), line)
			}
			if _, err := os.Lstat(ts.MkAbs("out")); err == nil {
				ts.Fatalf("%s: %s left a folder", name, command)
			}
		}
	}
	ts.Check(os.RemoveAll(dir))
}

// retype FILE DTYPE: rewrites every tensor of a safetensors file as F16, BF16, F64, or as I64 without its values.
func retype(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: retype FILE DTYPE")
	}
	rewrite(ts, args[0], func(f *safetensors.File, name string) (safetensors.Tensor, error) {
		info, _ := f.Info(name)
		v, err := f.Float32(name)
		if err != nil {
			return safetensors.Tensor{}, err
		}
		if args[1] == "I64" {
			return safetensors.Int64(name, info.Shape, make([]int64, len(v))), nil
		}
		return safetensors.Float32As(safetensors.DType(args[1]), name, info.Shape, v)
	})
}

func rewrite(ts *testscript.TestScript, path string, change func(f *safetensors.File, name string) (safetensors.Tensor, error)) {
	f, err := safetensors.Open(ts.MkAbs(path))
	ts.Check(err)
	defer f.Close()
	var out []safetensors.Tensor
	for _, n := range f.Names() {
		t, err := change(f, n)
		ts.Check(err)
		out = append(out, t)
	}
	ts.Check(safetensors.WriteFile(ts.MkAbs(path), f.Metadata(), out))
}

// shard DIR: cuts DIR/model.safetensors into two shards and an index.
func shard(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shard DIR")
	}
	ts.Check(intoShards(ts.MkAbs(args[0])))
}

// intoShards cuts the weights in dir into two shards and an index.
func intoShards(dir string) error {
	whole := filepath.Join(dir, model.WeightsFile)
	f, err := safetensors.Open(whole)
	if err != nil {
		return err
	}
	defer f.Close()
	index := map[string]string{}
	parts := make([][]safetensors.Tensor, 2)
	for i, n := range f.Names() {
		t, err := f.Tensor(n)
		if err != nil {
			return err
		}
		index[n] = fmt.Sprintf("model-%05d-of-00002.safetensors", i%2+1)
		parts[i%2] = append(parts[i%2], t)
	}
	for i, p := range parts {
		if err := safetensors.WriteFile(filepath.Join(dir, fmt.Sprintf("model-%05d-of-00002.safetensors", i+1)), f.Metadata(), p); err != nil {
			return err
		}
	}
	b, err := json.Marshal(map[string]any{"weight_map": index})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, model.IndexFile), b, 0o644), os.Remove(whole))
}
