package model_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/model"
)

// config.json as others write it, and as nobody should.
func TestParseConfig(t *testing.T) {
	c, err := model.ParseConfig("c", []byte(`{"model_type": "ttt", "hidden_size": 64, "num_attention_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 5000,
		"bos_token_id": 1, "pad_token_id": null, "transformers_version": "4.44.0", "auto_map": {"a": ["b", {}]}, "Vocab_Size": "x", "conv_kernel": null, "use_gate": true}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.HiddenSize != 64 || c.RMSNormEps != 1e-5 || c.RopeTheta != 5000 || c.VocabSize != 32000 || c.ConvKernel != 4 || !c.UseGate || !c.TieWordEmbeddings {
		t.Errorf("got %+v", c)
	}
	for text, want := range map[string]string{
		``:                        `c: unexpected end of JSON input`,
		`{`:                       `c: unexpected end of JSON input`,
		`[]`:                      `c: got an array, want an object`,
		`{"hidden_size": 1} 2`:    `c: more after the closing brace at byte 20`,
		`{"x": 1, "x": 2}`:        `c: the key "x" comes twice`,
		`{"hidden_size": "64"}`:   `c: hidden_size: got "64", want a whole number`,
		`{"hidden_size": 64.5}`:   `c: hidden_size: got 64.5, want a whole number`,
		`{"hidden_size": NaN}`:    `c: not valid JSON at byte 16: invalid character 'N' at start of value`,
		`{"hidden_size": 1e99}`:   `c: hidden_size: got 1e99, want a whole number`,
		`{"rope_theta": 1e999}`:   `c: rope_theta: got 1e999, want a number`,
		`{"rope_theta": [1]}`:     `c: rope_theta: got an array, want a number`,
		`{"use_gate": 1}`:         `c: use_gate: got 1, want true or false`,
		`{"ttt_layer_type": {}}`:  `c: ttt_layer_type: got an object, want a string`,
		`{"model_type": "llama"}`: `c: model: model_type "llama", want "ttt"`,
		`{"hidden_size": -64}`:    `c: model: hidden_size -64, want 1 to 1048576`,
		`{"num_hidden_layers": 123456789012345678901234567890}`: `c: num_hidden_layers: got 123456789012345678901234567890, want a whole number`,
	} {
		if _, err := model.ParseConfig("c", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestParseIndex(t *testing.T) {
	got, err := model.ParseIndex("i", []byte(`{"metadata": {"total_size": 8}, "weight_map": {"a": "m-1.safetensors", "b": "m-\u0032.safetensors"}}`))
	if want := map[string]string{"a": "m-1.safetensors", "b": "m-2.safetensors"}; err != nil || !maps.Equal(got, want) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	plain := `, want the plain name of a .safetensors file beside the index`
	for text, want := range map[string]string{
		``:                                   `model: i: unexpected end of JSON input`,
		`{}`:                                 `model: i: no weight_map`,
		`{"weight_map": []}`:                 `model: i: weight_map: got an array, want an object`,
		`{"weight_map": null}`:               `model: i: weight_map: got null, want an object`,
		`{"weight_map": {"a": 1}}`:           `model: i: weight_map: "a": got 1, want a file's name`,
		`{"weight_map": {"a": "x", "a":""}}`: `model: i: the key "a" comes twice`,
		`{"weight_map": {}, "weight_map":1}`: `model: i: the key "weight_map" comes twice`,
	} {
		if _, err := model.ParseIndex("i", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
	for _, file := range []string{"", ".", "..", "../x.safetensors", "/x.safetensors", "a/x.safetensors", `..\x.safetensors`, "C:x.safetensors", "x.bin", "x\n.safetensors", "\x00.safetensors"} {
		q, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("model: i: weight_map: %q: got %q%s", "a", file, plain)
		if _, err := model.ParseIndex("i", []byte(`{"weight_map": {"a": `+string(q)+`}}`)); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", file, err, want)
		}
	}
	many := make([]string, 600)
	for i := range many {
		many[i] = fmt.Sprintf(`"t%d": "%d.safetensors"`, i, i)
	}
	if _, err := model.ParseIndex("i", []byte(`{"weight_map": {`+strings.Join(many, ",")+`}}`)); err == nil || err.Error() != "model: i: weight_map: more than 512 files" {
		t.Errorf("600 shards: got %v", err)
	}
}

// FuzzParseIndex: whatever the bytes, no file's name leads out of the index's folder, and an error is one line.
func FuzzParseIndex(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"weight_map": {"a": "m-1.safetensors"}}`, `{"weight_map": {"a": "../m.safetensors"}}`, `{"metadata": {}, "weight_map": {"a": "\u002e./x.safetensors"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		index, err := model.ParseIndex("index", b)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q is more than one line", err)
			}
			return
		}
		for _, file := range index {
			if filepath.Base(file) != file || filepath.Dir(filepath.Join("dir", file)) != "dir" {
				t.Fatalf("%q is no plain name", file)
			}
		}
	})
}

// FuzzParseConfig: whatever the bytes, an error is one line of bounded length, and what is accepted is valid and means
// the same when it is written again.
func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"hidden_size": 64, "num_attention_heads": 2}`, `{"rope_theta": 1e3, "use_gate": true, "x": [1, {"y": null}]}`, `{"ttt_layer_type": "m\u006cp"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := model.ParseConfig("config", b)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 1000 {
				t.Fatalf("%d bytes: %.200q", len(err.Error()), err)
			}
			return
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := model.ParseConfig("config", text); err != nil || again != c {
			t.Fatalf("got %+v, %v, want %+v", again, err, c)
		}
	})
}

func TestName(t *testing.T) {
	for _, c := range []struct{ block, inner, layers, want string }{
		{"ttt", "linear", "all", "TTT-Linear"}, {"ttt", "mlp", "all", "TTT-MLP"}, {"hybrid", "mlp", "middle", "hybrid TTT-MLP"}, {"hybrid", "linear", "none", "attention"},
	} {
		m := model.DefaultConfig()
		m.Block, m.TTTLayerType, m.Layers = c.block, c.inner, c.layers
		if got := m.Name(); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}
