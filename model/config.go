// Package model is the TTT language model: its configuration, parameters and blocks, the recorded programs of
// training, evaluation and generation, and checkpoints, all named and shaped as the official PyTorch model's.
package model

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"innerloop/internal/words"
)

// Config describes a model. Names, meaning and defaults are those of the official model's config.json; the same
// names are the keys of a TOML configuration's [model] table.
type Config struct {
	ModelType             string  `json:"model_type" toml:"-"`
	VocabSize             int     `json:"vocab_size" toml:"vocab_size" comment:"tokens; 256 for bytes"`
	HiddenSize            int     `json:"hidden_size" toml:"hidden_size" comment:"C, width of the residual stream"`
	IntermediateSize      int     `json:"intermediate_size" toml:"intermediate_size" comment:"width of the SwiGLU"`
	NumHiddenLayers       int     `json:"num_hidden_layers" toml:"num_hidden_layers"`
	NumAttentionHeads     int     `json:"num_attention_heads" toml:"num_attention_heads" comment:"H; the head width is hidden_size / H"`
	TTTLayerType          string  `json:"ttt_layer_type" toml:"ttt_layer_type" comment:"the inner model: linear or mlp"`
	TTTBaseLR             float64 `json:"ttt_base_lr" toml:"ttt_base_lr" comment:"of the inner loop"`
	MiniBatchSize         int     `json:"mini_batch_size" toml:"mini_batch_size" comment:"K, tokens of an inner step"`
	UseGate               bool    `json:"use_gate" toml:"use_gate" comment:"multiply the TTT output by gelu(Wg x)"`
	ShareQK               bool    `json:"share_qk" toml:"share_qk" comment:"one projection for queries and keys, told apart by convolutions"`
	PreConv               bool    `json:"pre_conv" toml:"pre_conv" comment:"a causal convolution before the TTT layer"`
	ConvKernel            int     `json:"conv_kernel" toml:"conv_kernel"`
	TieWordEmbeddings     bool    `json:"tie_word_embeddings" toml:"tie_word_embeddings" comment:"the output head is the embedding"`
	RMSNormEps            float64 `json:"rms_norm_eps" toml:"rms_norm_eps"`
	RopeTheta             float64 `json:"rope_theta" toml:"rope_theta"`
	InitializerRange      float64 `json:"initializer_range" toml:"initializer_range" comment:"standard deviation of the initial projections"`
	HiddenAct             string  `json:"hidden_act" toml:"hidden_act" comment:"silu"`
	MaxPositionEmbeddings int     `json:"max_position_embeddings" toml:"max_position_embeddings" comment:"tokens of a text that attention and the video variant can place; the official model has no such limit"`

	// What the official language model has not got; the zero of a config.json without the keys is that model.
	Block     string  `json:"block" toml:"block" comment:"ttt: a TTT layer in each block, the official model; hybrid: causal attention, and in some blocks a gated TTT layer after it"`
	Layers    string  `json:"layers" toml:"layers" comment:"blocks of a hybrid that have a TTT layer: all, none, middle (the third in the middle), or numbers from 0 as in 29,30,31"`
	Variant   string  `json:"variant" toml:"variant" comment:"of the TTT layer: lm, the official language model's; video: keys and queries of length 1, a normalised target, absolute positions"`
	TargetEps float64 `json:"target_eps" toml:"target_eps" comment:"video: added to the standard deviation of the target; a change acts on the next step"`
	GateInit  float64 `json:"gate_init" toml:"gate_init" comment:"hybrid: x + tanh(alpha) * TTT(x), the initial alpha"`
	Window    int     `json:"attention_window" toml:"attention_window" comment:"hybrid: tokens that attention looks back, its own among them; 0: all"`
	Causal    bool    `json:"causal" toml:"causal" comment:"must be true for a language model: inside a mini-batch no token sees a later one"`
	Reverse   bool    `json:"reverse" toml:"reverse" comment:"must be false for a language model: a second pass of each gated TTT layer, from the end to the beginning"`
}

// DefaultConfig is the small byte model that trains out of the box.
func DefaultConfig() Config {
	return Config{
		ModelType: "ttt", VocabSize: 256, HiddenSize: 128, IntermediateSize: 344, NumHiddenLayers: 2, NumAttentionHeads: 4,
		TTTLayerType: "linear", TTTBaseLR: 1, MiniBatchSize: 16, ConvKernel: 4, TieWordEmbeddings: true,
		RMSNormEps: 1e-6, RopeTheta: 10000, InitializerRange: 0.02, HiddenAct: "silu", MaxPositionEmbeddings: 2048,
		Block: BlockTTT, Layers: "all", Variant: VariantLM, TargetEps: 1e-5, GateInit: 0.1, Causal: true,
	}
}

// The values of Config.Block and Config.Variant.
const (
	BlockTTT     = "ttt"
	BlockHybrid  = "hybrid"
	VariantLM    = "lm"
	VariantVideo = "video"
)

