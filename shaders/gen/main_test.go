package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files in the repository are what the template gives, and no file of a product is without the template.
func TestFiles(t *testing.T) {
	made := map[string]bool{"matmul_any.wgsl": true, "matmul_any_f16.wgsl": true, "matmul_any_f16_b.wgsl": true} // written by hand
	for _, k := range kernels {
		made[k.file()] = true
		want, err := k.source()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", k.file()))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the template gives (%v): run go generate ./shaders", k.file(), err)
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "matmul_*.wgsl"))
	if err != nil || len(files) != len(made) {
		t.Errorf("%d files shaders/matmul_*.wgsl, want %d (%v)", len(files), len(made), err)
	}
	for _, f := range files {
		if !made[filepath.Base(f)] {
			t.Errorf("%s: the template does not make it", f)
		}
	}
}

// Every line that only larger tiles want says so, and the others do not.
func TestWhen(t *testing.T) {
	for _, c := range []struct {
		row, col int
		want     string
	}{{0, 0, ""}, {3, 0, ""}, {4, 0, "TM > 4"}, {15, 0, "TM > 12"}, {0, 1, "TN > 4"}, {9, 3, "TM > 8 and TN > 12"}} {
		if got := strings.TrimPrefix(when(c.row, c.col), "  // if "); got != c.want {
			t.Errorf("row %d, columns %d: %q, want %q", c.row, c.col, got, c.want)
		}
	}
}
