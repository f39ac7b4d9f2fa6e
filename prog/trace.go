package prog

import (
	"fmt"
	"math"
	"slices"
)

// NonFinite is the first place in a program's run where an element is not a finite number.
type NonFinite struct {
	Step   int     // of the program: that wrote the element; where Input, the first that reads it, or -1: none does
	Input  bool    // it was there before the run
	Tensor *Tensor // an arena's own tensor where it lies in one
	Index  int     // of the first such element
	Value  float32
	Count  int      // such elements of the tensor
	Reads  []Values // what the step read, in the order of its bindings
}

// Values is a summary of a tensor's elements.
type Values struct {
	Name      string // of the step's binding
	Tensor    *Tensor
	NonFinite int       // elements
	Min, Max  float32   // of the finite ones; zero where there are none
	At        int       // index of the one of the largest magnitude; -1: none
	First     []float32 // the first few elements
	Same      []float32 // the element at the index of the one that was written, if the tensors are of one length
}

// firstValues is how many elements a summary shows.
const firstValues = 6

// Summarize summarises the elements x of t.
func Summarize(name string, t *Tensor, x []float32) Values {
	v := Values{Name: name, Tensor: t, At: -1, First: slices.Clone(x[:min(firstValues, len(x))])}
	for i, f := range x {
		switch {
		case !finite32(f):
			v.NonFinite++
			continue
		case v.At < 0:
			v.At, v.Min, v.Max = i, f, f
			continue
		}
		v.Min, v.Max = min(v.Min, f), max(v.Max, f)
		if max(f, -f) > max(x[v.At], -x[v.At]) {
			v.At = i
		}
	}
	return v
}

func finite32(f float32) bool { return math.Float32bits(f)&0x7f800000 != 0x7f800000 }

// Trace runs the first n steps of p one at a time on run, p made ready on ex, and returns the first element that is not
// finite: of what an arena holds before the first step that reads it, and else of what a step writes. It is nil where
// there is none. restore puts all arenas that the steps change back to what they are to start from; Trace calls it up to
// twice and leaves them changed. Everything written is read back once: a matter of seconds.
func Trace(ex Executor, run Runner, p *Program, n int, restore func() error) (*NonFinite, error) {
	if err := p.CheckSteps(0, n); err != nil {
		return nil, err
	}
	t := tracer{ex: ex, run: run, p: p}
	// What a failed run left in temporaries must not be taken for this one's, where a step leaves elements unwritten.
	start := func() error {
		if err := restore(); err != nil {
			return err
		}
		return run.Reset()
	}
	if err := start(); err != nil {
		return nil, err
	}
	bad, err := t.inputs(n)
	if bad != nil || err != nil {
		return bad, err
	}
	for i := range n {
		if err := run.RunSteps(i, 1); err != nil {
			return nil, err
		}
		if bad, err = t.written(i); err != nil {
			return nil, err
		}
		if bad == nil {
			continue
		}
		// What the step read it may have overwritten.
		if err := start(); err != nil {
			return nil, err
		}
		if err := run.RunSteps(0, i); err != nil {
			return nil, err
		}
		bad.Reads, err = t.reads(i, bad)
		bad.Tensor, bad.Index = Locate(bad.Tensor, bad.Index)
		return bad, err
	}
	return nil, nil
}

type tracer struct {
	ex  Executor
	run Runner
	p   *Program
	buf []float32
}

// read returns the elements of t, valid until the next call.
func (t *tracer) read(x *Tensor) ([]float32, error) {
	t.buf = slices.Grow(t.buf[:0], x.Len())[:x.Len()]
	if x.buf.arena != nil {
		return t.buf, t.ex.Read(x, t.buf)
	}
	return t.buf, t.run.Peek(x, t.buf)
}

// look returns the first element of x that is not finite.
func (t *tracer) look(x *Tensor) (*NonFinite, error) {
	v, err := t.read(x)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(v, func(f float32) bool { return !finite32(f) })
	if i < 0 {
		return nil, nil
	}
	bad := &NonFinite{Tensor: x, Index: i, Value: v[i]}
	for _, f := range v[i:] {
		if !finite32(f) {
			bad.Count++
		}
	}
	return bad, nil
}

