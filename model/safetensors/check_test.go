package safetensors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a file with a check, by both ways of writing one.
func small(t *testing.T) []byte {
	t.Helper()
	x, n := Float32("x", []int{2}, []float32{1, -2}), Int64("n", nil, []int64{7})
	metadata := map[string]string{"format": "pt"}
	b := mustWrite(t, metadata, []Tensor{x, n})
	path := filepath.Join(t.TempDir(), "m.safetensors")
	err := WriteFileFrom(path, metadata, infosOf([]Tensor{x, n}), func(i int) ([]byte, error) { return [][]byte{x.Data, n.Data}[i], nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) {
		t.Fatalf("WriteFileFrom wrote %q, %v\nwant what Write does, %q", got, err, b)
	}
	return b
}

// No single flip in a file with a check, in its header, its sum or its data, gives a file that opens.
func TestEveryFlipIsFound(t *testing.T) {
	b := small(t)
	f, err := Parse(b)
	if err != nil || !f.Checked() {
		t.Fatalf("whole: %v", err)
	}
	damaged := 0
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		_, err := Parse(b)
		if err == nil {
			t.Fatalf("bit %d of byte %d was changed, and nobody noticed: %q", i%8, i/8, b)
		}
		var d *DamageError
		if errors.As(err, &d) {
			damaged++
			if d.Path != "memory" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q", err)
			}
		}
		b[i/8] ^= 1 << (i % 8)
	}
	// The length of the header may lead past the file, or cut the header before it says that it has a check.
	if few := 8*len(b) - damaged; few > 64 {
		t.Errorf("%d of %d flips are not called damage", few, 8*len(b))
	}
	if f, err = Parse(b); err != nil || !f.Checked() {
		t.Errorf("whole again: %v", err)
	}
}

// Half a file, and one whose bytes changed, are not whole. One that has no check is read, and says so, as is one into
// which another program copied the metadata that it found.
func TestCheck(t *testing.T) {
	b := small(t)
	for what, c := range map[string]struct {
		file []byte
		want string
	}{
		"cut":     {b[:len(b)-4], `safetensors: memory: damaged: tensor "n": data_offsets [8,16) reach past the 12 bytes of data in the file`},
		"longer":  {append(bytes.Clone(b), 0), `safetensors: memory: damaged: tensors cover 16 bytes of data, the file has 17`},
		"changed": {bytes.Replace(b, []byte("\x80\x3f"), []byte("\x80\x40"), 1), "safetensors: memory: damaged: its bytes are not those whose SHA-256 its header states: a bit has changed, or another program has written to it: copy it anew or, where it was changed on purpose, remove innerloop.sha256 and innerloop.check from its metadata"},
		"written anew": {raw(`{"__metadata__":{"innerloop.sha256":"`+zeroDigits+`"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
			"safetensors: memory: damaged: its bytes are not those whose SHA-256 its header states: a bit has changed, or another program has written to it: copy it anew or, where it was changed on purpose, remove innerloop.sha256 and innerloop.check from its metadata"},
		"no sum": {raw(`{"__metadata__":{"innerloop.check":"x"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
			"safetensors: memory: damaged: its bytes are not those whose SHA-256 its header states: a bit has changed, or another program has written to it: copy it anew or, where it was changed on purpose, remove innerloop.sha256 and innerloop.check from its metadata"},
	} {
		if _, err := Parse(c.file); err == nil || err.Error() != c.want {
			t.Errorf("%s: got  %v\nwant %s", what, err, c.want)
		}
	}
	f, err := Parse(raw(`{"__metadata__": {"innerloop.sha256": "`+zeroDigits+`", "a": "\" , b"}, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}`, 4))
	if err != nil || f.Checked() || len(f.Metadata()) != 1 {
		t.Errorf("metadata that Python's json wrote again: %v, want a file without a check", err)
	}
	f, err = Parse(raw(`{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	if err != nil || f.Checked() {
		t.Errorf("a file of another program: %v, want one without a check", err)
	}
}
