//go:build !js

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "wasm: this program runs in the browser: go run ./cmd/serve builds and serves it")
	os.Exit(2)
}
