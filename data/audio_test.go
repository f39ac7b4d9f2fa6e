package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wav writes a WAV file of frames [n][channels] in a format, as its specification has it.
func wav(tag, bits, rate int, extensible bool, frames [][]float64) []byte {
	le := binary.LittleEndian
	var samples []byte
	for _, f := range frames {
		for _, v := range f {
			switch {
			case tag == 3 && bits == 32:
				samples = le.AppendUint32(samples, math.Float32bits(float32(v)))
			case tag == 3:
				samples = le.AppendUint64(samples, math.Float64bits(v))
			case bits == 8:
				samples = append(samples, byte(math.Round(v*127)+128))
			default:
				n := int64(math.Round(v * float64(int64(1)<<(bits-1)-1)))
				for i := range bits / 8 {
					samples = append(samples, byte(n>>(8*i)))
				}
			}
		}
	}
	ch := len(frames[0])
	fm := le.AppendUint16(nil, uint16(tag))
	if extensible {
		fm = le.AppendUint16(nil, 0xFFFE)
	}
	fm = le.AppendUint16(fm, uint16(ch))
	fm = le.AppendUint32(fm, uint32(rate))
	fm = le.AppendUint32(fm, uint32(rate*ch*bits/8))
	fm = le.AppendUint16(le.AppendUint16(fm, uint16(ch*bits/8)), uint16(bits))
	if extensible {
		fm = append(fm, 22, 0, byte(bits), 0, 0, 0, 0, 0, byte(tag), 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71)
	}
	chunk := func(id string, b []byte) []byte {
		out := append(le.AppendUint32([]byte(id), uint32(len(b))), b...)
		if len(b)%2 == 1 {
			out = append(out, 0)
		}
		return out
	}
	body := slices.Concat([]byte("WAVE"), chunk("fmt ", fm), chunk("LIST", []byte("odd")), chunk("data", samples))
	return chunk("RIFF", body)
}

// tone is n frames of sines of 440 Hz at 8000 a second, one a channel.
func tone(n, channels int) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		for c := range channels {
			out[i] = append(out[i], 0.7*math.Sin(2*math.Pi*440*float64(i)/8000+float64(c)))
		}
	}
	return out
}

func TestDecodeWAV(t *testing.T) {
	for _, f := range []struct {
		tag, bits int
		err       float64
	}{{1, 8, 0.01}, {1, 16, 1e-4}, {1, 24, 1e-6}, {1, 32, 1e-6}, {3, 32, 1e-7}, {3, 64, 1e-7}} {
		for _, channels := range []int{1, 2, 5} {
			for _, ext := range []bool{false, true} {
				frames := tone(333, channels)
				a, err := DecodeWAV("a.wav", wav(f.tag, f.bits, 8000, ext, frames))
				if err != nil || a.Rate != 8000 || len(a.Samples) != 333 {
					t.Fatalf("%v x %d, extensible %v: %d samples at %d: %v", f, channels, ext, len(a.Samples), a.Rate, err)
				}
				for i, s := range a.Samples {
					mean := 0.0
					for _, v := range frames[i] {
						mean += v / float64(channels)
					}
					if math.Abs(float64(s)-mean) > f.err {
						t.Fatalf("%v x %d: sample %d is %g, want %g", f, channels, i, s, mean)
					}
				}
			}
		}
	}
}

// What was written as a stream does not tell its length, or tells one that no file has.
func TestStreamedWAV(t *testing.T) {
	good := wav(1, 16, 8000, false, tone(10, 1))
	at := bytes.Index(good, []byte("data")) + 4
	for _, c := range []struct{ riff, data uint32 }{{0, 0}, {math.MaxUint32, 0}, {math.MaxUint32, math.MaxUint32}, {0x7FFFF024, 0x7FFFF000}, {0, 0xFFFFFFDB}} {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[4:], c.riff)
		binary.LittleEndian.PutUint32(b[at:], c.data)
		if a, err := DecodeWAV("s.wav", b); err != nil || len(a.Samples) != 10 {
			t.Errorf("lengths %#x and %#x: %d samples, %v, want 10", c.riff, c.data, len(a.Samples), err)
		}
	}
	binary.LittleEndian.PutUint32(good[at:], 0)
	if _, err := DecodeWAV("s.wav", good); err == nil {
		t.Error("a file that says that it has no samples was read")
	}
}

