package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/train"
)

// silentPrompt is how many silent samples a model hears where it begins with nothing.
const silentPrompt = 128

// soundFlags are the options of generate for models of sound.
type soundFlags struct {
	file    string // to write
	rate    int
	prompt  string
	seconds float64 // of the prompt
}

func (f *soundFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.file, "wav", "", "write a sound to `FILE`, 16-bit PCM, and print no bytes")
	fl.IntVar(&f.rate, "rate", 0, "`N` samples a second (default: data.sample_rate of the run, or 8000)")
	fl.StringVar(&f.prompt, "prompt-wav", "", "WAV `FILE` to continue")
	fl.Float64Var(&f.seconds, "prompt-seconds", 0, "continue the first `S` seconds of it (default: all)")
}

// given says whether a sound is to be written, or continued.
func (f *soundFlags) given(c *cobra.Command) bool {
	return c.Flags().Changed("wav") || c.Flags().Changed("prompt-wav")
}

// check reports what is wrong with the options.
func (f *soundFlags) check(c *cobra.Command, g *generateFlags) error {
	set := c.Flags().Changed
	for _, name := range []string{"wav", "prompt-wav"} {
		if set(name) && c.Flags().Lookup(name).Value.String() == "" {
			return failf(exitUsage, "--%s: empty, want a file", name)
		}
	}
	switch {
	case set("rate") && !f.given(c):
		return failf(exitUsage, "--rate is of a sound: want --wav or --prompt-wav too")
	case set("prompt-seconds") && f.prompt == "":
		return failf(exitUsage, "--prompt-seconds is of --prompt-wav: want that too")
	case f.prompt != "" && g.prompt != "":
		return failf(exitUsage, "--prompt and --prompt-wav: want one of them")
	case f.prompt != "" && f.file == "" && g.tokens > 0:
		return failf(exitUsage, "--prompt-wav begins a sound: want --wav, a file for it (or --tokens 0 and --save-state)")
	case set("prompt-seconds") && !(f.seconds > 0 && f.seconds <= math.MaxInt32): // NaN too
		return failf(exitUsage, "--prompt-seconds %g, want more than 0 and at most %d", f.seconds, math.MaxInt32)
	}
	if set("rate") {
		if err := train.CheckSampleRate(f.rate); err != nil {
			return failf(exitUsage, "--rate %w", err)
		}
	}
	return checkOutput("--wav", f.file, "a WAV file", data.IsWAV)
}

// resolve fills in what the options leave to the run in the model's folder, and to each other.
func (f *soundFlags) resolve(c *cobra.Command, g *generateFlags) error {
	if !f.given(c) {
		return nil
	}
	if !c.Flags().Changed("rate") {
		path := filepath.Join(g.model, runConfigFile)
		cfg, err := train.LoadRun(g.model)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(exitData, err)
		}
		f.rate = cfg.Data.SampleRate
		if err := train.CheckSampleRate(f.rate); err != nil {
			return failf(exitData, "%s: data.sample_rate %w", path, err)
		}
	}
	if !c.Flags().Changed("tokens") {
		g.tokens = f.rate
	}
	// What helps a text to stay sensible lets a sound end in silence.
	if !c.Flags().Changed("temperature") {
		g.o.Temperature = 1
	}
	if !c.Flags().Changed("top-k") {
		g.o.TopK = 0
	}
	if g.tokens == 0 && f.file != "" && f.prompt == "" && g.prompt == "" {
		return failf(exitUsage, "--tokens 0: --wav would have no samples, want at least 1")
	}
	return nil
}

// promptTokens are those of the sound to continue.
func (f *soundFlags) promptTokens() ([]byte, error) {
	c, err := data.LoadSound(f.prompt, f.rate)
	if err != nil {
		return nil, fail(exitData, err)
	}
	if c.Rate() == 0 {
		return nil, failf(exitData, "--prompt-wav %s: is no WAV file", f.prompt)
	}
	tokens := c.Tokens()
	if n := f.seconds * float64(f.rate); n > 0 && n < float64(len(tokens)) {
		tokens = tokens[:max(1, int(math.Round(n)))]
	}
	return slices.Clone(tokens), nil // the rest may go
}

