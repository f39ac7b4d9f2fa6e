package web

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	wasmMagic        = "\x00asm\x01\x00\x00\x00"
	wasmData         = 11 // the section of what memory holds at first
	wasmDataCount    = 12
	wasmActive       = 0 // a piece that is copied at the start, to memory 0
	wasmI32, wasmEnd = 0x41, 0x0b
)

// joinGap is how many zeros between two pieces of memory are worth writing: a piece's header has eight bytes, which
// compress badly, as zeros do not.
const joinGap = 64

// joined is a WebAssembly module whose memory comes in few pieces. Go's linker makes one of every few bytes between
// zeros, a hundred thousand of them, of which compression cannot make little. A module that is not as the linker writes
// it stays as it is.
func joined(wasm []byte) []byte {
	rest, ok := bytes.CutPrefix(wasm, []byte(wasmMagic))
	if !ok {
		return wasm
	}
	out := []byte(wasmMagic)
	for len(rest) > 0 {
		id := rest[0]
		body, after, ok := wasmBytes(rest[1:])
		if ok && id == wasmData {
			body, ok = joinedData(body)
		}
		if !ok || id == wasmDataCount {
			return wasm
		}
		rest = after
		out = binary.AppendUvarint(append(out, id), uint64(len(body)))
		out = append(out, body...)
	}
	return out
}

// wasmBytes cuts bytes with their number before them off b.
func wasmBytes(b []byte) (body, after []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k:][:n], b[k:][n:], true
}

// wasmPiece is a part of the memory.
type wasmPiece struct {
	at   uint64
	data []byte
}

func (p wasmPiece) end() uint64 { return p.at + uint64(len(p.data)) }

// joinedData is a data section with pieces joined that lie close together; false: it holds something else, or pieces
// that overlap, of which the last counts.
func joinedData(section []byte) ([]byte, bool) {
	n, k := binary.Uvarint(section)
	if k <= 0 || n > uint64(len(section)) {
		return nil, false
	}
	b := section[k:]
	pieces := make([]wasmPiece, n)
	for i := range pieces {
		if len(b) < 2 || b[0] != wasmActive || b[1] != wasmI32 {
			return nil, false
		}
		at, k := binary.Uvarint(b[2:])
		// The number is signed: the highest bit that is written is its sign.
		if k <= 0 || at >= 1<<(7*k-1) || len(b) < 3+k || b[2+k] != wasmEnd {
			return nil, false
		}
		data, after, ok := wasmBytes(b[3+k:])
		if !ok {
			return nil, false
		}
		pieces[i], b = wasmPiece{at, data}, after
	}
	if len(b) > 0 {
		return nil, false
	}
	slices.SortStableFunc(pieces, func(x, y wasmPiece) int { return cmp.Compare(x.at, y.at) })
	var all []wasmPiece
	for _, p := range pieces {
		if len(all) == 0 || p.at > all[len(all)-1].end()+joinGap {
			all = append(all, wasmPiece{p.at, slices.Clone(p.data)})
			continue
		}
		last := &all[len(all)-1]
		if p.at < last.end() {
			return nil, false
		}
		last.data = append(append(last.data, make([]byte, p.at-last.end())...), p.data...)
	}
	out := binary.AppendUvarint(nil, uint64(len(all)))
	for _, p := range all {
		out = append(out, wasmActive, wasmI32)
		out = appendSigned(out, p.at)
		out = binary.AppendUvarint(append(out, wasmEnd), uint64(len(p.data)))
		out = append(out, p.data...)
	}
	return out, true
}

// appendSigned appends n as a signed number that is not negative.
func appendSigned(b []byte, n uint64) []byte {
	for n >= 1<<6 {
		b = append(b, byte(n)|1<<7)
		n >>= 7
	}
	return append(b, byte(n))
}
