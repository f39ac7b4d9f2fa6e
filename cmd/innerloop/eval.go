package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/model"
	"innerloop/train"
)

// evalFlags are the options of eval.
type evalFlags struct {
	device   deviceFlags
	model    string
	data     string
	seqLen   int
	context  int
	stride   int
	fraction float64
	all      bool
	json     bool
}

// evalResult is what eval --json prints.
type evalResult struct {
	Model       string   `json:"model"`
	Data        string   `json:"data"`
	Device      string   `json:"device"`
	SeqLen      int      `json:"seq_len"`
	Documents   int      `json:"documents,omitempty"` // of the whole text, where the run parts it
	Tokens      int      `json:"tokens"`              // that were predicted
	Loss        float64  `json:"loss"`                // nats a token
	BitsPerByte float64  `json:"bits_per_byte"`
	Perplexity  *float64 `json:"perplexity"` // null: beyond 1e308, about what a float64 holds
}

func (a *app) evalCommand() *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use:   "eval --model DIR [options]",
		Short: "Score a trained model on a text",
		Long: `Score a model on the held-out end of a text, or with --all on the whole: consecutive windows of --seq-len bytes, each
alone. Text, held-out part and length are by default those that the run trained with, as config.toml in its folder says;
so are documents (data.document): where one ends, the inner state starts anew, as in training.

--context N asks whether the model goes on learning with position: windows of N bytes are each read from their beginning
with the state carried along, in pieces of --seq-len bytes, and the loss is shown against position. N may be far longer
than what the model trained on, and the ends of documents are read as any other text. The windows overlap (--stride), so that every position sees almost all of the text, and
positions differ in what was read before.

Tokens are bytes, so the loss in nats a token divided by ln 2 is bits a byte. That also holds for a model with a larger
vocabulary as long as it was trained on bytes. Of a sound, a WAV file, a byte is a sample in 8-bit mu-law, data.sample_rate
of them a second.`,
		Example: `  innerloop eval --model runs/book
  innerloop eval --model runs/book --data other.txt --all --json
  innerloop eval --model runs/book --context 4096`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return a.eval(c, f) },
	}
	fl := c.Flags()
	addModel(c, &f.model)
	fl.StringVar(&f.data, "data", "", "text to score: any `FILE`, or a sound, WAV (default: the run's)")
	fl.IntVar(&f.seqLen, "seq-len", 0, "windows of `N` bytes (default: the run's)")
	fl.IntVar(&f.context, "context", 0, "show the loss against position in windows of `N` bytes")
	fl.IntVar(&f.stride, "stride", 0, "begin a window of --context every `N` bytes (default: an eighth of it)")
	fl.Float64Var(&f.fraction, "val-fraction", 0, "score the last part of the text, `F` of it, as in 0.1 (default: the run's)")
	fl.BoolVar(&f.all, "all", false, "score the whole text")
	fl.BoolVar(&f.json, "json", false, "print one JSON object")
	f.device.add(c)
	return c
}

// settings are those of the run in the model's folder, changed by the options.
func (f *evalFlags) settings(c *cobra.Command) (train.Config, error) {
	cfg, err := train.LoadRun(f.model)
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
	if fl.Changed("context") && (f.context < 2 || f.context > 1<<24) {
		return cfg, failf(exitUsage, "--context %d, want 2 to %d", f.context, 1<<24)
	}
	switch {
	case fl.Changed("stride") && f.context == 0:
		return cfg, failf(exitUsage, "--stride is of --context: want that too")
	case fl.Changed("stride") && (f.stride < 1 || f.stride > f.context):
		return cfg, failf(exitUsage, "--stride %d, want 1 to %d, the --context", f.stride, f.context)
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
	from, err := a.openCheckpoint(f.model)
	if err != nil {
		return err
	}
	defer from.Close()
	cfg, err := f.settings(c)
	if err != nil {
		return err
	}
	a.edited(f.model)
	text, err := corpus(cfg.Data)
	if err != nil {
		return fail(exitData, err)
	}
	part, err := f.part(cfg, text)
	if err != nil {
		return err
	}
	dev, err := f.device.open("auto")
	if err != nil {
		return err
	}
	defer dev.Close()
	m, err := openModel(dev, from)
	if err != nil {
		return err
	}
	defer m.Free(dev)
	r := evalResult{Model: f.model, Data: text.Name(), Device: dev.label, SeqLen: cfg.Train.SeqLen}
	if f.context > 0 {
		return a.evalContext(dev, m, part, f, cfg.Train.BatchSize, r)
	}
	l := cfg.Train.SeqLen
	docs := part.Documents(cfg.Data.Document)
	if err := train.CheckPredicts(part, docs, cfg.Data.Document); err != nil {
		return fail(exitData, err)
	}
	if cfg.Data.Document != "" {
		r.Documents = text.Documents(cfg.Data.Document).Len()
		a.checkSeparator(text, cfg.Data.Document)
	}
	step, err := train.NewScorer(m, docs, min(cfg.Train.BatchSize, part.Windows(l)), l)
	if err != nil {
		return err
	}
	defer step.Free(dev)
	run, err := dev.Load(step.Program)
	if err != nil {
		return err
	}
	defer run.Close()
	sum, n, err := train.Score(context.Background(), dev, step, run, part, docs, l)
	if err != nil {
		return err
	}
	if err := r.set(sum/float64(n), n); err != nil {
		return err
	}
	if f.json {
		return printJSON(a, r)
	}
	r.print(a, dev, m, fmt.Sprintf("in windows of %d%s", l, documents(text, cfg.Data.Document)))
	return nil
}

// part is what of the text is to be scored.
func (f *evalFlags) part(cfg train.Config, text *data.Corpus) (data.Part, error) {
	fraction, l := cfg.Data.ValFraction, cfg.Train.SeqLen
	if f.all {
		fraction = 0
	}
	if f.context > 0 {
		l = 2 // nobody trains here: the window has to fit the part alone, which is checked below
	}
	whole, part, err := text.Split(fraction, l)
	if err != nil {
		return part, fail(exitData, err)
	}
	if f.all {
		part = whole
	}
	if part.Windows(f.context) == 0 && f.context > 0 {
		return part, failf(exitData, "%s: %s %s to score, want at least --context %d: try a larger --val-fraction, --all, or another text", text.Name(), count(part.Len()), unitOf(text), f.context)
	}
	return part, nil
}

// set puts the mean loss of n tokens into r. One that is not finite is an error.
func (r *evalResult) set(loss float64, n int) error {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return failf(exitData, "%s: the loss is %g: the model's weights are damaged", r.Model, loss)
	}
	r.Tokens, r.Loss, r.BitsPerByte, r.Perplexity = n, loss, loss/math.Ln2, nil
	if p := math.Exp(loss); !math.IsInf(p, 0) {
		r.Perplexity = &p
	}
	return nil
}

