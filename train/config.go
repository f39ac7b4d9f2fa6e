// Package train is a run: configuration, loop, schedule, evaluation, metrics and events. The command line and the
// browser both drive it; it knows neither.
package train

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"

	"innerloop/data"
	"innerloop/internal/words"
	"innerloop/model"
)

// Config describes a run: what a TOML configuration file holds.
type Config struct {
	Device string       `toml:"device" comment:"auto, cpu, gpu, a part of an adapter's name, or gpu:N, as doctor lists them"`
	Model  model.Config `toml:"model"`
	Data   Data         `toml:"data"`
	Train  Options      `toml:"train"`
	Sample Sample       `toml:"sample"`
}

// Data says what the model reads.
type Data struct {
	File        string  `toml:"file" comment:"any file, its bytes are the tokens, or a sound, WAV, its samples in 8-bit mu-law; empty: a generated text"`
	Task        string  `toml:"task" comment:"which generated text: stories, recall, copy, sums; sounds: a sound"`
	SampleRate  int     `toml:"sample_rate" comment:"of a sound: samples a second, to which it is brought"`
	ValFraction float64 `toml:"val_fraction" comment:"the end of the text, held out for validation"`
	Document    string  `toml:"document" comment:"text that ends a document, where the inner state starts anew; empty: the text is one"`
	StoryBytes  int     `toml:"story_bytes" comment:"length of the generated text, or samples of the sound"`
}

// The sample rates that sounds may have.
const minSampleRate, maxSampleRate = 1000, 48000

// CheckSampleRate is an error that begins with the rate where no sound may have it.
func CheckSampleRate(rate int) error {
	if rate < minSampleRate || rate > maxSampleRate {
		return fmt.Errorf("%d, want %d to %d", rate, minSampleRate, maxSampleRate)
	}
	return nil
}

// Options are the settings of optimiser and loop.
type Options struct {
	Steps           int     `toml:"steps"`
	BatchSize       int     `toml:"batch_size" comment:"sequences of a micro-batch"`
	SeqLen          int     `toml:"seq_len" comment:"tokens of a sequence"`
	MicroBatches    int     `toml:"micro_batches" comment:"micro-batches whose gradients are added up for one update"`
	LR              float64 `toml:"lr" comment:"learning rate at the end of the warm-up"`
	WarmupSteps     int     `toml:"warmup_steps"`
	MinLRRatio      float64 `toml:"min_lr_ratio" comment:"the cosine ends at this part of lr"`
	Beta1           float64 `toml:"beta1"`
	Beta2           float64 `toml:"beta2"`
	Eps             float64 `toml:"eps"`
	WeightDecay     float64 `toml:"weight_decay" comment:"of parameters of rank 2 and more"`
	Clip            float64 `toml:"clip" comment:"largest global gradient norm; 0: no clipping"`
	Seed            uint64  `toml:"seed"`
	LogEvery        int     `toml:"log_every" comment:"steps between lines of the log"`
	EvalEvery       int     `toml:"eval_every" comment:"steps between validations; 0: only at the end"`
	SaveEvery       int     `toml:"save_every" comment:"steps between checkpoints; 0: only at the end"`
	SaveSeconds     float64 `toml:"save_seconds" comment:"seconds between checkpoints beside those, of which only the newest stays; at most 5 % of the time goes into them; 0: none"`
	KeepCheckpoints int     `toml:"keep_checkpoints" comment:"the newest of save_every that stay on disk; 0: all"`
	CarryState      bool    `toml:"carry_state" comment:"rows go on from the state of the last step's: sequences longer than seq_len, gradients cut between"`
	CarryTokens     int     `toml:"carry_tokens" comment:"length of those sequences, whole rows; 0: as long as the text"`
	Precision       string  `toml:"precision" comment:"f32, or f16: weights and activations that linear layers read, and activations kept for the backward pass, rounded to 16 bits; sums, states, norms, loss and updates stay in 32"`
	Fault           string  `toml:"fault" comment:"a known fault put into the layer, to see what it does and what finds it; empty: none; innerloop help faults lists them"`
	CheckpointEvery int     `toml:"scan_checkpoint_every" comment:"mini-batches between kept inner states: more is less memory and more time"`
}

