// Package prog describes a training step as data: memory, kernels, and the list of dispatches that is recorded
// once and replayed every step. It holds the pure-Go executor and knows nothing of WebGPU.
package prog

import (
	"fmt"
	"slices"
	"strings"
)

// DType is the element type of a tensor. Memory is counted in words of four bytes, which hold one element, or two of F16.
type DType uint8

// The element types.
const (
	F32 DType = iota // IEEE 754 binary32; float64 in a CPU[float64]
	U32              // token ids, indices, counters
	F16              // IEEE 754 binary16, two in a u32, the first in its low half; only of temporaries. See RoundHalf
)

// String returns the name of the type.
func (d DType) String() string { return [...]string{"f32", "u32", "f16"}[d] }

// WGSL returns the type of the array that a shader finds the elements in.
func (d DType) WGSL() string { return [...]string{"f32", "u32", "u32"}[d] }

// words is how many words n elements take.
func (d DType) words(n int) int {
	if d == F16 {
		return (n + 1) / 2
	}
	return n
}

// Align is the alignment of tensors within a buffer, in words: 256 bytes, WebGPU's default (and the largest
// permitted) minStorageBufferOffsetAlignment.
const Align = 64

// Shape is the extent of a row-major tensor, outermost axis first. The empty shape is a scalar.
type Shape []int

// Len is the number of elements.
func (s Shape) Len() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// String prints the shape as [2 16 32].
func (s Shape) String() string { return fmt.Sprint([]int(s)) }

// Buffer is one piece of memory: an Arena's, or a temporary of one Program.
type Buffer struct {
	name  string
	dtype DType
	words int
	arena *Arena // nil: a temporary of the program

	// Of a temporary:
	elems       int
	slot        int  // the piece of memory that Record's plan gave it; temporaries of one slot have disjoint lives
	first, last int  // the steps between which it holds a value; first is -1 while it holds none
	keep        bool // readable after a run, so that it shares its memory with nothing
	grad        bool // a gradient: zero where nothing was accumulated

	// Of a gradient:
	parts []span // that have a value, sorted
	full  bool   // all of it has
}

// span is some words of a buffer.
type span struct{ from, to int }

// gaps are what is between and after b's parts.
func (b *Buffer) gaps() (list []span) {
	at := 0
	for _, p := range append(b.parts, span{b.words, b.words}) {
		if p.from > at {
			list = append(list, span{at, p.from})
		}
		at = p.to
	}
	return list
}

// Tensor is a typed window into a Buffer.
type Tensor struct {
	name  string
	shape Shape
	buf   *Buffer
	dtype DType
	off   int // in words, a multiple of Align

	of    *Buffer   // the temporary that it is the gradient of; nil: it is none, or an arena's
	parts []*Tensor // that it is made of, one after the other, of one shape; nil: it is one
}

// Name is the name that listings and errors use.
func (t *Tensor) Name() string { return t.name }

// Shape is the extent of t; the caller must not change it.
func (t *Tensor) Shape() Shape { return t.shape }

// Dim is the extent of axis i; a negative i counts from the last axis.
func (t *Tensor) Dim(i int) int {
	if i < 0 {
		i += len(t.shape)
	}
	return t.shape[i]
}

// Len is the number of elements of t.
func (t *Tensor) Len() int { return t.shape.Len() }

// Words is the number of words that t takes.
func (t *Tensor) Words() int { return t.dtype.words(t.Len()) }

// DType is the element type of t.
func (t *Tensor) DType() DType { return t.dtype }

// Offset is where t begins in its buffer, in words.
func (t *Tensor) Offset() int { return t.off }

// Arena is the arena that t lies in, nil for a temporary of a program.
func (t *Tensor) Arena() *Arena { return t.buf.arena }

// Slot is the index into Program.Slots of the memory that t, a temporary, lies in.
func (t *Tensor) Slot() int { return t.buf.slot }

// String prints name and shape: wq [128 128].
func (t *Tensor) String() string { return t.name + " " + t.shape.String() }

// Reshape returns t's elements under another shape of the same length; it panics if the lengths differ.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	if n := Shape(shape).Len(); n != t.Len() {
		panic(recordError(fmt.Sprintf("reshape of %v to %v: %d elements, want %d", t, Shape(shape), n, t.Len())))
	}
	v := *t
	v.shape = slices.Clone(Shape(shape))
	return &v
}

// Rows returns t as a matrix of its last axis: [t.Len()/n, n].
func (t *Tensor) Rows() *Tensor { n := t.Dim(-1); return t.Reshape(t.Len()/n, n) }