// Name is what the model is called: TTT-Linear, TTT-MLP, hybrid TTT-MLP, or attention, which is a hybrid without TTT layers.
func (c Config) Name() string {
	name := "TTT-Linear"
	if c.TTTLayerType == "mlp" {
		name = "TTT-MLP"
	}
	switch {
	case c.Block == BlockHybrid && c.Layers == "none":
		return "attention"
	case c.Block == BlockHybrid:
		return "hybrid " + name
	}
	return name
}

// HeadDim is F, the width of a head.
func (c Config) HeadDim() int { return c.HiddenSize / c.NumAttentionHeads }

// largest bounds every dimension, so that products of two fit an int and no typing error asks for all memory.
const largest = 1 << 20

// mostLayers bounds the recorded program.
const mostLayers = 1024

// Validate reports the first thing that is wrong with the configuration.
func (c Config) Validate() error {
	if c.NumHiddenLayers < 1 || c.NumHiddenLayers > mostLayers {
		return fmt.Errorf("model: num_hidden_layers %d, want 1 to %d", c.NumHiddenLayers, mostLayers)
	}
	for _, d := range []struct {
		name string
		v    int
	}{
		{"vocab_size", c.VocabSize}, {"hidden_size", c.HiddenSize}, {"intermediate_size", c.IntermediateSize},
		{"num_attention_heads", c.NumAttentionHeads},
		{"mini_batch_size", c.MiniBatchSize}, {"conv_kernel", c.ConvKernel},
	} {
		if d.v < 1 || d.v > largest {
			return fmt.Errorf("model: %s %d, want 1 to %d", d.name, d.v, largest)
		}
	}
	for _, f := range []struct {
		name   string
		v      float64
		lo, hi float64
	}{
		{"rms_norm_eps", c.RMSNormEps, 0, 1}, {"rope_theta", c.RopeTheta, 1, 1e12}, {"ttt_base_lr", c.TTTBaseLR, 0, 1e3},
		{"initializer_range", c.InitializerRange, 0, 1e3},
	} {
		if math.IsNaN(f.v) || f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("model: %s %g, want %s", f.name, f.v, words.Range(f.lo, f.hi))
		}
	}
	if c.HiddenSize%c.NumAttentionHeads != 0 {
		return fmt.Errorf("model: hidden_size %d, want a multiple of num_attention_heads %d", c.HiddenSize, c.NumAttentionHeads)
	}
	if f := c.HeadDim(); f%2 != 0 {
		return fmt.Errorf("model: head_dim %d (hidden_size %d / num_attention_heads %d) is odd, want even: rotary embedding turns pairs", f, c.HiddenSize, c.NumAttentionHeads)
	}
	if c.TTTLayerType != "linear" && c.TTTLayerType != "mlp" {
		return fmt.Errorf("model: ttt_layer_type %.60q, want \"linear\" or \"mlp\"", c.TTTLayerType)
	}
	if c.HiddenAct != "silu" {
		return fmt.Errorf("model: hidden_act %.60q, want \"silu\"", c.HiddenAct)
	}
	if c.ModelType != "ttt" {
		return fmt.Errorf("model: model_type %.60q, want \"ttt\"", c.ModelType)
	}
	return c.validateHybrid()
}

// validateHybrid is Validate of what the official model has not got.
func (c Config) validateHybrid() error {
	if c.Block != BlockTTT && c.Block != BlockHybrid {
		return fmt.Errorf("model: block %.60q, want \"ttt\" or \"hybrid\"", c.Block)
	}
	if c.Variant != VariantLM && c.Variant != VariantVideo {
		return fmt.Errorf("model: variant %.60q, want \"lm\" or \"video\"", c.Variant)
	}
	if !c.Causal {
		return errors.New("model: causal false, want true: a language model would see the tokens that it is to predict")
	}
	if c.Reverse {
		return errors.New("model: reverse true, want false: a language model that reads backwards too has seen the tokens that it is to predict")
	}
	if _, err := c.TTTLayers(); err != nil {
		return err
	}
	for _, f := range []struct {
		name   string
		v      float64
		lo, hi float64
	}{{"target_eps", c.TargetEps, 0, 1}, {"gate_init", c.GateInit, -10, 10}} {
		if math.IsNaN(f.v) || f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("model: %s %g, want %s", f.name, f.v, words.Range(f.lo, f.hi))
		}
	}
	switch {
	case c.Window < 0 || c.Window > largest:
		return fmt.Errorf("model: attention_window %d, want 0 to %d", c.Window, largest)
	case c.MaxPositionEmbeddings < 1 || c.MaxPositionEmbeddings > largest:
		return fmt.Errorf("model: max_position_embeddings %d, want 1 to %d", c.MaxPositionEmbeddings, largest)
	case c.Variant == VariantVideo && (c.ShareQK || c.UseGate):
		return errors.New("model: variant video has neither share_qk nor use_gate: want both false")
	case c.Block == BlockHybrid && c.HeadDim() > 128:
		return fmt.Errorf("model: head_dim %d (hidden_size %d / num_attention_heads %d), want at most 128 in a hybrid: attention", c.HeadDim(), c.HiddenSize, c.NumAttentionHeads)
	case c.Block == BlockHybrid && c.PreConv:
		return errors.New("model: block hybrid has no pre_conv: want false")
	}
	return nil
}