// goOn is app.goOn that writes a sound.
func (f *soundFlags) goOn(a *app) func(context.Context, *model.Decoder, *model.Sampler, int, []byte, int) ([]uint32, error) {
	return func(ctx context.Context, d *model.Decoder, s *model.Sampler, vocab int, prompt []byte, n int) ([]uint32, error) {
		if f.file == "" { // --tokens 0
			return data.Bytes{}.Encode(nil, prompt), nil
		}
		unread, err := f.write(ctx, d, s, vocab, prompt, n)
		if err == nil {
			a.out.printf("%s: %s\n", shown(f.file), soundOf(f.rate, len(prompt), n))
		}
		return unread, err
	}
}

// write continues what the model has heard, and prompt, with n samples and writes prompt and those. At the beginning of a
// sound without a prompt the model hears silence, which is not written. It returns the tokens that the model has not
// read.
func (f *soundFlags) write(ctx context.Context, d *model.Decoder, s *model.Sampler, vocab int, prompt []byte, n int) ([]uint32, error) {
	tokens := slices.Clone(prompt)
	if len(prompt) == 0 && d.Position() == 0 {
		prompt = bytes.Repeat([]byte{data.Silence}, silentPrompt)
	}
	unread, err := draw(ctx, d, s, vocab, prompt, n, func(b byte) bool {
		tokens = append(tokens, b)
		return true
	})
	if err != nil {
		return unread, err
	}
	return unread, fail(exitOutput, safetensors.WriteFileAtomic(f.file, 0o644, func(w io.Writer) error {
		_, err := w.Write(data.EncodeWAV(data.FromTokens(f.rate, tokens)))
		return err
	}))
}

// soundOf describes a sound of a prompt and what a model made of it, in samples.
func soundOf(rate, given, made int) string {
	s := fmt.Sprintf("sound, %s samples/s, %s", count(rate), lasting(given+made, rate))
	if given > 0 {
		s += fmt.Sprintf(" (%s given)", lasting(given, rate))
	}
	return s
}

// lasting prints how long n samples sound: 25 ms, 12.3 s, 3m05s.
func lasting(n, rate int) string {
	switch seconds := float64(n) / float64(rate); {
	case seconds < 0.9995:
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	case seconds < 60:
		return fmt.Sprintf("%.1f s", seconds)
	default:
		return clock(seconds)
	}
}

// unitOf is what the tokens of a text are to people.
func unitOf(text *data.Corpus) string {
	if text.Rate() > 0 {
		return "samples"
	}
	return "bytes"
}

// sampleFiles are the samples of a run of sound: from silence, and of what was held out.
var sampleFiles = [...]string{"sample-1.wav", "sample-2.wav"}

// soundSamples writes what the model makes of silence, and how it goes on with the beginning of the held-out sound, to
// the run's folder.
func (a *app) soundSamples(ctx context.Context, cfg train.Config, m *model.LM, dev *device, held data.Part, rate int, out *folder) error {
	length := int(math.Round(cfg.Sample.Seconds * float64(rate)))
	if length == 0 {
		return nil
	}
	d := model.NewDecoder(m, dev)
	defer d.Close()
	prompts := [][]byte{nil}
	if n := min(held.Len(), cfg.Train.SeqLen); n > 0 {
		ids := make([]uint32, n)
		if err := held.Read(ids, 0); err != nil {
			return err
		}
		prompt, err := data.Bytes{}.Decode(nil, ids)
		if err != nil {
			return err
		}
		prompts = append(prompts, prompt)
	}
	o := model.SampleOptions{Temperature: cfg.Sample.SoundTemperature}
	for i, prompt := range prompts {
		if err := out.Check(); err != nil {
			return fail(exitOutput, err)
		}
		name, err := out.Free(sampleFiles[i])
		if err != nil {
			return folderError("", out.dir, err)
		}
		f := soundFlags{file: filepath.Join(out.dir, name), rate: rate}
		d.Reset()
		given := len(prompt)
		if given == 0 {
			given = silentPrompt
		}
		length, cut := fitting(d, given, length)
		if length == 0 {
			a.out.printf("sample %d%s\n", i+1, cut)
			continue
		}
		if _, err := f.write(ctx, d, model.NewSampler(o, cfg.Train.Seed+uint64(i)), m.Config.VocabSize, prompt, length); err != nil {
			return err
		}
		from := "silence"
		if prompt != nil {
			from = "the held-out sound's beginning"
		}
		if i == 0 {
			a.out.printf("\n")
		}
		a.out.printf("sample %d, temperature %g, from %s%s: %s: %s\n", i+1, o.Temperature, from, cut, shown(f.file), soundOf(rate, len(prompt), length))
	}
	return nil
}
