package data

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wavN is the number of samples of the files that wavKinds makes.
const wavN = 12000

// wavKind is a kind of WAV file that people have.
type wavKind struct {
	name string
	b    []byte
	want string              // in the error; empty: it is read, as wavN samples
	of   func(i int) float64 // a sample's value, where it is not wave's
}

// wave is sample i of most of the files.
func wave(i int) float64 {
	return float64(int(12000*math.Sin(float64(i)*.3)*math.Sin(float64(i)*.001))) / 32768
}

// wavFile makes a file of chunks.
func wavFile(form string, size int, chunks ...[]byte) []byte {
	body := append([]byte("WAVE"), slices.Concat(chunks...)...)
	if size < 0 {
		size = len(body)
	}
	return slices.Concat([]byte(form), binary.LittleEndian.AppendUint32(nil, uint32(size)), body)
}

// wavChunk makes a chunk; size -1: its own. A chunk of odd length is padded.
func wavChunk(id string, b []byte, size int) []byte {
	if size < 0 {
		size = len(b)
	}
	out := append(binary.LittleEndian.AppendUint32([]byte(id), uint32(size)), b...)
	if len(b)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

// wavFmt makes a fmt chunk; align -1: what it should be.
func wavFmt(tag, channels, rate, bits, align int, extra ...byte) []byte {
	le := binary.LittleEndian
	if align < 0 {
		align = channels * bits / 8
	}
	b := le.AppendUint16(le.AppendUint16(nil, uint16(tag)), uint16(channels))
	b = le.AppendUint32(le.AppendUint32(b, uint32(rate)), uint32(rate*align))
	b = le.AppendUint16(le.AppendUint16(b, uint16(align)), uint16(bits))
	return wavChunk("fmt ", append(b, extra...), -1)
}

// wavKinds are files of many programs, whole and damaged, each of wavN samples if it is whole.
func wavKinds() []wavKind {
	le := binary.LittleEndian
	const stream = math.MaxUint32
	var s, big, s24, s32, floats, anti []byte
	half := func(i int) float64 { return .5 * math.Sin(float64(i)*.3) }
	for i := range wavN {
		s = le.AppendUint16(s, uint16(int16(wave(i)*32768)))
		big = binary.BigEndian.AppendUint16(big, uint16(int16(wave(i)*32768)))
		s32 = le.AppendUint32(s32, uint32(int32(half(i)*(1<<31))&^0xff))
		v := uint32(int32(half(i) * (1 << 23)))
		s24 = append(s24, byte(v), byte(v>>8), byte(v>>16))
		floats = le.AppendUint32(floats, math.Float32bits(float32(half(i))))
		a := uint16(int16(half(i) * 24000))
		anti = le.AppendUint16(le.AppendUint16(anti, a), -a)
	}
	pcm := wavFmt(1, 1, 8000, 16, -1)
	junk := bytes.Repeat([]byte{0xff, 0x7f, 0, 0x80}, 1500) // 3,000 samples, if they were read as such
	ds64 := func(size int) []byte {
		b := le.AppendUint64(le.AppendUint64(nil, 0), uint64(size))
		return wavChunk("ds64", le.AppendUint32(le.AppendUint64(b, uint64(size/2)), 0), -1)
	}
	ext := func(valid, tag byte) []byte {
		return append([]byte{22, 0, valid, 0, 4, 0, 0, 0, tag, 0}, "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"...)
	}
	var s24in32 []byte
	for i := 0; i < len(s24); i += 3 {
		s24in32 = append(append(s24in32, 0), s24[i:i+3]...)
	}
	nan := bytes.Clone(floats)
	le.PutUint32(nan[4*777:], math.Float32bits(float32(math.NaN())))
	var scaled []byte
	for i := range wavN {
		scaled = le.AppendUint32(scaled, math.Float32bits(float32(32767*math.Sin(float64(i)*.01))))
	}
	var mu, a []byte // the bytes of 0, of the loudest, and of the quietest samples, by G.711
	for i := range wavN {
		mu, a = append(mu, []byte{0xff, 0x80, 0x00, 0xfe}[i%4]), append(a, []byte{0xd5, 0xaa, 0x2a, 0x55}[i%4])
	}
	muWant := func(i int) float64 { return []float64{0, 32124, -32124, 8}[i%4] / 32768 }
	aWant := func(i int) float64 { return []float64{8, 32256, -32256, -8}[i%4] / 32768 }
	odd := []byte("INFOISFT\x05\x00\x00\x00abcde")
	data := func(size int) []byte { return wavChunk("data", s, size) }
	rifx := slices.Concat([]byte("RIFX"), binary.BigEndian.AppendUint32(nil, uint32(36+len(s))), []byte("WAVEfmt \x00\x00\x00\x10\x00\x01\x00\x01"),
		binary.BigEndian.AppendUint32(nil, 8000), binary.BigEndian.AppendUint32(nil, 16000), []byte{0, 2, 0, 16}, []byte("data"), binary.BigEndian.AppendUint32(nil, uint32(len(s))), big)
	plain := wavFile("RIFF", -1, pcm, data(-1))
	return []wavKind{
		{"plain", plain, "", nil},
		{"rf64", wavFile("RF64", stream, ds64(len(s)), pcm, data(stream)), "", nil},
		{"rf64, a chunk after the samples", wavFile("RF64", stream, ds64(len(s)), pcm, data(stream), wavChunk("LIST", junk, -1)), "", nil},
		{"rf64, its own length of 0", wavFile("RF64", stream, ds64(len(s)), pcm, data(0), wavChunk("LIST", junk, -1)), "", nil},
		{"rf64, never completed", wavFile("RF64", stream, ds64(0), pcm, data(stream)), "", nil},
		{"rf64, cut", wavFile("RF64", stream, ds64(2*len(s)), pcm, data(stream)), "byte 72: cut off: 24000 bytes of samples, want 48000", nil},
		{"rf64, cut, short length", wavFile("RF64", stream, ds64(2*len(s)), pcm, data(2*len(s))), "byte 72: cut off: 24000 bytes of samples, want 48000", nil},
		{"bw64", wavFile("BW64", stream, ds64(len(s)), pcm, data(-1)), "", nil},
		{"rifx", rifx, "", nil},
		{"riff of 36, data of 0", wavFile("RIFF", 36, pcm, data(0)), "", nil},
		{"riff of 44, data of 0", wavFile("RIFF", 44, pcm, data(0)), "", nil},
		{"stream of 0xFFFFFFFF", wavFile("RIFF", stream, pcm, data(stream)), "", nil},
		{"stream of 0x7FFFF000", wavFile("RIFF", 0x7ffff024, pcm, data(0x7ffff000)), "", nil},
		{"stream of 0", wavFile("RIFF", 0, pcm, data(0)), "", nil},
		{"cut", wavFile("RIFF", -1, pcm, data(len(s)+2000)), "byte 36: cut off: 24000 bytes of samples, want 26000", nil},
		{"cut by padding", wavFile("RIFF", -1, pcm, data(len(s)+1)), "", nil},
		{"odd chunk", wavFile("RIFF", -1, pcm, wavChunk("LIST", odd, -1), data(-1)), "", nil},
		{"odd chunk, padded by a letter", wavFile("RIFF", -1, pcm, wavChunk("LIST", append(bytes.Clone(odd), 'x'), len(odd)), data(-1)), "", nil},
		{"odd chunk, no pad byte", wavFile("RIFF", -1, pcm, wavChunk("LIST", odd, -1)[:8+len(odd)], data(-1)), "", nil},
		{"bext first", wavFile("RIFF", -1, wavChunk("bext", bytes.Repeat([]byte("x"), 602), -1), wavChunk("JUNK", make([]byte, 28), -1), pcm, wavChunk("fact", le.AppendUint32(nil, wavN), -1), data(-1), wavChunk("LIST", junk, -1)), "", nil},
		{"24 bits in 32, extensible", wavFile("RIFF", -1, wavFmt(0xFFFE, 1, 8000, 32, -1, ext(24, 1)...), wavChunk("data", s32, -1)), "", half},
		{"20 bits in 3 bytes", wavFile("RIFF", -1, wavFmt(1, 1, 8000, 20, 3), wavChunk("data", s24, -1)), "", half},
		{"24 bits in 4 bytes", wavFile("RIFF", -1, wavFmt(1, 1, 8000, 24, 4), wavChunk("data", s24in32, -1)), "", half},
		{"12 bits in 2 bytes", wavFile("RIFF", -1, wavFmt(1, 1, 8000, 12, 2), data(-1)), "", nil},
		{"mu-law", wavFile("RIFF", -1, wavFmt(7, 1, 8000, 8, -1), wavChunk("data", mu, -1)), "", muWant},
		{"A-law", wavFile("RIFF", -1, wavFmt(6, 1, 8000, 8, -1), wavChunk("data", a, -1)), "", aWant},
		{"ADPCM", wavFile("RIFF", -1, wavFmt(2, 1, 8000, 4, 256), wavChunk("data", mu, -1)), "format 0x2 (ADPCM), want PCM (1), floating point (3), A-law (6) or mu-law (7): convert it to WAV first", nil},
		{"frames of 0 bytes", wavFile("RIFF", -1, wavFmt(1, 1, 8000, 16, 0), data(-1)), "", nil},
		{"two data chunks", wavFile("RIFF", -1, pcm, wavChunk("data", s[:8000], -1), wavChunk("data", s[8000:], -1)), "", nil},
		{"a second data chunk, cut", wavFile("RIFF", -1, pcm, wavChunk("data", s[:8000], -1), wavChunk("data", s[8000:], 20000)), "byte 8044: cut off: 16000 bytes of samples, want 20000", nil},
		{"two files in one", slices.Concat(plain, plain), "byte 24044: another file begins within this one: want one WAV file", nil},
		{"two fmt chunks of one kind", wavFile("RIFF", -1, pcm, pcm, data(-1)), "", nil},
		{"two fmt chunks", wavFile("RIFF", -1, pcm, wavFmt(1, 2, 44100, 16, -1), data(-1)), "byte 36: a second fmt chunk", nil},
		{"ID3 before", slices.Concat([]byte("ID3\x03\x00\x00\x00\x00\x00\x00"), plain), "", nil},
		{"a longer ID3 before, RF64", slices.Concat([]byte("ID3\x04\x00\x10\x00\x00\x01\x02"), make([]byte, 130+10), wavFile("RF64", stream, ds64(len(s)), pcm, data(stream), wavChunk("LIST", junk, -1))), "", nil},
		{"NaN", wavFile("RIFF", -1, wavFmt(3, 1, 8000, 32, -1), wavChunk("data", nan, -1)), "sample 777 of channel 0 is NaN, want a finite number", nil},
		{"floating point of integers' scale", wavFile("RIFF", -1, wavFmt(3, 1, 8000, 32, -1), wavChunk("data", scaled, -1)), "samples of floating point of up to 32767, want -1 to 1", nil},
		{"floating point", wavFile("RIFF", -1, wavFmt(3, 1, 8000, 32, -1), wavChunk("data", floats, -1)), "", half},
		{"a newline at the end", append(bytes.Clone(plain), '\n'), "", nil},
		{"zeros at the end", append(bytes.Clone(plain), make([]byte, 100)...), "", nil},
		{"a cut chunk after the samples", slices.Concat(plain, []byte("LIST\xff\xff\x00\x00abc")), "", nil},
		{"opposite phases", wavFile("RIFF", -1, wavFmt(1, 2, 8000, 16, -1), wavChunk("data", anti, -1)), "its 2 channels cancel each other: their mean is silence", nil},
		{"no samples", wavFile("RIFF", -1, pcm, wavChunk("data", nil, -1)), "no samples", nil},
	}
}

func TestKindsOfWAV(t *testing.T) {
	for _, k := range wavKinds() {
		t.Run(k.name, func(t *testing.T) {
			if !IsWAV(k.b) {
				t.Error("it is not taken for a WAV file")
			}
			a, err := DecodeWAV("x.wav", k.b)
			if k.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "data: x.wav: "+k.want) {
					t.Errorf("got %v, want %s", err, k.want)
				}
				return
			}
			if err != nil || a.Rate != 8000 || len(a.Samples) != wavN {
				t.Fatalf("%d samples at %d: %v, want %d at 8000", len(a.Samples), a.Rate, err, wavN)
			}
			for i, got := range a.Samples {
				want := wave(i)
				if k.of != nil {
					want = k.of(i)
				}
				if math.Abs(float64(got)-want) > 1e-6 {
					t.Fatalf("sample %d is %g, want %g", i, got, want)
				}
			}
		})
	}
}

