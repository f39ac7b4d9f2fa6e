package gpu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"innerloop/op"
	"innerloop/prog"
)

// open opens a device of the test's own, for tests that break it.
func open(t *testing.T) *Device {
	t.Helper()
	g, err := Open(Options{})
	if err != nil {
		if os.Getenv("INNERLOOP_REQUIRE_GPU") == "1" || !errors.Is(err, ErrNoAdapter) {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(g.Close)
	return g
}

type testC struct{ N int }

// testKernel defines a kernel of one read-write binding of N elements in grid workgroups.
func testKernel(name string, binds int, grid [3]int) prog.Typed[testC] {
	s := prog.Spec[testC]{
		Name:  name,
		Items: func(testC) int { return 1 },
		Grid:  func(testC, prog.Traits) [3]int { return grid },
		F32:   func(testC, *prog.Args[float32], []float32, int, int) {},
		F64:   func(testC, *prog.Args[float64], []float64, int, int) {},
		Lens: func(c testC) []int {
			return slices.Repeat([]int{c.N}, binds)
		},
		Sample: func(*rand.Rand) testC { return testC{1} },
	}
	for i := range binds {
		s.Binds = append(s.Binds, prog.InOut("x"+strconv.Itoa(i)))
	}
	return prog.Define(s)
}

// withSource makes g compile text for the kernel of that name.
func (g *Device) withSource(name, text string) {
	next := g.source
	g.source = func(n string, consts map[string]any) (string, error) {
		if n == name {
			return text, nil
		}
		return next(n, consts)
	}
}

func record(t *testing.T, name string, build func(r *prog.Recorder)) *prog.Program {
	t.Helper()
	p, err := prog.Record(name, build)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func want(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

// usable runs a program on g and checks its result.
func usable(t *testing.T, g *Device) {
	t.Helper()
	a := prog.NewArena("usable")
	x, w := a.Add("x", prog.F32, 4, 8), a.Add("w", prog.F32, 8)
	defer g.Free(a)
	var out *prog.Tensor
	p := record(t, "usable", func(r *prog.Recorder) { out = r.Keep(op.RMSNorm(r, x, w, 1e-6)) })
	run, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	got := slices.Repeat([]float32{3}, 32)
	if err := errors.Join(g.Write(x, got), g.Write(w, got[:8]), run.Run(), run.Read(out, got)); err != nil {
		t.Fatal(err)
	}
	for _, v := range got {
		if v < 2.999 || v > 3.001 {
			t.Fatalf("got %v, want 3", v)
		}
	}
}

func TestChoose(t *testing.T) {
	as := []Adapter{
		{Name: "llvmpipe", Backend: "vulkan", Type: "cpu", Software: true},
		{Name: "Iris Xe", Backend: "vulkan", Type: "integrated"},
		{Name: "GeForce", Backend: "vulkan", Type: "discrete"},
		{Name: "GeForce", Backend: "d3d12", Type: "discrete"},
		{Name: "GeForce", Backend: "vulkan", Type: "discrete"}, // of the same name as the third
	}
	for _, c := range []struct {
		o    Options
		as   []Adapter
		want int
		err  string
	}{
		{Options{}, as, 2, ""},
		{Options{Adapter: "IRIS"}, as, 1, ""},
		{Options{Adapter: "d3d"}, as, 3, ""},
		{Options{Adapter: "pipe"}, as, 0, ""},
		{Options{}, as[:1], 0, ""},
		{Options{Adapter: "foo"}, as[:2], 0, `no adapter matches "foo"; there are: gpu:0 llvmpipe, vulkan, cpu; gpu:1 Iris Xe, vulkan, integrated`},
		{Options{Hardware: true}, as[:1], 0, `every adapter is a CPU; there are: gpu:0 llvmpipe, vulkan, cpu`},
		{Options{Hardware: true, Adapter: "pipe"}, as, 0, `no adapter matches "pipe"`},
		{Options{}, nil, 0, "no adapter"},
		{Options{Adapter: "geforce"}, as, 2, ""},
		{Options{Adapter: "gpu:0"}, as, 0, ""},
		{Options{Adapter: "GPU:4"}, as, 4, ""},
		{Options{Adapter: "gpu:2"}, as[:2], 0, `no adapter gpu:2; there are 2: gpu:0 llvmpipe, vulkan, cpu; gpu:1 Iris Xe, vulkan, integrated`},
		{Options{Adapter: "gpu:-1"}, as[:1], 0, `no adapter gpu:-1; there are 1: `},
		{Options{Adapter: "gpu:x"}, as[:1], 0, `no adapter matches "gpu:x"`},
		{Options{Adapter: "gpu:0"}, nil, 0, "no adapter"},
	} {
		i, _, err := c.o.choose(c.as)
		if c.err != "" {
			want(t, err, c.err)
		} else if err != nil || i != c.want {
			t.Errorf("%+v: got %d, %v, want %d", c.o, i, err, c.want)
		}
	}
}

// Of adapters that fit a name alike the first is taken, and the others can be told.
func TestChooseEquals(t *testing.T) {
	as := []Adapter{
		{Name: "GeForce", Backend: "vulkan", Type: "discrete"},
		{Name: "GeForce", Backend: "vulkan", Type: "cpu", Software: true},
		{Name: "GeForce", Backend: "vulkan", Type: "discrete"},
		{Name: "Arc", Backend: "vulkan", Type: "discrete"},
	}
	for name, others := range map[string][]string{"geforce": {"gpu:2"}, "vulkan": {"gpu:2", "gpu:3"}, "arc": nil, "gpu:2": nil} {
		_, equals, err := Options{Adapter: name}.choose(as)
		var got []string
		for _, a := range equals {
			got = append(got, a.Option())
		}
		if err != nil || !slices.Equal(got, others) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, others)
		}
	}
}

func TestOpenNoMatch(t *testing.T) {
	open(t)
	as, err := Adapters()
	if err != nil || len(as) == 0 {
		t.Fatal(as, err)
	}
	_, err = Open(Options{Adapter: "no such thing"})
	want(t, err, `gpu: no adapter matches "no such thing"; there are: `, as[0].Name)
	_, err = Open(Options{Adapter: "gpu:99"})
	want(t, err, fmt.Sprintf("gpu: no adapter gpu:99; there are %d: ", len(as)), as[0].Name)
	last := as[len(as)-1]
	g, err := Open(Options{Adapter: last.Option()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if a := g.Adapter(); a.Index != len(as)-1 || a.Name != last.Name || len(g.Equals()) > 0 {
		t.Errorf("%s opens %+v", last.Option(), a)
	}
}

func TestInfo(t *testing.T) {
	g := open(t)
	i, l := g.Info(), g.Limits()
	if i.Name == "" || i.Backend == "" || i.Traits.Software != (g.Adapter().Type == "cpu") {
		t.Errorf("%+v", i)
	}
	d := defaultLimits
	if l.BindingSize < d.BindingSize || l.BufferSize < d.BufferSize || l.StorageBuffers < d.StorageBuffers ||
		i.Traits.MaxInvocations < d.Invocations || i.Traits.WorkgroupMemory < d.WorkgroupMemory || i.Traits.MaxWorkgroupsAxis < d.WorkgroupsPerAxis {
		t.Errorf("limits below WebGPU's defaults: %+v", l)
	}
	if a := g.Adapter().Limits; l.BindingSize != a.BindingSize || l.WorkgroupMemory != a.WorkgroupMemory || l.StorageBuffers != a.StorageBuffers {
		t.Errorf("device %+v does not offer what its adapter does: %+v", l, a)
	}
}

const addOne = `const N: u32 = 4u;
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) wg: vec3<u32>) { x[wg.x] += 1.0; }
`

// TestLoadErrors checks that what is wrong with a step is named, and that the device is as good as new afterwards.
func TestLoadErrors(t *testing.T) {
	g := open(t)
	lim := g.Limits()
	for _, c := range []struct {
		name  string
		binds int
		grid  [3]int
		n     int
		text  string
		want  []string
	}{
		{"syntax", 1, [3]int{1, 1, 1}, 4, strings.Replace(addOne, "1.0;", "oops;", 1), []string{"gpu: step 1: syntax(N=4): line 4:", "oops"}},
		{"types", 1, [3]int{1, 1, 1}, 4, strings.Replace(addOne, "1.0;", "1u;", 1), []string{"gpu: step 1: types(N=4): line 4:"}},
		{"access", 1, [3]int{1, 1, 1}, 4, strings.Replace(addOne, "storage, read_write", "storage, read", 1), []string{"gpu: step 1: access(N=4): "}},
		{"extra", 1, [3]int{1, 1, 1}, 4, strings.Replace(strings.Replace(addOne, "@compute", "@group(0) @binding(1) var<storage, read> y: array<f32>;\n@compute", 1), "1.0", "y[0]", 1), []string{"gpu: step 1: extra(N=4): "}},
		{"shared", 1, [3]int{1, 1, 1}, 4, strings.Replace(addOne, "@compute", "var<workgroup> s: array<vec4<f32>, (N * 65536u)>;\n@compute", 1), []string{"gpu: step 1: shared(N=4): 4194304 bytes of workgroup memory", "allows"}},
		{"wide", 1, [3]int{1, 1, 1}, 4, strings.Replace(addOne, "size(1)", "size(1024, N)", 1), []string{"gpu: step 1: wide(N=4): 4096 invocations", "allows"}},
		{"grid", 1, [3]int{1, lim.WorkgroupsPerAxis + 1, 1}, 4, addOne, []string{"gpu: step 1: grid(N=4): grid [1 65536 1]: axis 1 has 65536 workgroups"}},
		{"nogrid", 1, [3]int{0, 1, 1}, 4, addOne, []string{"gpu: step 1: nogrid(N=4): grid [0 1 1]: axis 0 has 0 workgroups"}},
		{"binds", lim.StorageBuffers + 1, [3]int{1, 1, 1}, 4, addOne, []string{"gpu: step 33: binds(N=4): 33 storage buffers"}},
		{"binding", 1, [3]int{1, 1, 1}, int(lim.BindingSize/4) + 1, addOne, []string{"binding(N=", "largest binding of"}},
		{"buffer", 1, [3]int{1, 1, 1}, int(lim.BufferSize/4) + 64, addOne, []string{"gpu: out of memory: slot 0 of buffer step: ", " bytes) asked; largest buffer of ", g.Adapter().Name}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "binding" && lim.BindingSize >= lim.BufferSize {
				t.Skip("a binding may be as large as a buffer")
			}
			g.withSource(c.name, c.text)
			k := testKernel(c.name, c.binds, c.grid)
			p := record(t, c.name+" step", func(r *prog.Recorder) {
				var xs []*prog.Tensor
				for range c.binds {
					x := r.Temp("x", c.n)
					r.Clear(x)
					xs = append(xs, x)
				}
				k.Dispatch(r, testC{c.n}, xs...)
			})
			run, err := g.Load(p)
			if run != nil && err != nil {
				t.Error("a runner beside an error")
			}
			if c.name == "binds" {
				c.want[0] = "step " + strconv.Itoa(c.binds) + ": binds(N=4): " + strconv.Itoa(c.binds) + " storage buffers"
			}
			want(t, err, c.want...)
			var se *ShaderError
			isShader := slices.Contains([]string{"syntax", "types", "access", "extra"}, c.name)
			if errors.As(err, &se) != isShader {
				t.Errorf("%v: a ShaderError is %v, want %v", err, !isShader, isShader)
			}
			if isShader && (se.Kernel != c.name || se.Message == "") {
				t.Errorf("%+v", se)
			}
			if (c.name == "syntax" || c.name == "types") && (se.Line != 4 || se.Column < 40 || se.Column > 70) {
				t.Errorf("%+v, want line 4 and about column 50", se)
			}
			if errors.Is(err, ErrOutOfMemory) != (c.name == "buffer") || errors.Is(err, ErrLost) {
				t.Errorf("%v: ErrOutOfMemory %v, ErrLost %v", err, errors.Is(err, ErrOutOfMemory), errors.Is(err, ErrLost))
			}
			if len(g.runners) != 0 {
				t.Errorf("%d runners are left", len(g.runners))
			}
			usable(t, g)
		})
	}
}

// counting counts the buffers that are asked for.
type counting struct {
	driver
	buffers int
}

func (c *counting) newBuffer(what string, bytes int64) (handle, error) {
	c.buffers++
	return c.driver.newBuffer(what, bytes)
}

// TestTooLargeTakesNoMemory loads programs of which one buffer is over the limit: none of the others is allocated.
func TestTooLargeTakesNoMemory(t *testing.T) {
	g := open(t)
	usable(t, g)
	c := &counting{driver: g.d}
	g.d = c
	defer func() { g.d = c.driver }()
	n := int(g.lim.BufferSize/4) + 64
	small, large := prog.NewArena("small"), prog.NewArena("large")
	x, y := small.Add("x", prog.F32, 64), large.Add("y", prog.F32, n)
	for name, p := range map[string]*prog.Program{
		"slot 0 of temporaries": record(t, "temporaries", func(r *prog.Recorder) {
			r.Clear(r.Keep(r.Temp("a", 64)))
			r.Clear(r.Keep(r.Temp("b", n)))
		}),
		"arena large": record(t, "arenas", func(r *prog.Recorder) {
			r.Clear(x)
			r.Clear(y)
		}),
	} {
		_, err := g.Load(p)
		want(t, err, "gpu: out of memory: "+name+": ", " bytes) asked; largest buffer of ", g.Adapter().Name)
		if !errors.Is(err, ErrOutOfMemory) || c.buffers != 0 {
			t.Errorf("%s: %v, and %d buffers were allocated, want ErrOutOfMemory and none", name, err, c.buffers)
		}
	}
}

// TestPipelinesAreShared counts the pipelines of programs whose steps have the same source.
func TestPipelinesAreShared(t *testing.T) {
	g := open(t)
	a := prog.NewArena("a")
	x, w := a.Add("x", prog.F32, 4, 8), a.Add("w", prog.F32, 8)
	build := func(r *prog.Recorder) { op.RMSNorm(r, op.RMSNorm(r, x, w, 1e-6), w, 1e-6) }
	for range 2 {
		if _, err := g.Load(record(t, "p", build)); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.pipes) != 1 || len(g.arenas) != 1 {
		t.Errorf("%d pipelines and %d arenas, want 1 and 1", len(g.pipes), len(g.arenas))
	}
	if _, err := g.Load(record(t, "p", func(r *prog.Recorder) { op.RMSNorm(r, x, w, 1e-5) })); err != nil || len(g.pipes) != 2 {
		t.Errorf("%v, %d pipelines with another eps, want 2", err, len(g.pipes))
	}
}

// TestPipelinesAreEvicted loads more shapes than the device keeps.
func TestPipelinesAreEvicted(t *testing.T) {
	g := open(t)
	k := testKernel("add_one", 1, [3]int{1, 1, 1})
	for n := range keepIdle + 10 {
		g.withSource("add_one", strings.Replace(addOne, "4u", strconv.Itoa(n)+"u", 1))
		run, err := g.Load(record(t, "p", func(r *prog.Recorder) {
			x := r.Temp("x", 4)
			r.Clear(x)
			k.Dispatch(r, testC{4}, x)
		}))
		if err != nil {
			t.Fatal(err)
		}
		run.Close()
		if len(g.pipes) > keepIdle+1 {
			t.Fatalf("%d pipelines are kept, want at most %d", len(g.pipes), keepIdle+1)
		}
	}
	if len(g.pipes) > 20 {
		t.Errorf("%d pipelines after an eviction", len(g.pipes))
	}
}

// TestAfterClose checks that no call after Close or Free reaches the device: wgpu would abort the process.
func TestAfterClose(t *testing.T) {
	g := open(t)
	a := prog.NewArena("a")
	x := a.Add("x", prog.F32, 4)
	k := testKernel("add_one", 1, [3]int{4, 1, 1})
	g.withSource("add_one", addOne)
	var keep *prog.Tensor
	p := record(t, "p", func(r *prog.Recorder) {
		keep = r.Keep(r.Temp("keep", 4))
		r.Clear(keep)
		k.Dispatch(r, testC{4}, x)
	})
	load := func() prog.Runner {
		t.Helper()
		run, err := g.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	buf := make([]float32, 4)
	for _, c := range []struct {
		end  func(prog.Runner)
		want string
	}{
		{func(r prog.Runner) { r.Close() }, "gpu: p: the program is closed"},
		{func(prog.Runner) { g.Free(a) }, "gpu: p: arena a is freed"},
		{func(prog.Runner) { g.Close() }, "gpu: the device is closed"},
	} {
		run := load()
		if err := errors.Join(run.Run(), run.Read(keep, buf)); err != nil {
			t.Fatal(err)
		}
		c.end(run)
		want(t, run.Run(), c.want)
		want(t, run.Read(keep, buf), c.want)
		want(t, run.RunSteps(0, 1), c.want)
		want(t, run.Peek(keep, buf), c.want)
		want(t, run.Reset(), c.want)
		_, err := run.Profile()
		want(t, err, c.want)
		run.Close()
		c.end(run)
	}
	_, err := g.Load(p)
	want(t, err, "gpu: the device is closed")
	for _, err := range []error{g.Write(x, buf), g.Read(x, buf), g.Upload(prog.NewStage(a)), g.Sync()} {
		want(t, err, "gpu: the device is closed")
	}
	g.Free(a)
}

// TestStickyError checks that an error of a submission is returned by every later call.
func TestStickyError(t *testing.T) {
	g := open(t)
	broken := &failing{driver: g.d}
	g.d = broken
	a := prog.NewArena("a")
	x := a.Add("x", prog.F32, 4)
	run, err := g.Load(record(t, "p", func(r *prog.Recorder) { r.Clear(x) }))
	if err != nil {
		t.Fatal(err)
	}
	broken.err = &driverError{lost, "the driver was reset"}
	err = run.Run()
	want(t, err, "device lost: the driver was reset", g.Adapter().Name)
	broken.err = nil
	for _, err := range []error{err, run.Run(), run.RunSteps(0, 1), run.Reset(), g.Read(x, make([]float32, 4)), g.Sync()} {
		want(t, err, "device lost")
		if !errors.Is(err, ErrLost) {
			t.Errorf("%v is not ErrLost", err)
		}
	}
}

// TestLostWhileLoading checks that a loss that settle tells sticks, and is nobody's step.
func TestLostWhileLoading(t *testing.T) {
	g := open(t)
	g.d = &failing{driver: g.d, settleErr: &driverError{lost, "the driver was reset"}}
	x := prog.NewArena("a").Add("x", prog.F32, 4)
	_, err := g.Load(record(t, "p", func(r *prog.Recorder) { r.Clear(x) }))
	want(t, err, "gpu: "+g.Adapter().Name+": device lost: the driver was reset")
	if !errors.Is(err, ErrLost) || !errors.Is(g.Sync(), ErrLost) {
		t.Errorf("%v, then %v: not ErrLost", err, g.Sync())
	}
}

// TestBytes counts what is allocated.
func TestBytes(t *testing.T) {
	g := open(t)
	check := func(what string, want int64) {
		t.Helper()
		if got := g.Bytes(); got != want {
			t.Errorf("%s: %d bytes, want %d", what, got, want)
		}
	}
	check("at first", 0)
	a := prog.NewArena("a")
	x := a.Add("x", prog.F32, 1000)
	p := record(t, "p", func(r *prog.Recorder) {
		r.Clear(x)
		r.Clear(r.Keep(r.Temp("y", 100)))
		r.Clear(r.Keep(r.Temp("z", 50)))
	})
	var temps int64
	for _, w := range p.Slots {
		temps += 4 * int64(w)
	}
	if temps < 4*150 {
		t.Fatalf("slots %v", p.Slots)
	}
	arena := 4 * int64(a.Words())
	run, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	check("a program", arena+temps)
	again, err := g.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	check("the same once more", arena+2*temps)
	again.Close()
	check("closed", arena+temps)
	if err := g.Read(x, make([]float32, 1000)); err != nil {
		t.Fatal(err)
	}
	check("a copy to the host", arena+temps+4096)
	bad := record(t, "bad", func(r *prog.Recorder) {
		r.Clear(r.Temp("huge", int(g.Limits().BufferSize/4)+64))
		r.Clear(prog.NewArena("b").Add("y", prog.F32, 10))
	})
	if _, err := g.Load(bad); err == nil {
		t.Error("no error")
	}
	check("a Load that failed", arena+temps+4096)
	run.Close()
	g.Free(a)
	check("freed", 4096)
	g.Close()
	check("after Close", 0)
}

// failing is a driver whose calls fail with the errors that it has.
type failing struct {
	driver
	err, settleErr error
}

func (f *failing) settle() (int, error) {
	if f.settleErr != nil {
		return -1, f.settleErr
	}
	return f.driver.settle()
}

func (f *failing) submit(tape handle, first, count, repeat int) error {
	if f.err != nil {
		return f.err
	}
	return f.driver.submit(tape, first, count, repeat)
}
