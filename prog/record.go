package prog

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Step is a dispatch of Kernel, or where Kernel is nil a clear of Tensors[0] to zero.
type Step struct {
	Kernel  *Kernel
	C       any // the kernel's constants, a struct of its own type
	Fresh   uint32
	Tensors []*Tensor

	Scope    string // of the recording that the step belongs to, as in micro0.layers.3; a backward step's is its forward one's
	Backward bool
}

// Program is a recorded training step, the same for every executor.
type Program struct {
	Name   string
	Steps  []Step
	Slots  []int    // words of each piece of temporary memory; see Tensor.Slot
	Arenas []*Arena // that the steps use, in order of first use
	temps  []*Buffer
}

// Recorder builds a Program. Its methods panic on a programmer's error; Record turns that into an error.
type Recorder struct {
	p     Program
	grads map[*Buffer]*Tensor // of a whole buffer, at its offset 0
	heirs map[*Buffer][]heir  // by a gradient's memory: who shares it and may still read it
	tape  []tapeEntry
	seen  map[*Arena]bool
	scope []string
	names map[string]int // uses of a temporary's name
	back  *tapeEntry     // whose fn runs; nil: none

	master, half *Tensor // see UseHalf; nil: none
}

type tapeEntry struct {
	outs  []*Tensor
	fn    func()
	scope string
}

type recordError string

// Record runs build once and returns the program that it recorded, its temporaries laid out.
func Record(name string, build func(r *Recorder)) (p *Program, err error) {
	defer func() {
		e := recover()
		if e == nil {
			return
		}
		re, ok := e.(recordError)
		if !ok {
			if rt, isRuntime := e.(runtime.Error); isRuntime {
				panic(rt)
			}
			panic(e)
		}
		p, err = nil, fmt.Errorf("prog: %s: %s", name, string(re))
	}()
	r := &Recorder{p: Program{Name: name}, grads: map[*Buffer]*Tensor{}, heirs: map[*Buffer][]heir{}, seen: map[*Arena]bool{}, names: map[string]int{}}
	build(r)
	r.p.plan()
	return &r.p, nil
}

// Failf stops the recording with an error.
func (r *Recorder) Failf(format string, a ...any) { panic(recordError(fmt.Sprintf(format, a...))) }

// Scope prefixes the names of the temporaries that fn makes: layers.0.q.
func (r *Recorder) Scope(name string, fn func()) {
	r.scope = append(r.scope, name)
	defer func() { r.scope = r.scope[:len(r.scope)-1] }()
	fn()
}

func (r *Recorder) path() string { return strings.Join(r.scope, ".") }

// Temp makes a temporary: it has no value before the first dispatch that writes it, and none after the last one
// that reads it.
func (r *Recorder) Temp(name string, shape ...int) *Tensor { return r.TempOf(F32, name, shape...) }

// TempU makes a temporary of u32.
func (r *Recorder) TempU(name string, shape ...int) *Tensor { return r.TempOf(U32, name, shape...) }

// TempOf makes a temporary of any type.
func (r *Recorder) TempOf(dtype DType, name string, dims ...int) *Tensor {
	shape := Shape(dims)
	for _, d := range shape {
		if d <= 0 {
			r.Failf("%s: shape %v", name, shape)
		}
	}
	name = r.unique(name)
	b := &Buffer{name: name, dtype: dtype, words: dtype.words(shape.Len()), elems: shape.Len(), first: -1, last: -1}
	r.p.temps = append(r.p.temps, b)
	return &Tensor{name: name, shape: shape, buf: b, dtype: dtype}
}

// unique is the name of a new temporary.
func (r *Recorder) unique(name string) string {
	if len(r.scope) > 0 {
		name = r.path() + "." + name
	}
	if r.names[name]++; r.names[name] > 1 {
		name = fmt.Sprintf("%s#%d", name, r.names[name])
	}
	return name
}

