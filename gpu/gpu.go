// Package gpu runs programs on WebGPU: in the browser through navigator.gpu, natively through wgpu (Vulkan, Metal,
// DX12). What the two have in common is here; a driver is what differs.
package gpu

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"innerloop/prog"
	"innerloop/shaders"
)

// Limits are those of WebGPU's limits that a compute program can meet. Sizes are in bytes.
type Limits struct {
	BufferSize         int64  // of one buffer
	BindingSize        int64  // of one binding
	StorageBuffers     int    // bindings of a kernel
	WorkgroupMemory    int    // of one workgroup
	Invocations        int    // of one workgroup
	WorkgroupSize      [3]int // invocations along each axis of a workgroup
	WorkgroupsPerAxis  int    // along one axis of a grid
	OffsetAlignment    int    // of a binding within its buffer
	BindingsOfAllKinds int    // of a bind group
}

// defaultLimits are those that every WebGPU device has.
var defaultLimits = Limits{
	BufferSize: 256 << 20, BindingSize: 128 << 20, StorageBuffers: 8, WorkgroupMemory: 16384, Invocations: 256,
	WorkgroupSize: [3]int{256, 256, 64}, WorkgroupsPerAxis: 65535, OffsetAlignment: 256, BindingsOfAllKinds: 1000,
}

// Adapter describes a GPU of the machine, or a CPU that plays one.
type Adapter struct {
	Index    int    // its place in Adapters
	Name     string // "llvmpipe (LLVM 15.0.6, 256 bits)"
	Backend  string // "vulkan", "metal", "d3d12", "webgpu"
	Type     string // "discrete", "integrated", "cpu" or "unknown"
	Vendor   string // "NVIDIA", or its number
	Device   string // the vendor's name or number of it
	Software bool   // a CPU
	Limits   Limits // the largest that a device can be asked for
}

// String is the name, the backend and the type: llvmpipe (LLVM 15.0.6, 256 bits), vulkan, cpu.
func (a Adapter) String() string { return fmt.Sprintf("%s, %s, %s", a.Name, a.Backend, a.Type) }

// Option is what Options.Adapter takes for this adapter and no other: gpu:0 for the first of Adapters.
func (a Adapter) Option() string { return indexPrefix + strconv.Itoa(a.Index) }

// indexPrefix begins the name of an adapter by its place.
const indexPrefix = "gpu:"

// Adapters lists the machine's adapters. In the browser it lists what the page is offered.
func Adapters() ([]Adapter, error) {
	as, err := adapters()
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	number(as)
	return as, nil
}

// number tells adapters their places.
func number(as []Adapter) {
	for i := range as {
		as[i].Index = i
	}
}

// Options says how to open a device. The zero value takes the best adapter: a discrete GPU before an integrated one
// before an unknown one before a CPU, and of equals the first.
type Options struct {
	// Adapter is a part of the adapter's name or backend, in any case, or its place among Adapters, as in gpu:1; empty:
	// any.
	Adapter string
	// Hardware refuses adapters that are a CPU.
	Hardware bool
	// Tune has programs try the variants of their kernels when they are loaded, which takes up to a second of the
	// device's life, a seventh of it on a CPU, whose first variants were measured. All variants give the same bits;
	// without it each kernel takes its first.
	Tune bool
	// TuneFile keeps what trials found, for the next device of the same adapter; empty: it is forgotten. A
	// file that cannot be read or written is no error.
	TuneFile string
	// Compiled, where it is not nil, is told while Load waits how many of its pipelines are compiled, where compilers work
	// in the background, as in a browser. It must return at once.
	Compiled func(done, total int)
}

// choose picks the adapter that o asks for; equals are those whose name or backend fits as well, of the same type.
func (o Options) choose(as []Adapter) (best int, equals []Adapter, err error) {
	number(as)
	name := strings.ToLower(o.Adapter)
	place, placeErr := strconv.Atoi(strings.TrimPrefix(name, indexPrefix))
	byPlace := strings.HasPrefix(name, indexPrefix) && placeErr == nil
	best, rank := -1, -1
	var names []string
	for i, a := range as {
		names = append(names, a.Option()+" "+a.String())
		fits := strings.Contains(strings.ToLower(a.Name+"\n"+a.Backend), name)
		if byPlace {
			fits = i == place
		}
		if !fits || o.Hardware && a.Software {
			continue
		}
		r := map[string]int{"discrete": 3, "integrated": 2, "unknown": 1}[a.Type]
		if a.Software {
			r = 0
		}
		switch {
		case r > rank:
			best, rank, equals = i, r, nil
		case r == rank:
			equals = append(equals, a)
		}
	}
	switch {
	case len(as) == 0:
		err = ErrNoAdapter
	case best < 0 && o.Hardware && o.Adapter == "":
		err = fmt.Errorf("%w; there are: %s", ErrSoftware, strings.Join(names, "; "))
	case best < 0 && byPlace:
		err = fmt.Errorf("no adapter %s; there are %d: %s", o.Adapter, len(as), strings.Join(names, "; "))
	case best < 0:
		err = fmt.Errorf("no adapter matches %q; there are: %s", o.Adapter, strings.Join(names, "; "))
	}
	return best, equals, err
}

