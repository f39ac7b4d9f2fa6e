package gpu

import (
	_ "embed"
	"errors"
	"fmt"
	"syscall/js"
)

// driverJS is the half of the driver on the other side. A page whose policy forbids eval puts the function that the
// file holds into globalThis.innerloopGPU itself.
//
//go:embed driver.js
var driverJS string

// raised are the limits that a device is asked for as far as the adapter offers them.
var raised = []any{
	"maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage", "maxComputeWorkgroupStorageSize",
	"maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ",
}

// chunk is the most bytes that one copy moves.
const chunk = 16 << 20

// factory returns the object of driver.js.
func factory() (f js.Value, err error) {
	defer caught(&err)
	fn := js.Global().Get("innerloopGPU")
	if fn.Type() != js.TypeFunction {
		fn = js.Global().Call("eval", driverJS)
	}
	return fn.Invoke(maxInFlight), nil
}

// list asks the browser for its adapters.
func list() (f js.Value, found js.Value, as []Adapter, err error) {
	if f, err = factory(); err != nil {
		return f, found, nil, err
	}
	if found, err = await(f.Call("adapters")); err != nil {
		return f, found, nil, err
	}
	for i := range found.Length() {
		v := found.Index(i)
		a := Adapter{
			Name: v.Get("name").String(), Backend: "webgpu", Type: "unknown", Vendor: v.Get("vendor").String(),
			Device: v.Get("device").String(), Software: v.Get("software").Bool(), Limits: fromJS(v.Get("limits")),
		}
		if a.Software {
			a.Type = "cpu"
		}
		as = append(as, a)
	}
	return f, found, as, nil
}

func fromJS(v js.Value) Limits {
	n := func(name string) int { return int(v.Get(name).Float()) }
	return Limits{
		BufferSize:         int64(v.Get("maxBufferSize").Float()),
		BindingSize:        int64(v.Get("maxStorageBufferBindingSize").Float()),
		StorageBuffers:     n("maxStorageBuffersPerShaderStage"),
		WorkgroupMemory:    n("maxComputeWorkgroupStorageSize"),
		Invocations:        n("maxComputeInvocationsPerWorkgroup"),
		WorkgroupSize:      [3]int{n("maxComputeWorkgroupSizeX"), n("maxComputeWorkgroupSizeY"), n("maxComputeWorkgroupSizeZ")},
		WorkgroupsPerAxis:  n("maxComputeWorkgroupsPerDimension"),
		OffsetAlignment:    n("minStorageBufferOffsetAlignment"),
		BindingsOfAllKinds: n("maxBindingsPerBindGroup"),
	}
}

func adapters() ([]Adapter, error) {
	_, _, as, err := list()
	return as, err
}

// browser is a device of driver.js. Its methods block the goroutine while the event loop runs, so that they must not
// be called from within a callback of JavaScript.
type browser struct {
	v       js.Value
	scratch js.Value // a Uint8Array for writes
	size    int
	answer  js.Func // what driver.js calls: one for all waits, of which there is one at a time
	answers chan answer

	compiled js.Func // what it calls when a pipeline is compiled
}

// answer is how a wait ends.
type answer struct {
	v   js.Value
	err error
}

// openAdapter opens the adapter that choose picks from the list.
func openAdapter(choose func([]Adapter) (int, error), compiled func(done, total int)) (driver, Adapter, error) {
	f, found, as, err := list()
	if err != nil {
		return nil, Adapter{}, err
	}
	i, err := choose(as)
	if err != nil {
		return nil, Adapter{}, err
	}
	b := &browser{answers: make(chan answer, 1)}
	b.answer = js.FuncOf(func(_ js.Value, a []js.Value) any {
		if a[0].IsNull() {
			b.answers <- answer{v: a[1]}
		} else {
			b.answers <- answer{err: fromError(a[0])}
		}
		return nil
	})
	b.compiled = js.FuncOf(func(_ js.Value, a []js.Value) any {
		if compiled != nil {
			compiled(a[0].Int(), a[1].Int())
		}
		return nil
	})
	if b.v, err = await(f.Call("open", found.Index(i).Get("adapter"), raised, b.answer, b.compiled)); err != nil {
		b.answer.Release()
		b.compiled.Release()
		return nil, as[i], err
	}
	return b, as[i], nil
}

// call calls a method that does not wait.
func (b *browser) call(name string, args ...any) (v js.Value, err error) {
	defer caught(&err)
	return b.v.Call(name, args...), nil
}

// await calls a method that answers, and waits for the answer.
func (b *browser) await(name string, args ...any) (js.Value, error) {
	if v, err := b.call(name, args...); err != nil {
		return v, err
	}
	a := <-b.answers
	return a.v, a.err
}

func (b *browser) limits() Limits { return fromJS(b.v.Get("limits")) }

func (b *browser) handle(v js.Value, err error) (handle, error) {
	if err != nil {
		return 0, err
	}
	return handle(v.Int()), nil
}