// TempsOf makes n temporaries of one shape that are one for a step that writes them all: it returns that one, whose first
// axis is n times as long, and them.
func (r *Recorder) TempsOf(dtype DType, n int, name string, dims ...int) (all *Tensor, ts []*Tensor) {
	whole := slices.Clone(dims)
	whole[0] *= n
	all = r.TempOf(dtype, name+"s", whole...)
	for i := range n {
		t := all.Part(i*dims[0], dims[0])
		t.name = r.unique(name)
		ts = append(ts, t)
	}
	all.parts = ts
	return all, ts
}

// Keep makes temporary t readable after a run: its memory is shared with no other.
func (r *Recorder) Keep(t *Tensor) *Tensor { t.buf.keep = true; return t }

// Grad returns the gradient of t: for a tensor of an arena the same window of the arena's gradient arena, for a
// temporary another temporary that is zero until something is accumulated into it.
func (r *Recorder) Grad(t *Tensor) *Tensor {
	if a := t.buf.arena; a != nil {
		if a.grad == nil {
			r.Failf("gradient of %v: arena %s has no gradients", t, a.name)
		}
		return a.grad.In(t)
	}
	g := r.grads[t.buf]
	if g == nil {
		b := &Buffer{name: "d" + t.buf.name, words: t.buf.elems, elems: t.buf.elems, first: -1, last: -1, grad: true}
		r.p.temps = append(r.p.temps, b)
		g = &Tensor{name: b.name, shape: Shape{b.words}, buf: b}
		r.grads[t.buf] = g
	}
	v := *t
	v.buf, v.off, v.name, v.of = g.buf, g.off+t.off, "d"+t.name, t.buf
	if t.dtype == F16 {
		v.dtype, v.off = F32, g.off+2*t.off
	}
	return &v
}

// UseHalf makes half, of F16, hold the rounded elements of master, a window of an arena, in this recording: what reads
// master's tensors may read those in their place.
func (r *Recorder) UseHalf(master, half *Tensor) {
	if master.Len() != half.Len() || half.dtype != F16 || master.buf.arena == nil {
		r.Failf("%v of %v cannot hold %v", half, half.dtype, master)
	}
	r.master, r.half = master, half
}

// Half returns the rounded elements of t, a tensor inside what UseHalf was told; nil where there are none. Of several
// tensors it has those themselves for its parts: traces name them.
func (r *Recorder) Half(t *Tensor) *Tensor {
	m := r.master
	if m == nil || t.buf != m.buf || t.off < m.off || t.off+t.Len() > m.off+m.Len() {
		return nil
	}
	v := *t
	v.buf, v.name, v.dtype, v.off = r.half.buf, r.half.name+"."+t.name, F16, r.half.off+(t.off-m.off)/2
	if (t.off-m.off)%(2*Align) != 0 {
		r.Failf("%v begins %d words into %v, want a multiple of %d", t, t.off-m.off, m, 2*Align)
	}
	return &v
}

// heir is a temporary whose gradient lies in another's memory.
type heir struct {
	buf *Buffer
	dup func(dst, src *Tensor)
}

// Inherit makes the gradient of out also that of t and reports whether it could; if not, all is as it was. It is for the
// backward pass of an operation that hands its output's gradient on unchanged, and saves a copy: gradients share memory
// until one is to be written while another may still be read. Then dup records a copy for it.
func (r *Recorder) Inherit(t, out *Tensor, dup func(dst, src *Tensor)) bool {
	g := r.grads[out.buf]
	whole := func(x *Tensor) bool { return x.buf.arena == nil && x.Words() == x.buf.words }
	if g == nil || g.buf.arena != nil || g.buf.first < 0 || r.grads[t.buf] != nil || t.buf == out.buf || !whole(t) || !whole(out) || t.Len() != out.Len() {
		return false
	}
	r.grads[t.buf] = g
	if len(r.heirs[g.buf]) == 0 {
		r.heirs[g.buf] = []heir{{out.buf, dup}} // until its backward pass has ended
	}
	r.heirs[g.buf] = append(r.heirs[g.buf], heir{t.buf, dup})
	return true
}