var errClosed = errors.New("gpu: the device is closed")

// Device is a WebGPU device. It implements prog.Executor. It is for one goroutine at a time.
type Device struct {
	d       driver
	adapter Adapter
	equals  []Adapter
	lim     Limits
	rounds  int   // prog.Traits.LoopRounds
	shorts  bool  // prog.Traits.ShortLoops
	err     error // sticks
	arenas  map[*prog.Arena]*arena
	pipes   map[pipeKey]*pipe
	runners map[*runner]bool
	tune    *tuner

	// What was begun since the last settle: how to tell an error of each call of the driver, and the pipelines.
	begun []func(error) error
	fresh []pipeKey

	source func(name string, consts map[string]any) (string, error) // shaders.Source but in tests
}

// arena is an Arena's buffer on the device.
type arena struct {
	buf   handle
	words int
}

// Open opens a device of the adapter that opts asks for. Its limits are the adapter's.
func Open(opts Options) (*Device, error) {
	var equals []Adapter
	d, a, err := openAdapter(func(as []Adapter) (i int, err error) {
		i, equals, err = opts.choose(as)
		return i, err
	}, opts.Compiled)
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	return &Device{d: d, adapter: a, equals: equals, lim: d.limits(), rounds: loopRounds(a), shorts: shortLoops(a), arenas: map[*prog.Arena]*arena{}, pipes: map[pipeKey]*pipe{},
		runners: map[*runner]bool{}, tune: newTuner(opts, a), source: shaders.Source}, nil
}

// Adapter describes the device's adapter.
func (g *Device) Adapter() Adapter { return g.adapter }

// Equals are the adapters that fitted what Open was asked for as well as the one it took, which came first.
func (g *Device) Equals() []Adapter { return g.equals }

// Limits are those of the device, not only what WebGPU promises.
func (g *Device) Limits() Limits { return g.lim }

// Info implements prog.Executor.
func (g *Device) Info() prog.Info {
	return prog.Info{Name: g.adapter.Name, Backend: g.adapter.Backend, Traits: prog.Traits{
		LoopRounds: g.rounds, ShortLoops: g.shorts,
		Software: g.adapter.Software, MaxInvocations: g.lim.Invocations, WorkgroupMemory: g.lim.WorkgroupMemory,
		MaxWorkgroupsAxis: g.lim.WorkgroupsPerAxis,
	}}
}

// ok returns the error that sticks.
func (g *Device) ok() error {
	if g.d == nil {
		return errClosed
	}
	return g.err
}

// stick keeps err, a failure of the device while it worked, as the answer of every later call.
func (g *Device) stick(err error) error {
	if err != nil && g.err == nil {
		g.err = fmt.Errorf("gpu: %s: %w", g.adapter.Name, err)
	}
	return g.err
}

// newBuffer begins to allocate words words, zeroed; what names it in errors.
func (g *Device) newBuffer(what string, words int) (handle, error) {
	bytes := bytesFor(words)
	if bytes > g.lim.BufferSize {
		return 0, g.tooLarge(what, words)
	}
	h, err := g.d.newBuffer(what, bytes)
	return h, g.begin(err, func(err error) error {
		if errors.Is(err, ErrOutOfMemory) {
			return g.tooLarge(what, words)
		}
		return fmt.Errorf("gpu: %s (%s): %w", what, byteCount(bytes), err)
	})
}

// tooLarge is the error of a buffer for which there is no room.
func (g *Device) tooLarge(what string, words int) error {
	return fmt.Errorf("gpu: %w: %s: %s asked; largest buffer of %s is %s", ErrOutOfMemory, what, byteCount(bytesFor(words)), g.adapter.Name, byteCount(g.lim.BufferSize))
}

// bytesFor is the size of a buffer of that many words; there are none of no bytes.
func bytesFor(words int) int64 { return 4 * int64(max(words, 1)) }

// begin takes the error of a call of the driver that may only have begun. tell words it, now or when settle has it.
func (g *Device) begin(err error, tell func(error) error) error {
	if err == nil {
		g.begun = append(g.begun, tell)
		return nil
	}
	return g.tell(err, tell)
}

// tell words an error of one call, unless it is the device's, which sticks.
func (g *Device) tell(err error, tell func(error) error) error {
	if errors.Is(err, ErrLost) {
		return g.stick(err)
	}
	return tell(err)
}

// settle waits for all that was begun. On an error it frees the pipelines among it.
func (g *Device) settle() error {
	i, err := g.d.settle()
	begun, fresh := g.begun, g.fresh
	g.begun, g.fresh = nil, nil
	if err == nil {
		return nil
	}
	for _, k := range fresh {
		g.d.freePipeline(g.pipes[k].h)
		delete(g.pipes, k)
	}
	if errors.Is(err, ErrCancelled) {
		return fmt.Errorf("gpu: %w", err)
	}
	if i < 0 || i >= len(begun) {
		return g.stick(err)
	}
	return g.tell(err, begun[i])
}

