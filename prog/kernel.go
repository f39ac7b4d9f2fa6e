package prog

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
)

// Float is the element type of a reference run: float32 to execute, float64 to check gradients.
type Float interface{ ~float32 | ~float64 }

// Access says how a kernel uses a binding.
type Access uint8

// The kinds of access.
const (
	Read       Access = iota // only read
	Write                    // every element overwritten, none read
	Accumulate               // every element added to; overwritten where the program knows that it holds nothing yet
	ReadWrite                // read and changed in place
)

// Binding is one storage buffer of a kernel: @group(0) @binding(i), i its index in Spec.Binds.
type Binding struct {
	Name    string // the variable's name in WGSL
	Access  Access
	DType   DType
	Scratch bool // the kernel's own working memory: what is left there means nothing
	Maybe   bool // a ReadWrite that may hold no value yet: the kernel then does not read it
}

// In is a binding of f32 that the kernel only reads.
func In(name string) Binding { return Binding{Name: name, Access: Read, DType: F32} }

// InU is a binding of u32 that the kernel only reads.
func InU(name string) Binding { return Binding{Name: name, Access: Read, DType: U32} }

// Out is a binding of f32 that the kernel overwrites.
func Out(name string) Binding { return Binding{Name: name, Access: Write, DType: F32} }

// Acc is a binding of f32 that the kernel adds to. Its shader declares `override ACC_<NAME>: bool`, false where
// the old contents are to be ignored.
func Acc(name string) Binding { return Binding{Name: name, Access: Accumulate, DType: F32} }

// Tmp is a binding of f32 that the kernel uses as working memory.
func Tmp(name string) Binding { return Binding{Name: name, Access: Write, Scratch: true} }

// InOut is a binding of f32 that the kernel changes in place.
func InOut(name string) Binding { return Binding{Name: name, Access: ReadWrite, DType: F32} }

// Args are the buffers of one dispatch on the CPU, indexed as Spec.Binds.
type Args[F Float] struct {
	F     [][]F      // nil at a u32 binding
	U     [][]uint32 // nil at any other
	fresh uint32     // bit i: binding i, an Accumulate, holds nothing yet
}

// Fresh says that Accumulate binding i holds no value yet and is to be overwritten. Only a kernel with
// Spec.Overwrites needs to ask: for the others the executor has cleared the buffer.
func (a *Args[F]) Fresh(i int) bool { return a.fresh>>i&1 == 1 }

// Traits are the properties of a device that a kernel's specialisation may depend on.
type Traits struct {
	Software          bool // a CPU that runs shaders
	MaxInvocations    int  // of a workgroup
	WorkgroupMemory   int  // bytes
	MaxWorkgroupsAxis int  // workgroups along one axis of a grid
	LoopRounds        int  // rounds that all loops of one invocation may make together, past which it is cut short; 0: any
	ShortLoops        bool // of a CPU: short bodies of loops are faster than unrolled ones
}

// DefaultTraits are WebGPU's default limits.
var DefaultTraits = Traits{MaxInvocations: 256, WorkgroupMemory: 16384, MaxWorkgroupsAxis: 65535}

