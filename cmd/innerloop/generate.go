package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/internal/symlink"
	"innerloop/model"
	"innerloop/rundir"
	"innerloop/train"
)

// generateFlags are the options of generate.
type generateFlags struct {
	device    deviceFlags
	model     string
	prompt    string
	sound     soundFlags
	state     string
	saveState string
	tokens    int
	seed      uint64
	o         model.SampleOptions
}

func (a *app) generateCommand() *cobra.Command {
	var f generateFlags
	c := &cobra.Command{
		Use:   "generate --model DIR (--prompt TEXT | --state FILE | --wav FILE) [options]",
		Short: "Continue a text or a sound with a trained model",
		Long: `Continue a text with a trained model, byte by byte as it is generated; the prompt comes first.

A byte costs the same however long the text is: all that the model keeps of it is its state, of one size. --save-state
writes the state after the last byte, --state goes on from it: the prompt, which may then be empty, follows what was
read and generated before, and is all that is printed of it. A text that is generated in pieces is the one that would
have been generated at once, with the same options, for a draw depends on the seed and the byte's position alone; only
a character that a piece's end cuts in two is printed as U+FFFD. A state goes with the weights that made it, no others.

Tokens are bytes. What is no valid UTF-8 is printed as U+FFFD. Of a model with a larger vocabulary only the first 256
tokens are drawn: the others stand for nothing that could be printed.

Of a model that was trained on sound the tokens are samples, 8-bit mu-law, --rate of them a second. --wav writes them as
a WAV file, whole or not at all, and says in a line what it holds; nothing else is printed. --prompt-wav is the sound to
continue: as with a text, it comes first. With neither a prompt nor a state the model begins in silence, which is not
written.`,
		Example: `  innerloop generate --model runs/book --prompt "It was a"
  innerloop generate --model runs/book --prompt "It was a" --temperature 0 --tokens 50
  innerloop generate --model runs/book --prompt - < start.txt
  innerloop generate --model runs/book --prompt - --tokens 0 --save-state book.state < book.txt
  innerloop generate --model runs/book --state book.state
  innerloop generate --model runs/piano --wav new.wav --tokens 40000
  innerloop generate --model runs/piano --prompt-wav piano.wav --prompt-seconds 2 --wav new.wav`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return a.generate(c, f) },
	}
	fl := c.Flags()
	addModel(c, &f.model)
	fl.StringVar(&f.prompt, "prompt", "", "`TEXT` to continue; - reads it from standard input")
	f.sound.add(c)
	fl.StringVar(&f.state, "state", "", "go on from the state in `FILE`, that --save-state wrote")
	fl.StringVar(&f.saveState, "save-state", "", "write the state after the last byte to `FILE`")
	fl.IntVar(&f.tokens, "tokens", 200, "generate `N` bytes, or samples of a sound, by default those of a second")
	fl.Float64Var(&f.o.Temperature, "temperature", 0.8, "divide the logits by `T`; 0: the likeliest byte each time; of a sound by default 1")
	fl.IntVar(&f.o.TopK, "top-k", 40, "draw from the `K` likeliest bytes; 0: from all, as a sound by default")
	fl.Uint64Var(&f.seed, "seed", 1, "seed `N` for the draws")
	f.device.add(c)
	return c
}

// check reports what is wrong with the options, before anything is read.
func (f *generateFlags) check(c *cobra.Command) error {
	switch {
	case f.model == "":
		return failf(exitUsage, "generate needs --model: a folder with %s and %s", model.ConfigFile, model.WeightsFile)
	case f.prompt == "" && f.state == "" && !f.sound.given(c):
		return failf(exitUsage, "generate needs --prompt: a text to continue, at least one byte (- reads standard input), or --state, or --wav")
	case f.tokens < 0 || f.tokens > 1<<24:
		return failf(exitUsage, "--tokens %d, want 0 to %d", f.tokens, 1<<24)
	}
	switch {
	case f.o.TopK < 0:
		return failf(exitUsage, "--top-k %d, want 0 or more", f.o.TopK)
	case f.o.Validate() != nil:
		return failf(exitUsage, "--temperature %g, want 0 to 100", f.o.Temperature)
	}
	if err := f.sound.check(c, f); err != nil {
		return err
	}
	return checkOutput("--save-state", f.saveState, "a state", isState) // later would be after all the work
}