// byteCount prints 12.0 GiB (12884901888 bytes).
func byteCount(n int64) string {
	for i, u := range []string{"GiB", "MiB", "KiB"} {
		if d := int64(1) << (30 - 10*i); n >= d {
			return fmt.Sprintf("%.1f %s (%d bytes)", float64(n)/float64(d), u, n)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// ready returns a's buffer, allocated at first sight.
func (g *Device) ready(a *prog.Arena) (*arena, error) {
	known := g.arenas[a] != nil
	m, err := g.arena(a)
	if err != nil || known {
		return m, err
	}
	if err := g.settle(); err != nil {
		g.Free(a)
		return nil, err
	}
	return m, nil
}

// arena returns a's buffer, which it begins to allocate at first sight.
func (g *Device) arena(a *prog.Arena) (*arena, error) {
	m := g.arenas[a]
	if m == nil {
		buf, err := g.newBuffer("arena "+a.Name(), a.Words())
		if err != nil {
			return nil, err
		}
		m = &arena{buf, a.Words()}
		g.arenas[a] = m
	}
	if m.words != a.Words() {
		return nil, fmt.Errorf("gpu: arena %s grew from %d to %d words after its first use", a.Name(), m.words, a.Words())
	}
	return m, nil
}

// Upload implements prog.Executor.
func (g *Device) Upload(s *prog.Stage) error {
	if err := g.ok(); err != nil {
		return err
	}
	m, err := g.ready(s.Arena)
	if err != nil || len(s.Words()) == 0 {
		return err
	}
	if len(s.Words()) != m.words {
		return fmt.Errorf("gpu: upload of %d words to arena %s of %d", len(s.Words()), s.Arena.Name(), m.words)
	}
	return g.stick(g.d.write(m.buf, 0, bytesOf(s.Words())))
}

// Write implements prog.Executor.
func (g *Device) Write(t *prog.Tensor, src []float32) error {
	return g.io(t, src, func(m *arena) error { return g.d.write(m.buf, 4*int64(t.Offset()), bytesOf(src)) })
}

// Read implements prog.Executor.
func (g *Device) Read(t *prog.Tensor, dst []float32) error {
	return g.io(t, dst, func(m *arena) error { return g.d.read(m.buf, 4*int64(t.Offset()), bytesOf(dst)) })
}

func (g *Device) io(t *prog.Tensor, data []float32, do func(m *arena) error) error {
	if err := g.ok(); err != nil {
		return err
	}
	if err := prog.CheckIO(t, len(data), true); err != nil {
		return err
	}
	m, err := g.ready(t.Arena())
	if err != nil || len(data) == 0 {
		return err
	}
	return g.stick(do(m))
}

// Free implements prog.Executor. Programs that use the arena cannot run afterwards.
func (g *Device) Free(a *prog.Arena) {
	m := g.arenas[a]
	if m == nil || g.d == nil {
		return
	}
	for r := range g.runners {
		if r.uses[a] {
			r.release(fmt.Errorf("gpu: %s: arena %s is freed", r.p.Name, a.Name()))
		}
	}
	g.d.freeBuffer(m.buf)
	g.d.poll()
	delete(g.arenas, a)
}

// Bytes is the device memory that is allocated now: of arenas, of programs' temporaries, and what copies to the host
// pass through. Pipelines and what the driver keeps behind WebGPU are not in it.
func (g *Device) Bytes() int64 {
	if g.d == nil {
		return 0
	}
	n := g.d.stagingBytes()
	for _, m := range g.arenas {
		n += bytesFor(m.words)
	}
	for r := range g.runners {
		for _, w := range r.p.Slots {
			n += bytesFor(w)
		}
	}
	return n
}

// Sync implements prog.Executor.
func (g *Device) Sync() error {
	if err := g.ok(); err != nil {
		return err
	}
	return g.stick(g.d.wait())
}

// Cancel ends a Load that waits for compilers: it returns ErrCancelled. Unlike everything else it may be called while
// Load waits, on the same thread. Without such a Load it does nothing.
func (g *Device) Cancel() {
	if g.d != nil {
		g.d.cancel()
	}
}

// Close implements prog.Executor. The device's programs are closed with it.
func (g *Device) Close() {
	if g.d == nil {
		return
	}
	for r := range g.runners {
		r.release(errClosed)
	}
	for _, m := range g.arenas {
		g.d.freeBuffer(m.buf)
	}
	for _, p := range g.pipes {
		g.d.freePipeline(p.h)
	}
	g.d.close()
	g.d, g.arenas, g.pipes = nil, nil, nil
}

func bytesOf[T float32 | uint32](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s))
}

// loopRounds is what one invocation's loops may make together. llvmpipe ends them all after 65,535 rounds, silently
// (LP_MAX_TGSI_LOOP_ITERATIONS in Mesa's gallivm); some are left for the device's own.
func loopRounds(a Adapter) int {
	if a.Software {
		return 60000
	}
	return 0
}

// shortLoops: SwiftShader runs a product whose loop takes one summand a round half again as fast as one that takes four.
func shortLoops(a Adapter) bool {
	return a.Software && strings.Contains(strings.ToLower(a.Name+" "+a.Device), "swiftshader")
}
