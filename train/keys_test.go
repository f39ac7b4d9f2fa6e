//go:build !js

package train

import (
	"reflect"
	"strings"
	"testing"
)

// What is wrong with a configuration is said in the same words by the reader of the command line and by that of the
// browser; the former adds the column.
func TestTOMLSentences(t *testing.T) {
	for _, c := range []struct{ text, place, column, want string }{
		{"hidden_size = 64", "f:1", ":1", "unknown key hidden_size: did you mean model.hidden_size?"},
		{"[model]\nhiden_size = 64", "f:2", ":1", "unknown key model.hiden_size: did you mean model.hidden_size?"},
		{"[train]\nhidden_size = 64", "f:2", ":1", "unknown key train.hidden_size: did you mean model.hidden_size?"},
		{"[modl]\nhidden_size = 64", "f:1", ":2", "unknown table [modl]: did you mean [model]?"},
		{"[nix]\nhidden_size = 64", "f:1", ":2", "unknown table [nix]: want one of [model], [data], [train], [sample]"},
		{"[train.lr]\nx = 1", "f:1", ":2", "train.lr is no table: want lr = VALUE, below [train]"},
		{"[[model]]\nhidden_size = 64", "f:1", ":3", "got [[model]], a list of tables, want one: [model]"},
		{"model = 3", "f:1", ":9", "model is a table: want one of its keys, as in model.vocab_size"},
		{"devise = 'cpu'", "f:1", ":1", "unknown key devise: did you mean device?"},
		{"[train]\nlr = 1\nlr = 2", "f:3", ":1", "train.lr comes twice: want it once"},
		{"[train]\n[train]", "f:2", ":2", "[train] comes twice: want all of its keys below one"},
		{"[train", "f:1", ":6", `got "[train", want a table as [train]`},
		{"steps", "f:1", ":5", `got "steps", want KEY = VALUE`},
		{"[train]\nlr = 1e999", "f:2", ":6", "train.lr: got 1e999, which is too large, want a number"},
		{"[train]\nlr = fast", "f:2", ":6", "train.lr: got fast, want a number"},
		{"[train]\nlr = \"fast\"", "f:2", ":6", `train.lr: got "fast", want a number`},
		{"[train]\nlr =", "f:2", ":4", "train.lr: got no value, want a number"},
		{"[train]\nlr = 2026-01-01", "f:2", ":6", "train.lr: got 2026-01-01, want a number"},
		{"[train]\nsteps = 1.5", "f:2", ":9", "train.steps: got 1.5, want an integer"},
		{"[train]\nsteps = 08", "f:2", ":9", "train.steps: got 08, which begins with a needless 0, want an integer"},
		{"[train]\nsteps = 99999999999999999999", "f:2", ":9", "train.steps: got 99999999999999999999, which is too large, want an integer"},
		{"[train]\nseed = -1", "f:2", ":8", "train.seed: got -1, want a non-negative integer"},
		{"[model]\nuse_gate = yes", "f:2", ":12", "model.use_gate: got yes, want true or false"},
		{"[data]\nfile = C:\\x", "f:2", ":8", `data.file: got C:\x, want a string in quotes`},
		{"[data]\nfile = \"C:\\qx\"", "f:2", ":11", `data.file: got "C:\qx", want a string: in double quotes a backslash is written \\, or single quotes`},
		{"[sample]\nprompts = \"a\"", "f:2", ":11", `sample.prompts: got "a", want a list of strings, ["a", "b"]`},
	} {
		var small, library Config
		if err := smallDecode("f", []byte(c.text), &small); err == nil || err.Error() != c.place+": "+c.want {
			t.Errorf("%q: the browser says\n%v, want\n%s", c.text, err, c.place+": "+c.want)
		}
		if err := decodeTOML("f", []byte(c.text), &library, map[string]bool{}); err == nil || err.Error() != c.place+c.column+": "+c.want {
			t.Errorf("%q: the command line says\n%v, want\n%s", c.text, err, c.place+c.column+": "+c.want)
		}
	}
}

func TestUnknownKey(t *testing.T) {
	root := reflect.TypeFor[Config]()
	for key, want := range map[string]string{
		"hidden_size": "did you mean model.hidden_size?", "model.hiden_size": "did you mean model.hidden_size?", "modell.hiden_size": "did you mean model.hidden_size?",
		"model.hidden_size.x": "did you mean model.hidden_size?", "Model.Hidden-Size": "did you mean model.hidden_size?", "model.lr": "did you mean train.lr?",
		"learning_rate": "did you mean train.lr?", "train.save": "did you mean train.save_every or train.save_seconds?", "window": "did you mean model.attention_window?",
		"seed": "did you mean train.seed?", "temperatur": "did you mean sample.temperature?", "device.x": "did you mean device?",
		"model.nothing": "want one of vocab_size, hidden_size, ", "nothing": "want one of device, model, data, train, sample, with the key as in model.hidden_size",
		"": `unknown key "": want one of device`, "\x1b[1m": `unknown key "\x1b[1m": want`,
	} {
		got := unknownKey(root, key).Error()
		if !strings.HasPrefix(got, "unknown key ") || !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
}