// Spec defines a kernel whose compile-time constants are the fields of the struct C: ints become u32, floats f32, bools
// bool, each under its field's name in capitals; fields of an embedded struct count as C's own. A field tagged
// `wgsl:"-"` is for Go alone.
//
// A kernel with Parts is dispatched several times: each has the Grid, which is flat, along y and z, and along x as many
// workgroups as its number, counted from 1, of which the last alone does something. So long work is cut into pieces that a
// device's watchdog, or its limit on loops, lets pass. (Along x because a CPU shares out a grid in pieces that begin
// there: those that do nothing have to be between the others.)
//
// The shader is shaders/<Name>.wgsl, or those of Variants are. F32 and F64 are the same reference in Go, usually two
// instantiations of one generic function: it does work items lo..hi-1 of Items, in any split and order with the same bits.
type Spec[C any] struct {
	Name       string
	Binds      []Binding
	Lens       func(c C) []int                    // elements of each binding
	Items      func(c C) int                      // independent work items of the reference
	Scratch    func(c C) int                      // elements of scratch memory that the reference wants; nil: none
	Flops      func(c C) float64                  // floating-point operations; nil: none worth counting
	Grid       func(c C, t Traits) [3]int         // workgroups of the shader
	Tune       func(c C, t Traits) map[string]any // constants that depend on the device (workgroup size, tiles); nil: none
	Variants   func(c C, t Traits) []Variant      // in place of Grid and Tune: what a device may choose from, first what it takes untried
	Shaders    []string                           // of Variants, all that there are; nil: Name
	Parts      func(c C, t Traits) int            // dispatches, one after the other, that make up the kernel; nil: one
	Overwrites bool                               // the reference asks Args.Fresh itself
	Copies     bool                               // the last binding gets the first's elements, rounded to its type
	F32        func(c C, a *Args[float32], scratch []float32, lo, hi int)
	F64        func(c C, a *Args[float64], scratch []float64, lo, hi int)

	// For the conformance suite:
	Sample func(r *rand.Rand) C                      // random constants, ones and non-multiples of tiles included
	Fill   func(c C, r *rand.Rand, a *Args[float64]) // replaces the default inputs (normal f32, zero u32); nil: none
	Tol    float64                                   // relative Frobenius error allowed in float32; 0: 1e-5
}

// Variant is one way in which a device may compute a kernel. All variants of a kernel that a device is offered give
// the same bits on it: which of them is the fastest may be found by trial.
// Each workgroup does its own part of the work, however many there are: a trial may run fewer.
type Variant struct {
	Name   string         // tells it from the others
	Shader string         // shaders/<Shader>.wgsl
	Consts map[string]any // that depend on the device, as Spec.Tune
	Grid   [3]int         // as Spec.Grid
}

// Kernel is one compute shader, or several that do the same, with the same function in Go.
type Kernel struct {
	Name    string
	Binds   []Binding
	Tol     float64  // relative Frobenius error that conformance allows
	Shaders []string // the files in shaders/, without .wgsl

	overwrites bool
	copies     bool
	lens       func(c any) []int
	items      func(c any) int
	scratch    func(c any) int
	flops      func(c any) float64
	variants   func(c any, t Traits) []Variant
	parts      func(c any, t Traits) int
	sample     func(r *rand.Rand) any
	fill       func(c any, r *rand.Rand, a *Args[float64])
	bind32     func(c any, a *Args[float32]) func(scratch []float32, lo, hi int)
	bind64     func(c any, a *Args[float64]) func(scratch []float64, lo, hi int)
}

// Typed is a Kernel that knows the type of its constants.
type Typed[C any] struct{ *Kernel }

// Define makes a kernel of its specification. It panics if the specification is incomplete.
func Define[C any](s Spec[C]) Typed[C] {
	if s.Lens == nil || s.Items == nil || (s.Grid == nil) == (s.Variants == nil) || s.F32 == nil || s.F64 == nil || s.Sample == nil {
		panic("prog: kernel " + s.Name + ": incomplete specification")
	}
	k := &Kernel{Name: s.Name, Binds: s.Binds, Tol: s.Tol, Shaders: s.Shaders, overwrites: s.Overwrites, copies: s.Copies}
	if k.Shaders == nil {
		k.Shaders = []string{s.Name}
	}
	if k.Tol == 0 {
		k.Tol = 1e-5
	}
	k.lens = func(c any) []int { return s.Lens(c.(C)) }
	k.items = func(c any) int { return s.Items(c.(C)) }
	k.scratch = func(c any) int {
		if s.Scratch == nil {
			return 0
		}
		return s.Scratch(c.(C))
	}
	k.flops = func(c any) float64 {
		if s.Flops == nil {
			return 0
		}
		return s.Flops(c.(C))
	}
	k.variants = func(c any, t Traits) (vs []Variant) {
		if s.Variants != nil {
			vs = s.Variants(c.(C), t)
		} else {
			vs = []Variant{{Name: s.Name, Shader: s.Name, Grid: s.Grid(c.(C), t)}}
			if s.Tune != nil {
				vs[0].Consts = s.Tune(c.(C), t)
			}
		}
		for i := range vs {
			if g := &vs[i].Grid; s.Parts != nil {
				*g = [3]int{1, g[0], g[1]}
			}
		}
		return vs
	}
	k.parts = func(c any, t Traits) int {
		if s.Parts == nil {
			return 1
		}
		return s.Parts(c.(C), t)
	}
	k.sample = func(r *rand.Rand) any { return s.Sample(r) }
	k.fill = func(c any, r *rand.Rand, a *Args[float64]) {
		if s.Fill != nil {
			s.Fill(c.(C), r, a)
		}
	}
	k.bind32 = func(c any, a *Args[float32]) func([]float32, int, int) {
		cc := c.(C)
		return func(scratch []float32, lo, hi int) { s.F32(cc, a, scratch, lo, hi) }
	}
	k.bind64 = func(c any, a *Args[float64]) func([]float64, int, int) {
		cc := c.(C)
		return func(scratch []float64, lo, hi int) { s.F64(cc, a, scratch, lo, hi) }
	}
	return Typed[C]{k}
}

