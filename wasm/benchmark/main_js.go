// The command benchmark is the main of the bench page: it runs in a worker of its own, so that the trainer does not carry
// it. globalThis.innerloopBench takes its messages (post, JSON) and gets the function that takes jobs (receive, JSON).
package main

import (
	"encoding/json"
	"errors"
	"syscall/js"

	"innerloop/gpu"
	"innerloop/prog"
)

// errNoWebGPU says that the browser has no WebGPU at all.
var errNoWebGPU = errors.New("navigator.gpu is missing: an old browser, or a page that is neither https nor localhost")

func main() {
	host := js.Global().Get("innerloopBench")
	s := &session{
		post: func(m message) {
			text, err := json.Marshal(m)
			if err != nil { // a number that is not finite
				text, _ = json.Marshal(message{"failed", err.Error()})
			}
			host.Call("post", string(text))
		},
		gpu: func() (prog.Executor, error) {
			if !js.Global().Get("navigator").Get("gpu").Truthy() {
				return nil, errNoWebGPU
			}
			return gpu.Open(gpu.Options{})
		},
	}
	jobs := make(chan string, 16)
	host.Set("receive", js.FuncOf(func(_ js.Value, a []js.Value) any {
		jobs <- a[0].String()
		return nil
	}))
	for j := range jobs {
		s.serve([]byte(j))
	}
}
