package shaders

import (
	"strings"
	"testing"
)

func TestAll(t *testing.T) {
	consts := map[string]any{"TM": 8, "TN": 4, "EPS": float32(1)}
	for cond, want := range map[string]bool{
		"TM > 4": true, "TM > 8": false, "TM > 4 and TN > 0": true, "TM > 4 and TN > 4": false, "TN > 4 and TM > 4": false,
	} {
		if got, err := all(cond, consts); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", cond, got, err, want)
		}
	}
	for _, cond := range []string{"TX > 4", "EPS > 0", "TM", "TM < 4", "TM > x", ""} {
		if _, err := all(cond, consts); err == nil {
			t.Errorf("%q: no error", cond)
		}
	}
}

// A line that is for larger tiles is not in the source of smaller ones, and the others lose only the comment.
func TestConditions(t *testing.T) {
	consts := map[string]any{"M": 8, "N": 8, "K": 8, "TM": 8, "TN": 4, "WX": 8, "WY": 8, "ACC_OUT": true, "SHAREDA": false, "SHAREDB": false}
	src, err := Source("matmul_nn", consts)
	if err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{"var s7_0 = ": 1, "var s8_0 = ": 0, "var s0_1 = ": 0, condition: 0} {
		if got := strings.Count(src, want); got != n {
			t.Errorf("%q %d times, want %d", want, got, n)
		}
	}
}
