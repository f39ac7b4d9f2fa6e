package prog

import (
	"fmt"
	"runtime"
	"time"

	"innerloop/internal/blas"
	"innerloop/internal/words"
)

// CPU executes programs with the kernels' Go references: in float32 the device of machines without a GPU, in
// float64 the oracle of every other executor. Tensors of F16 are floats like all others, which a CPU[float32] rounds
// once a step has written them, and a CPU[float64] does not.
type CPU[F Float] struct {
	pool   *pool[F]
	arenas map[*Arena]*memory[F]
}

// memory is a buffer's elements by type; a tensor of either type uses the same offsets, one of F16 twice those.
type memory[F Float] struct {
	f []F
	u []uint32
}

func (m *memory[F]) need(d DType, n int) {
	if d == U32 && m.u == nil {
		m.u = make([]uint32, n)
	}
	if d != U32 && m.f == nil {
		m.f = make([]F, n)
	}
}

// floats are the elements of t, which lies in m.
func (m *memory[F]) floats(t *Tensor) []F {
	off, n := t.off, t.Len()
	if t.dtype == F16 {
		off *= 2
	}
	return m.f[off : off+n : off+n]
}

// NewCPU returns an executor that uses workers goroutines, or as many as there are processors where workers is 0.
func NewCPU[F Float](workers int) *CPU[F] {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &CPU[F]{newPool[F](workers), map[*Arena]*memory[F]{}}
}

// Info implements Executor.
func (c *CPU[F]) Info() Info {
	name := "pure Go, " + words.Plural(c.pool.workers, "thread")
	if _, ok := any(c).(*CPU[float32]); ok && blas.Instructions() != "" {
		name += ", " + blas.Instructions()
	}
	return Info{Name: name, Backend: "go"}
}

// arena returns the memory of a, with room for a tensor of d.
func (c *CPU[F]) arena(a *Arena, d DType) (*memory[F], error) {
	m := c.arenas[a]
	if m == nil {
		m = &memory[F]{}
		c.arenas[a] = m
	}
	m.need(d, a.Words())
	if max(len(m.f), len(m.u)) != a.Words() {
		return nil, fmt.Errorf("prog: arena %s grew from %d to %d words after its first use", a.name, max(len(m.f), len(m.u)), a.Words())
	}
	return m, nil
}

// cpuStep is a step bound to memory: what Run does, with nothing left to decide.
type cpuStep[F Float] struct {
	clears [][]F // zeroed first: Accumulate bindings that hold nothing yet
	fn     func(scratch []F, lo, hi int)
	items  int
	small  bool // not worth waking the other workers

	round  func(scratch []F, lo, hi int) // what was written of F16, a block an item; nil: nothing
	blocks int
}

type cpuRunner[F Float] struct {
	c     *CPU[F]
	p     *Program
	slots []*memory[F]
	elems []int // of each slot
	steps []cpuStep[F]
}

// Load implements Executor.
func (c *CPU[F]) Load(p *Program) (Runner, error) {
	r := &cpuRunner[F]{c: c, p: p, elems: p.elems()}
	for range p.Slots {
		r.slots = append(r.slots, &memory[F]{})
	}
	traffic, flops := int64(1<<16), float64(1<<17) // what is less is done before another processor wakes, which on a busy machine takes long
	if _, ok := any(c).(*CPU[float32]); ok && blas.Instructions() != "" {
		traffic, flops = 1<<18, 1<<19
	}
	for i := range p.Steps {
		st := &p.Steps[i]
		a := &Args[F]{F: make([][]F, len(st.Tensors)), U: make([][]uint32, len(st.Tensors)), fresh: st.Fresh}
		for j, t := range st.Tensors {
			m, err := r.memory(t)
			if err != nil {
				return nil, err
			}
			if t.dtype == U32 {
				a.U[j] = m.u[t.off : t.off+t.Len() : t.off+t.Len()]
			} else {
				a.F[j] = m.floats(t)
			}
		}
		var s cpuStep[F]
		if st.Kernel == nil {
			s.clears = a.F
			r.steps = append(r.steps, s)
			continue
		}
		k := st.Kernel
		for j := range st.Tensors {
			if a.Fresh(j) && !k.overwrites {
				s.clears = append(s.clears, a.F[j])
			}
		}
		switch a := any(a).(type) {
		case *Args[float32]:
			s.fn = any(k.bind32(st.C, a)).(func([]F, int, int))
		case *Args[float64]:
			s.fn = any(k.bind64(st.C, a)).(func([]F, int, int))
		default:
			return nil, fmt.Errorf("prog: no reference for %T", a)
		}
		s.round, s.blocks = rounding(st, a.F)
		s.items = k.items(st.C)
		s.small = s.items < 2 || st.Traffic() < traffic && st.Flops() < flops
		c.pool.reserve(k.scratch(st.C))
		r.steps = append(r.steps, s)
	}
	return r, nil
}

func (r *cpuRunner[F]) memory(t *Tensor) (*memory[F], error) {
	if a := t.buf.arena; a != nil {
		return r.c.arena(a, t.dtype)
	}
	m := r.slots[t.buf.slot]
	m.need(t.dtype, r.elems[t.buf.slot])
	return m, nil
}

