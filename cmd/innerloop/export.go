package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/model"
	"innerloop/model/safetensors"
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
	fl.StringVar(&f.out, "out", "", "folder `DIR` to write, new or empty")
	fl.StringVar(&f.dtype, "dtype", "f32", "`TYPE` of the weights: f32, f16 or bf16")
	fl.BoolVar(&f.force, "force", false, "replace the model in --out")
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
	if err := f.checkOut(); err != nil {
		return err
	}
	c, err := model.OpenCheckpoint(f.model)
	if err != nil {
		return checkpointError(f.model, err)
	}
	defer c.Close()
	if err := c.Check(d); err != nil {
		return fail(exitData, err)
	}
	if err := writeCheckpoint(c, f.out, d); err != nil {
		return err
	}
	cfg := c.Params.Config
	a.out.printf("model   %s parameters: %s, %s of %d, %s of %d, K=%d\n", count(c.Params.Count()), cfg.Name(),
		plural(cfg.NumHiddenLayers, "layer"), cfg.HiddenSize, plural(cfg.NumAttentionHeads, "head"), cfg.HeadDim(), cfg.MiniBatchSize)
	a.out.printf("wrote   %s: %s of %s weights, %s\n", f.out, model.WeightsFile, f.dtype, model.ConfigFile)
	return nil
}

// checkOut reports a folder to write that cannot be used. It writes nothing.
func (f *convertFlags) checkOut() error {
	st, err := os.Stat(f.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failf(exitOutput, "--out %s: %w", f.out, cause(err))
	case !st.IsDir():
		return failf(exitOutput, "--out %s: is a file, want a folder", f.out)
	case f.force:
		return nil
	}
	for _, name := range []string{model.WeightsFile, model.IndexFile, model.ConfigFile} {
		if _, err := os.Lstat(filepath.Join(f.out, name)); err == nil {
			return failf(exitUsage, "--out %s: holds a model already (%s): choose another folder, or --force to replace it", f.out, name)
		}
	}
	return nil
}

// writeCheckpoint writes c to dir. On an error it leaves nothing that was not there before.
func writeCheckpoint(c *model.Checkpoint, dir string, d safetensors.DType) (err error) {
	made, err := makeAll(dir)
	config := filepath.Join(dir, model.ConfigFile)
	_, none := os.Lstat(config)
	defer func() {
		if err == nil {
			return
		}
		if none != nil {
			os.Remove(config) //nolint:errcheck // err is what matters
		}
		for _, m := range made {
			os.Remove(m) //nolint:errcheck // not empty: not ours alone
		}
	}()
	if err != nil {
		return failf(exitOutput, "--out %s: %w", dir, cause(err))
	}
	return fail(exitOutput, c.Write(dir, d))
}
