package train

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// The masked checksum's published test value: CRC-32C of 32 zero bytes is 8a9136aa (RFC 3720, B.4).
func TestMaskedCRC(t *testing.T) {
	c := uint32(0x8a9136aa)
	if got, want := maskedCRC(make([]byte, 32)), (c>>15|c<<17)+0xa282ead8; got != want {
		t.Errorf("got %08x, want %08x", got, want)
	}
}

// The bytes of a file with one scalar, checked field by field against the format by hand.
func TestEventFile(t *testing.T) {
	dir := t.TempDir()
	e, err := CreateEventFile(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	e.now = func() time.Time { return time.Unix(1, 0) }
	e.Scalars(300, Scalar{"loss", 0.5}, Scalar{"lr", 2})
	if err := errors.Join(e.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if len(names) != 1 {
		t.Fatalf("files %v, want one", names)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	first := 8 + 4 + int(b[0]) + 4
	if !bytes.Contains(b[:first], []byte("\x1a\x0dbrain.Event:2")) {
		t.Errorf("the file does not begin with its version: %x", b[:first])
	}
	event := "09000000000000f03f" + // wall time 1.0
		"10ac02" + // step 300
		"2a18" + // summary {
		"0a0b" + "0a046c6f7373" + "150000003f" + // value { tag: "loss" simple_value: 0.5 }
		"0a09" + "0a026c72" + "1500000040" // value { tag: "lr" simple_value: 2 } }
	second := b[first:]
	start := "09[0-9a-f]{16}" + "1001" + "3a020801" // wall time, step 1, session_log { status: START }
	n := 8 + 4 + int(second[0]) + 4
	if got := hex.EncodeToString(second[12 : n-4]); !regexp.MustCompile("^" + start + "$").MatchString(got) {
		t.Errorf("event %s, want %s", got, start)
	}
	second = second[n:]
	if got := hex.EncodeToString(second[12 : len(second)-4]); got != event {
		t.Errorf("event %s, want %s", got, event)
	}
	if int(second[0]) != len(event)/2 {
		t.Errorf("length %d, want %d", second[0], len(event)/2)
	}
}

// A run that goes on tells TensorBoard from which step.
func TestEventFileGoesOn(t *testing.T) {
	e, err := CreateEventFile(t.TempDir(), 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(e.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x10\xad\x02\x3a\x02\x08\x01"); !bytes.Equal(b[len(b)-4-len(want):len(b)-4], want) {
		t.Errorf("the file ends with %x, want step 301 and %x", b[len(b)-20:], want)
	}
}
