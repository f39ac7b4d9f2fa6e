package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/spf13/cobra"

	"innerloop/model"
	"innerloop/train"
)

// evalFlags are the options of eval.
type evalFlags struct {
	device   deviceFlags
	model    string
	data     string
	seqLen   int
	fraction float64
	all      bool
	json     bool
}

// evalResult is what eval --json prints.
type evalResult struct {
	Model       string  `json:"model"`
	Data        string  `json:"data"`
	Device      string  `json:"device"`
	SeqLen      int     `json:"seq_len"`
	Tokens      int     `json:"tokens"` // that were predicted
	Loss        float64 `json:"loss"`   // nats a token
	BitsPerByte float64 `json:"bits_per_byte"`
	Perplexity  float64 `json:"perplexity"`
}

func (a *app) evalCommand() *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use:   "eval --model DIR [options]",
		Short: "Score a trained model on a text",
		Long: `Score a model on the held-out end of a text, or with --all on the whole: consecutive windows of --seq-len bytes, each
alone. Text, held-out part and length are by default those that the run trained with, as config.toml in its folder says.

Tokens are bytes, so the loss in nats a token divided by ln 2 is bits a byte. That also holds for a model with a larger
vocabulary as long as it was trained on bytes.`,
		Example: `  innerloop eval --model runs/book
  innerloop eval --model runs/book --data other.txt --all --json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return a.eval(c, f) },
	}
	fl := c.Flags()
	addModel(c, &f.model)
	fl.StringVar(&f.data, "data", "", "text to score: any `FILE` (default: the run's)")
	fl.IntVar(&f.seqLen, "seq-len", 0, "windows of `N` bytes (default: the run's)")
	fl.Float64Var(&f.fraction, "val-fraction", 0, "score the last part of the text, `F` of it, as in 0.1 (default: the run's)")
	fl.BoolVar(&f.all, "all", false, "score the whole text")
	fl.BoolVar(&f.json, "json", false, "print one JSON object")
	f.device.add(c)
	return c
}

// settings are those of the run in the model's folder, changed by the options.
func (f *evalFlags) settings(c *cobra.Command) (train.Config, error) {
	cfg, err := train.Load(filepath.Join(f.model, runConfigFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cfg, fail(exitData, err)
	}
	fl := c.Flags()
	if f.all && fl.Changed("val-fraction") {
		return cfg, failf(exitUsage, "--all and --val-fraction: want one of them")
	}
	if fl.Changed("data") {
		if f.data == "" {
			return cfg, failf(exitUsage, "--data: empty, want a file")
		}
		cfg.Data.File = f.data
	}
	if fl.Changed("seq-len") {
		cfg.Train.SeqLen = f.seqLen
		if f.seqLen < 2 || f.seqLen > 1<<24 {
			return cfg, failf(exitUsage, "--seq-len %d, want 2 to %d", f.seqLen, 1<<24)
		}
	}
	if fl.Changed("val-fraction") {
		cfg.Data.ValFraction = f.fraction
		if !(f.fraction > 0 && f.fraction <= 0.9) { // NaN too
			return cfg, failf(exitUsage, "--val-fraction %g, want more than 0, at most 0.9", f.fraction)
		}
	}
	if err := cfg.Validate(); err != nil {
		return cfg, failf(exitData, "%s: %w", filepath.Join(f.model, runConfigFile), err)
	}
	if !f.all && cfg.Data.ValFraction == 0 {
		return cfg, failf(exitUsage, "the run in %s held nothing out: want --val-fraction or --all", f.model)
	}
	return cfg, nil
}

func (a *app) eval(c *cobra.Command, f evalFlags) error {
	if f.model == "" {
		return failf(exitUsage, "eval needs --model: a folder with %s and %s", model.ConfigFile, model.WeightsFile)
	}
	if _, err := model.LoadConfig(filepath.Join(f.model, model.ConfigFile)); err != nil {
		return checkpointError(f.model, err)
	}
	cfg, err := f.settings(c)
	if err != nil {
		return err
	}
	text, err := train.Corpus(cfg.Data)
	if err != nil {
		return fail(exitData, err)
	}
	if f.all {
		cfg.Data.ValFraction = 0
	}
	whole, part, err := text.Split(cfg.Data.ValFraction, cfg.Train.SeqLen)
	if err != nil {
		return fail(exitData, err)
	}
	if f.all {
		part = whole
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
	l := cfg.Train.SeqLen
	step, err := model.NewEvalStep(m, min(cfg.Train.BatchSize, part.Windows(l)), l, false)
	if err != nil {
		return err
	}
	defer step.Free(dev)
	run, err := dev.Load(step.Program)
	if err != nil {
		return err
	}
	defer run.Close()
	sum, n, err := train.Score(context.Background(), dev, step, run, part, l)
	if err != nil {
		return err
	}
	loss := sum / float64(n)
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return failf(exitData, "%s: the loss is %g: the model's weights are damaged", f.model, loss)
	}
	r := evalResult{f.model, text.Name(), dev.label, l, n, loss, loss / math.Ln2, math.Exp(min(loss, 700))}
	if f.json {
		return printJSON(a, r)
	}
	a.out.printf("model       %s: %s parameters\n", r.Model, count(m.Count()))
	a.out.printf("data        %s: %s tokens predicted, in windows of %d\n", r.Data, count(r.Tokens), r.SeqLen)
	a.out.printf("device      %s\n", dev)
	a.out.printf("loss        %.4f nats a token\n", r.Loss)
	a.out.printf("            %.4f bits a byte\n", r.BitsPerByte)
	a.out.printf("perplexity  %.4f\n", r.Perplexity)
	return nil
}

func printJSON(a *app, v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
