package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"innerloop/model/safetensors"
)

// runState is the content of state.json.
type runState struct {
	Format string            `json:"format"`
	Check  string            `json:"check,omitempty"` // SHA-256 of the file, in which its own digits are zeros
	Step   int               `json:"step"`
	Tokens int64             `json:"tokens"` // read so far; with the seed and the step this fixes the data's position
	Seed   uint64            `json:"seed"`   // every random stream is a function of seed and step
	Text   string            `json:"text"`   // SHA-256 of what the run reads
	SHA256 map[string]string `json:"sha256"` // of the other files
	// Passing is one that SavePassing made: the next checkpoint takes its place.
	Passing bool `json:"passing,omitempty"`
}

const (
	runStateFormat = "innerloop.run.2"
	// uncheckedFormat is that of a state.json that does not vouch for itself. No single flip makes it of the other.
	uncheckedFormat = "innerloop.run.1"

	checkLead = `"check": "` // what stands before the digits
)

var errStateDamaged = errors.New("damaged: its bytes are not those whose SHA-256 it states")

// write writes a checkpoint's state.json, whole or not at all.
func (s runState) write(dir string) error {
	s.Format, s.Check = runStateFormat, strings.Repeat("0", 2*sha256.Size)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	text := b.Bytes()
	at := bytes.Index(text, []byte(checkLead)) + len(checkLead)
	sum := sha256.Sum256(text)
	hex.Encode(text[at:], sum[:])
	return safetensors.WriteFileAtomic(filepath.Join(dir, stateFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// readState reads a checkpoint's state and compares it with what it says of itself.
func readState(dir string) (runState, error) {
	var s runState
	path := filepath.Join(dir, stateFile)
	b, err := ReadRegular(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: damaged: %w", path, err)
	}
	if s.Format != runStateFormat && s.Format != uncheckedFormat || s.Step < 0 {
		return s, fmt.Errorf("%s: format %q at step %d, want %q", path, s.Format, s.Step, runStateFormat)
	}
	if s.Format == runStateFormat && !s.vouched(b) {
		return s, fmt.Errorf("%s: %w", path, errStateDamaged)
	}
	return s, nil
}

// vouched says whether b, which s was read from, has the sum that s states.
func (s runState) vouched(b []byte) bool {
	at := bytes.Index(b, []byte(checkLead+s.Check+`"`)) + len(checkLead)
	if at < len(checkLead) || len(s.Check) != 2*sha256.Size {
		return false
	}
	h := sha256.New()
	h.Write(b[:at])
	h.Write(bytes.Repeat([]byte{'0'}, len(s.Check)))
	h.Write(b[at+len(s.Check):])
	return hex.EncodeToString(h.Sum(nil)) == s.Check
}
