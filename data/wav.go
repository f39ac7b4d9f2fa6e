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
	wavExtensible = 0xFFFE // the tag proper is the first word of a GUID
)

// wavStream is the least length of a data chunk that stands for one that its writer did not know.
const wavStream = 0x7FFFF000

// The rates that a sound may have.
const minRate, maxRate = 1000, 768000

// wavFormat is what a WAV file's fmt chunk says.
type wavFormat struct {
	tag, channels, rate, frame, bits int
}

// IsWAV says whether b begins as a WAV file does.
func IsWAV(b []byte) bool {
	return len(b) >= 12 && string(b[8:12]) == "WAVE" && (string(b[:4]) == "RIFF" || string(b[:4]) == "RF64")
}

// DecodeWAV reads a WAV file: PCM of 8, 16, 24 or 32 bits or floating point of 32 or 64, any number of channels, which
// are mixed to one by their mean. Samples beyond -1 to 1, which floating point allows, are cut off there. name stands
// for the file in errors.
func DecodeWAV(name string, b []byte) (Audio, error) {
	bad := func(format string, a ...any) (Audio, error) {
		return Audio{}, fmt.Errorf("data: %s: %s", name, fmt.Sprintf(format, a...))
	}
	if !IsWAV(b) {
		return bad("is no WAV file: it begins with %.12q, want RIFF....WAVE", b[:min(12, len(b))])
	}
	var f wavFormat
	for at := 12; ; {
		if len(b)-at < 8 {
			return bad("no samples: the file ends at byte %d before a data chunk", len(b))
		}
		id, size := string(b[at:at+4]), int64(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8:]
		if id == "data" {
			if f.tag == 0 {
				return bad("byte %d: a data chunk before the fmt chunk", at)
			}
			// What was written as a stream has no length, in the file's header either, or about the largest.
			if riff := binary.LittleEndian.Uint32(b[4:]); size == 0 && (riff == 0 || riff == math.MaxUint32) {
				size = int64(len(body))
			}
			if size > int64(len(body)) {
				if size < wavStream && string(b[:4]) != "RF64" {
					return bad("byte %d: cut off: %d bytes of samples, want %d", at, len(body), size)
				}
				size = int64(len(body))
			}
			return f.decode(name, body[:size])
		}
		if size > int64(len(body)) {
			return bad("byte %d: chunk %q of %d bytes, but the file ends after %d", at, id, size, len(body))
		}
		if id == "fmt " {
			var err error
			if f, err = parseFormat(name, body[:size]); err != nil {
				return Audio{}, err
			}
		}
		at += 8 + int(size+size&1) // chunks begin at even bytes
		if at > len(b) {
			at = len(b)
		}
	}
}

func parseFormat(name string, b []byte) (f wavFormat, err error) {
	if len(b) < 16 {
		return f, fmt.Errorf("data: %s: fmt chunk of %d bytes, want at least 16", name, len(b))
	}
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	f = wavFormat{tag: u16(0), channels: u16(2), rate: int(binary.LittleEndian.Uint32(b[4:])), frame: u16(12), bits: u16(14)}
	if f.tag == wavExtensible && len(b) >= 26 {
		f.tag = u16(24)
	}
	switch {
	case f.tag == wavPCM && (f.bits == 8 || f.bits == 16 || f.bits == 24 || f.bits == 32):
	case f.tag == wavFloat && (f.bits == 32 || f.bits == 64):
	case f.tag == wavPCM || f.tag == wavFloat:
		err = fmt.Errorf("samples of %d bits, want 8, 16, 24 or 32 (PCM), 32 or 64 (floating point)", f.bits)
	default:
		err = fmt.Errorf("format %#x, want PCM (1) or floating point (3): convert it first", f.tag)
	}
	switch {
	case err != nil:
	case f.channels == 0:
		err = errors.New("0 channels")
	case f.rate < minRate || f.rate > maxRate:
		err = fmt.Errorf("%d samples a second, want %d to %d", f.rate, minRate, maxRate)
	case f.frame != f.channels*f.bits/8:
		err = fmt.Errorf("frames of %d bytes, want %d for %d channels of %d bits", f.frame, f.channels*f.bits/8, f.channels, f.bits)
	}
	if err != nil {
		return wavFormat{}, fmt.Errorf("data: %s: %w", name, err)
	}
	return f, nil
}

// decode reads the samples; part of a frame at the end is left out.
func (f wavFormat) decode(name string, b []byte) (Audio, error) {
	n := len(b) / f.frame
	if n == 0 {
		return Audio{}, fmt.Errorf("data: %s: no samples", name)
	}
	out := make([]float32, n)
	width := f.bits / 8
	for i := range out {
		var sum float64
		for c := range f.channels {
			v := f.sample(b[i*f.frame+c*width:])
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return Audio{}, fmt.Errorf("data: %s: sample %d of channel %d is %g, want a finite number", name, i, c, v)
			}
			sum += max(-1, min(1, v))
		}
		out[i] = float32(sum / float64(f.channels))
	}
	return Audio{f.rate, out}, nil
}

// sample reads one sample; full scale is 1. PCM of 8 bits has its zero at 128.
func (f wavFormat) sample(b []byte) float64 {
	switch {
	case f.tag == wavFloat && f.bits == 32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case f.tag == wavFloat:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case f.bits == 8:
		return (float64(b[0]) - 128) / (1 << 7)
	case f.bits == 16:
		return float64(int16(binary.LittleEndian.Uint16(b))) / (1 << 15)
	case f.bits == 24:
		return float64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / (1 << 23)
	}
	return float64(int32(binary.LittleEndian.Uint32(b))) / (1 << 31)
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
