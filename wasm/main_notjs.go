//go:build !js

// The command wasm is the browser's main; built for anything else it says so.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "wasm: this program runs in the browser: go run ./cmd/serve builds and serves it")
	os.Exit(2)
}
