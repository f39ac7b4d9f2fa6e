package train

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// EventFile writes TensorBoard's event format: records (length, checksum, data, checksum; masked CRC-32C) of
// tensorflow.Event protocol buffers, of which scalars need four fields. Not safe for use by several goroutines.
type EventFile struct {
	f    *os.File
	buf  []byte // records not yet written
	size int64  // bytes of the whole records in f
	now  func() time.Time
}

// Scalar is a value under a tag such as loss/train.
type Scalar struct {
	Tag   string
	Value float64
}

// eventPrefix begins the names by which TensorBoard knows event files; the time follows, in seconds.
const eventPrefix = "events.out.tfevents."

// CreateEventFile creates a new event file in dir, under a name that TensorBoard recognises. A run that goes on after
// step, 0 for one that begins, makes another one: TensorBoard reads them all, in the order of their names, and drops what
// earlier ones hold of later steps. So that it also does where the clock went back, the file's time is later than that
// of any file in dir, and its events' time than theirs.
func CreateEventFile(dir string, step int) (*EventFile, error) {
	named, wall, err := lastEvents(dir)
	if err != nil {
		return nil, err
	}
	ahead := max(0, time.Until(wall))
	now := func() time.Time { return time.Now().Add(ahead) }
	at := max(now().Unix(), named+1)
	for n := 0; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("%s%010d.innerloop.%d", eventPrefix, at, n))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e := &EventFile{f: f, now: now}
		// Every file begins with its version (field 3 of Event).
		e.event(0, protoBytes(nil, 3, []byte("brain.Event:2")))
		// Event.session_log { status: START }: at the second and later ones TensorBoard drops all from this step on.
		e.event(step+1, protoBytes(nil, 7, []byte{1 << 3, 1}))
		return e, nil
	}
}

// lastEvents returns the latest time in the names of dir's event files, 0 where there are none, and the latest of the
// events in the last file.
func lastEvents(dir string) (named int64, wall time.Time, err error) {
	es, err := os.ReadDir(dir) // by name
	if err != nil {
		return 0, wall, err
	}
	last := ""
	for _, e := range es {
		rest, ok := strings.CutPrefix(e.Name(), eventPrefix)
		digits, _, _ := strings.Cut(rest, ".")
		if at, err := strconv.ParseInt(digits, 10, 64); ok && err == nil && e.Type().IsRegular() && len(digits) == 10 && at >= named {
			named, last = at, e.Name()
		}
	}
	if last == "" {
		return named, wall, nil
	}
	f, err := os.Open(filepath.Join(dir, last))
	if err != nil {
		return named, wall, err
	}
	defer f.Close() //nolint:errcheck // was only read
	return named, lastWall(bufio.NewReader(f)), nil
}

// lastWall is the latest time of the records that r holds, as far as they are whole: a killed process leaves half a one.
func lastWall(r *bufio.Reader) (latest time.Time) {
	for {
		head, err := r.Peek(12 + 9) // length, its checksum, and the first field: the time
		if err != nil {
			return latest
		}
		n := binary.LittleEndian.Uint64(head)
		if n < 9 || n > 1<<24 || binary.LittleEndian.Uint32(head[8:]) != maskedCRC(head[:8]) {
			return latest
		}
		if head[12] == 1<<3|1 {
			s := math.Float64frombits(binary.LittleEndian.Uint64(head[13:]))
			if t := time.UnixMicro(int64(s * 1e6)); s > 0 && s < 1e10 && t.After(latest) {
				latest = t
			}
		}
		if _, err := r.Discard(12 + int(n) + 4); err != nil {
			return latest
		}
	}
}

// Scalars records values of a step; Flush writes them.
func (e *EventFile) Scalars(step int, values ...Scalar) {
	var summary []byte
	for _, s := range values {
		v := protoBytes(nil, 1, []byte(s.Tag)) // Summary.Value.tag
		v = binary.AppendUvarint(v, 2<<3|5)    // Summary.Value.simple_value, a fixed32
		v = binary.LittleEndian.AppendUint32(v, math.Float32bits(float32(s.Value)))
		summary = protoBytes(summary, 1, v) // Summary.value
	}
	e.event(step, protoBytes(nil, 5, summary)) // Event.summary
}

// event adds one record: wall time (field 1), step (field 2), and rest.
func (e *EventFile) event(step int, rest []byte) {
	b := binary.AppendUvarint(nil, 1<<3|1)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(e.now().UnixNano())/1e9))
	b = binary.AppendUvarint(b, 2<<3)
	b = binary.AppendUvarint(b, uint64(step))
	e.buf = appendRecord(e.buf, append(b, rest...))
}

// Flush writes the records that were added: whole or, where the disk is full, not at all; then they are
// lost.
func (e *EventFile) Flush() error {
	n, err := e.f.Write(e.buf)
	if err != nil {
		e.buf = e.buf[:0]
		return errors.Join(err, e.f.Truncate(e.size))
	}
	e.size += int64(n)
	e.buf = e.buf[:0]
	return nil
}

// Name is the file's path.
func (e *EventFile) Name() string { return e.f.Name() }

// Close closes the file. What was not flushed is lost.
func (e *EventFile) Close() error { return e.f.Close() }

// protoBytes appends a length-delimited field.
func protoBytes(b []byte, field int, data []byte) []byte {
	b = binary.AppendUvarint(b, uint64(field)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is TFRecord's checksum: a rotated CRC-32C plus a constant, so that data that holds checksums is no trap.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord appends data as one TFRecord.
func appendRecord(b, data []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b[at:]))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, maskedCRC(data))
}