// disown notes that the gradient of temporary b has been read for the last time.
func (r *Recorder) disown(b *Buffer) {
	if g := r.grads[b]; g != nil {
		r.heirs[g.buf] = slices.DeleteFunc(r.heirs[g.buf], func(h heir) bool { return h.buf == b })
	}
}

// own gives the gradient g of a temporary, which a step is about to write, memory of its own where another temporary's
// shares it.
func (r *Recorder) own(g *Tensor) *Tensor {
	all := r.heirs[g.buf]
	i := slices.IndexFunc(all, func(h heir) bool { return h.buf == g.of })
	if i < 0 || len(all) < 2 {
		return g
	}
	h := all[i]
	r.heirs[g.buf] = slices.Delete(all, i, i+1)
	src := r.grads[h.buf]
	r.grads[h.buf] = nil
	dst := r.Grad(&Tensor{name: h.buf.name, shape: src.shape, buf: h.buf})
	h.dup(dst, src)
	v := *g
	v.buf = dst.buf
	return &v
}

// WantsGrad says whether a gradient of t leads anywhere: not for a tensor of an arena without gradients.
func (r *Recorder) WantsGrad(t *Tensor) bool { return t.buf.arena == nil || t.buf.arena.grad != nil }

// SetGrad makes g, whose value a step has written, the gradient of temporary t: the start of a backward pass.
func (r *Recorder) SetGrad(t, g *Tensor) {
	if t.buf.arena != nil || r.grads[t.buf] != nil || t.Words() != t.buf.words || g.Len() != t.Len() || g.dtype != F32 {
		r.Failf("cannot make %v the gradient of %v", g, t)
	}
	r.grads[t.buf] = g
}

// Tape adds fn to the tape: Backward calls it, later entries first, unless no gradient has reached any of outs.
func (r *Recorder) Tape(fn func(), outs ...*Tensor) {
	r.tape = append(r.tape, tapeEntry{outs, fn, r.path()})
}

// Backward records the backward pass of everything recorded so far and empties the tape.
func (r *Recorder) Backward() {
	for len(r.tape) > 0 {
		e := r.tape[len(r.tape)-1]
		r.tape = r.tape[:len(r.tape)-1]
		for _, o := range e.outs {
			if g := r.grads[o.buf]; g != nil && (g.buf.first >= 0 || g.buf.arena != nil) {
				r.back = &e
				e.fn()
				r.back = nil
				break
			}
		}
		for _, o := range e.outs {
			r.disown(o.buf)
		}
	}
}

// Ahead records fn as part of the backward pass although that comes later: gradients that need what would else have to
// be kept until then.
func (r *Recorder) Ahead(fn func()) {
	if r.back != nil {
		fn()
		return
	}
	r.back = &tapeEntry{scope: r.path()}
	fn()
	r.back = nil
}

// add appends a step where the recording stands.
func (r *Recorder) add(s Step) {
	s.Scope = r.path()
	if r.back != nil {
		s.Scope, s.Backward = r.back.scope, true
	}
	r.p.Steps = append(r.p.Steps, s)
}

// Clear records setting t to zero.
func (r *Recorder) Clear(t *Tensor) {
	t = r.own(t)
	r.touch(t, Write)
	r.add(Step{Tensors: []*Tensor{t}})
}

// touch notes that the next step uses t and reports whether t held no value before.
func (r *Recorder) touch(t *Tensor, a Access) (fresh bool) {
	b := t.buf
	if b.arena != nil {
		if !r.seen[b.arena] {
			r.seen[b.arena] = true
			r.p.Arenas = append(r.p.Arenas, b.arena)
		}
		return false
	}
	switch whole := t.off == 0 && t.Words() == b.words; {
	case !b.grad && b.first < 0:
		if !whole || a == Read || a == ReadWrite {
			r.Failf("%v is used before it has a value", t)
		}
		b.first, fresh = len(r.p.Steps), true
	case b.grad && !b.full:
		fresh = r.reach(t, a)
	}
	b.last = len(r.p.Steps)
	return fresh
}