// Sample says what is generated after the run.
type Sample struct {
	Prompts          []string `toml:"prompts"`
	Tokens           int      `toml:"tokens" comment:"of each sample; 0: none"`
	Seconds          float64  `toml:"seconds" comment:"of each sample of a sound, in place of tokens; 0: none"`
	Temperature      float64  `toml:"temperature" comment:"0: the likeliest token each time"`
	TopK             int      `toml:"top_k" comment:"0: all tokens"`
	SoundTemperature float64  `toml:"sound_temperature" comment:"of a sound, in place of temperature and top_k; much below 1 it ends in silence"`
}

// Demo is the run that innerloop train does without a configuration file: the defaults with a convolution before each
// layer. Within a mini-batch the layer tells tokens apart by their place, across its border only by what the inner
// model has learned; the convolution shows it the last few bytes at every place.
func Demo() Config {
	c := Default()
	c.Model.PreConv = true
	c.Sample.Temperature = 0.5
	return c
}

// Default has the values of what a configuration file leaves out; the model's switches are off, as the official ones.
func Default() Config {
	return Config{
		Device: "auto",
		Model:  model.DefaultConfig(),
		Data:   Data{Task: "stories", SampleRate: data.SoundRate, ValFraction: 0.1, StoryBytes: 1 << 20},
		Train: Options{
			Steps: 300, BatchSize: 8, SeqLen: 256, MicroBatches: 1, LR: 3e-3, WarmupSteps: 30, MinLRRatio: 0.1,
			Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Clip: 1, Seed: 1, LogEvery: 10, EvalEvery: 100, SaveSeconds: 120, KeepCheckpoints: 3, CheckpointEvery: 1, Precision: "f32",
		},
		Sample: Sample{Prompts: []string{"Once upon a time", "\"Where is "}, Tokens: 200, Seconds: 1, SoundTemperature: 1, Temperature: 0.8, TopK: 40},
	}
}

// Parse reads a TOML configuration; what it leaves out is Default's. An unknown key or a wrong type is one line with
// its place: name:line:column.
func Parse(name string, text []byte) (Config, error) {
	c := Default()
	return c, decodeTOML(name, text, &c, map[string]bool{})
}

// Load reads a TOML configuration file.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Default(), err
	}
	return Parse(path, b)
}

// Set changes one value, a.b=c, the value in TOML or a bare string.
func (c *Config) Set(assign string) error {
	key, val, ok := strings.Cut(assign, "=")
	key, val = strings.TrimSpace(key), strings.TrimSpace(val)
	if !ok || key == "" {
		return fmt.Errorf("got %.60q, want KEY=VALUE as in model.hidden_size=256", assign)
	}
	f, err := field(reflect.ValueOf(c).Elem(), key)
	if err != nil {
		return err
	}
	if f.Kind() == reflect.String && !strings.HasPrefix(val, `"`) && !strings.HasPrefix(val, "'") {
		f.SetString(val)
		return nil
	}
	if strings.ContainsAny(val, "\r\n") || !setTOML(f, val) {
		return fmt.Errorf("%s: got %.60q, want %s", key, val, typeName(f.Type()))
	}
	return nil
}

// Text writes the configuration as commented TOML, which Parse reads back to the same.
func (c Config) Text() ([]byte, error) {
	return encodeTOML(c)
}

