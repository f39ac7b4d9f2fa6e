package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Audio is sound of one channel: samples of -1 to 1.
type Audio struct {
	Rate    int // samples a second
	Samples []float32
}

// The format tags of a WAV file (mmreg.h): those that DecodeWAV reads.
const (
	wavPCM        = 1
	wavFloat      = 3
	wavALaw       = 6
	wavMuLaw      = 7
	wavExtensible = 0xFFFE // the tag proper is the first word of a GUID
)

// wavOthers names formats that people meet and that DecodeWAV does not read.
var wavOthers = map[int]string{2: "ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0x161: "WMA"}

// wavStream is the least length of a data chunk that stands for one that its writer did not know.
const wavStream = 0x7FFFF000

// The rates that a sound may have.
const minRate, maxRate = 1000, 768000

// loudest is the largest sample of floating point that counts as one of full scale 1. Mixes go beyond 1, but not so far:
// what does has another scale, as that of 16-bit integers.
const loudest = 8

// wavFormat is what a WAV file's fmt chunk says.
type wavFormat struct {
	tag, channels, rate, frame, width int // a sample lies in width bytes, a frame of one sample a channel in frame bytes
	order                             binary.ByteOrder
}

// DecodeWAV reads a WAV file: PCM of 8 to 32 bits, floating point of 32 or 64, mu-law or A-law, any number of channels,
// which are mixed to one by their mean. Samples beyond -1 to 1, which floating point allows, are cut off there. Its kinds
// are RIFF, RIFX (the same, big end first), RF64 and BW64 (of any length), each after an ID3 tag too. name stands for the
// file in errors.
func DecodeWAV(name string, b []byte) (Audio, error) {
	a, err := decodeWAV(b)
	if err != nil {
		return Audio{}, fmt.Errorf("data: %s: %w", name, err)
	}
	return a, nil
}

func decodeWAV(b []byte) (Audio, error) {
	if !IsWAV(b) {
		return Audio{}, fmt.Errorf("is no WAV file: it begins with %.12q, want RIFF....WAVE", b[:min(12, len(b))])
	}
	f, samples, err := wavChunks(b, id3Length(b))
	if err != nil {
		return Audio{}, err
	}
	return f.decode(samples)
}

// wavChunks reads the chunks of the WAV file that begins at byte start of b: its format and its samples, of all data chunks.
func wavChunks(b []byte, start int) (f wavFormat, samples []byte, err error) {
	form := string(b[start : start+4])
	var order binary.ByteOrder = binary.LittleEndian
	if form == "RIFX" {
		order = binary.BigEndian
	}
	long := int64(-1) // the length of the first data chunk, where a ds64 chunk has it
	found := false    // a data chunk
	at := start + 12
	for len(b)-at >= 8 {
		id, size, body := string(b[at:at+4]), int64(order.Uint32(b[at+4:])), b[at+8:]
		if found { // What is no chunk may follow the samples, and what is cut off there takes none of them.
			if isForm(id) {
				return f, nil, fmt.Errorf("byte %d: another file begins within this one: want one WAV file", at)
			}
			if id != "data" && (!isChunkID(b[at:]) || size > int64(len(body))) {
				break
			}
		}
		if id == "data" {
			if f.tag == 0 {
				return f, nil, fmt.Errorf("byte %d: a data chunk before the fmt chunk", at)
			}
			if size, err = f.dataLength(b, start, at, size, long); err != nil {
				return f, nil, err
			}
			whole := body[:size-size%int64(f.frame)]
			if found {
				whole = append(samples[:len(samples):len(samples)], whole...)
			}
			samples, found, long = whole, true, -1
		} else if size > int64(len(body)) {
			return f, nil, fmt.Errorf("byte %d: chunk %q of %d bytes, but the file ends after %d", at, id, size, len(body))
		}
		switch id {
		case "ds64":
			if size >= 16 {
				long = int64(min(order.Uint64(body[8:]), math.MaxInt64))
			}
		case "fmt ":
			g, err := parseFormat(body[:size], order)
			if err != nil {
				return f, nil, err
			}
			if f.tag != 0 && f != g {
				return f, nil, fmt.Errorf("byte %d: a second fmt chunk, which says something else than the first: nobody can tell which is right", at)
			}
			f = g
		}
		at = nextChunk(b, at+8+int(size), size)
	}
	if !found {
		return f, nil, fmt.Errorf("no samples: the file ends at byte %d before a data chunk", len(b))
	}
	return f, samples, nil
}

// nextChunk is where the chunk after one of size bytes that ends at byte end begins: at an even distance, or, as many
// programs write it, at once.
func nextChunk(b []byte, end int, size int64) int {
	if size%2 == 0 || end >= len(b) {
		return end
	}
	after := string(b[end+1 : min(end+5, len(b))])
	if b[end] == 0 || !isChunkID(b[end:]) || after == "fmt " || after == "data" {
		end++
	}
	return end
}

// isChunkID says whether b begins with what may be a chunk's name: four printable characters of ASCII.
func isChunkID(b []byte) bool {
	for i := range 4 {
		if i >= len(b) || b[i] < ' ' || b[i] > '~' {
			return false
		}
	}
	return true
}

// dataLength is how many bytes of the data chunk at byte at are samples, of which it says that it has size, and a ds64
// chunk that it has long, where that is not negative.
func (f wavFormat) dataLength(b []byte, start, at int, size, long int64) (int64, error) {
	there := int64(len(b) - at - 8)
	riff := int64(f.order.Uint32(b[start+4:]))
	end := int64(start) + 8 + riff
	switch {
	case (size == math.MaxUint32 || size == 0) && long > 0 && long != math.MaxInt64:
		size = long
	case size == 0 && (riff == 0 || riff == math.MaxUint32 || end <= int64(at)+16 && end < int64(len(b))),
		size >= wavStream && size > there:
		// It was written as a stream: the header was never completed, and all that follows are samples.
		return there, nil
	}
	// Of a byte less than stated, a byte of padding as a rule, nothing need be missing.
	if frame := int64(f.frame); size/frame > there/frame {
		return 0, fmt.Errorf("byte %d: cut off: %d bytes of samples, want %d: copy or record it anew, or save it anew in an audio program", at, there, size)
	}
	return min(size, there), nil
}

func parseFormat(b []byte, order binary.ByteOrder) (f wavFormat, err error) {
	if len(b) < 16 {
		return f, fmt.Errorf("fmt chunk of %d bytes, want at least 16", len(b))
	}
	u16 := func(at int) int { return int(order.Uint16(b[at:])) }
	f = wavFormat{tag: u16(0), channels: u16(2), rate: int(order.Uint32(b[4:])), frame: u16(12), order: order}
	bits := u16(14)
	if f.tag == wavExtensible && len(b) >= 26 {
		f.tag = u16(24)
	}
	f.width = (bits + 7) / 8
	switch f.tag {
	case wavPCM:
		if bits < 8 || bits > 32 {
			return f, fmt.Errorf("samples of %d bits, want 8 to 32 (PCM)", bits)
		}
		if bits > 16 && f.frame == 4*f.channels {
			f.width = 4 // as some write 20 and 24 bits: the high ones, as everywhere
		}
	case wavFloat:
		if bits != 32 && bits != 64 {
			return f, fmt.Errorf("samples of %d bits, want 32 or 64 (floating point)", bits)
		}
	case wavALaw, wavMuLaw:
		if bits != 8 {
			return f, fmt.Errorf("samples of %d bits, want 8 (A-law and mu-law)", bits)
		}
	default:
		what := fmt.Sprintf("%#x", f.tag)
		if name := wavOthers[f.tag]; name != "" {
			what += " (" + name + ")"
		}
		return f, fmt.Errorf("format %s, want PCM (1), floating point (3), A-law (6) or mu-law (7): %s", what, toWAV)
	}
	if f.frame == 0 { // some leave it out
		f.frame = f.channels * f.width
	}
	switch {
	case f.channels == 0:
		err = errors.New("0 channels")
	case f.rate < minRate || f.rate > maxRate:
		err = fmt.Errorf("%d samples a second, want %d to %d", f.rate, minRate, maxRate)
	case f.frame != f.channels*f.width:
		err = fmt.Errorf("frames of %d bytes, want %d for %d channels of %d bits", f.frame, f.channels*f.width, f.channels, bits)
	}
	return f, err
}

// decode reads the samples, of whole frames.
func (f wavFormat) decode(b []byte) (Audio, error) {
	n := len(b) / f.frame
	if n == 0 {
		return Audio{}, errors.New("no samples")
	}
	out := make([]float32, n)
	var peak, all, mixed float64 // the largest sample; the squares of the channels, their mean; of what is mixed
	for i := range out {
		var sum, squares float64
		for c := range f.channels {
			v := f.sample(b[i*f.frame+c*f.width:])
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return Audio{}, fmt.Errorf("sample %d of channel %d is %g, want a finite number", i, c, v)
			}
			peak = max(peak, math.Abs(v))
			v = max(-1, min(1, v))
			sum += v
			squares += v * v
		}
		m := sum / float64(f.channels)
		all += squares / float64(f.channels)
		mixed += m * m
		out[i] = float32(m)
	}
	if peak > loudest {
		return Audio{}, fmt.Errorf("samples of floating point of up to %.6g, want -1 to 1: they have the scale of integers: divide them by it, as by 32768", peak)
	}
	if mixed < 1e-4*all { // 40 dB
		return Audio{}, fmt.Errorf("its %d channels cancel each other: their mean is silence: invert one of them, or save one channel alone", f.channels)
	}
	return Audio{f.rate, out}, nil
}

