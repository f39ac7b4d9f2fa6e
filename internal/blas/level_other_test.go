//go:build !amd64

package blas

import "testing"

func eachLevel(t *testing.T, f func(t *testing.T)) { t.Run("plain", f) }
