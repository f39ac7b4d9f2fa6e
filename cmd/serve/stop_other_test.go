//go:build !unix && !js

package main

import "testing"

// hangUp has nothing to check here: see stop_unix_test.go.
func hangUp(*testing.T, string) {}