// reach is touch for the gradient of a temporary of which some parts may have no value yet: they count as zero, and what is
// the first to add to one overwrites it.
func (r *Recorder) reach(t *Tensor, a Access) (fresh bool) {
	b := t.buf
	part := span{t.off, t.off + t.Words()}
	inside := slices.ContainsFunc(b.parts, func(p span) bool { return p.from <= part.from && part.to <= p.to })
	apart := !slices.ContainsFunc(b.parts, func(p span) bool { return p.from < part.to && part.from < p.to })
	switch {
	case inside:
		return false
	case apart && (a == Write || a == Accumulate):
		if b.first < 0 {
			b.first = len(r.p.Steps)
		}
		b.parts = append(b.parts, part)
		slices.SortFunc(b.parts, func(p, q span) int { return p.from - q.from })
		b.full = len(b.gaps()) == 0
		return true
	}
	if b.first < 0 {
		b.first = len(r.p.Steps)
	}
	for _, g := range b.gaps() {
		r.add(Step{Tensors: []*Tensor{{name: b.name, shape: Shape{g.to - g.from}, buf: b, off: g.from}}})
	}
	b.full = true
	return false
}

// Dispatch records one dispatch of k with constants c of k's own type; Typed.Dispatch is the checked form.
func (r *Recorder) Dispatch(k *Kernel, c any, ts ...*Tensor) { r.dispatch(k, c, ts) }

func (r *Recorder) dispatch(k *Kernel, c any, ts []*Tensor) {
	if len(ts) != len(k.Binds) {
		r.Failf("%s: %d tensors for %d bindings", k.Name, len(ts), len(k.Binds))
	}
	ts = slices.Clone(ts)
	for i, t := range ts {
		if k.Binds[i].Access != Read {
			ts[i] = r.own(t)
		}
	}
	lens := k.lens(c)
	for i, t := range ts {
		b := k.Binds[i]
		if t.dtype != b.DType {
			r.Failf("%s(%s): %s is %v of %v, want %v", k.Name, constString(c), b.Name, t, t.dtype, b.DType)
		}
		if t.Len() != lens[i] {
			r.Failf("%s(%s): %s is %v, %d elements, want %d", k.Name, constString(c), b.Name, t, t.Len(), lens[i])
		}
		// WebGPU tracks usage by whole buffers: one that a dispatch writes it cannot also read.
		for j, o := range ts {
			if j != i && o.buf == t.buf && b.Access != Read && (k.Binds[j].Access == Read || overlap(t, o)) {
				r.Failf("%s: %s and %s are both in %s, and %s is written", k.Name, b.Name, k.Binds[j].Name, t.buf.name, b.Name)
			}
		}
	}
	var fresh uint32
	// Reads first: touching one may insert a clear, which must come before this step's own position is noted.
	for i, t := range ts {
		if t.buf.arena == nil && t.buf.grad && !t.buf.full && (k.Binds[i].Access == Read || k.Binds[i].Access == ReadWrite) {
			r.touch(t, Read)
		}
	}
	for i, t := range ts {
		access := k.Binds[i].Access
		if k.Binds[i].Maybe && t.buf.first < 0 {
			access = Write
		}
		if r.touch(t, access) && k.Binds[i].Access == Accumulate {
			fresh |= 1 << i
		}
	}
	for _, t := range ts {
		if t.buf.arena == nil {
			t.buf.last = len(r.p.Steps)
		}
	}
	r.add(Step{Kernel: k, C: c, Fresh: fresh, Tensors: ts})
}

func overlap(a, b *Tensor) bool { return a.off < b.off+b.Words() && b.off < a.off+a.Words() }
