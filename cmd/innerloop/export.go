package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/internal/symlink"
	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/rundir"
	"innerloop/train"
)

// dtypes are the element types that checkpoints are written in, by the option's value.
var dtypes = map[string]safetensors.DType{"f32": safetensors.F32, "f16": safetensors.F16, "bf16": safetensors.BF16}

// convertFlags are the options of export and import.
type convertFlags struct {
	model, out, dtype string
	force             bool
}

func (a *app) exportCommand() *cobra.Command {
	return a.convertCommand(&cobra.Command{
		Use:   "export --model DIR --out DIR [options]",
		Short: "Write a model as the official PyTorch code reads it",
		Long: `Write a trained model as model.safetensors and config.json in a folder of its own, for TTTForCausalLM.from_pretrained
of the official PyTorch implementation: the official names and shapes, and nothing of the run. f16 and bf16 halve the
file and round each weight to nearest; a weight that is too large for the type is an error.`,
		Example: `  innerloop export --model runs/book --out book-hf
  innerloop export --model runs/book --out book-bf16 --dtype bf16`,
	})
}

func (a *app) importCommand() *cobra.Command {
	return a.convertCommand(&cobra.Command{
		Use:   "import --model DIR --out DIR [options]",
		Short: "Read a model that the official PyTorch code wrote",
		Long: `Read a model that save_pretrained of the official PyTorch implementation wrote and write it as one file of f32 weights,
from which everything here starts. Read are config.json and either model.safetensors or model.safetensors.index.json
with its shards, of f32, f16 or bf16 weights, also with a copy of an output head that is tied to the embedding. Keys of
config.json that say nothing about the model are not kept. Every file is checked whole before anything is written.

--model of eval and generate takes such a folder as it is, too.`,
		Example: `  innerloop import --model ttt-linear-125m --out runs/125m`,
	})
}

// convertCommand completes export or import, which do the same: both sides have one layout.
func (a *app) convertCommand(c *cobra.Command) *cobra.Command {
	var f convertFlags
	c.Args, c.ValidArgsFunction = noArgs, cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, _ []string) error { return a.convert(c.Name(), f) }
	fl := c.Flags()
	fl.StringVar(&f.model, "model", "", "folder `DIR` to read: config.json with model.safetensors, or an index and its shards")
	fl.StringVar(&f.out, "out", "", "folder `DIR` to write; what lies there stays")
	fl.StringVar(&f.dtype, "dtype", "f32", "`TYPE` of the weights: f32, f16 or bf16")
	fl.BoolVar(&f.force, "force", false, "replace the model in --out; what it removes is named")
	for _, name := range []string{"model", "out"} {
		if err := c.MarkFlagDirname(name); err != nil {
			panic(err)
		}
	}
	complete(c, "dtype", dtypeNames)
	return c
}

func dtypeNames() []string { return []string{"f32", "f16", "bf16"} }

func (a *app) convert(name string, f convertFlags) error {
	d, ok := dtypes[f.dtype]
	switch {
	case f.model == "":
		return failf(exitUsage, "%s needs --model: a folder with %s and %s", name, model.ConfigFile, model.WeightsFile)
	case f.out == "":
		return failf(exitUsage, "%s needs --out: a folder to write", name)
	case !ok:
		return failf(exitUsage, "--dtype %q, want %s", f.dtype, strings.Join(dtypeNames(), ", "))
	}
	_ = rundir.Repair(f.model) // what cannot be repaired shows when it is read
	to, err := f.reserve()
	if err != nil {
		return err
	}
	defer to.close()
	c, notes, err := train.OpenModel(f.model)
	if err != nil {
		return checkpointError(f.model, err)
	}
	defer c.Close()
	if err := c.Check(d); err != nil {
		return fail(exitData, err)
	}
	a.notes(notes)
	gone, err := to.write(c, d)
	if err != nil {
		return err
	}
	cfg := c.Params.Config
	a.out.printf("model   %s parameters: %s, %s of %d, %s of %d, K=%d\n", count(c.Params.Count()), cfg.Name(),
		plural(cfg.NumHiddenLayers, "layer"), cfg.HiddenSize, plural(cfg.NumAttentionHeads, "head"), cfg.HeadDim(), cfg.MiniBatchSize)
	if len(gone) > 0 {
		a.out.printf("removed %s\n", shown(strings.Join(gone, ", ")))
	}
	a.out.printf("wrote   %s: %s of %s weights, %s\n", shown(f.out), model.WeightsFile, f.dtype, model.ConfigFile)
	return nil
}

// modelFolder is the folder that export or import writes to, and the lock on it.
type modelFolder struct {
	dir   string
	force bool
	lock  *rundir.Lock // nil: the folder is not there yet
}