// inputs looks at what the first n steps read of arenas and no step before has written, in the order in which they do:
// first of what they read by itself, then of parts of more, since whole arenas are also copied.
func (t *tracer) inputs(n int) (*NonFinite, error) {
	type input struct {
		t    *Tensor
		step int
		part bool
	}
	var all []input
	for _, a := range t.p.Arenas {
		for _, x := range a.tensors {
			if x.dtype == U32 || x.Len() == 0 {
				continue
			}
			if step, part := t.p.firstRead(x); step >= 0 && step < n {
				all = append(all, input{x, step, part})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b input) int {
		if a.part != b.part {
			return map[bool]int{true: 1, false: -1}[a.part]
		}
		return a.step - b.step
	})
	for _, in := range all {
		bad, err := t.look(in.t)
		if err != nil {
			return nil, err
		}
		if bad == nil {
			continue
		}
		bad.Input, bad.Step = true, in.step
		bad.Reads = []Values{Summarize("", in.t, t.buf)}
		return bad, nil
	}
	return nil, nil
}

// firstRead is the first step that reads x, a tensor of an arena, by itself, or else the first that reads it as a part of
// more; -1 where none does, or one has written it before. Who reads a copy of x reads x; who makes one does so only where
// nobody reads it.
func (p *Program) firstRead(x *Tensor) (step int, part bool) {
	return p.readFrom(0, x, x.buf, x.off, x.off+x.Words())
}

// readFrom is firstRead from a step on, of x where it lies in words lo to hi of a buffer: its own, or that of a copy,
// which is made of the same parts (see Recorder.Half).
func (p *Program) readFrom(from int, x *Tensor, buf *Buffer, lo, hi int) (step int, part bool) {
	step, part = -1, true
	take := func(i int, more bool) {
		if step < 0 || part && !more || part == more && i < step {
			step, part = i, more
		}
	}
	isX := func(y *Tensor) bool { return y.buf == x.buf && y.off == x.off && y.Len() == x.Len() }
	for i := from; i < len(p.Steps) && (part || i < step); i++ {
		st := &p.Steps[i]
		for j, y := range st.Tensors {
			if y.buf != buf || y.off >= hi || lo >= y.off+y.Words() {
				continue
			}
			switch {
			case st.Kernel == nil || st.Kernel.Binds[j].Access == Write:
				return step, part
			case st.Kernel.copies:
				z := st.Tensors[len(st.Tensors)-1]
				a, b := max(lo-y.off, 0), min(hi-y.off, y.Words())
				if y.dtype == F32 && z.dtype == F16 { // two elements in a word
					a, b = a/2, (b+1)/2
				}
				at, more := p.readFrom(i+1, x, z.buf, z.off+a, z.off+b)
				if at < 0 {
					at = i
				}
				take(at, more)
			default:
				whole := y.off == lo && y.off+y.Words() == hi || slices.ContainsFunc(y.parts, isX)
				take(i, !whole)
			}
		}
	}
	return step, part
}

// written looks at what step i has written and later steps read. What none reads is no cause of anything: measurements
// may hold what they like.
func (t *tracer) written(i int) (*NonFinite, error) {
	st := &t.p.Steps[i]
	if st.Kernel == nil {
		return nil, nil
	}
	for j, b := range st.Kernel.Binds {
		if b.Access == Read || b.Scratch || b.DType == U32 || !t.p.readAfter(i, st.Tensors[j]) {
			continue
		}
		bad, err := t.look(st.Tensors[j])
		if err != nil {
			return nil, fmt.Errorf("prog: step %d: %s: %w", i, st.Label(), err)
		}
		if bad != nil {
			bad.Step = i
			return bad, nil
		}
	}
	return nil, nil
}

// readAfter says whether a step after step i reads some of x.
func (p *Program) readAfter(i int, x *Tensor) bool {
	for _, st := range p.Steps[i+1:] {
		for j, y := range st.Tensors {
			if y.buf == x.buf && overlap(x, y) && st.Kernel != nil && st.Kernel.Binds[j].Access != Write {
				return true
			}
		}
	}
	return false
}

// reads summarises what step i is about to read, before it writes what is not finite.
func (t *tracer) reads(i int, bad *NonFinite) (all []Values, err error) {
	st := &t.p.Steps[i]
	for j, b := range st.Kernel.Binds {
		fresh := st.Fresh>>j&1 == 1 || b.Maybe && st.Tensors[j].buf.arena == nil && st.Tensors[j].buf.first == i
		if b.Access == Write || b.DType == U32 || fresh {
			continue
		}
		x := st.Tensors[j]
		if len(x.parts) > 0 && len(x.parts) == len(bad.Tensor.parts) { // the one that the element was made of
			x = x.parts[bad.Index/(bad.Tensor.Len()/len(x.parts))]
		}
		v, err := t.read(x)
		if err != nil {
			return nil, fmt.Errorf("prog: step %d: %s: %w", i, st.Label(), err)
		}
		s := Summarize(b.Name, x, v)
		if len(v) == bad.Tensor.Len() {
			s.Same = []float32{v[bad.Index]}
		}
		all = append(all, s)
	}
	return all, nil
}

// Locate returns the tensor of t's arena that element i of t, a window of the arena, lies in, and where in it, or the one
// of several temporaries that t is; t and i where t is one temporary, or the element is padding.
func Locate(t *Tensor, i int) (*Tensor, int) {
	switch {
	case t.buf.arena == nil && t.parts == nil:
		return t, i
	case t.buf.arena == nil:
		n := t.parts[0].Len()
		return t.parts[i/n], i % n
	}
	at := t.off + i
	for _, x := range t.buf.arena.tensors {
		if at >= x.off && at < x.off+x.Len() {
			return x, at - x.off
		}
	}
	return t, i
}

// Index is where element i of t lies along each axis.
func (t *Tensor) Index(i int) []int {
	at := make([]int, len(t.shape))
	for k := len(at) - 1; k >= 0; k-- {
		at[k], i = i%t.shape[k], i/t.shape[k]
	}
	return at
}
