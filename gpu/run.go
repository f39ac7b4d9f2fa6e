package gpu

import (
	"errors"
	"fmt"
	"math"
	"time"

	"innerloop/prog"
)

// pipeKey tells pipelines apart: the specialised source, and one letter a binding, r where it is only read.
type pipeKey struct{ wgsl, access string }

// pipe is a compiled pipeline, shared by every step of the device with the same source.
type pipe struct {
	h    handle
	refs int // by runners
}

// keepIdle is how many pipelines stay compiled while no program uses them.
const keepIdle = 256

// runner is a program on the device. It implements prog.Runner.
type runner struct {
	g       *Device
	p       *prog.Program
	slots   []handle
	tape    handle
	first   []int // of each step, its first entry of the tape; a step has several where its kernel has parts
	entries int
	pipes   []*pipe // one reference each
	uses    map[*prog.Arena]bool
	gone    error // why it cannot run any more; nil: it can
}

// Load implements prog.Executor. On an error it leaves nothing allocated.
func (g *Device) Load(p *prog.Program) (_ prog.Runner, err error) {
	if err := g.ok(); err != nil {
		return nil, err
	}
	r := &runner{g: g, p: p, uses: map[*prog.Arena]bool{}, tape: g.d.newTape()}
	var fresh []*prog.Arena // allocated by this call
	defer func() {
		if err == nil {
			g.runners[r] = true
			return
		}
		r.release(err)
		if g.err == nil {
			_ = g.settle() // of what it began, the first error is told
		}
		for _, a := range fresh {
			g.Free(a)
		}
		// Only now is the memory of what was released free again.
		if g.err == nil {
			_ = g.stick(g.d.wait()) // it sticks: the next call returns it
		}
	}()
	if err := g.fits(p); err != nil {
		return nil, err
	}
	for i, w := range p.Slots {
		h, err := g.newBuffer(slotName(p, i), w)
		if err != nil {
			return nil, err
		}
		r.slots = append(r.slots, h)
	}
	for i := range p.Steps {
		for _, t := range p.Steps[i].Tensors {
			if a := t.Arena(); a != nil && !r.uses[a] {
				if g.arenas[a] == nil {
					fresh = append(fresh, a)
				}
				if _, err := g.arena(a); err != nil {
					return nil, err
				}
				r.uses[a] = true
			}
		}
	}
	// That there is no room for all that is told before kernels are compiled, which takes long.
	if err := g.settle(); err != nil {
		return nil, err
	}
	if err := r.tuneSteps(); err != nil {
		return nil, err
	}
	for i := range p.Steps {
		r.first = append(r.first, r.entries)
		if err := r.record(i); err != nil {
			return nil, err
		}
	}
	if err := g.settle(); err != nil {
		return nil, err
	}
	g.evict()
	return r, nil
}

// slotName is what errors call slot i of p.
func slotName(p *prog.Program, i int) string { return fmt.Sprintf("slot %d of %s", i, p.Name) }

// fits refuses a program of which a buffer is larger than the device allows, before the others take their memory.
func (g *Device) fits(p *prog.Program) error {
	for i, w := range p.Slots {
		if bytesFor(w) > g.lim.BufferSize {
			return g.tooLarge(slotName(p, i), w)
		}
	}
	for _, a := range p.Arenas {
		if bytesFor(a.Words()) > g.lim.BufferSize {
			return g.tooLarge("arena "+a.Name(), a.Words())
		}
	}
	return nil
}

// bind is the range of t on the device.
func (r *runner) bind(t *prog.Tensor) (bind, error) {
	b := bind{off: 4 * int64(t.Offset()), n: 4 * int64(t.Words())}
	if a := t.Arena(); a != nil {
		b.buf = r.g.arenas[a].buf
	} else {
		b.buf = r.slots[t.Slot()]
	}
	switch lim := r.g.lim; {
	case b.n == 0:
		return b, fmt.Errorf("%v has no elements", t)
	case b.off%int64(lim.OffsetAlignment) != 0:
		return b, fmt.Errorf("%v begins at byte %d, want a multiple of %d", t, b.off, lim.OffsetAlignment)
	}
	return b, nil
}

// record puts the i-th step on the tape.
func (r *runner) record(i int) error {
	st := &r.p.Steps[i]
	tell := func(err error) error { return fmt.Errorf("gpu: step %d: %s: %w", i, st.Label(), err) }
	if st.Kernel != nil {
		return r.recordKernel(st, tell)
	}
	b, err := r.bind(st.Tensors[0])
	if err == nil {
		r.entries++
		err = r.g.d.tapeClear(r.tape, b)
	}
	if err != nil {
		return r.g.tell(err, tell)
	}
	return nil
}

