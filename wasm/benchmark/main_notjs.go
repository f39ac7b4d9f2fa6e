//go:build !js

// The command benchmark is the main of the bench page; built for anything else it says so.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchmark: this program runs in the browser: go run ./cmd/serve builds and serves it, as bench.html; innerloop bench measures here")
	os.Exit(2)
}
