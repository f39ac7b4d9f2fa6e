// Asm writes the assembly of package blas: each function once for AVX-512 and once for AVX2 with FMA, from one
// description, so that both do the same operations in the same order.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set.
type isa struct {
	name  string
	lanes int // of a register
	rows  int // of a tile of a product: its sums, two registers of b and what is left for a fill the register file
}

var isas = []isa{{"avx512", 16, 8}, {"avx2", 8, 6}}

func (s isa) wide() bool { return s.lanes == 16 }

// vec is a new register of floats.
func (s isa) vec() VecVirtual {
	if s.wide() {
		return ZMM()
	}
	return YMM()
}

func main() {
	ConstraintExpr("amd64")
	panel()
	pack()
	transpose8()
	rows()
	vectors()
	sums()
	norms()
	Generate()
}

// define makes a function of the given parameters and results: body once for each instruction set.
func define(name, params, doc string, body func(f *fn)) {
	TEXT(name, 4, "func("+params+")") // NOSPLIT
	Pragma("noescape")
	Doc(name + ": " + doc + ".")
	CMPB(Mem{Symbol: Symbol{Name: "·level"}, Base: StaticBase}, U8(2))
	JNE(LabelRef("avx2"))
	body(&fn{isa: isas[0]})
	ret()
	Label("avx2")
	body(&fn{isa: isas[1]})
	ret()
}

// maskTable are as many ones as a register of AVX2 has lanes, as many zeros, and ones again.
var maskTable Mem

// table is the address of maskTable.
func table() Register {
	if maskTable.Symbol.Name == "" {
		maskTable = GLOBL("laneMask", 8|16) // read-only, without pointers
		for i := range 24 {
			v := I32(-1)
			if i/8 == 1 {
				v = 0
			}
			DATA(4*i, v)
		}
	}
	t := GP64()
	LEAQ(maskTable, t)
	return t
}

// maskBehind makes AVX2's mask of all lanes but the first n, n in 0..8.
func maskBehind(n Register) Op {
	t, i, m := table(), GP64(), YMM()
	MOVQ(U32(16), i)
	SUBQ(n, i)
	VMOVUPS(Mem{Base: t, Index: i, Scale: 4}, m)
	return m
}

// mask makes the mask of the first n lanes of a register, n in 1..lanes; n may be more.
func (s isa) mask(n Register) Op {
	if s.wide() {
		ones, k := GP32(), K()
		MOVL(U32(0xffff), ones)
		BZHIL(n.(GP).As32(), ones, ones)
		KMOVW(ones, k)
		return k
	}
	t, i, m := table(), GP64(), YMM()
	MOVQ(U32(8), i)
	CMPQ(n, i)
	CMOVQCC(i, n)
	SUBQ(n, i)
	VMOVUPS(Mem{Base: t, Index: i, Scale: 4}, m)
	return m
}

// load reads a register, the lanes outside mask as zeros; a nil mask is of all lanes.
func (s isa) load(m Mem, mask Op, v Register) {
	switch {
	case mask == nil:
		VMOVUPS(m, v)
	case s.wide():
		VMOVUPS_Z(m, mask, v)
	default:
		VMASKMOVPS(m, mask, v)
	}
}

// store writes the lanes of mask.
func (s isa) store(v Register, mask Op, m Mem) {
	switch {
	case mask == nil:
		VMOVUPS(v, m)
	case s.wide():
		VMOVUPS(v, mask, m)
	default:
		VMASKMOVPS(v, mask, m)
	}
}

// zero clears a register.
func zero(v Register) {
	VXORPS(v, v, v)
}

// floats loads parameter name, a number of floats, as a number of bytes.
func floats(name string) Register {
	r := Load(Param(name), GP64())
	SHLQ(U8(2), r)
	return r
}

// ret returns, with the registers' upper halves clean for code that knows only the lower ones.
func ret() {
	VZEROUPPER()
	RET()
}