// Packing makes a kernel of another one, some of whose bindings then are of F16. The reference stays the same: its
// executor rounds what it writes. Tol is for what is left of an error apart from that rounding.
type Packing[C any] struct {
	Name   string
	Binds  []string             // an Accumulate becomes a Write: nothing adds to a binary16
	Shader func(string) string  // changes the name that a shader of the other kernel gets, in which Name has replaced its own; nil: no
	Sample func(r *rand.Rand) C // nil: the other kernel's
}

// Packed returns k packed as p says. It panics where p does not fit.
func (k Typed[C]) Packed(s Packing[C]) Typed[C] {
	name := s.Name
	p := *k.Kernel
	p.Name, p.Binds = name, slices.Clone(k.Binds)
	if s.Sample != nil {
		p.sample = func(r *rand.Rand) any { return s.Sample(r) }
	}
	var fresh uint32
	for _, b := range s.Binds {
		i := slices.IndexFunc(p.Binds, func(o Binding) bool { return o.Name == b })
		if i < 0 || p.Binds[i].DType != F32 || p.Binds[i].Access == ReadWrite {
			panic("prog: kernel " + name + ": no " + b + " to pack")
		}
		if p.Binds[i].DType = F16; p.Binds[i].Access == Accumulate {
			p.Binds[i].Access = Write
			fresh |= 1 << i
		}
	}
	if fresh != 0 && !k.overwrites {
		panic("prog: kernel " + name + ": its reference only adds")
	}
	named := func(shader string) string {
		if shader = strings.Replace(shader, k.Name, name, 1); s.Shader != nil {
			shader = s.Shader(shader)
		}
		return shader
	}
	p.Shaders = nil
	for _, s := range k.Shaders {
		if s := named(s); !slices.Contains(p.Shaders, s) {
			p.Shaders = append(p.Shaders, s)
		}
	}
	p.variants = func(c any, t Traits) []Variant {
		vs := slices.Clone(k.variants(c, t))
		for i := range vs {
			vs[i].Shader = named(vs[i].Shader)
		}
		return vs
	}
	p.bind32 = func(c any, a *Args[float32]) func([]float32, int, int) {
		a.fresh |= fresh
		return k.bind32(c, a)
	}
	p.bind64 = func(c any, a *Args[float64]) func([]float64, int, int) {
		a.fresh |= fresh
		return k.bind64(c, a)
	}
	return Typed[C]{&p}
}

// Dispatch records one dispatch of k with constants c on r; ts are the tensors of its bindings, in order.
func (k Typed[C]) Dispatch(r *Recorder, c C, ts ...*Tensor) { r.dispatch(k.Kernel, c, ts) }

// Sample returns random constants for conformance tests.
func (k *Kernel) Sample(r *rand.Rand) any { return k.sample(r) }

// Lens is the number of elements of each binding under constants c, which must be of k's own type.
func (k *Kernel) Lens(c any) []int { return k.lens(c) }