// checkOutput reports a file that cannot be written, or that holds something else than its kind, what: that would be lost.
// An empty name is none.
func checkOutput(flag, path, what string, is func(start []byte) bool) error {
	if path == "" {
		return nil
	}
	if err := symlink.Dangling(path); err != nil {
		return failf(exitOutput, "%s %w", flag, err)
	}
	if _, err := os.Stat(filepath.Dir(path) + string(filepath.Separator)); err != nil {
		return failf(exitOutput, "%s %s: %w", flag, path, cause(err))
	}
	if err := holdsOther(flag, path, what, is); err != nil {
		return err
	}
	// It is written beside its place and then moved there: whether that can be done, only trying tells.
	try, err := os.CreateTemp(filepath.Dir(path), ".innerloop-*")
	if err != nil {
		return failf(exitOutput, "%s %s: %w", flag, path, cause(err))
	}
	return fail(exitOutput, errors.Join(try.Close(), os.Remove(try.Name())))
}

// holdsOther reports a file at path that is not of the kind what.
func holdsOther(flag, path, what string, is func(start []byte) bool) error {
	st, err := os.Stat(path)
	if err != nil {
		return nil // a new file
	}
	if !st.Mode().IsRegular() {
		return failf(exitOutput, "%s %s: is no regular file", flag, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return failf(exitOutput, "%s %s: %w", flag, path, cause(err))
	}
	defer f.Close() //nolint:errcheck // was only read
	start, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return failf(exitOutput, "%s %s: %w", flag, path, cause(err))
	}
	if len(start) > 0 && !is(start) {
		return failf(exitOutput, "%s %s: holds something else than %s, which would be lost: choose another name, or remove it", flag, path, what)
	}
	return nil
}

// isState says whether a file begins as one of --save-state.
func isState(start []byte) bool { return bytes.Contains(start, []byte(`"innerloop.state.`)) }

// keepsInputs reports an output that is one of the files that are read: a sound that is continued, or what the run in the
// model's folder was trained on.
func (f *generateFlags) keepsInputs() error {
	inputs := []string{f.sound.prompt}
	if cfg, err := train.LoadRun(f.model); err == nil {
		inputs = append(inputs, cfg.Data.File)
	}
	for _, o := range []struct{ flag, path string }{{"--wav", f.sound.file}, {"--save-state", f.saveState}} {
		out, err := os.Stat(o.path)
		for _, in := range inputs {
			if st, err2 := os.Stat(in); err == nil && err2 == nil && os.SameFile(out, st) {
				return failf(exitUsage, "%s %s: is a sound or text that the model reads or was trained on, and would be lost: choose another name", o.flag, o.path)
			}
		}
	}
	return nil
}

// promptBytes is the text or the sound that the options ask to continue; of standard input no more than most bytes.
func (a *app) promptBytes(f *generateFlags, most int) ([]byte, error) {
	if f.sound.prompt != "" {
		return f.sound.promptTokens()
	}
	if f.prompt != "-" {
		return []byte(f.prompt), nil
	}
	b, err := io.ReadAll(io.LimitReader(a.in, int64(most)+1))
	if err != nil {
		return nil, failf(exitData, "standard input: %w", cause(err))
	}
	// Shells and editors of Windows begin a text with a mark that is no part of it, or write two bytes a character.
	if err := data.CheckEncoding("standard input", b); err != nil {
		return nil, fail(exitData, err)
	}
	b = bytes.TrimPrefix(b, []byte(data.ByteOrderMark))
	switch {
	case len(b) == 0 && f.state == "":
		return nil, failf(exitUsage, "standard input is empty: want a text to continue, at least one byte")
	case len(b) > most:
		return nil, failf(exitUsage, "standard input has more than the %s that the model can read: want less of it", plural(most, "byte"))
	}
	return b, nil
}

// mostPrompt bounds a prompt as texts are bounded.
const mostPrompt = math.MaxInt32

// promptFor is promptBytes of which each is a token of the model.
func (a *app) promptFor(f *generateFlags, cfg model.Config, most int) ([]byte, error) {
	prompt, err := a.promptBytes(f, most)
	for i, b := range prompt {
		if int(b) >= cfg.VocabSize {
			return nil, failf(exitUsage, "byte %d of the prompt is %d, but the model's vocabulary has %s", i, b, plural(cfg.VocabSize, "token"))
		}
	}
	return prompt, err
}

