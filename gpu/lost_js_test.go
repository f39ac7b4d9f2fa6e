package gpu

import (
	"errors"
	"syscall/js"
	"testing"
	"time"

	"innerloop/prog"
)

// raw is the browser's GPUDevice of g.
func raw(g *Device) js.Value { return g.d.(*browser).v.Get("device") }

// slow returns a run of a few milliseconds on g, and the tensor that it writes.
func slow(t *testing.T, g *Device) (prog.Runner, *prog.Tensor) {
	t.Helper()
	g.withSource("slow", rounds)
	x := prog.NewArena("a").Add("x", prog.F32, 1)
	run, err := g.Load(record(t, "slow", func(r *prog.Recorder) {
		k := testKernel("slow", 1, [3]int{1, 1, 1})
		for range 20 {
			k.Dispatch(r, testC{1}, x)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return run, x
}

// destroySoon loses g's device while the caller waits.
func destroySoon(g *Device) {
	js.Global().Call("setTimeout", raw(g).Get("destroy").Call("bind", raw(g)), 1)
}

// TestLost loses the device while different calls wait. Each returns ErrLost, soon, and so does all that follows;
// Close does not mind, and the next device works.
func TestLost(t *testing.T) {
	for name, wait := range map[string]func(g *Device, run prog.Runner, x *prog.Tensor) error{
		"run": func(_ *Device, run prog.Runner, _ *prog.Tensor) error {
			for {
				if err := run.Run(); err != nil {
					return err
				}
			}
		},
		"sync": func(g *Device, run prog.Runner, _ *prog.Tensor) error {
			for {
				if err := errors.Join(run.Run(), g.Sync()); err != nil {
					return err
				}
			}
		},
		"read": func(g *Device, run prog.Runner, x *prog.Tensor) error {
			for {
				if err := errors.Join(run.Run(), g.Read(x, make([]float32, 1))); err != nil {
					return err
				}
			}
		},
		"load": func(g *Device, run prog.Runner, _ *prog.Tensor) error {
			for {
				r, err := g.Load(run.(*runner).p)
				if err != nil {
					return err
				}
				r.Close()
			}
		},
		"first use of an arena": func(g *Device, _ prog.Runner, _ *prog.Tensor) error {
			for {
				a := prog.NewArena("b")
				if err := g.Write(a.Add("y", prog.F32, 1), []float32{1}); err != nil {
					return err
				}
				g.Free(a)
			}
		},
		"idle": func(g *Device, _ prog.Runner, _ *prog.Tensor) error {
			time.Sleep(100 * time.Millisecond)
			return g.Sync()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t)
			run, x := slow(t, g)
			destroySoon(g)
			err := wait(g, run, x)
			if !errors.Is(err, ErrLost) {
				t.Fatalf("got %v, want ErrLost", err)
			}
			want(t, err, g.Adapter().Name, "device lost: ")
			_, loadErr := g.Load(run.(*runner).p)
			for what, err := range map[string]error{
				"Run": run.Run(), "Sync": g.Sync(), "Read": g.Read(x, make([]float32, 1)), "Write": g.Write(x, make([]float32, 1)), "Load": loadErr,
			} {
				if !errors.Is(err, ErrLost) {
					t.Errorf("%s afterwards: %v, want ErrLost", what, err)
				}
			}
			run.Close()
			g.Free(x.Arena())
			g.Close()
			if n := g.Bytes(); n != 0 {
				t.Errorf("%d bytes are left", n)
			}
			usable(t, open(t))
		})
	}
}

// TestUncapturedErrors checks that an error that no call waits for is told by the next call and stays.
func TestUncapturedErrors(t *testing.T) {
	for _, c := range []struct {
		name, class string
		is          error
	}{
		{"memory", "GPUOutOfMemoryError", ErrOutOfMemory},
		{"validation", "GPUValidationError", nil},
		{"internal", "GPUInternalError", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := open(t)
			run, _ := slow(t, g)
			e := js.Global().Get(c.class).New("made up by a test")
			event := js.Global().Get("GPUUncapturedErrorEvent").New("uncapturederror", map[string]any{"error": e, "cancelable": true})
			raw(g).Call("dispatchEvent", event)
			for range 2 {
				err := run.Run()
				want(t, err, "made up by a test", g.Adapter().Name)
				if c.is != nil && !errors.Is(err, c.is) || errors.Is(err, ErrLost) {
					t.Errorf("%v is not %v", err, c.is)
				}
			}
		})
	}
	// And one of the browser's own.
	g := open(t)
	run, _ := slow(t, g)
	raw(g).Call("createBuffer", map[string]any{"size": 4, "usage": 0})
	var err error
	for range 200 {
		if err = errors.Join(run.Run(), g.Sync()); err != nil {
			break
		}
	}
	want(t, err, g.Adapter().Name, "usage")
}

// TestOutOfMemoryInBrowser answers for the browser, whose own memory no test should fill: the first allocation of a Load
// fails, or one in its middle.
func TestOutOfMemoryInBrowser(t *testing.T) {
	g := open(t)
	usable(t, g)
	p := record(t, "step", func(r *prog.Recorder) {
		for range 3 {
			r.Clear(r.Keep(r.Temp("x", 64)))
		}
	})
	d := raw(g)
	pop := d.Get("popErrorScope").Call("bind", d)
	for fail := range 3 {
		n := 0
		failing := js.FuncOf(func(js.Value, []js.Value) any {
			n++
			v := pop.Invoke()
			if n != 2*fail+1 { // two scopes a buffer
				return v
			}
			return js.Global().Get("Promise").Call("resolve", js.Global().Get("GPUOutOfMemoryError").New("made up by a test"))
		})
		d.Set("popErrorScope", failing)
		_, err := g.Load(p)
		d.Delete("popErrorScope")
		failing.Release()
		if !errors.Is(err, ErrOutOfMemory) {
			t.Fatalf("got %v, want ErrOutOfMemory", err)
		}
		want(t, err, "gpu: out of memory: slot "+string(rune('0'+fail))+" of step: 256 bytes asked; largest buffer of ", g.Adapter().Name)
		if len(g.runners) != 0 {
			t.Errorf("%d runners are left", len(g.runners))
		}
		usable(t, g)
	}
	staging := g.d.stagingBytes()
	if n := g.Bytes(); n != staging {
		t.Errorf("%d bytes are left, want %d for copies", n, staging)
	}
}

// TestNoWebGPU takes WebGPU away. Both ways to lack it are ErrNoAdapter, on which a caller may fall back.
func TestNoWebGPU(t *testing.T) {
	nav := js.Global().Get("navigator")
	for _, c := range []struct {
		name string
		gpu  any
		want string
	}{
		{"an old browser", js.Undefined(), "gpu: no adapter: navigator.gpu is missing"},
		{"no adapter", js.Global().Call("eval", "({ requestAdapter: async () => null })"), "gpu: no adapter"},
		{"a blocked GPU", js.Global().Call("eval", "({ requestAdapter: async () => { throw new Error('blocked'); } })"), "gpu: no adapter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			js.Global().Get("Object").Call("defineProperty", nav, "gpu", map[string]any{"value": c.gpu, "configurable": true})
			defer js.Global().Get("Reflect").Call("deleteProperty", nav, "gpu")
			_, err := Open(Options{})
			want(t, err, c.want)
			if !errors.Is(err, ErrNoAdapter) {
				t.Errorf("%v is not ErrNoAdapter", err)
			}
		})
	}
	open(t)
}