// Fill puts test inputs into a, whose slices have the lengths of Lens: standard normal f32, and where the kernel
// asks for other values (indices, positive numbers), those.
func (k *Kernel) Fill(c any, r *rand.Rand, a *Args[float64]) {
	for _, f := range a.F {
		for i := range f {
			f[i] = float64(float32(r.NormFloat64()))
		}
	}
	k.fill(c, r, a)
}

// Variants are the ways in which a device may compute k, first the one that it takes untried.
func (k *Kernel) Variants(c any, t Traits) []Variant { return k.variants(c, t) }

// Consts lists the constants of the first variant's shader by name for one dispatch on a device: c's fields, what k
// tunes to the device, and ACC_<NAME> of each Accumulate binding.
func (k *Kernel) Consts(c any, fresh uint32, t Traits) map[string]any {
	return k.VariantConsts(c, fresh, k.variants(c, t)[0])
}

// VariantConsts is Consts for any variant.
func (k *Kernel) VariantConsts(c any, fresh uint32, v Variant) map[string]any {
	m := map[string]any{}
	for name, v := range fields(c) {
		m[name] = v
	}
	for name, v := range v.Consts {
		m[name] = v
	}
	for i, b := range k.Binds {
		if b.Access == Accumulate {
			m["ACC_"+strings.ToUpper(b.Name)] = fresh>>i&1 == 0
		}
	}
	return m
}

// Grid is the number of workgroups of one dispatch of the first variant on a device.
func (k *Kernel) Grid(c any, t Traits) [3]int { return k.variants(c, t)[0].Grid }

// InOutMaybe is an InOut that may hold no value yet; the kernel knows from its other inputs whether it does.
func InOutMaybe(name string) Binding { return Binding{Name: name, Access: ReadWrite, Maybe: true} }

// Parts is the number of dispatches that make up one step on a device; see Spec.
func (k *Kernel) Parts(c any, t Traits) int { return k.parts(c, t) }

// Class names c and all constants that are about as large: integers count as the next power of two.
func (k *Kernel) Class(c any) string {
	var s strings.Builder
	eachField(reflect.ValueOf(c), func(f reflect.StructField, v any) bool {
		if n, ok := v.(int); ok && n > 1 {
			v = 1 << bits.Len(uint(n-1))
		}
		fmt.Fprintf(&s, "%s=%v ", f.Name, v)
		return true
	})
	return strings.TrimSuffix(s.String(), " ")
}

// fields yields the constants of the shader that a struct's fields stand for, in order.
func fields(c any) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		eachField(reflect.ValueOf(c), func(f reflect.StructField, v any) bool {
			return f.Tag.Get("wgsl") == "-" || yield(strings.ToUpper(f.Name), v)
		})
	}
}

// eachField yields v's fields, those of embedded structs among them, and reports whether yield wants more.
func eachField(v reflect.Value, yield func(reflect.StructField, any) bool) bool {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if !eachField(v.Field(i), yield) {
				return false
			}
		} else if !yield(f, v.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// Grid1 is the grid of n workgroups, folded into two axes where one axis cannot hold them; a shader numbers its
// workgroup wg.y * num_workgroups.x + wg.x and ignores those past the end.
func Grid1(n int, t Traits) [3]int {
	m := t.MaxWorkgroupsAxis
	if m == 0 {
		m = DefaultTraits.MaxWorkgroupsAxis
	}
	if n <= m {
		return [3]int{max(n, 1), 1, 1}
	}
	y := (n + m - 1) / m
	return [3]int{(n + y - 1) / y, y, 1}
}

// CeilDiv is a/b rounded up.
func CeilDiv(a, b int) int { return (a + b - 1) / b }

func constString(c any) string {
	var s strings.Builder
	eachField(reflect.ValueOf(c), func(f reflect.StructField, v any) bool {
		if s.Len() > 0 {
			s.WriteByte(' ')
		}
		fmt.Fprintf(&s, "%s=%v", f.Name, v)
		return true
	})
	return s.String()
}
