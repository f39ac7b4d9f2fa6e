package data

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// toWAV says what to do with a sound that nothing here reads.
const toWAV = "convert it to WAV first, as by ffmpeg -i FILE -c:a pcm_s16le NEW.wav"

// IsWAV says whether b begins as a WAV file does that [DecodeWAV] may read, an ID3 tag before it left aside.
func IsWAV(b []byte) bool {
	b = b[id3Length(b):]
	return len(b) >= 12 && isForm(string(b[:4])) && string(b[8:12]) == "WAVE"
}

// isForm says whether a file's first four bytes are those of a kind of WAV.
func isForm(id string) bool { return id == "RIFF" || id == "RIFX" || id == "RF64" || id == "BW64" }

// id3Length is the length of the ID3 tag, of version 2, that b begins with; 0: it begins with none.
func id3Length(b []byte) int {
	if len(b) < 10 || string(b[:3]) != "ID3" || b[3] > 9 || b[4] > 9 { // its version
		return 0
	}
	n := 10
	if b[5]&0x10 != 0 {
		n += 10 // its footer
	}
	size := 0
	for _, v := range b[6:10] {
		if v > 0x7F {
			return 0
		}
		size = size<<7 | int(v)
	}
	return min(n+size, len(b))
}

// soundMagic are the beginnings of sounds that nothing here reads. The bytes of one say nothing to a model that reads text.
var soundMagic = []struct{ kind, magic string }{
	{"FLAC", "fLaC"}, {"Ogg", "OggS"}, {"AU", ".snd\x00\x00"}, {"CAF", "caff\x00"}, {"AMR", "#!AMR"}, {"WMA", "\x30\x26\xb2\x75\x8e\x66\xcf\x11"},
	{"Wave64", "riff\x2e\x91\xcf\x11"}, {"Matroska or WebM", "\x1a\x45\xdf\xa3"},
}

// otherSound names the kind of sound, or film, that b begins as, where it is one that nothing here reads.
func otherSound(b []byte) string {
	if IsWAV(b) {
		return ""
	}
	for _, m := range soundMagic {
		if strings.HasPrefix(string(b[:min(16, len(b))]), m.magic) {
			return m.kind
		}
	}
	at := func(from, to int) string { return string(b[min(from, len(b)):min(to, len(b))]) }
	switch form := at(8, 12); {
	case at(0, 4) == "FORM" && (form == "AIFF" || form == "AIFC"):
		return "AIFF"
	case at(4, 8) == "ftyp":
		return "M4A or MP4"
	case isForm(at(0, 4)) && strings.ContainsFunc(at(4, 12), func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r > '~' }):
		return "RIFF" // of a length, which a text has not
	case id3Length(b) > 0, len(b) > 2 && b[0] == 0xFF && slices.Contains([]byte{0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB}, b[1]) && b[2]>>4 != 0 && b[2]>>4 != 15 && b[2]>>2&3 != 3:
		return "MP3"
	case len(b) > 6 && b[0] == 0xFF && (b[1] == 0xF1 || b[1] == 0xF9) && b[2]>>2&15 < 13:
		return "AAC"
	}
	return ""
}

// soundNames are how the names of sounds end.
var soundNames = []string{".wav", ".wave", ".bwf", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".au", ".caf", ".wma", ".amr", ".w64"}

// checkText reports what people mean by something else than its bytes: a sound that nothing here reads, a text of
// two bytes a character.
func checkText(name string, b []byte) error {
	if kind := otherSound(b); kind != "" {
		return fmt.Errorf("data: %s: begins as a sound of another kind does, %s: its bytes are no text: %s", name, kind, toWAV)
	}
	if ext := strings.ToLower(filepath.Ext(name)); slices.Contains(soundNames, ext) {
		return fmt.Errorf("data: %s: is called a sound, but is no WAV file: it begins with %.12q, want RIFF....WAVE: %s (if it is a text, rename it)", name, b[:min(12, len(b))], toWAV)
	}
	return CheckEncoding(name, b)
}

// CheckEncoding reports a text in UTF-16 or UTF-32, of which every second byte, or more, would be zero. name stands for it
// in the error.
func CheckEncoding(name string, b []byte) error {
	kind := ""
	switch s := string(b[:min(4, len(b))]); {
	case s == "\xff\xfe\x00\x00" || s == "\x00\x00\xfe\xff":
		kind = "UTF-32"
	case strings.HasPrefix(s, "\xff\xfe") || strings.HasPrefix(s, "\xfe\xff"):
		kind = "UTF-16"
	default:
		return nil
	}
	return fmt.Errorf("data: %s: is in %s: convert it to UTF-8, as by iconv -f %s -t UTF-8", name, kind, kind)
}

// ByteOrderMark is what some programs begin a text in UTF-8 with. It stands for nothing.
const ByteOrderMark = "\ufeff"
