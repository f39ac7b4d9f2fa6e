package train

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// plainText is a configuration's text in UTF-8, without the byte order mark that some editors begin it with. What a
// Windows shell writes to a file is UTF-16, which such a mark tells.
func plainText(name string, text []byte) ([]byte, error) {
	const mark = "\ufeff"
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(text, []byte("\x00\x00\xfe\xff")):
		return nil, fmt.Errorf("%s: is in UTF-32: save it as UTF-8", name)
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimLeft(text, mark), nil
	}
	if len(text)%2 != 0 {
		return nil, fmt.Errorf("%s: is in UTF-16, but ends within a character: save it as UTF-8", name)
	}
	units := make([]uint16, 0, len(text)/2)
	for at := 2; at < len(text); at += 2 {
		units = append(units, order.Uint16(text[at:]))
	}
	return bytes.TrimLeft([]byte(string(utf16.Decode(units))), mark), nil // a text that was converted twice has two
}
