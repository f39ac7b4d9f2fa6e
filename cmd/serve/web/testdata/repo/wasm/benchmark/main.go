// Command benchmark stands for the bench page's program.
package main

import "syscall/js"

func main() { js.Global().Call("postMessage", "the bench runs") }
