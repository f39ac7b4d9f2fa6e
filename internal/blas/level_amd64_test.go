package blas

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// eachLevel runs f with every instruction set that this processor has, and without.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	best := level
	defer func() { level = best }()
	for _, l := range []uint8{avx512, avx2, plain} {
		if l > best {
			continue
		}
		level = l
		name := Instructions()
		if l == plain {
			name = "plain"
		}
		t.Run(name, f)
	}
}

// TestRegisters checks that what runs without AVX-512 knows no register that AVX2 lacks, which an assembler lets pass.
func TestRegisters(t *testing.T) {
	src, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	beyond := regexp.MustCompile(`\b(Z\d+|[XY](1[6-9]|2\d|3[01])|K\d)\b`)
	functions := strings.Split(string(src), "\nTEXT ·")[1:]
	if len(functions) < 20 {
		t.Fatalf("%d functions, want the assembly", len(functions))
	}
	for _, f := range functions {
		name, _, _ := strings.Cut(f, "(")
		_, avx2, ok := strings.Cut(f, "\navx2:\n")
		if !ok {
			avx2 = f
		}
		if r := beyond.FindString(avx2); r != "" {
			t.Errorf("%s: %s in its part for AVX2", name, r)
		}
	}
}
