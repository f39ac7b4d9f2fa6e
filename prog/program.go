package prog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// plan gives every temporary a slot so that temporaries of one slot are never alive at one step. Largest first,
// each into the first slot that is free for all its life (greedy by size: Pisarchyk and Lee 2020, arXiv 2001.03288).
// Slots are whole buffers, not parts of one: WebGPU does not let a dispatch read and write one buffer.
func (p *Program) plan() {
	bs := slices.Clone(p.temps)
	slices.SortStableFunc(bs, func(a, b *Buffer) int { return cmp.Compare(b.words, a.words) })
	var lives [][]*Buffer
	for _, b := range bs {
		b.slot = -1
		if b.first < 0 {
			continue // recorded but never used
		}
		for s, l := range lives {
			if !b.keep && !slices.ContainsFunc(l, func(o *Buffer) bool { return o.keep || b.first <= o.last && o.first <= b.last }) {
				b.slot = s
				lives[s] = append(l, b)
				break
			}
		}
		if b.slot < 0 {
			b.slot = len(lives)
			lives = append(lives, []*Buffer{b})
			p.Slots = append(p.Slots, b.words)
		}
	}
}

// String lists the program, one step a line: the text that golden tests compare.
func (p *Program) String() string {
	var s strings.Builder
	for i, st := range p.Steps {
		if st.Kernel == nil {
			fmt.Fprintf(&s, "%3d clear %s\n", i, st.Tensors[0])
			continue
		}
		fmt.Fprintf(&s, "%3d %s(%s)", i, st.Kernel.Name, constString(st.C))
		for j, t := range st.Tensors {
			op := "="
			if st.Kernel.Binds[j].Access == Accumulate && st.Fresh>>j&1 == 0 {
				op = "+="
			}
			fmt.Fprintf(&s, " %s%s%s", st.Kernel.Binds[j].Name, op, t.name)
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// Stats counts what one run of a program does and needs.
type Stats struct {
	Dispatches int
	Flops      float64
	Traffic    int64 // bytes of all bindings of all dispatches: a lower bound of the memory traffic
	TempBytes  int64 // temporary memory
	RawBytes   int64 // temporary memory if none were shared
	ArenaBytes int64 // of the arenas that the program uses
}

// Stats counts p's work and memory.
func (p *Program) Stats() Stats {
	var s Stats
	for _, st := range p.Steps {
		if st.Kernel == nil {
			continue
		}
		s.Dispatches++
		s.Flops += st.Flops()
		s.Traffic += st.Traffic()
	}
	for _, w := range p.Slots {
		s.TempBytes += 4 * int64(w)
	}
	for _, b := range p.temps {
		if b.first >= 0 {
			s.RawBytes += 4 * int64(b.words)
		}
	}
	for _, a := range p.Arenas {
		s.ArenaBytes += 4 * int64(a.Words())
	}
	return s
}

// elems is how many elements each slot has room for where one of F16 takes a word.
func (p *Program) elems() []int {
	n := slices.Clone(p.Slots)
	for _, b := range p.temps {
		if b.slot >= 0 {
			n[b.slot] = max(n[b.slot], b.elems)
		}
	}
	return n
}

// CPUBytes is the temporary memory of p on a CPU[float32], which keeps elements of F16 as floats.
func (p *Program) CPUBytes() (n int64) {
	for _, e := range p.elems() {
		n += 4 * int64(e)
	}
	return n
}

// Flops is the number of floating-point operations of the step.
func (s Step) Flops() float64 {
	if s.Kernel == nil {
		return 0
	}
	return s.Kernel.flops(s.C)
}

// Traffic is the number of bytes of the step's bindings, those read and written counted twice.
func (s Step) Traffic() (n int64) {
	for i, t := range s.Tensors {
		n += 4 * int64(t.Words())
		if s.Kernel != nil && (s.Kernel.Binds[i].Access == ReadWrite || s.Kernel.Binds[i].Access == Accumulate && s.Fresh>>i&1 == 0) {
			n += 4 * int64(t.Words())
		}
	}
	return n
}

// Label is the name that errors and profiles give the step: its kernel and its constants.
func (s Step) Label() string {
	if s.Kernel == nil {
		return "clear " + s.Tensors[0].name
	}
	return s.Kernel.Name + "(" + constString(s.C) + ")"
}
