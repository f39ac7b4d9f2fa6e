package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/model"
)

func (a *app) generateCommand() *cobra.Command {
	var f struct {
		device deviceFlags
		model  string
		prompt string
		tokens int
		seed   uint64
		o      model.SampleOptions
	}
	c := &cobra.Command{
		Use:   "generate --model DIR --prompt TEXT [options]",
		Short: "Continue a text with a trained model",
		Long: `Continue a text with a trained model, byte by byte as it is generated; the prompt comes first.

Tokens are bytes. What is no valid UTF-8 is printed as U+FFFD. Of a model with a larger vocabulary only the first 256
tokens are drawn: the others stand for nothing that could be printed.`,
		Example: `  innerloop generate --model runs/book --prompt "It was a"
  innerloop generate --model runs/book --prompt "It was a" --temperature 0 --tokens 50
  innerloop generate --model runs/book --prompt - < start.txt`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case f.model == "":
				return failf(exitUsage, "generate needs --model: a folder with %s and %s", model.ConfigFile, model.WeightsFile)
			case f.prompt == "":
				return failf(exitUsage, "generate needs --prompt: a text to continue, at least one byte (- reads standard input)")
			case f.tokens < 0 || f.tokens > 1<<24:
				return failf(exitUsage, "--tokens %d, want 0 to %d", f.tokens, 1<<24)
			}
			if err := f.o.Validate(); err != nil {
				return fail(exitUsage, err)
			}
			prompt := []byte(f.prompt)
			if f.prompt == "-" {
				var err error
				if prompt, err = io.ReadAll(a.in); err != nil {
					return failf(exitData, "standard input: %w", cause(err))
				}
				if len(prompt) == 0 {
					return failf(exitUsage, "standard input is empty: want a text to continue, at least one byte")
				}
			}
			cfg, err := model.LoadConfig(filepath.Join(f.model, model.ConfigFile))
			if err != nil {
				return checkpointError(f.model, err)
			}
			for i, b := range prompt {
				if int(b) >= cfg.VocabSize {
					return failf(exitUsage, "byte %d of the prompt is %d, but the model's vocabulary has %d tokens", i, b, cfg.VocabSize)
				}
			}
			dev, err := f.device.open("auto")
			if err != nil {
				return err
			}
			defer dev.Close()
			m, err := openModel(dev, f.model)
			if err != nil {
				return err
			}
			defer m.Free(dev)
			d := model.NewDecoder(m, dev)
			defer d.Close()
			return a.stream(context.Background(), d, model.NewSampler(f.o, f.seed), cfg.VocabSize, prompt, f.tokens)
		},
	}
	fl := c.Flags()
	addModel(c, &f.model)
	fl.StringVar(&f.prompt, "prompt", "", "`TEXT` to continue; - reads it from standard input")
	fl.IntVar(&f.tokens, "tokens", 200, "generate `N` bytes")
	fl.Float64Var(&f.o.Temperature, "temperature", 0.8, "divide the logits by `T`; 0: the likeliest byte each time")
	fl.IntVar(&f.o.TopK, "top-k", 40, "draw from the `K` likeliest bytes; 0: from all")
	fl.Uint64Var(&f.seed, "seed", 1, "seed `N` for the draws")
	f.device.add(c)
	return c
}

// addModel adds the option that names a checkpoint.
func addModel(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "model", "", "folder `DIR` of a checkpoint: the --out of a run, or any with model.safetensors and config.json")
	if err := c.MarkFlagDirname("model"); err != nil {
		panic(err)
	}
}

// openModel puts a checkpoint's model on dev.
func openModel(dev *device, dir string) (*model.LM, error) {
	m, err := model.Open(dev, dir, model.ScanOptions{})
	if err != nil {
		return nil, checkpointError(dir, err)
	}
	return m, nil
}

// checkpointError says of an error of opening dir what is wrong with it as a checkpoint.
func checkpointError(dir string, err error) error {
	var f *failure
	var p *fs.PathError
	if !errors.As(err, &f) && errors.As(err, &p) {
		return failf(exitData, "%s: no checkpoint: %s: %w", dir, filepath.Base(p.Path), p.Err)
	}
	return fail(exitData, err)
}

// stream prints prompt and n bytes that the model continues it with, and a newline.
func (a *app) stream(ctx context.Context, d *model.Decoder, s *model.Sampler, vocab int, prompt []byte, n int) error {
	ids := data.Bytes{}.Encode(nil, prompt)
	var u data.UTF8Stream
	buf := u.Append(nil, prompt)
	var piece []byte
	d.Reset()
	for range n {
		a.out.Write(buf) //nolint:errcheck // the sink keeps the error
		if a.out.err != nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			a.out.printf("\n")
			return err
		}
		logits, err := d.Feed(ids)
		if err != nil {
			return endLine(a, err)
		}
		id, err := s.Draw(logits[:min(256, vocab)])
		if err != nil {
			return endLine(a, fail(exitData, err))
		}
		ids = append(ids[:0], id)
		if piece, err = (data.Bytes{}).Decode(piece[:0], ids); err != nil {
			return endLine(a, err)
		}
		buf = u.Append(buf[:0], piece)
	}
	a.out.Write(append(u.Flush(buf), '\n')) //nolint:errcheck // the sink keeps the error
	return nil
}

// endLine ends the line that is being printed, so that err begins its own.
func endLine(a *app, err error) error {
	fmt.Fprintln(a.out)
	return err
}