// print prints r for people; how says how the text was read.
func (r *evalResult) print(a *app, dev *device, m *model.LM, how string) {
	a.out.printf("model       %s: %s parameters\n", shown(r.Model), count(m.Count()))
	a.out.printf("data        %s: %s tokens predicted, %s\n", shown(r.Data), count(r.Tokens), how)
	a.out.printf("device      %s\n", dev)
	a.out.printf("loss        %.4f nats a token\n", r.Loss)
	a.out.printf("            %.4f bits a byte\n", r.BitsPerByte)
	a.out.printf("perplexity  %s\n", perplexity(r.Perplexity))
}

// perplexity prints a perplexity; nil is one beyond about what a float64 holds.
func perplexity(p *float64) string {
	switch {
	case p == nil:
		return "beyond 1e308"
	case *p < 1e9:
		return fmt.Sprintf("%.4f", *p)
	}
	return fmt.Sprintf("%.4e", *p)
}

// evalContext is eval --context: part's loss against position, rows windows at a time.
func (a *app) evalContext(dev *device, m *model.LM, part data.Part, f evalFlags, rows int, r evalResult) error {
	chunk := train.ContextChunk(f.context, r.SeqLen, m.Config.MiniBatchSize)
	stride := f.stride
	if stride == 0 {
		stride = max(1, f.context/8)
	}
	c, err := train.ScoreContext(context.Background(), dev, m, part, train.ContextOptions{Context: f.context, Stride: stride, Chunk: chunk, Rows: rows}, nil)
	if err != nil {
		return err
	}
	if err := r.set(c.Loss, c.Tokens); err != nil {
		return err
	}
	if f.json {
		r.SeqLen = chunk
		return printJSON(a, struct {
			evalResult
			Context int            `json:"context"`
			Stride  int            `json:"stride"`
			Windows int            `json:"windows"`
			Buckets []train.Bucket `json:"positions"`
		}{r, c.Context, c.Stride, c.Windows, c.Buckets})
	}
	r.print(a, dev, m, fmt.Sprintf("in %s of %s, one every %s, read %s at a time", plural(c.Windows, "window"), count(c.Context), count(c.Stride), count(chunk)))
	a.out.printf("\nloss of the tokens before which the model has read so many of their window, and how it compares with what the same\ntokens cost at all positions (relative, nats):\n%s", contextTable(c.Buckets))
	return nil
}

// chartWidth is the longest bar of a chart, in columns.
const chartWidth = 32

// contextTable prints buckets as a table with a bar for each: from one column at the lowest relative loss to chartWidth
// at the highest, because against zero the differences would not be seen.
func contextTable(bs []train.Bucket) string {
	rows := [][]string{{"read", "tokens", "nats", "bits/byte", "relative"}}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, b := range bs {
		rows = append(rows, []string{count(b.From) + "-" + count(b.To), count(b.Tokens), fmt.Sprintf("%.4f", b.Loss), fmt.Sprintf("%.4f", b.BitsPerByte), fmt.Sprintf("%+.4f", b.Relative)})
		lo, hi = min(lo, b.Relative), max(hi, b.Relative)
	}
	lines := strings.SplitAfter(table(rows), "\n")
	for i, b := range bs {
		n := 1
		if hi > lo {
			n += int(math.Round((b.Relative - lo) / (hi - lo) * (chartWidth - 1)))
		}
		lines[i+1] = strings.TrimSuffix(lines[i+1], "\n") + "  " + strings.Repeat("#", n) + "\n"
	}
	return strings.Join(lines, "")
}

func printJSON(a *app, v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