func TestBadWAV(t *testing.T) {
	good := wav(1, 16, 8000, false, tone(10, 2))
	change := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{nil, "no WAV file"}, {[]byte("RIFF"), "no WAV file"}, {[]byte("ID3 some mp3 file"), "want RIFF"},
		{good[:12], "before a data chunk"}, {good[:30], "the file ends after"}, {good[:len(good)-4], "cut off"},
		{change(20, 2), "format 0x2"}, {change(20, 0x55), "convert it to WAV first"}, {change(34, 7), "7 bits"}, {change(34, 33), "33 bits"}, {change(22, 0, 0), "0 channels"},
		{change(24, 1, 0, 0, 0), "1 samples a second"}, {change(32, 3), "frames of 3 bytes"}, {change(12, 'j', 'u', 'n', 'k'), "before the fmt"},
		{wav(3, 32, 8000, false, [][]float64{{0}, {math.NaN()}}), "sample 1 of channel 0 is NaN"},
	} {
		_, err := DecodeWAV("x.wav", c.b)
		if err == nil || !strings.HasPrefix(err.Error(), "data: x.wav: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q...: got %v, want %q", c.b, err, c.want)
		}
	}
}

func TestEncodeWAV(t *testing.T) {
	a := Sounds(1, 5000, SoundRate)
	b, err := DecodeWAV("a", EncodeWAV(a))
	if err != nil || b.Rate != a.Rate || len(b.Samples) != len(a.Samples) {
		t.Fatal(err, b.Rate, len(b.Samples))
	}
	for i, s := range b.Samples {
		if math.Abs(float64(s-a.Samples[i])) > 1.0/32768 {
			t.Fatalf("sample %d: %g, want %g", i, s, a.Samples[i])
		}
	}
}

// Every token is the token of its own sample, tokens grow with samples, and the error of a round trip is what 8 bits of
// mu-law allow: about 1 % of a sample.
func TestMuLaw(t *testing.T) {
	last := float32(math.Inf(-1))
	for i := range 256 {
		s := FromMuLaw(byte(i))
		if got := MuLaw(s); got != byte(i) || s <= last || s < -1 || s > 1 {
			t.Errorf("token %d: sample %g, of token %d", i, s, got)
		}
		last = s
	}
	for i := -1000; i <= 1000; i++ {
		x := float64(i) / 1000
		got := float64(FromMuLaw(MuLaw(float32(x))))
		if e := math.Abs(got - x); e > 0.023*math.Abs(x)+1e-4 {
			t.Errorf("%g becomes %g", x, got)
		}
	}
	if MuLaw(0) != 128 || FromMuLaw(128) != 0 || MuLaw(5) != 255 || MuLaw(-5) != 0 {
		t.Error("silence or the ends")
	}
}