// A sound is never taken for a text, nor is a text of two bytes a character; any other file is its bytes.
func TestKindsOfFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, begins, want string }{
		{"a.txt", "RIFF and ready", ""},
		{"b.txt", "ID3 is a tag", ""},
		{"c.txt", "\xef\xbb\xbfOnce", ""},
		{"d.bin", "\x00\x01\x02", ""},
		{"e.txt", "RIFX marks the spot, said the FORM", ""},
		{"f.mid", "MThd\x00\x00\x00\x06", ""},
		{"a.flac", "fLaC\x00\x00\x00\x22", "begins as a sound of another kind does, FLAC"},
		{"a", "OggS\x00\x02", "Ogg"},
		{"a.bin", "ID3\x03\x00\x00\x00\x00\x00\x02xx\xff\xfb\x90\x64", "MP3"},
		{"b.mp3", "\xff\xfb\x90\x64\x00", "MP3"},
		{"a.aif", "FORM\x00\x01\x00\x00AIFFCOMM", "AIFF"},
		{"a.aifc", "FORM\x00\x01\x00\x00AIFCCOMM", "AIFF"},
		{"a.m4a", "\x00\x00\x00\x20ftypM4A \x00", "M4A"},
		{"a.aac", "\xff\xf1\x50\x80\x00\x1f\xfc", "AAC"},
		{"a.avi", "RIFF\x00\x01\x00\x00AVI LIST", "RIFF"},
		{"a.w", "RF64\xff\xff\xff\xffWAXX", "RIFF"},
		{"a.wav", "RIFF and ready", "is called a sound, but is no WAV file: it begins with \"RIFF and rea\""},
		{"A.WAV", "once", "is called a sound"},
		{"b.ogg", "once", "is called a sound"},
		{"u.txt", "\xff\xfeO\x00n\x00", "is in UTF-16: convert it to UTF-8"},
		{"v.txt", "\xfe\xff\x00O\x00n", "is in UTF-16"},
		{"w.txt", "\xff\xfe\x00\x00O\x00\x00\x00", "is in UTF-32"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.begins+strings.Repeat(" and so on", 9)), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := LoadSound(path, SoundRate)
		if c.want == "" {
			if err != nil || got.Rate() != 0 || got.Len() != len(c.begins)+90 {
				t.Errorf("%s: %v, want its bytes", c.name, err)
			}
		} else if err == nil || !strings.HasPrefix(err.Error(), "data: "+path+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func FuzzDecodeWAV(f *testing.F) {
	f.Add(wav(1, 16, 8000, false, tone(10, 2)))
	f.Add(wav(3, 64, 44100, true, tone(3, 1)))
	f.Add(wav(1, 24, 8000, true, tone(3, 3)))
	for _, k := range wavKinds() {
		f.Add(k.b[:min(len(k.b), 400)])
		if len(k.b) > 400 { // short, and whole again
			if at := bytes.Index(k.b, []byte("data")); at > 0 && at < 300 {
				b := bytes.Clone(k.b[:at+48])
				binary.LittleEndian.PutUint32(b[at+4:], 40)
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkText("x", b) //nolint:errcheck // it must not panic
		a, err := DecodeWAV("x", b)
		if err != nil {
			if len(a.Samples) != 0 || !strings.HasPrefix(err.Error(), "data: x: ") || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("%d samples and error %q", len(a.Samples), err)
			}
			return
		}
		if !IsWAV(b) || otherSound(b) != "" {
			t.Errorf("%.12q was read, and is %q", b, otherSound(b))
		}
		if len(a.Samples) == 0 || len(a.Samples) > len(b) || a.Rate < minRate || a.Rate > maxRate {
			t.Errorf("%d samples at %d of %d bytes", len(a.Samples), a.Rate, len(b))
		}
		for _, s := range a.Samples {
			if !(s >= -1 && s <= 1) {
				t.Fatalf("sample %g", s)
			}
		}
	})
}
