//go:build !unix

package main

import "io"

// lockFolder does nothing here: see lock_unix.go.
func lockFolder(string) (io.Closer, error) { return unlocked{}, nil }

type unlocked struct{}

func (unlocked) Close() error { return nil }

// runLock knows nothing here: see lock_unix.go.
func runLock(string) (held, known bool) { return false, false }
