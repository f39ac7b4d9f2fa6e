// The command wasm is the browser's main: it runs in a worker of the page and speaks messages.schema.json with it.
package main

import (
	"context"
	"encoding/json"
	"math"
	"runtime"
	"syscall/js"
	"time"
	"unsafe"

	"innerloop/gpu"
)

// browser is the worker that the program runs in.
type browser struct {
	host, scope js.Value
	port        js.Value // of a channel to itself
	turn        chan struct{}
	arrays      js.Value // the constructor of byte arrays
}

func newBrowser() *browser {
	b := &browser{scope: js.Global(), host: js.Global().Get("innerloopHost"), arrays: js.Global().Get("Uint8Array"), turn: make(chan struct{}, 1)}
	// A message to oneself is a turn of the event loop; a timer would be slowed down to four milliseconds.
	channel := js.Global().Get("MessageChannel").New()
	channel.Get("port1").Set("onmessage", js.FuncOf(func(js.Value, []js.Value) any {
		select {
		case b.turn <- struct{}{}:
		default:
		}
		return nil
	}))
	b.port = channel.Get("port2")
	return b
}

// Post implements Host.
func (b *browser) Post(message any, columns map[string][]float64) {
	text, err := json.Marshal(message)
	if err != nil { // a number that is not finite: the page is told of that at least
		f := &failure{Code: codeInternal, Message: err.Error(), Checkpoint: -1}
		var instead any = event{"notice", f}
		if r, ok := message.(reply); ok {
			instead = reply{ID: r.ID, Error: f}
		}
		text, _ = json.Marshal(instead)
		columns = nil
	}
	arrays := js.Global().Get("Object").New()
	for name, c := range columns {
		a := b.arrays.New(8 * len(c))
		if len(c) > 0 {
			js.CopyBytesToJS(a, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(c))), 8*len(c)))
		}
		arrays.Set(name, a)
	}
	b.host.Call("post", string(text), arrays)
}

// Storage implements Host.
func (b *browser) Storage() Storage {
	s := b.host.Get("storage")
	return Storage{s.Get("kind").String(), s.Get("problem").String()}
}

// Lock implements Host.
func (b *browser) Lock(name string) bool {
	got := make(chan bool, 1)
	then := js.FuncOf(func(_ js.Value, a []js.Value) any {
		got <- a[0].Truthy()
		return nil
	})
	defer then.Release()
	b.host.Call("lock", name).Call("then", then)
	return <-got
}

// Unlock implements Host.
func (b *browser) Unlock(name string) { b.host.Call("unlock", name) }

// Open implements Host.
func (b *browser) Open(hardware bool, compiled func(done, total int)) (Device, error) {
	if !b.scope.Get("navigator").Get("gpu").Truthy() {
		return nil, errNoWebGPU
	}
	return gpu.Open(gpu.Options{Hardware: hardware, Tune: true, TuneFile: "/tune.json", Compiled: compiled})
}

// Yield implements Host.
func (b *browser) Yield() {
	b.port.Call("postMessage", 0)
	<-b.turn
}

// Memory implements Host.
func (b *browser) Memory() int64 {
	n := b.scope.Get("innerloopHost").Get("memory")
	if n.Type() != js.TypeFunction {
		return 0
	}
	return int64(math.Max(0, n.Invoke().Float()))
}

// reserve has Go make its books of references to JavaScript large enough for those of a second, after which they are
// collected: they grow with the most that there ever were, in pieces of 256 KiB, and never shrink.
func reserve() {
	const most = 12_000
	for range most {
		// Larger than a reference: the books of neighbours are one list, searched from its start.
		runtime.SetFinalizer(new([32]*byte), func(*[32]*byte) {})
	}
	runtime.GC()
}

func main() {
	time.AfterFunc(time.Second, reserve) // once the page is up
	b := newBrowser()
	s := NewSession(b, "/")
	if v := b.host.Get("version"); v.Type() == js.TypeString && v.String() != "" {
		s.version = v.String()
	}
	b.host.Set("receive", js.FuncOf(func(_ js.Value, a []js.Value) any {
		s.Receive([]byte(a[0].String()))
		return nil
	}))
	s.Run(context.Background())
}
