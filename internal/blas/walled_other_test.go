//go:build !linux

package blas

import "testing"

// walled is make where there are no pages to guard with.
func walled(_ *testing.T, _ int) func(n int, atEnd bool) []float32 {
	return func(n int, _ bool) []float32 { return make([]float32, n) }
}