// roundBlock is how many elements a work item of rounding does.
const roundBlock = 4096

// rounding is what rounds the elements of F16 that a step writes, and in how many blocks; nil in a CPU[float64].
func rounding[F Float](st *Step, elems [][]F) (func(scratch []F, lo, hi int), int) {
	var outs [][]float32
	blocks := 0
	for j, b := range st.Kernel.Binds {
		if x, is32 := any(elems[j]).([]float32); is32 && b.DType == F16 && b.Access != Read {
			outs = append(outs, x)
			blocks += CeilDiv(len(x), roundBlock)
		}
	}
	if blocks == 0 {
		return nil, 0
	}
	return func(_ []F, lo, hi int) {
		at := 0 // of a binding's first block
		for _, x := range outs {
			n := CeilDiv(len(x), roundBlock)
			if from, to := max(lo, at), min(hi, at+n); from < to {
				roundHalves(x[(from-at)*roundBlock : min((to-at)*roundBlock, len(x))])
			}
			at += n
		}
	}, blocks
}

// Run implements Runner.
func (r *cpuRunner[F]) Run() error {
	for i := range r.steps {
		r.step(&r.steps[i])
	}
	return nil
}

// RunSteps implements Runner.
func (r *cpuRunner[F]) RunSteps(first, count int) error {
	if err := r.p.CheckSteps(first, count); err != nil {
		return err
	}
	for i := range count {
		r.step(&r.steps[first+i])
	}
	return nil
}

func (r *cpuRunner[F]) step(s *cpuStep[F]) {
	for _, c := range s.clears {
		clear(c)
	}
	switch {
	case s.fn == nil:
	case s.small:
		s.fn(r.c.pool.scratch[0], 0, s.items)
	default:
		r.c.pool.run(s.fn, s.items)
	}
	switch {
	case s.round == nil:
	case s.small:
		s.round(nil, 0, s.blocks)
	default:
		r.c.pool.run(s.round, s.blocks)
	}
}

// Profile implements Runner: the least of three runs of each step.
func (r *cpuRunner[F]) Profile() ([]float64, error) {
	out := make([]float64, len(r.steps))
	for i := range r.steps {
		for n := range 3 {
			t := time.Now()
			r.step(&r.steps[i])
			if d := time.Since(t).Seconds(); n == 0 || d < out[i] {
				out[i] = d
			}
		}
	}
	return out, nil
}

// Read implements Runner.
func (r *cpuRunner[F]) Read(t *Tensor, dst []float32) error {
	if err := CheckIO(t, len(dst), false); err != nil {
		return err
	}
	convert(dst, r.Data(t))
	return nil
}

// Peek implements Runner.
func (r *cpuRunner[F]) Peek(t *Tensor, dst []float32) error {
	if err := r.p.CheckPeek(t, len(dst)); err != nil {
		return err
	}
	convert(dst, r.Data(t))
	return nil
}

// Reset implements Runner.
func (r *cpuRunner[F]) Reset() error {
	for _, m := range r.slots {
		clear(m.f)
		clear(m.u)
	}
	return nil
}

// Data returns the elements of t, a kept temporary, themselves.
func (r *cpuRunner[F]) Data(t *Tensor) []F { return r.slots[t.buf.slot].floats(t) }

// Close implements Runner.
func (r *cpuRunner[F]) Close() { r.slots, r.steps = nil, nil }

// Upload implements Executor.
func (c *CPU[F]) Upload(s *Stage) error {
	for _, t := range s.Arena.tensors {
		m, err := c.arena(s.Arena, t.dtype)
		if err != nil {
			return err
		}
		if t.dtype == U32 {
			copy(m.u[t.off:], s.U32(t))
		} else {
			convert(m.f[t.off:t.off+t.Len()], s.F32(t))
		}
	}
	return nil
}

// Write implements Executor.
func (c *CPU[F]) Write(t *Tensor, src []float32) error {
	if err := CheckIO(t, len(src), true); err != nil {
		return err
	}
	d, err := c.Data(t)
	convert(d, src)
	return err
}

// Read implements Executor.
func (c *CPU[F]) Read(t *Tensor, dst []float32) error {
	if err := CheckIO(t, len(dst), true); err != nil {
		return err
	}
	d, err := c.Data(t)
	convert(dst, d)
	return err
}

// Data returns the elements of t, a tensor of f32 of an arena, themselves.
func (c *CPU[F]) Data(t *Tensor) ([]F, error) {
	m, err := c.arena(t.buf.arena, t.dtype)
	if err != nil {
		return nil, err
	}
	return m.f[t.off : t.off+t.Len()], nil
}

// Free implements Executor.
func (c *CPU[F]) Free(a *Arena) { delete(c.arenas, a) }

// Sync implements Executor.
func (c *CPU[F]) Sync() error { return nil }

// Close implements Executor.
func (c *CPU[F]) Close() { c.pool.close(); c.arenas = nil }

func convert[D, S Float](dst []D, src []S) {
	if d, ok := any(dst).([]S); ok {
		copy(d, src)
		return
	}
	for i, v := range src {
		dst[i] = D(v)
	}
}