func (b *browser) newBuffer(label string, bytes int64) (handle, error) {
	return b.handle(b.call("newBuffer", label, float64(bytes)))
}

func (b *browser) freeBuffer(h handle) { b.v.Call("freeBuffer", int(h)) }

func (b *browser) newPipeline(label, wgsl string, readOnly []bool) (handle, error) {
	args := []any{label, wgsl}
	for _, r := range readOnly {
		args = append(args, r)
	}
	return b.handle(b.call("newPipeline", args...))
}

func (b *browser) freePipeline(h handle) { b.v.Call("freePipeline", int(h)) }
func (b *browser) newTape() handle       { return handle(b.v.Call("newTape").Int()) }
func (b *browser) freeTape(h handle)     { b.v.Call("freeTape", int(h)) }

func (b *browser) tapeDispatch(tape, pipeline handle, binds []bind, grid [3]uint32) error {
	args := append(make([]any, 0, 5+3*len(binds)), int(tape), int(pipeline), grid[0], grid[1], grid[2])
	for _, x := range binds {
		args = append(args, int(x.buf), float64(x.off), float64(x.n))
	}
	_, err := b.call("tapeDispatch", args...)
	return err
}

func (b *browser) tapeClear(tape handle, x bind) error {
	_, err := b.call("tapeClear", int(tape), int(x.buf), float64(x.off), float64(x.n))
	return err
}

func (b *browser) settle() (int, error) {
	_, err := b.await("settle")
	var at *begunError
	if errors.As(err, &at) {
		return at.index, at.error
	}
	return -1, err
}

func (b *browser) cancel() { b.v.Call("cancel") }

func (b *browser) submit(tape handle, first, count, repeat int) error {
	full, err := b.call("submit", int(tape), first, count, repeat)
	if err == nil && full.Bool() {
		err = (<-b.answers).err
	}
	return err
}

func (b *browser) write(buf handle, off int64, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), chunk)
		if b.size < n {
			b.scratch, b.size = js.Global().Get("Uint8Array").New(n), n
		}
		js.CopyBytesToJS(b.scratch, data[:n])
		if _, err := b.call("write", int(buf), float64(off), b.scratch, n); err != nil {
			return err
		}
		data, off = data[n:], off+int64(n)
	}
	return nil
}

func (b *browser) read(buf handle, off int64, dst []byte) error {
	for len(dst) > 0 {
		n := min(len(dst), chunk)
		v, err := b.await("read", int(buf), float64(off), n)
		if err != nil {
			return err
		}
		js.CopyBytesToGo(dst[:n], v)
		if _, err := b.call("unmap"); err != nil {
			return err
		}
		dst, off = dst[n:], off+int64(n)
	}
	return nil
}

func (b *browser) stagingBytes() int64 { return int64(b.v.Call("stagingBytes").Float()) }

func (b *browser) wait() error {
	_, err := b.await("wait")
	return err
}

func (b *browser) poll() {}

func (b *browser) close() {
	b.v.Call("close")
	b.answer.Release()
	b.compiled.Release()
}

// caught turns an exception of JavaScript into an error.
func caught(err *error) {
	switch e := recover().(type) {
	case nil:
	case js.Error:
		*err = fromError(e.Value)
	default:
		panic(e)
	}
}

// begunError is the error of something that was begun since the last settle: the index-th.
type begunError struct {
	error
	index int
}

// fromError is the error that an exception or a rejection stands for.
func fromError(v js.Value) (err error) {
	if v.Type() != js.TypeObject {
		return fmt.Errorf("%s", v.String())
	}
	if i := v.Get("index"); i.Type() == js.TypeNumber {
		defer func() { err = &begunError{err, i.Int()} }()
	}
	text := v.Get("message").String()
	kind := v.Get("kind")
	if kind.Type() != js.TypeString {
		return errors.New(text)
	}
	switch kind.String() {
	case "shader":
		return &ShaderError{Line: v.Get("line").Int(), Column: v.Get("column").Int(), Message: text}
	case "adapter":
		return &driverError{noAdapter, text}
	case "memory":
		return &driverError{outOfMemory, text}
	case "lost":
		return &driverError{lost, text}
	case "cancelled":
		return &driverError{cancelled, text}
	}
	return &driverError{invalid, text}
}

// await blocks the goroutine until promise settles.
func await(promise js.Value) (js.Value, error) {
	ch := make(chan answer, 1)
	ok := js.FuncOf(func(_ js.Value, a []js.Value) any {
		ch <- answer{v: a[0]}
		return nil
	})
	bad := js.FuncOf(func(_ js.Value, a []js.Value) any {
		ch <- answer{err: fromError(a[0])}
		return nil
	})
	defer ok.Release()
	defer bad.Release()
	promise.Call("then", ok, bad)
	r := <-ch
	return r.v, r.err
}