// TTTLayers says which blocks have a TTT layer.
func (c Config) TTTLayers() ([]bool, error) {
	n := c.NumHiddenLayers
	on := make([]bool, n)
	fill := func(from, to int) ([]bool, error) {
		for i := from; i < to; i++ {
			on[i] = true
		}
		return on, nil
	}
	if c.Block == BlockTTT && c.Layers != "all" {
		return nil, fmt.Errorf("model: layers %.60q, want \"all\" in blocks that have nothing but the TTT layer; block \"hybrid\" has attention", c.Layers)
	}
	switch c.Layers {
	case "all":
		return fill(0, n)
	case "none":
		return on, nil
	case "middle":
		third := max(1, n/3)
		return fill((n-third)/2, (n-third)/2+third)
	}
	for part := range strings.SplitSeq(c.Layers, ",") {
		i, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || i < 0 || i >= n {
			return nil, fmt.Errorf("model: layers %.60q: %.20q, want all, none, middle, or numbers from 0 to %d as in 29,30,31", c.Layers, strings.TrimSpace(part), n-1)
		}
		on[i] = true
	}
	return on, nil
}

// HasTTT says whether block i has a TTT layer.
func (c Config) HasTTT(i int) bool {
	on, err := c.TTTLayers()
	return err == nil && on[i]
}

// officialConfig has what the official model takes for a key that its config.json leaves out.
func officialConfig() Config {
	c := DefaultConfig()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads = 32000, 2048, 5504, 24, 32
	return c
}

// ParseConfig reads a config.json; keys that it leaves out, or are null, have the official defaults, and keys that are
// not the model's (tokens' ids, library versions) are passed over. Errors carry name, the file's, and the key.
func ParseConfig(name string, b []byte) (Config, error) {
	c := officialConfig()
	fields := map[string]reflect.Value{}
	for v, i := reflect.ValueOf(&c).Elem(), 0; i < v.NumField(); i++ {
		fields[v.Type().Field(i).Tag.Get("json")] = v.Field(i)
	}
	err := eachMember(b, func(key string, value jsontext.Value) error {
		f, ok := fields[key]
		if !ok || value.Kind() == 'n' {
			return nil
		}
		if want := setField(f, value); want != "" {
			return fmt.Errorf("%s: got %s, want %s", key, brief(value), want)
		}
		return nil
	})
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// setField sets f to a value of a config.json, or returns what kind of value it wants.
func setField(f reflect.Value, v jsontext.Value) (want string) {
	k := v.Kind()
	switch f.Kind() {
	case reflect.Int:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if f.SetInt(n); k != '0' || err != nil {
			return "a whole number"
		}
	case reflect.Float64:
		x, err := strconv.ParseFloat(string(v), 64)
		if f.SetFloat(x); k != '0' || err != nil {
			return "a number"
		}
	case reflect.Bool:
		if f.SetBool(k == 't'); k != 't' && k != 'f' {
			return "true or false"
		}
	case reflect.String:
		text, err := jsontext.AppendUnquote(nil, []byte(v))
		if f.SetString(string(text)); k != '"' || err != nil {
			return "a string"
		}
	default:
		panic("model: a field of Config of kind " + f.Kind().String())
	}
	return ""
}

// difference names the first field in which c is not other, with both values, or is "".
func (c Config) difference(other Config) string {
	a, b := reflect.ValueOf(c), reflect.ValueOf(other)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			return fmt.Sprintf("%s: got %v, want %v", a.Type().Field(i).Tag.Get("json"), x, y)
		}
	}
	return ""
}

// configDifference says in what two texts of a config.json differ, the old one first.
func configDifference(was, is []byte) string {
	old, err := ParseConfig(ConfigFile, was)
	if err != nil {
		return "the one that the weights have been written with is none"
	}
	c, err := ParseConfig(ConfigFile, is)
	if err != nil {
		return err.Error()
	}
	var keys []string
	a, b := reflect.ValueOf(c), reflect.ValueOf(old)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			keys = append(keys, fmt.Sprintf("%s is %v, was %v", a.Type().Field(i).Tag.Get("json"), x, y))
		}
	}
	if len(keys) == 0 {
		return "in nothing that says what the model computes"
	}
	return strings.Join(keys, ", ")
}

// LoadConfig reads a config.json from a file.
func LoadConfig(path string) (Config, error) {
	b, err := readJSON(path)
	if err != nil {
		return Config{}, err
	}
	return ParseConfig(path, b)
}
