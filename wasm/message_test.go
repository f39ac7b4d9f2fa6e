package main

import (
	"slices"
	"testing"
)

// A refusal names the keys that it is about, so that the page can say it beside the one that was changed.
func TestKeysIn(t *testing.T) {
	for message, want := range map[string][]string{
		"model: hidden_size 128, want a multiple of num_attention_heads 3":                           {"model.hidden_size", "model.num_attention_heads"},
		"train: train.carry_tokens 100, want a multiple of train.seq_len 256, and train.carry_state": {"train.carry_tokens", "train.seq_len", "train.carry_state"},
		"num_hidden_layers 64 * micro_batches 200, want at most 256 in a browser":                    {"model.num_hidden_layers", "train.micro_batches"},
		`model: layers "9": "9", want all, none, middle, or numbers from 0 to 1 as in 29,30,31`:      {"model.layers"},
		"the steps and layers of a block":                                                            nil,
		"":                                                                                           nil,
	} {
		if got := keysIn(message); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", message, got, want)
		}
	}
	f := asFailure(failf(codeConfig, "model: hidden_size 128, want a multiple of num_attention_heads 3"))
	if f.Key != "model.hidden_size" || len(f.Keys) != 2 {
		t.Errorf("%+v", f)
	}
}