// recordKernel puts a kernel's dispatches on the tape. tell puts the step before an error.
func (r *runner) recordKernel(st *prog.Step, tell func(error) error) error {
	g := r.g
	k, traits := st.Kernel, g.Info().Traits
	v := g.pick(st, traits)
	binds, grid, err := r.arguments(st, v.Grid)
	if err != nil {
		return tell(err)
	}
	src, err := g.source(v.Shader, k.VariantConsts(st.C, st.Fresh, v))
	if err != nil {
		return tell(err)
	}
	p, err := g.pipeline(k, src, tell)
	if err != nil {
		return err
	}
	p.refs++
	r.pipes = append(r.pipes, p)
	parts := k.Parts(st.C, traits)
	if parts > 1 && (grid[0] != 1 || parts > g.lim.WorkgroupsPerAxis) {
		return tell(fmt.Errorf("%d parts of grid %v: want one workgroup along x and at most %d parts", parts, grid, g.lim.WorkgroupsPerAxis))
	}
	for i := range parts {
		if parts > 1 {
			grid[0] = uint32(i + 1)
		}
		if err := g.begin(g.d.tapeDispatch(r.tape, p.h, binds, grid), tell); err != nil {
			return err
		}
		r.entries++
	}
	return nil
}

// arguments are the ranges that a step binds and the grid, as far as the device allows them.
func (r *runner) arguments(st *prog.Step, want [3]int) (_ []bind, grid [3]uint32, _ error) {
	g := r.g
	k := st.Kernel
	if n := len(k.Binds); n > g.lim.StorageBuffers {
		return nil, grid, fmt.Errorf("%d storage buffers, %s allows %d", n, g.adapter.Name, g.lim.StorageBuffers)
	}
	binds := make([]bind, len(st.Tensors))
	for i, t := range st.Tensors {
		b, err := r.bind(t)
		if err != nil {
			return nil, grid, fmt.Errorf("%s: %w", k.Binds[i].Name, err)
		}
		if b.n > g.lim.BindingSize {
			return nil, grid, fmt.Errorf("%s: %v takes %s, largest binding of %s is %s", k.Binds[i].Name, t, byteCount(b.n), g.adapter.Name, byteCount(g.lim.BindingSize))
		}
		binds[i] = b
	}
	for i, n := range want {
		if n < 1 || n > g.lim.WorkgroupsPerAxis {
			return nil, grid, fmt.Errorf("grid %v: axis %d has %d workgroups, %s allows 1 to %d", want, i, n, g.adapter.Name, g.lim.WorkgroupsPerAxis)
		}
		grid[i] = uint32(n)
	}
	return binds, grid, nil
}

// pipeline returns the pipeline of k's specialised source, which it begins to compile at first sight. tell puts the step
// before an error.
func (g *Device) pipeline(k *prog.Kernel, src string, tell func(error) error) (*pipe, error) {
	access := make([]byte, len(k.Binds))
	readOnly := make([]bool, len(k.Binds))
	for i, b := range k.Binds {
		access[i] = 'w'
		if b.Access == prog.Read {
			access[i], readOnly[i] = 'r', true
		}
	}
	key := pipeKey{src, string(access)}
	if p := g.pipes[key]; p != nil {
		return p, nil
	}
	if err := g.checkWorkgroup(src); err != nil {
		return nil, tell(err)
	}
	h, err := g.d.newPipeline(k.Name, src, readOnly)
	err = g.begin(err, func(err error) error {
		if s := (*ShaderError)(nil); errors.As(err, &s) {
			s.Kernel = k.Name
		}
		return tell(err)
	})
	if err != nil {
		return nil, err
	}
	p := &pipe{h: h}
	g.pipes[key] = p
	g.fresh = append(g.fresh, key)
	return p, nil
}

// checkWorkgroup reports a workgroup that is too large for the device: naga does not, and the driver may crash.
func (g *Device) checkWorkgroup(src string) error {
	w, err := workgroupOf(src)
	if err != nil {
		return nil // the compiler judges what this package cannot read
	}
	if w.memory > g.lim.WorkgroupMemory {
		return fmt.Errorf("%d bytes of workgroup memory, %s allows %d", w.memory, g.adapter.Name, g.lim.WorkgroupMemory)
	}
	if n := w.size[0] * w.size[1] * w.size[2]; n > g.lim.Invocations {
		return fmt.Errorf("%d invocations a workgroup, %s allows %d", n, g.adapter.Name, g.lim.Invocations)
	}
	return nil
}

// evict frees pipelines that no program uses, once there are many.
func (g *Device) evict() {
	idle := 0
	for _, p := range g.pipes {
		if p.refs == 0 {
			idle++
		}
	}
	if idle <= keepIdle {
		return
	}
	for k, p := range g.pipes {
		if p.refs == 0 {
			g.d.freePipeline(p.h)
			delete(g.pipes, k)
		}
	}
}

