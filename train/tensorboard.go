package train

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"
)

// EventFile writes TensorBoard's event format: records (length, checksum, data, checksum; masked CRC-32C) of
// tensorflow.Event protocol buffers, of which scalars need four fields. Not safe for use by several goroutines.
type EventFile struct {
	f   *os.File
	buf []byte
	now func() time.Time
}

// CreateEventFile creates a new event file in dir, under a name that TensorBoard recognises. A resumed run makes
// another one: TensorBoard reads them all and drops what the later one repeats.
func CreateEventFile(dir string) (*EventFile, error) {
	for n := 0; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.innerloop.%d", time.Now().Unix(), n))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e := &EventFile{f: f, now: time.Now}
		// Every file begins with its version (field 3 of Event).
		if err := e.event(0, protoBytes(nil, 3, []byte("brain.Event:2"))); err != nil {
			f.Close()
			return nil, err
		}
		return e, nil
	}
}

// Scalar records one value of a step under a tag such as loss/train.
func (e *EventFile) Scalar(step int, tag string, value float64) error {
	v := protoBytes(nil, 1, []byte(tag)) // Summary.Value.tag
	v = binary.AppendUvarint(v, 2<<3|5)  // Summary.Value.simple_value, a fixed32
	v = binary.LittleEndian.AppendUint32(v, math.Float32bits(float32(value)))
	return e.event(step, protoBytes(nil, 5, protoBytes(nil, 1, v))) // Event.summary, Summary.value
}

// event writes one record: wall time (field 1), step (field 2), and rest.
func (e *EventFile) event(step int, rest []byte) error {
	b := binary.AppendUvarint(e.buf[:0], 1<<3|1)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(e.now().UnixNano())/1e9))
	b = binary.AppendUvarint(b, 2<<3)
	b = binary.AppendUvarint(b, uint64(step))
	e.buf = append(b, rest...)
	return writeRecord(e.f, e.buf)
}

// Close closes the file.
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

// writeRecord writes data as one TFRecord, in one write.
func writeRecord(w io.Writer, data []byte) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(data))
	_, err := w.Write(b)
	return err
}
