// The half of the benchmark that runs in the browser: our engine, driven from JavaScript by ours.js.

package main

import (
	"fmt"
	"os"
	"syscall/js"
	"unsafe"

	"innerloop/gpu"
	"innerloop/op"
	"innerloop/prog"
)

// contender is our side of the comparison; see the type of that name in worker.js.
type contender struct {
	dev     *gpu.Device
	trainer *trainer
	weights []float32

	size     int
	a, b     *prog.Tensor
	products map[string]product
}

type product struct {
	run prog.Runner
	out *prog.Tensor
}

func main() {
	c := &contender{products: map[string]product{}}
	js.Global().Set("innerloop", map[string]any{
		"init":     promised(c.init),
		"product":  promised(c.product),
		"multiply": promised(c.multiply),
		"losses":   promised(c.losses),
		"train":    promised(c.train),
		"profile":  promised(c.profile),
	})
	js.Global().Get("innerloopReady").Invoke()
	select {}
}

// promised makes fn a function that returns a promise: the device's calls block, which a callback must not.
func promised(fn func(args []js.Value) (any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) any {
		var executor js.Func
		executor = js.FuncOf(func(_ js.Value, f []js.Value) any {
			resolve, reject := f[0], f[1]
			go func() {
				defer executor.Release()
				if v, err := fn(args); err != nil {
					reject.Invoke(js.Global().Get("Error").New(err.Error()))
				} else {
					resolve.Invoke(v)
				}
			}()
			return nil
		})
		return js.Global().Get("Promise").New(executor)
	})
}

// init takes (weights Float32Array, text Uint8Array, a Float32Array, b Float32Array, size) and opens the device, whose
// name it returns.
func (c *contender) init(args []js.Value) (any, error) {
	var err error
	if c.dev, err = gpu.Open(gpu.Options{}); err != nil {
		return nil, err
	}
	c.weights = floats(args[0])
	text := make([]byte, args[1].Length())
	js.CopyBytesToGo(text, args[1])
	if c.trainer, err = newTrainer(c.dev, text); err != nil {
		return nil, err
	}
	if err := c.trainer.reset(c.weights); err != nil {
		return nil, err
	}
	c.size = args[4].Int()
	in := prog.NewArena("matrices")
	c.a, c.b = in.Add("a", prog.F32, c.size, c.size), in.Add("b", prog.F32, c.size, c.size)
	if err := c.dev.Write(c.a, floats(args[2])); err != nil {
		return nil, err
	}
	if err := c.dev.Write(c.b, floats(args[3])); err != nil {
		return nil, err
	}
	for _, form := range []string{"nn", "nt", "tn"} {
		var x product
		p, err := prog.Record(form, func(r *prog.Recorder) { x.out = r.Keep(op.MatMul(r, c.a, c.b, form == "tn", form == "nt")) })
		if err != nil {
			return nil, err
		}
		if x.run, err = c.dev.Load(p); err != nil {
			return nil, err
		}
		c.products[form] = x
	}
	return c.dev.Adapter().Name, nil
}

// form returns the product of that name.
func (c *contender) form(name string) (product, error) {
	x, ok := c.products[name]
	if !ok {
		return x, fmt.Errorf("no product %q, want nn, nt or tn", name)
	}
	return x, nil
}

// product takes a form and returns that product.
func (c *contender) product(args []js.Value) (any, error) {
	x, err := c.form(args[0].String())
	if err != nil {
		return nil, err
	}
	if err := x.run.Run(); err != nil {
		return nil, err
	}
	out := make([]float32, c.size*c.size)
	if err := x.run.Read(x.out, out); err != nil {
		return nil, err
	}
	bytes := js.Global().Get("Uint8Array").New(4 * len(out))
	js.CopyBytesToJS(bytes, unsafe.Slice((*byte)(unsafe.Pointer(&out[0])), 4*len(out)))
	return js.Global().Get("Float32Array").New(bytes.Get("buffer")), nil
}

// multiply takes a form and how often to make that product, and waits for them.
func (c *contender) multiply(args []js.Value) (any, error) {
	x, err := c.form(args[0].String())
	if err != nil {
		return nil, err
	}
	for range args[1].Int() {
		if err := x.run.Run(); err != nil {
			return nil, err
		}
	}
	return nil, c.dev.Sync()
}

// losses begins anew and takes the number of steps whose losses it returns.
func (c *contender) losses(args []js.Value) (any, error) {
	if err := c.trainer.reset(c.weights); err != nil {
		return nil, err
	}
	l, err := c.trainer.losses(args[0].Int())
	if err != nil {
		return nil, err
	}
	out := make([]any, len(l))
	for i, x := range l {
		out[i] = x
	}
	return out, nil
}

// train takes the number of steps to make, and returns the last one's loss.
func (c *contender) train(args []js.Value) (any, error) { return c.trainer.train(args[0].Int()) }

// profile returns the seconds that each dispatch of a step takes, with its label and the work in it.
func (c *contender) profile([]js.Value) (any, error) {
	seconds, err := c.trainer.run.Profile()
	if err != nil {
		return nil, err
	}
	var out []any
	for i, s := range c.trainer.step.Steps {
		kernel := "clear"
		if s.Kernel != nil {
			kernel = s.Kernel.Name
		}
		out = append(out, map[string]any{"kernel": kernel, "label": s.Label(), "seconds": seconds[i], "flops": s.Flops(), "bytes": s.Traffic()})
	}
	return out, nil
}

// floats copies a Float32Array.
func floats(v js.Value) []float32 {
	x := make([]float32, v.Length())
	if len(x) == 0 {
		return x
	}
	bytes := js.Global().Get("Uint8Array").New(v.Get("buffer"), v.Get("byteOffset"), v.Get("byteLength"))
	if n := js.CopyBytesToGo(unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x)), bytes); n != 4*len(x) {
		fmt.Fprintf(os.Stderr, "peers: copied %d of %d bytes\n", n, 4*len(x))
		os.Exit(1)
	}
	return x
}
