// Command wasm stands for the trainer: it answers.
package main

import "syscall/js"

func main() {
	js.Global().Call("postMessage", "Go runs, the driver takes "+js.Global().Get("innerloopGPU").Invoke(2).String())
}