func (r *runner) ok() error {
	if r.gone != nil {
		return r.gone
	}
	return r.g.ok()
}

// Run implements prog.Runner.
func (r *runner) Run() error {
	if err := r.ok(); err != nil {
		return err
	}
	if err := r.g.d.submit(r.tape, 0, r.entries, 1); err != nil {
		return r.g.stick(err)
	}
	return nil
}

// RunSteps implements prog.Runner.
func (r *runner) RunSteps(first, count int) error {
	if err := r.ok(); err != nil {
		return err
	}
	if err := r.p.CheckSteps(first, count); err != nil {
		return err
	}
	if err := r.g.d.submit(r.tape, r.entry(first), r.entry(first+count)-r.entry(first), 1); err != nil {
		return r.g.stick(err)
	}
	return nil
}

// entry is where step i begins on the tape, or where the tape ends.
func (r *runner) entry(i int) int {
	if i < len(r.first) {
		return r.first[i]
	}
	return r.entries
}

// Peek implements prog.Runner.
func (r *runner) Peek(t *prog.Tensor, dst []float32) error {
	if err := r.ok(); err != nil {
		return err
	}
	if err := r.p.CheckPeek(t, len(dst)); err != nil {
		return err
	}
	return r.read(t, dst)
}

// read copies the elements of t, a temporary, to dst.
func (r *runner) read(t *prog.Tensor, dst []float32) error {
	if t.DType() != prog.F16 {
		return r.g.stick(r.g.d.read(r.slots[t.Slot()], 4*int64(t.Offset()), bytesOf(dst)))
	}
	words := make([]uint32, t.Words())
	err := r.g.d.read(r.slots[t.Slot()], 4*int64(t.Offset()), bytesOf(words))
	prog.UnpackHalf(dst, words)
	return r.g.stick(err)
}

// Reset implements prog.Runner.
func (r *runner) Reset() error {
	if err := r.ok(); err != nil {
		return err
	}
	d := r.g.d
	tape := d.newTape()
	defer d.freeTape(tape)
	for i, h := range r.slots {
		if err := d.tapeClear(tape, bind{buf: h, n: bytesFor(r.p.Slots[i])}); err != nil {
			return r.g.stick(err)
		}
	}
	return r.g.stick(d.submit(tape, 0, len(r.slots), 1))
}

// Read implements prog.Runner.
func (r *runner) Read(t *prog.Tensor, dst []float32) error {
	if err := r.ok(); err != nil {
		return err
	}
	if err := prog.CheckIO(t, len(dst), false); err != nil {
		return err
	}
	if s := t.Slot(); s < 0 || s >= len(r.slots) || t.Offset()+t.Words() > r.p.Slots[s] {
		return fmt.Errorf("gpu: read of %v: it is not of %s", t, r.p.Name)
	}
	return r.read(t, dst)
}

// Profile implements prog.Runner. Each step is repeated in one submission until that takes long enough to measure,
// and the time of an empty submission is taken off.
func (r *runner) Profile() ([]float64, error) {
	if err := r.ok(); err != nil {
		return nil, err
	}
	const enough, most = 2e-3, 1 << 12
	timed := func(first, count, repeat int) (float64, error) {
		best := math.Inf(1)
		for range 3 {
			start := time.Now()
			if err := errors.Join(r.g.d.submit(r.tape, first, count, repeat), r.g.d.wait()); err != nil {
				return 0, r.g.stick(err)
			}
			best = min(best, time.Since(start).Seconds())
			if best > 10*enough {
				break
			}
		}
		return best, nil
	}
	if err := r.g.Sync(); err != nil {
		return nil, err
	}
	empty, err := timed(0, 0, 1)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(r.p.Steps))
	for i := range out {
		for n := 1; ; n *= 2 {
			t, err := timed(r.first[i], r.entry(i+1)-r.first[i], n)
			if err != nil {
				return nil, err
			}
			if t-empty >= enough || n >= most {
				out[i] = max(0, t-empty) / float64(n)
				break
			}
		}
	}
	return out, nil
}

// Close implements prog.Runner.
func (r *runner) Close() {
	if r.g.d != nil {
		r.release(fmt.Errorf("gpu: %s: the program is closed", r.p.Name))
	}
}

// release frees all that the runner holds; why is what later calls return.
func (r *runner) release(why error) {
	if r.gone != nil {
		return
	}
	r.gone = why
	d := r.g.d
	d.freeTape(r.tape)
	for _, h := range r.slots {
		d.freeBuffer(h)
	}
	for _, p := range r.pipes {
		p.refs--
	}
	r.slots, r.pipes = nil, nil
	delete(r.g.runners, r)
	d.poll()
}