// sample reads one sample; full scale is 1. PCM of 8 bits has its zero at 128.
func (f wavFormat) sample(b []byte) float64 {
	switch {
	case f.tag == wavFloat && f.width == 4:
		return float64(math.Float32frombits(f.order.Uint32(b)))
	case f.tag == wavFloat:
		return math.Float64frombits(f.order.Uint64(b))
	case f.tag == wavMuLaw:
		return fromG711MuLaw(b[0])
	case f.tag == wavALaw:
		return fromG711ALaw(b[0])
	case f.width == 1:
		return (float64(b[0]) - 128) / (1 << 7)
	case f.width == 2:
		return float64(int16(f.order.Uint16(b))) / (1 << 15)
	case f.width == 4:
		return float64(int32(f.order.Uint32(b))) / (1 << 31)
	case f.order == binary.ByteOrder(binary.BigEndian):
		return float64(int32(uint32(b[2])<<8|uint32(b[1])<<16|uint32(b[0])<<24)>>8) / (1 << 23)
	}
	return float64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / (1 << 23)
}

// fromG711MuLaw is the sample of a byte of mu-law as telephones have it (ITU-T G.711): 14 bits in 16. The tokens' mu-law,
// which has as many values but not the same, is [FromMuLaw].
func fromG711MuLaw(b byte) float64 {
	b = ^b
	v := int(b&15)<<3 + 0x84
	v = v<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		v = -v
	}
	return float64(v) / (1 << 15)
}

// fromG711ALaw is the sample of a byte of A-law (ITU-T G.711): 13 bits in 16.
func fromG711ALaw(b byte) float64 {
	b ^= 0x55
	v := int(b&15)<<4 + 8
	if e := b >> 4 & 7; e > 0 {
		v = (v + 0x100) << (e - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return float64(v) / (1 << 15)
}

// EncodeWAV writes a as a WAV file of 16-bit PCM.
func EncodeWAV(a Audio) []byte {
	n := 2 * len(a.Samples)
	b := make([]byte, 0, 44+n)
	le := binary.LittleEndian
	b = le.AppendUint32(append(b, "RIFF"...), uint32(36+n))
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, wavPCM), 1)
	b = le.AppendUint32(le.AppendUint32(b, uint32(a.Rate)), uint32(2*a.Rate))
	b = le.AppendUint16(le.AppendUint16(b, 2), 16)
	b = le.AppendUint32(append(b, "data"...), uint32(n))
	for _, s := range a.Samples {
		b = le.AppendUint16(b, uint16(int16(math.Round(max(-32768, min(32767, float64(s)*(1<<15)))))))
	}
	return b
}