// Validate reports the first thing that is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.Model.Validate(); err != nil {
		return err
	}
	t := c.Train
	const most = 1 << 30
	for _, d := range []struct {
		name      string
		v, lo, hi int
	}{
		{"train.steps", t.Steps, 0, most}, {"train.batch_size", t.BatchSize, 1, 1 << 16}, {"train.seq_len", t.SeqLen, 2, 1 << 24},
		{"train.micro_batches", t.MicroBatches, 1, 1024}, {"train.warmup_steps", t.WarmupSteps, 0, most},
		{"train.log_every", t.LogEvery, 1, 1 << 16}, {"train.eval_every", t.EvalEvery, 0, most},
		{"train.save_every", t.SaveEvery, 0, most}, {"train.keep_checkpoints", t.KeepCheckpoints, 0, most}, {"train.carry_tokens", t.CarryTokens, 0, 1 << 24}, {"train.scan_checkpoint_every", t.CheckpointEvery, 1, 1 << 20},
		{"data.sample_rate", c.Data.SampleRate, minSampleRate, maxSampleRate}, {"data.story_bytes", c.Data.StoryBytes, 1, most}, {"sample.tokens", c.Sample.Tokens, 0, 1 << 24}, {"sample.top_k", c.Sample.TopK, 0, most},
	} {
		if d.v < d.lo || d.v > d.hi {
			return fmt.Errorf("train: %s %d, want %d to %d", d.name, d.v, d.lo, d.hi)
		}
	}
	for _, f := range []struct {
		name   string
		v      float64
		lo, hi float64
	}{
		{"train.lr", t.LR, 0, 1e3}, {"train.min_lr_ratio", t.MinLRRatio, 0, 1}, {"train.beta1", t.Beta1, 0, 1 - 1e-9},
		{"train.beta2", t.Beta2, 0, 1 - 1e-9}, {"train.eps", t.Eps, 0, 1}, {"train.weight_decay", t.WeightDecay, 0, 1e3},
		{"train.clip", t.Clip, 0, math.MaxFloat32}, {"train.save_seconds", t.SaveSeconds, 0, 7 * 24 * 3600}, {"data.val_fraction", c.Data.ValFraction, 0, 0.9}, {"sample.seconds", c.Sample.Seconds, 0, 600}, {"sample.sound_temperature", c.Sample.SoundTemperature, 0, 100}, {"sample.temperature", c.Sample.Temperature, 0, 100},
	} {
		if math.IsNaN(f.v) || f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("train: %s %g, want %s", f.name, f.v, words.Range(f.lo, f.hi))
		}
	}
	if err := data.CheckTask(c.Data.Task); err != nil {
		return fmt.Errorf("train: data.task %w", err)
	}
	if t.Seed > math.MaxInt64 {
		return fmt.Errorf("train: train.seed %d, want at most %d, the largest integer of TOML", t.Seed, math.MaxInt64)
	}
	// A sequence's dispatches stay far inside 32-bit indices.
	if n := int64(t.BatchSize) * int64(t.SeqLen); n > 1<<24 {
		return fmt.Errorf("train: batch_size %d * seq_len %d = %d tokens, want at most %d", t.BatchSize, t.SeqLen, n, 1<<24)
	}
	if k := c.Model.MiniBatchSize; t.CarryState && t.SeqLen%k != 0 {
		return fmt.Errorf("train: train.seq_len %d, want a multiple of model.mini_batch_size %d with train.carry_state", t.SeqLen, k)
	}
	if t.CarryTokens%t.SeqLen != 0 || t.CarryTokens > 0 && !t.CarryState {
		return fmt.Errorf("train: train.carry_tokens %d, want a multiple of train.seq_len %d, and train.carry_state", t.CarryTokens, t.SeqLen)
	}
	if t.Precision != "f32" && t.Precision != "f16" {
		return fmt.Errorf("train: train.precision %q, want f32 or f16", t.Precision)
	}
	if err := c.Model.CheckFault(model.Fault(t.Fault)); err != nil {
		return fmt.Errorf("train: train.fault: %w", err)
	}
	if t.CarryState && c.Model.Block == model.BlockHybrid {
		return errors.New("train: train.carry_state with model.block hybrid: attention passes no gradient to rows before; want false")
	}
	if m := c.Model; (m.Block == model.BlockHybrid || m.Variant == model.VariantVideo) && t.SeqLen > m.MaxPositionEmbeddings {
		return fmt.Errorf("train: train.seq_len %d, want at most model.max_position_embeddings %d", t.SeqLen, m.MaxPositionEmbeddings)
	}
	if c.Model.VocabSize < 256 {
		return fmt.Errorf("train: model.vocab_size %d, want at least 256: the tokens are bytes", c.Model.VocabSize)
	}
	return nil
}

// Half says whether the training step rounds to binary16; see model.StepOptions.
func (o Options) Half() bool { return o.Precision == "f16" }

// Schedule is the learning rate of a step counted from 1: linear warm-up, then a cosine to MinLRRatio at the last step.
func (o Options) Schedule(step int) float64 {
	if step <= o.WarmupSteps {
		return o.LR * float64(step) / float64(o.WarmupSteps)
	}
	n := o.Steps - o.WarmupSteps
	if n <= 1 {
		return o.LR
	}
	at := min(1, float64(step-1-o.WarmupSteps)/float64(n-1))
	return o.LR * (o.MinLRRatio + (1-o.MinLRRatio)*0.5*(1+math.Cos(math.Pi*at)))
}