// Part returns n of t's rows (its first axis) from row first on, as a window. Where it begins must be aligned; it panics
// if it is not, or not inside t.
func (t *Tensor) Part(first, n int) *Tensor {
	row := 1
	for _, d := range t.shape[1:] {
		row *= d
	}
	off := t.dtype.words(first * row)
	if first < 0 || n < 1 || first+n > t.Dim(0) || off%Align != 0 || t.dtype == F16 && first*row%2 != 0 {
		panic(recordError(fmt.Sprintf("%d rows from %d of %v: want them inside it, from a multiple of %d words on", n, first, t, Align)))
	}
	v := *t
	v.shape = slices.Clone(t.shape)
	v.shape[0] = n
	v.off += off
	return &v
}

// Arena is memory that outlives a program's run and that several programs share: parameters, their gradients,
// the optimiser's moments, a step's inputs, its metrics. An executor allocates it, zeroed, when it first sees it.
type Arena struct {
	name    string
	buf     *Buffer
	tensors []*Tensor
	byName  map[string]*Tensor
	grad    *Arena
}

// NewArena returns an empty arena.
func NewArena(name string) *Arena {
	a := &Arena{name: name, byName: map[string]*Tensor{}}
	a.buf = &Buffer{name: name, arena: a}
	return a
}

// Name is the arena's name.
func (a *Arena) Name() string { return a.name }

// Words is the arena's size in words, padding included.
func (a *Arena) Words() int { return a.buf.words }

// Add appends a tensor, aligned to Align words; padding between tensors stays zero. It panics on a name used twice, and
// on F16.
func (a *Arena) Add(name string, dtype DType, shape ...int) *Tensor {
	if a.byName[name] != nil {
		panic(fmt.Sprintf("prog: arena %s: tensor %q added twice", a.name, name))
	}
	if dtype == F16 {
		panic(fmt.Sprintf("prog: arena %s: tensor %q is of f16", a.name, name))
	}
	t := &Tensor{name: name, shape: slices.Clone(Shape(shape)), buf: a.buf, dtype: dtype, off: a.buf.words}
	a.buf.words += (t.Len() + Align - 1) / Align * Align
	a.tensors = append(a.tensors, t)
	a.byName[name] = t
	return t
}

// Pad makes the next tensor begin at a multiple of so many words, a multiple of Align.
func (a *Arena) Pad(words int) { a.buf.words = (a.buf.words + words - 1) / words * words }

// Tensors lists the arena's tensors in the order in which they were added.
func (a *Arena) Tensors() []*Tensor { return a.tensors }

// Lookup returns the tensor of that name, or nil.
func (a *Arena) Lookup(name string) *Tensor { return a.byName[name] }

// Mirror returns a new arena of the same layout: for gradients and moments.
func (a *Arena) Mirror(name string) *Arena {
	m := NewArena(name)
	for _, t := range a.tensors {
		m.buf.words = t.off
		m.Add(t.name, t.dtype, t.shape...)
	}
	m.buf.words = a.buf.words
	return m
}

// WithGrad makes g, a Mirror of a, hold the gradients of a's tensors.
func (a *Arena) WithGrad(g *Arena) { a.grad = g }

// Span returns a vector over the words from first to last, padding included: consecutive tensors as one binding.
func (a *Arena) Span(name string, first, last *Tensor) *Tensor {
	return a.Window(name, first.off, last.off+last.Len()-first.off)
}

// Join returns ts, equally large tensors of the arena of which each begins where the one before it ends, as one vector; nil
// where they are not such.
func Join(ts ...*Tensor) *Tensor {
	first := ts[0]
	for i, t := range ts {
		if t.buf != first.buf || t.buf.arena == nil || t.dtype != F32 || !slices.Equal(t.shape, first.shape) || t.off != first.off+i*first.Len() {
			return nil
		}
	}
	w := first.buf.arena.Window(first.name, first.off, len(ts)*first.Len())
	w.parts = ts
	return w
}

// Window returns the n words from off, a multiple of Align, as a vector of F32.
func (a *Arena) Window(name string, off, n int) *Tensor {
	if off < 0 || off%Align != 0 || n < 0 || off+n > a.buf.words {
		panic(fmt.Sprintf("prog: arena %s: window of %d words at %d in %d", a.name, n, off, a.buf.words))
	}
	return &Tensor{name: name, shape: Shape{n}, buf: a.buf, dtype: F32, off: off}
}

// In returns the window of arena a, laid out as t's own arena, that lies where t lies.
func (a *Arena) In(t *Tensor) *Tensor {
	v := *t
	v.buf = a.buf
	v.name = a.name + "." + t.name
	return &v
}

// String lists the arena's tensors, one a line.
func (a *Arena) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %d words\n", a.name, a.buf.words)
	for _, t := range a.tensors {
		fmt.Fprintf(&s, "  %8d %v %v\n", t.off, t.dtype, t)
	}
	return s.String()
}