// reserve reports a folder to write that cannot be used, and keeps other processes out of one that can. It writes nothing.
func (f *convertFlags) reserve() (*modelFolder, error) {
	to := &modelFolder{dir: f.out, force: f.force}
	st, err := os.Stat(f.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return to, fail(exitOutput, symlink.Dangling(f.out))
	case err != nil:
		return nil, failf(exitOutput, "--out %s: %w", f.out, cause(err))
	case !st.IsDir():
		return nil, failf(exitOutput, "--out %s: is a file, want a folder", f.out)
	}
	return to, to.enter()
}

// enter locks the folder, in which a run may train or a model be written, and looks into it.
func (t *modelFolder) enter() (err error) {
	if t.lock, err = rundir.Acquire(t.dir); errors.Is(err, rundir.ErrLocked) {
		return failf(exitOutput, "--out %s: another process is writing to this folder", t.dir)
	} else if err != nil {
		return failf(exitOutput, "--out %s: %w", t.dir, cause(err))
	}
	if err = rundir.Recover(t.dir); err != nil { // of an export that was killed
		err = failf(exitOutput, "--out %s: %w", t.dir, err)
	} else {
		_, err = t.old()
	}
	if err != nil {
		t.close()
	}
	return err
}

func (t *modelFolder) close() {
	if t.lock != nil {
		t.lock.Close() //nolint:errcheck // was only read
		t.lock = nil
	}
}

// old lists the files of the model in the folder, which give way to the new one: first what makes it a model. A run's
// folder has no model to replace.
func (t *modelFolder) old() (names []string, err error) {
	es, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, failf(exitOutput, "--out %s: %w", t.dir, cause(err))
	}
	there := map[string]bool{}
	for _, e := range es {
		there[e.Name()] = true
	}
	if there[train.CheckpointsDir] && there[runConfigFile] {
		return nil, failf(exitUsage, "--out %s: is the folder of a run, whose weights are its own: choose another folder", t.dir)
	}
	shards := map[string]bool{}
	if b, err := train.ReadRegular(filepath.Join(t.dir, model.IndexFile)); err == nil {
		index, _ := model.ParseIndex(model.IndexFile, b) // of one that cannot be read, the shards are found by their names
		for _, file := range index {
			shards[file] = true
		}
	}
	main := []string{model.WeightsFile, model.IndexFile, model.ConfigFile}
	for _, name := range main {
		if there[name] {
			names = append(names, name)
		}
	}
	for _, e := range es {
		if name := e.Name(); !slices.Contains(main, name) && (shards[name] || isShard(name) || t.force && isHalfWritten(name)) {
			names = append(names, name)
		}
	}
	if len(names) > 0 && !t.force {
		return nil, failf(exitUsage, "--out %s: holds a model already (%s): choose another folder, or --force to replace it", t.dir, names[0])
	}
	return names, nil
}

// isShard says whether name is that of a shard as the Hugging Face libraries name them: model-00001-of-00002.safetensors.
func isShard(name string) bool {
	rest, ok := strings.CutPrefix(name, "model-")
	rest, ok2 := strings.CutSuffix(rest, ".safetensors")
	a, b, ok3 := strings.Cut(rest, "-of-")
	return ok && ok2 && ok3 && len(a) == 5 && len(b) == 5 && strings.Trim(a+b, "0123456789") == ""
}

// isHalfWritten says whether name is that of a temporary file that a killed export left.
func isHalfWritten(name string) bool {
	stem := strings.TrimRight(name, "0123456789")
	return stem != name && (stem == "."+model.WeightsFile || stem == "."+model.ConfigFile)
}

// write puts c into the folder in the place of the model that is there, and says which files are gone. On an error, and
// where the process is killed, the folder holds what it held, the new model, or one without weights that the next call, or
// anything that reads it, brings back to what it was.
func (t *modelFolder) write(c *model.Checkpoint, d safetensors.DType) (gone []string, err error) {
	if t.lock == nil {
		var made []string
		defer func() {
			if err != nil {
				for _, m := range made {
					os.Remove(m) //nolint:errcheck // not empty: not ours alone
				}
			}
		}()
		if made, err = rundir.MakeAll(t.dir); err != nil {
			return nil, failf(exitOutput, "--out %s: %w", t.dir, cause(err))
		}
		if err := t.enter(); err != nil {
			return nil, err
		}
	}
	if err := t.lock.Check(); err != nil {
		return nil, fail(exitOutput, err)
	}
	old, err := t.old() // again: it took a while
	if err != nil {
		return nil, err
	}
	err = rundir.Swap{
		Old:  old,
		New:  []string{model.ConfigFile, model.WeightsFile},
		Fill: func(dir string) error { return c.Write(dir, d) },
	}.Do(t.dir)
	if err != nil {
		return nil, fail(exitOutput, err)
	}
	return slices.DeleteFunc(old, func(name string) bool { return name == model.ConfigFile || name == model.WeightsFile }), nil
}