// A tone keeps its frequency, its phase and its loudness; what is above the lower rate's range is gone.
func TestResample(t *testing.T) {
	sine := func(rate, n int, hz float64) Audio {
		a := Audio{rate, make([]float32, n)}
		for i := range a.Samples {
			a.Samples[i] = float32(0.8 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
		}
		return a
	}
	for _, c := range []struct{ from, to int }{{44100, 8000}, {8000, 44100}, {48000, 16000}, {16000, 48000}, {22050, 8000}, {11025, 8000}, {8000, 8001}} {
		got := sine(c.from, c.from, 1234).Resample(c.to)
		if got.Rate != c.to || len(got.Samples) != c.to {
			t.Fatalf("%v: %d samples at %d", c, len(got.Samples), got.Rate)
		}
		want := sine(c.to, c.to, 1234)
		for i := c.to / 10; i < c.to*9/10; i++ { // the ends have nothing beyond them
			if d := math.Abs(float64(got.Samples[i] - want.Samples[i])); d > 1e-3 {
				t.Fatalf("%v: sample %d is off by %g", c, i, d)
			}
		}
	}
	loud := 0.0
	for _, s := range sine(44100, 44100, 6000).Resample(8000).Samples[800:7200] {
		loud = max(loud, math.Abs(float64(s)))
	}
	if loud > 1e-3 {
		t.Errorf("6000 Hz at 8000 samples a second: an alias of %g", loud)
	}
	a := sine(8000, 10, 100)
	if !slices.Equal(a.Resample(8000).Samples, a.Samples) || len(a.Resample(1000).Samples) != 1 {
		t.Error("the same rate, or a short sound")
	}
}

func TestSounds(t *testing.T) {
	a, b := Sounds(1, 50000, SoundRate), Sounds(1, 20000, SoundRate)
	if len(a.Samples) < 50000 || !slices.Equal(a.Samples[:len(b.Samples)], b.Samples) {
		t.Error("a longer sound does not begin with the shorter")
	}
	if slices.Equal(Sounds(2, 100, SoundRate).Samples[:100], a.Samples[:100]) {
		t.Error("the seed does not matter")
	}
	lo, hi := slices.Min(a.Samples), slices.Max(a.Samples)
	if lo < -1 || hi > 1 || hi < 0.3 {
		t.Error(lo, hi)
	}
	// At another rate they are the same sounds, but for what it cannot hold: 16,000 samples a second hold all, 1,000 the lowest.
	double, want := Sounds(1, 20000, 2*SoundRate), b.Resample(2*SoundRate)
	for i, s := range want.Samples[:10000] {
		if math.Abs(float64(s-double.Samples[i])) > 1e-3 {
			t.Fatalf("at twice the rate: sample %d is %g, want %g", i, double.Samples[i], s)
		}
	}
	slow := Sounds(1, 6250, 1000)
	if n := len(slow.Samples); n < 6250 || n > 6250+2000 || slices.Max(slow.Samples) < 0.1 {
		t.Errorf("at 1,000 a second: %d samples, the loudest %g", n, slices.Max(slow.Samples))
	}
	used := map[byte]bool{}
	for _, tok := range a.Tokens() {
		used[tok] = true
	}
	if len(used) < 100 {
		t.Errorf("%d tokens in use", len(used))
	}
	if got := FromTokens(SoundRate, a.Tokens()); !bytes.Equal(got.Tokens(), a.Tokens()) {
		t.Error("tokens change in a round trip")
	}
}

// A WAV file is read as its samples' tokens, at the rate that is asked for; any other file as its bytes.
func TestLoadSound(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := Sounds(3, 9000, SoundRate)
	c, err := LoadSound(write("a.wav", EncodeWAV(a)), SoundRate)
	if err != nil || c.Rate() != SoundRate || c.Len() != len(a.Samples) {
		t.Fatal(c, err)
	}
	wrong := 0
	for i, tok := range a.Tokens() {
		if d := int(tok) - int(c.text[i]); d < -1 || d > 1 { // 16 bits are fewer than a float32's
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d tokens differ", wrong, c.Len())
	}
	if c, err := LoadSound(filepath.Join(dir, "a.wav"), SoundRate/2); err != nil || c.Rate() != SoundRate/2 || c.Len() != (len(a.Samples)+1)/2 {
		t.Errorf("at half the rate: %v of %d tokens, %v", c, len(a.Samples), err)
	}
	if c, err := LoadSound(write("b.txt", []byte("RIFF and ready")), SoundRate); err != nil || c.Rate() != 0 || c.Len() != 14 {
		t.Error(c, err)
	}
	if c, err := LoadSound(write("c.wav", EncodeWAV(a)[:100]), SoundRate); c != nil || err == nil || !strings.Contains(err.Error(), "c.wav: byte 36: cut off") {
		t.Error(c, err)
	}
	if _, _, err := c.Split(0.1, 1000000); err == nil || !strings.Contains(err.Error(), "samples split into") || !strings.HasSuffix(err.Error(), ": a sound of 10000000 samples or more") {
		t.Error(err)
	}
}

func TestNewSound(t *testing.T) {
	if c, err := NewSound("none", Audio{Rate: 8000}, 8000); c != nil || err == nil || err.Error() != "data: none: no samples" {
		t.Error(c, err)
	}
	// Three million seconds are too much at the highest rate, which is said before they are made.
	if c, err := NewSound("long", Audio{1, make([]float32, 3000000)}, maxRate); c != nil || err == nil || err.Error() != "data: long: 2304000000000 samples at 768000 a second, want at most 2147483647" {
		t.Error(c, err)
	}
	for _, rate := range []int{-1, 0, 999, maxRate + 1} {
		want := fmt.Sprintf("data: x: %d samples a second, want 1000 to 768000", rate)
		if c, err := NewSound("x", Sounds(1, 10, SoundRate), rate); c != nil || err == nil || err.Error() != want {
			t.Errorf("got %v, %v, want %s", c, err, want)
		}
	}
}
