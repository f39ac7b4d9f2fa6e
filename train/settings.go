package train

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"innerloop/model"
)

// Settings is a configuration in the making: defaults, and what somebody has set of them in a file, on the command line
// or on the page. Some defaults depend on other settings; Config gives them their values once all is set, so that no
// setting is refused for one that nobody made.
type Settings struct {
	c   Config
	set map[string]bool // dotted keys that somebody set
}

// Defaults begins with c, of which nobody has set anything.
func Defaults(c Config) *Settings { return &Settings{c, map[string]bool{}} }

// Keep counts the keys that begin with prefix as set to what they are: "" for all, "model." for the model's.
func (s *Settings) Keep(prefix string) {
	for _, v := range Values(s.c) {
		if strings.HasPrefix(v.Key, prefix) {
			s.set[v.Key] = true
		}
	}
}

// Load reads a TOML configuration file, as the function Load: what was set before is forgotten.
func (s *Settings) Load(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s.c, s.set = Default(), map[string]bool{}
	return decodeTOML(path, b, &s.c, s.set)
}

// Set changes one value, as Config.Set.
func (s *Settings) Set(assign string) error {
	err := s.c.Set(assign)
	if err == nil {
		key, _, _ := strings.Cut(assign, "=")
		s.set[strings.TrimSpace(key)] = true
	}
	return err
}

// SetValue changes one value, as Config.SetValue.
func (s *Settings) SetValue(key string, value any) error {
	err := s.c.SetValue(key, value)
	if err == nil {
		s.set[key] = true
	}
	return err
}

// Put sets a key to a value of its own type. It panics where there is no such key.
func (s *Settings) Put(key string, value any) {
	f, err := field(reflect.ValueOf(&s.c).Elem(), key)
	if err != nil {
		panic(err)
	}
	f.Set(reflect.ValueOf(value))
	s.set[key] = true
}

// Config is the configuration: what was set, and the defaults that follow from it. brought is the setting that a fault
// brings with it, as in model.variant=video, or empty. An error is of a setting that contradicts another, or of what
// Validate finds.
func (s *Settings) Config() (c Config, brought string, err error) {
	c = s.c
	m := &c.Model
	fault := model.Fault(c.Train.Fault)
	if fault.InVideo() && m.Variant == model.VariantLM {
		if s.set["model.variant"] {
			return c, "", fmt.Errorf("train: train.fault: model: fault %s: variant %q has no normaliser of the target, want \"video\"", fault, m.Variant)
		}
		m.Variant = model.VariantVideo
		brought = "model.variant=video"
	}
	if m.Block == model.BlockHybrid && !s.set["model.pre_conv"] {
		m.PreConv = false // a hybrid has none
	}
	// Positions are absolute there, and have a table. Of a sequence's length and the table's, the one that nobody set gives in.
	if m.Block == model.BlockHybrid || m.Variant == model.VariantVideo {
		switch {
		case c.Train.SeqLen <= m.MaxPositionEmbeddings:
		case !s.set["model.max_position_embeddings"]:
			m.MaxPositionEmbeddings = c.Train.SeqLen
		case !s.set["train.seq_len"]:
			c.Train.SeqLen = max(2, m.MaxPositionEmbeddings)
		}
	}
	if err = c.Validate(); err != nil && brought != "" {
		err = fmt.Errorf("%w; train.fault %s brings %s", err, fault, brought)
	}
	return c, brought, err
}
