//go:build !js

package e2e

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"innerloop/data"
	"innerloop/gpu/gputest/chromium"
)

// hear keeps the buffers that are made to be played in globalThis.heard.
const hear = `{
  const make = BaseAudioContext.prototype.createBuffer;
  globalThis.heard = [];
  BaseAudioContext.prototype.createBuffer = function (...a) {
    const buffer = make.apply(this, a);
    heard.push(buffer);
    return buffer;
  };
}`

// heard is what is played last.
type heard struct {
	Rate, Channels int
	Samples        []float64
}

func (p *page) heard(n int) heard {
	p.t.Helper()
	if got := chromium.JS[int](p.Tab, "heard.length"); got != n {
		p.t.Fatalf("%d buffers were made to be played, want %d", got, n)
	}
	return chromium.JS[heard](p.Tab, `(({ sampleRate, numberOfChannels, ...rest }, b) => ({ Rate: sampleRate, Channels: numberOfChannels, Samples: Array.from(b.getChannelData(0)) }))(heard.at(-1), heard.at(-1))`)
}

// plays checks that what is played last are the samples of these bytes.
func (h heard) plays(t *testing.T, rate int, bytes []int) {
	t.Helper()
	if h.Rate != rate || h.Channels != 1 || len(h.Samples) != len(bytes) {
		t.Fatalf("%d samples at %d in %d channels are played, want %d at %d", len(h.Samples), h.Rate, h.Channels, len(bytes), rate)
	}
	for i, b := range bytes {
		if want := float64(data.FromMuLaw(byte(b))); math.Abs(h.Samples[i]-want) > 1e-6 {
			t.Fatalf("sample %d is %g, want %g", i, h.Samples[i], want)
		}
	}
}

// A WAV file is data: it is dropped, trained on, its samples are heard, and the model plays on; the command line plays
// the model too.
func TestSound(t *testing.T) {
	// Not parallel: a sample ends after some seconds, however long it was to be.
	b := browse(t, options{})
	p := open(t, b, "/?debug"+tiny+"&train.steps=20&sample.seconds=0.05", options{script: hear})
	p.ready()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p.drop(file("letter.wav", []byte("a text that is called a sound")))
	p.says("#notices", "letter.wav", "no WAV file")
	p.Click("#notices .close")
	p.drop(file("song.mp3", []byte("ID3")))
	p.says("#notices", "song.mp3 is a sound of another kind: convert it to .wav first.")
	p.Click("#notices .close")
	p.drop(file("notes.wav", data.EncodeWAV(data.Sounds(1, 32000, 16000))))
	p.Until(`document.querySelector("#data-source option:checked").innerText === "notes.wav"`)
	p.says("#data-source-note", "sound, ")
	shown := func(selector string, want bool) {
		t.Helper()
		if got := chromium.JS[bool](p.Tab, `document.querySelector("`+selector+`").checkVisibility()`); got != want {
			t.Errorf("%s is seen: %v, want %v", selector, got, want)
		}
	}
	shown("#f-data-sample_rate", true)
	shown("#f-sample-seconds", true)
	shown("#f-sample-tokens", false)
	shown("#prompt", false)

	p.Click("#start")
	p.phase("finished")
	p.Until(`document.querySelector("#samples .clip")`)
	sample := chromium.JS[[]int](p.Tab, `crossed.findLast((m) => m.event === "sample").data.bytes`)
	if len(sample) != 400 {
		t.Errorf("a sample has %d samples, want 400", len(sample))
	}
	if label := chromium.JS[string](p.Tab, `document.querySelector("#samples .clip .wave svg").getAttribute("aria-label")`); label != "The wave of the sample of step 20, 50 ms" {
		t.Errorf("the wave is called %q", label)
	}
	p.Click("#samples .clip .play")
	p.heard(1).plays(t, 8000, sample)

	// From silence, and on from there.
	p.says("#prompt-title", "It plays on from silence")
	drawn := func() []int {
		t.Helper()
		return chromium.JS[[]int](p.Tab, `crossed.filter((m) => m.event === "token").flatMap((m) => m.data.tokens.map((t) => t.byte))`)
	}
	p.Click("#continue")
	p.Until(`/128 new tokens read, 0 from/.test(document.querySelector("#continue-note").innerText) && document.querySelector("#continue-stop").hidden`)
	first := drawn()
	p.Click("#prompt-box .clip .play")
	h := p.heard(2)
	h.plays(t, 8000, first)
	if len(first) != 400 || slices.Min(h.Samples) == slices.Max(h.Samples) {
		t.Errorf("%d samples, of %g to %g", len(first), slices.Min(h.Samples), slices.Max(h.Samples))
	}
	p.Until(`document.querySelector("#prompt-box .clip .play").innerText === "Play"`) // it has ended
	p.Click("#continue")
	p.Until(`/^1 new token read, 527 from/.test(document.querySelector("#continue-note").innerText) && document.querySelector("#continue-stop").hidden`)
	p.says("#prompt-box .clip .length", "100 ms")
	p.Click("#prompt-box .clip .play")
	all := drawn()
	p.heard(3).plays(t, 8000, all)
	if len(all) != 800 || !slices.Equal(all[:400], first) {
		t.Errorf("%d samples in all, or others than the first", len(all))
	}
	if path := os.Getenv("INNERLOOP_SOUND_SHOT"); path != "" {
		p.Screenshot(path)
	}
	p.Click("#clear-text")
	shown("#prompt-box .clip", false)

	// The command line plays it too.
	p.Click("#tab-runs")
	p.Click("#runs > li button[title*='ownload']")
	out := filepath.Join(dir, "out.wav")
	if said := innerloop(t, "generate", "--device", "cpu", "--model", downloaded(t, b.Downloads), "--wav", out, "--tokens", "300"); !strings.Contains(said, "sound, 8,000 samples/s") {
		t.Errorf("generate --wav said %q", said)
	}
	w, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := data.DecodeWAV(out, w); err != nil || a.Rate != 8000 || len(a.Samples) != 300 {
		t.Errorf("%d samples at %d: %v", len(a.Samples), a.Rate, err)
	}
	p.Click("#tab-text")

	// Generated sounds at a rate that browsers do not play as it is, and text again after them.
	choose := func(value string) {
		t.Helper()
		chromium.JS[bool](p.Tab, `{ const s = document.querySelector("#data-source"); s.value = "`+value+`"; s.dispatchEvent(new Event("change")); }; true`)
	}
	choose("task:sounds")
	chromium.JS[bool](p.Tab, `{ const f = document.querySelector("#f-data-sample_rate"); f.value = "4000"; f.dispatchEvent(new Event("input")); }; true`)
	p.Click("#start")
	p.Until(`crossed.findLast((m) => m.event === "state")?.data.run?.config["data.task"] === "sounds"`)
	p.phase("finished")
	p.Until(`crossed.findLast((m) => m.event === "sample")?.data.bytes?.length === 200 && document.querySelector("#samples .clip")`)
	p.Click("#samples .clip .play")
	if h := p.heard(4); h.Rate != 8000 || len(h.Samples) != 400 {
		t.Errorf("%d samples at %d are played of 200 at 4000", len(h.Samples), h.Rate)
	}
	choose("task:copy")
	p.Click("#start")
	p.Until(`crossed.findLast((m) => m.event === "state")?.data.run?.config["data.task"] === "copy"`)
	p.phase("finished")
	p.Until(`document.querySelector("#samples p")?.innerText.startsWith("Once upon")`)
	shown("#prompt", true)
	p.says("#prompt-title", "You begin, it goes on")
}