// fits is an error where d has not the positions for a prompt and for what is to follow it.
func (f *generateFlags) fits(d *model.Decoder, given int) error {
	if given == 0 && d.Position() == 0 {
		given = silentPrompt // a sound
	}
	read := given + f.tokens
	if f.tokens > 0 && f.saveState == "" {
		read-- // the last one is not read
	}
	if left := d.Left(); read > left {
		return failf(exitUsage, "--tokens %d after %s: the model places %s more, its max_position_embeddings: want --tokens %d at most, or a shorter prompt",
			f.tokens, plural(given, "byte"), plural(left, "token"), max(0, f.tokens-(read-left)))
	}
	return nil
}

func (a *app) generate(c *cobra.Command, f generateFlags) error {
	if err := f.check(c); err != nil {
		return err
	}
	_ = rundir.Repair(f.model) // what cannot be repaired shows when it is read
	if err := f.keepsInputs(); err != nil {
		return err
	}
	if err := f.sound.resolve(c, &f); err != nil {
		return err
	}
	from, err := a.openCheckpoint(f.model)
	if err != nil {
		return err
	}
	defer from.Close()
	a.edited(f.model)
	cfg := from.Params.Config
	// Standard input may be long, and somebody's work: it is read once all else is there.
	var prompt []byte
	if f.prompt != "-" {
		if prompt, err = a.promptFor(&f, cfg, 0); err != nil {
			return err
		}
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
	d := model.NewDecoder(m, dev)
	defer d.Close()
	if f.state != "" {
		if err := d.Load(f.state); err != nil {
			return fail(exitData, err)
		}
	}
	if f.prompt == "-" {
		if prompt, err = a.promptFor(&f, cfg, min(d.Left(), mostPrompt)); err != nil {
			return err
		}
	}
	if err := f.fits(d, len(prompt)); err != nil {
		return err
	}
	goOn := a.goOn
	if f.sound.given(c) {
		goOn = f.sound.goOn(a)
	}
	last, err := goOn(context.Background(), d, model.NewSampler(f.o, f.seed), cfg.VocabSize, prompt, f.tokens)
	if err != nil || f.saveState == "" || a.out.err != nil { // a state of what nobody has seen is none
		return err
	}
	if len(last) > 0 { // of the last byte the model knows nothing yet
		if _, err := d.Feed(last); err != nil {
			return err
		}
	}
	return fail(exitOutput, d.Save(f.saveState))
}

// addModel adds the option that names a checkpoint.
func addModel(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "model", "", "folder `DIR` of a checkpoint: the --out of a run, or any with model.safetensors and config.json")
	if err := c.MarkFlagDirname("model"); err != nil {
		panic(err)
	}
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

// stream prints prompt and n bytes that the model continues it with, as a text of its own, and a newline.
func (a *app) stream(ctx context.Context, d *model.Decoder, s *model.Sampler, vocab int, prompt []byte, n int) error {
	d.Reset()
	_, err := a.goOn(ctx, d, s, vocab, prompt, n)
	return err
}

// goOn prints prompt and n bytes that the model continues with what it has read and prompt, and a newline. It returns
// the tokens that it printed and the model has not read. Where nothing more can be printed it stops; main says why.
func (a *app) goOn(ctx context.Context, d *model.Decoder, s *model.Sampler, vocab int, prompt []byte, n int) (unread []uint32, err error) {
	var u data.UTF8Stream
	buf := u.Append(nil, prompt)
	show := func() bool {
		a.out.Write(buf) //nolint:errcheck // the sink keeps the error
		return a.out.err == nil
	}
	if !show() {
		return nil, nil
	}
	unread, err = draw(ctx, d, s, vocab, prompt, n, func(b byte) bool {
		buf = u.Append(buf[:0], []byte{b})
		return show()
	})
	if err != nil {
		a.out.printf("\n") // err begins its own line
		return unread, err
	}
	a.out.Write(append(u.Flush(nil), '\n')) //nolint:errcheck // the sink keeps the error
	return unread, nil
}

// draw continues what the model has read, and prompt, with n bytes, each of which it gives to each, or until that returns
// false. It returns the tokens that the model has not read.
func draw(ctx context.Context, d *model.Decoder, s *model.Sampler, vocab int, prompt []byte, n int, each func(b byte) bool) (unread []uint32, err error) {
	unread = data.Bytes{}.Encode(nil, prompt)
	for range n {
		if err := ctx.Err(); err != nil {
			return unread, err
		}
		logits, err := d.Feed(unread)
		if err != nil {
			return unread, err
		}
		id, err := s.Draw(logits[:min(256, vocab)], d.Position())
		if err != nil {
			return nil, fail(exitData, err)
		}
		unread = append(unread[:0], id)
		if !each(byte(id)) {
			break
		}
	}
	return unread, nil
}
