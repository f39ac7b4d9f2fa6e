package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A file that this package writes vouches for itself: its metadata has the
// SHA-256 of the whole file, in which the sum's own digits count as zeros. A
// flipped bit anywhere is found then, in the header too. Other readers keep
// metadata as strings that mean nothing to them.
//
// A second key says what the first one is. It is for people, and for a flip in
// the first one's name: whatever names either key must be checked, so that no
// single flip turns a file with a check into one without.
const (
	sumKey  = checkPrefix + "sha256"
	noteKey = checkPrefix + "check"
	note    = sumKey + " is the SHA-256 of this file with the sum's own digits as zeros; without both keys it is not checked"

	checkPrefix = "innerloop."
	sumDigits   = 2 * sha256.Size
)

// checkKeys are the keys of the metadata that belong to the check.
var checkKeys = []string{noteKey, sumKey}

// sumLead is what stands before the sum's digits in a header.
const sumLead = `"` + sumKey + `":"`

var zeroDigits = strings.Repeat("0", sumDigits)

// DamageError says that a file is not as it was written.
type DamageError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *DamageError) Error() string {
	return fmt.Sprintf("safetensors: %s: damaged: %v", e.Path, e.Err)
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *DamageError) Unwrap() error { return e.Err }

// Checked says whether the file carried its own check, which it then has
// passed: one that has not cannot be opened. A file without one may be whole or
// not: nobody can tell.
func (f *File) Checked() bool { return f.checked }

// withCheck adds the check, of which the digits are zeros still, to metadata.
func withCheck(metadata map[string]string) (map[string]string, error) {
	all := map[string]string{}
	for k, v := range metadata {
		if slices.Contains(checkKeys, k) {
			return nil, fmt.Errorf("metadata %s: the name is reserved for the file's check", quote(k))
		}
		all[k] = v
	}
	all[noteKey], all[sumKey] = note, zeroDigits
	return all, nil
}

// withoutCheck is metadata as the caller of Write gave it.
func withoutCheck(metadata map[string]string) map[string]string {
	metadata = maps.Clone(metadata)
	for _, k := range checkKeys {
		delete(metadata, k)
	}
	if len(metadata) == 0 {
		return nil
	}
	return metadata
}

// sumAt is where the digits of the sum begin in a header or a whole file; -1:
// it has none. No other text can have its lead: in a name, a quote is escaped.
func sumAt(header []byte) int {
	i := bytes.Index(header, []byte(sumLead))
	if i < 0 || len(header) < i+len(sumLead)+sumDigits {
		return -1
	}
	return i + len(sumLead)
}

// expectsCheck says whether a file with this header was written with a check.
func expectsCheck(header []byte) bool {
	return bytes.Contains(header, []byte(sumKey)) || bytes.Contains(header, []byte(noteKey))
}

// copied says whether another program wrote a header into which it copied the
// metadata that it had read, check and all, as Python's json module writes:
// with spaces between what Write puts side by side. The check is of the file
// that was read, and says nothing of this one. No single flip makes two such
// spaces of what Write wrote.
func copied(header []byte) bool {
	spaces, inText := 0, false
	for i, c := range bytes.TrimRight(header, " ") {
		switch {
		case c == '"' && !escaped(header, i):
			inText = !inText
		case !inText && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
			spaces++
		}
	}
	return spaces >= 2
}

// escaped says whether an odd number of backslashes stands before a place.
func escaped(header []byte, i int) bool {
	n := 0
	for i-n > 0 && header[i-n-1] == '\\' {
		n++
	}
	return n%2 == 1
}

// errRewritten is for a file that another program changed and wrote again with
// the metadata that it had, too.
var errRewritten = errors.New("its bytes are not those whose SHA-256 its header states: a bit has changed, or another program has written to it: copy it anew or, where it was changed on purpose, remove innerloop.sha256 and innerloop.check from its metadata")

// verify compares the size bytes of r, which begin with word and header, with
// the sum that the header states.
func verify(r io.ReaderAt, size int64, word, header []byte) error {
	at := sumAt(header)
	if at < 0 {
		return errRewritten
	}
	h := sha256.New()
	h.Write(word)
	h.Write(header[:at])
	io.WriteString(h, zeroDigits) //nolint:errcheck // a hash takes everything
	h.Write(header[at+sumDigits:])
	from := int64(len(word) + len(header))
	if _, err := io.CopyBuffer(h, io.NewSectionReader(r, from, size-from), make([]byte, min(chunkBytes, max(1, size-from)))); err != nil {
		return diskError(err)
	}
	if hex.EncodeToString(h.Sum(nil)) != string(header[at:at+sumDigits]) {
		return errRewritten
	}
	return nil
}
