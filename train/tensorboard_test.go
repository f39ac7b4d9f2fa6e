package train

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// protoFields calls each with the fields of a message: its number, and a number or bytes.
func protoFields(b []byte, each func(field int, v uint64, data []byte)) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		b = b[n:]
		var v uint64
		var data []byte
		switch key & 7 {
		case 0:
			v, n = binary.Uvarint(b)
		case 1:
			v, n = binary.LittleEndian.Uint64(b), 8
		case 2:
			size, m := binary.Uvarint(b)
			n = m + int(size)
			data = b[m:n]
		case 5:
			v, n = uint64(binary.LittleEndian.Uint32(b)), 4
		}
		b = b[n:]
		each(int(key>>3), v, data)
	}
}

// boardShows are the steps that TensorBoard shows of a folder's only tag, and all events' times: it reads the files in the
// order of their names, and a session's start, but for the first, drops what has its step or a later one.
func boardShows(t *testing.T, dir string) (steps []int, walls []float64) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	started := false
	for _, e := range es {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for len(b) >= 16 {
			n := int(binary.LittleEndian.Uint64(b))
			if len(b) < 16+n {
				break
			}
			step, start, value := 0, false, false
			protoFields(b[12:12+n], func(field int, v uint64, _ []byte) {
				switch field {
				case 1:
					walls = append(walls, math.Float64frombits(v))
				case 2:
					step = int(v)
				case 5:
					value = true
				case 7:
					start = true
				}
			})
			b = b[16+n:]
			if start && started {
				steps = slices.DeleteFunc(steps, func(s int) bool { return s >= step })
			}
			started = started || start
			if value {
				steps = append(steps, step)
			}
		}
	}
	return steps, walls
}

// A run goes on within the same second, and after its clock went back by hours: no step is hidden, no time goes back.
func TestEventFileOrder(t *testing.T) {
	dir := t.TempDir()
	write := func(from, to int) string {
		e, err := CreateEventFile(dir, from)
		if err != nil {
			t.Fatal(err)
		}
		for s := from + 1; s <= to; s++ {
			e.Scalars(s, Scalar{"loss", 1})
		}
		if err := errors.Join(e.Flush(), e.Close()); err != nil {
			t.Fatal(err)
		}
		return e.Name()
	}
	want := func(n int) {
		t.Helper()
		steps, walls := boardShows(t, dir)
		all := make([]int, n)
		for i := range all {
			all[i] = i + 1
		}
		if !slices.Equal(steps, all) {
			t.Errorf("TensorBoard shows the steps %v, want %v", steps, all)
		}
		if !slices.IsSorted(walls) {
			t.Errorf("the time goes back: %v", walls)
		}
	}
	// As from a clock that was three hours ahead: the name, and the events.
	first := write(0, 7)
	b, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(3 * time.Hour)
	for at := 0; at < len(b); {
		n := int(binary.LittleEndian.Uint64(b[at:]))
		binary.LittleEndian.PutUint64(b[at+13:], math.Float64bits(float64(ahead.UnixNano())/1e9))
		at += 16 + n
	}
	b = append(b, b[:20]...) // and half a record
	if err := errors.Join(os.Remove(first), os.WriteFile(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.innerloop.0", ahead.Unix())), b, 0o644)); err != nil {
		t.Fatal(err)
	}
	write(5, 9) // of the first one's steps two are made anew
	want(9)
	for i := range 12 { // in one second
		write(9+i, 10+i)
	}
	want(21)
}
