//go:build !js

package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"innerloop/gpu/gputest/chromium"
)

// Links of strangers: what fits is taken, the rest is named and left out, and the page lives.
func TestHostileLink(t *testing.T) {
	t.Parallel()
	b := browse(t, options{})
	fine := "model.hidden_size=16&model.intermediate_size=24&model.num_hidden_layers=1&model.num_attention_heads=2&model.mini_batch_size=4&train.batch_size=2&train.seq_len=32&data.story_bytes=20000"

	p := part(t, b, "/?debug#"+strings.Join([]string{
		"__proto__=polluted", "__proto__.polluted=1", "constructor.prototype.polluted=1", "toString=1", "train.__proto__=1", // not settings
		"train.lr=1e400", "train.steps=1e308", "train.clip=-1", "train.min_lr_ratio=NaN", "train.seed=Infinity", "train.weight_decay=0x10", // not their numbers
		"model.num_hidden_layers=1000000", // not theirs either
		fine,
	}, "&"), options{})
	p.ready()
	p.says("[data-notice=link]", "Part of the link was left out", "8 settings apply; these do not:",
		"__proto__: unknown setting", "__proto__.polluted: unknown setting", "constructor.prototype.polluted: unknown setting", "toString: unknown setting", "train.__proto__: unknown setting",
		"train.lr: got 1e400, want 0 to 10", "train.steps: got 1e308, want 0 to 10,000,000", "train.clip: got -1, want 0 to 1,000", "train.min_lr_ratio: got NaN, want a number",
		"train.seed: got Infinity, want a number", "train.weight_decay: got 0x10, want a number", "model.num_hidden_layers: got 1000000, want 1 to 64")
	p.says("#size-parameters", "6,662")
	if chromium.JS[bool](p.Tab, `"polluted" in {}`) {
		t.Error("the link has put something into all objects")
	}
	if got := chromium.JS[string](p.Tab, `document.querySelector('[data-value="train.lr"]').value`); got != "0.003" {
		t.Errorf("the learning rate is %q, want its default", got)
	}
	// What is kept of it is what applies.
	p.Until(fmt.Sprintf(`location.hash.slice(1).split("&").sort().join() === %q.split("&").sort().join()`, fine))

	follow := func(fragment string) {
		t.Helper()
		chromium.JS[any](p.Tab, `void document.querySelectorAll("#notices .close").forEach((b) => b.click())`)
		chromium.JS[any](p.Tab, fmt.Sprintf(`void (location.hash = %q)`, "#"+fragment))
	}
	follow("model.use_gate=yes&model.share_qk=1&model.ttt_layer_type=transformer&data.task=rm&sample.prompts=3&sample.prompts=[1,2]&train.lr&=5&model.hidden_size=16.5&data.file=/etc/passwd")
	p.says("[data-notice=link]", "Nothing in the link could be used", "model.use_gate: got yes, want true or false", "model.share_qk: got 1, want true or false",
		"model.ttt_layer_type: got transformer, want linear or mlp", "data.task: got rm, want stories", "sample.prompts: got 3, want a list of texts", "train.lr: want setting=value",
		"(nothing): unknown setting", "model.hidden_size: got 16.5, want a whole number", "data.file: got /etc/passwd, want a text of this browser")

	follow("train.lr=%E0%A4%A&sample.prompts=%5B%22%00%22%5D&sample.prompts=%&data.document=%FF&data.file=/texts/../runs/x&data.file=/texts/a%2F..%2Fb&train.lr=1&train.lr=2")
	p.says("[data-notice=link]", "train.lr: not a percent-encoded text", "sample.prompts: not a percent-encoded text", "data.document: not a percent-encoded text",
		"data.file: got /texts/../runs/x, want a text of this browser", "train.lr: named twice: the first counts")

	// A script in a text stays a text.
	script := `<img src=x onerror="document.title='stolen'">`
	follow("sample.prompts=" + url.PathEscape(`["`+strings.ReplaceAll(script, `"`, `\"`)+`"]`) + "&" + url.PathEscape(script) + "=1&data.file=/texts/" + url.PathEscape(script))
	p.says("#samples", script)
	p.says("[data-notice=link]", "img")
	if chromium.JS[bool](p.Tab, `document.title === "stolen" || document.querySelector("img") !== null`) {
		t.Error("a link's text became a part of the page")
	}
	p.says("#headline-title", "to write like "+script) // a text that this browser has not got
	p.Click("#start")
	p.says("#failure", "The run's text is missing", "is not in this browser", "Choose the text")
	p.Click("#failure .close")

	// A megabyte.
	follow("train.lr=" + strings.Repeat("9", 1<<20))
	p.says("[data-notice=link]", "train.lr: 1048585 characters, want at most 16384")
	follow(strings.Repeat("a=1&", 1<<18) + fine)
	p.says("[data-notice=link]", "a: unknown setting", "and 262132 more")
	p.says("#size-parameters", "6,662")

	// What is allowed of each and absurd of all is told before anything is tried.
	absurd := "model.hidden_size=4096&model.intermediate_size=16384&model.num_hidden_layers=64&model.num_attention_heads=256&train.batch_size=1024&train.seq_len=65536&train.micro_batches=256"
	follow(absurd)
	p.says("#rail .problem", "batch_size 1024 * seq_len 65536 = 67108864 tokens, want at most 16777216")
	follow(strings.Replace(absurd, "train.batch_size=1024&train.seq_len=65536&train.micro_batches=256", "train.batch_size=1&train.seq_len=32", 1))
	p.says("#rail .problem", "more than 1073741824 parameters")
	p.Click("#start")
	p.says("#failure", "A setting does not fit", "more than 1073741824 parameters")
	p.silent("#to-setting") // there is no one setting
	follow("model.hidden_size=16&model.num_attention_heads=3")
	p.says("#rail .problem", "hidden_size 16, want a multiple of num_attention_heads 3")
	p.silent("#failure")
	p.Click("#start")
	p.says("#notices, #failure", "The run could not start", "num_attention_heads 3")

	// And the page still trains.
	follow(fine + "&train.steps=20")
	p.Until(`document.querySelector("#size-parameters").innerText === "6,662" && !document.querySelector("#size").classList.contains("void")`)
	p.silent("#rail .problem")
	p.Click("#start")
	p.phase("finished")
	p.silent("#failure, #notices")
}
