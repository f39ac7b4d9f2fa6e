package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// panel is a product of up to two registers' columns: dst[i,j] = (acc ? dst[i,j] : 0) + sum over p of
// a[i*ras+p*cas] * b[p*ldb+j], one multiply-add after the other.
func panel() {
	define("panel", "dst *float32, ldd int, a *float32, ras, cas int, b *float32, ldb, m, n, k int, acc bool",
		"dst[m,n] (+)= a*b, element (i,p) of a at a[i*ras+p*cas]; n is at most two registers", panelBody)
}

func panelBody(f *fn) {
	s := f.isa
	g := &gemm{isa: s, dst: Load(Param("dst"), GP64()), a: Load(Param("a"), GP64()), b: Load(Param("b"), GP64())}
	g.ldd, g.ras, g.cas, g.ldb = floats("ldd"), floats("ras"), floats("cas"), floats("ldb")
	g.m = Load(Param("m"), GP64())
	g.ras3 = GP64()
	LEAQ(Mem{Base: g.ras, Index: g.ras, Scale: 2}, g.ras3)
	n := Load(Param("n"), GP64())
	CMPQ(n, U32(uint32(s.lanes)))
	JG(LabelRef("two_" + s.name))
	g.mask = s.mask(n)
	g.loop("one_"+s.name, 1)
	Label("two_" + s.name)
	CMPQ(n, U32(uint32(2*s.lanes)))
	JE(LabelRef("full_" + s.name))
	SUBQ(U32(uint32(s.lanes)), n)
	g.mask = s.mask(n)
	g.loop("part_"+s.name, 2)
	Label("full_" + s.name)
	g.mask = nil
	g.loop("all_"+s.name, 2)
}

// gemm is what the tiles of a panel share; strides are in bytes.
type gemm struct {
	isa
	dst, a, b, ldd, ras, ras3, cas, ldb, m Register
	mask                                   Op // of the last register of a row
}

// loop does the rows of a panel of nv registers, and returns.
func (g *gemm) loop(name string, nv int) {
	Label(name)
	CMPQ(g.m, U32(uint32(g.rows)))
	JL(LabelRef(name + "_rest"))
	g.tile(name, g.rows, nv)
	LEAQ(Mem{Base: g.a, Index: g.ras, Scale: 4}, g.a) // rows is 4 and 4 or 2
	LEAQ(Mem{Base: g.dst, Index: g.ldd, Scale: 4}, g.dst)
	rest := uint8(g.rows - 4)
	LEAQ(Mem{Base: g.a, Index: g.ras, Scale: rest}, g.a)
	LEAQ(Mem{Base: g.dst, Index: g.ldd, Scale: rest}, g.dst)
	SUBQ(U32(uint32(g.rows)), g.m)
	JMP(LabelRef(name))
	Label(name + "_rest")
	for r := g.rows - 1; r > 0; r-- {
		CMPQ(g.m, U32(uint32(r)))
		JE(LabelRef(fmt.Sprintf("%s_%d", name, r)))
	}
	ret()
	for r := g.rows - 1; r > 0; r-- {
		Label(fmt.Sprintf("%s_%d", name, r))
		g.tile(fmt.Sprintf("%s_%d", name, r), r, nv)
		ret()
	}
}

// tile does rows of nv registers.
func (g *gemm) tile(name string, rows, nv int) {
	maskOf := func(v int) Op {
		if v == nv-1 {
			return g.mask
		}
		return nil
	}
	width := 4 * g.lanes
	sums := make([][]VecVirtual, rows)
	for r := range sums {
		for range nv {
			sums[r] = append(sums[r], g.vec())
		}
	}
	eachRow := func(do func(m Mem, v VecVirtual, mask Op)) {
		d := GP64()
		MOVQ(g.dst, d)
		for r := range sums {
			if r > 0 {
				ADDQ(g.ldd, d)
			}
			for v, x := range sums[r] {
				do(Mem{Base: d, Disp: v * width}, x, maskOf(v))
			}
		}
	}
	for _, row := range sums {
		for _, x := range row {
			zero(x)
		}
	}
	acc := Load(Param("acc"), GP8())
	TESTB(acc, acc)
	JE(LabelRef(name + "_fresh"))
	eachRow(func(m Mem, v VecVirtual, mask Op) { g.load(m, mask, v) })
	Label(name + "_fresh")
	a := []Register{GP64()}
	MOVQ(g.a, a[0])
	if rows > 4 {
		a = append(a, GP64())
		LEAQ(Mem{Base: g.a, Index: g.ras, Scale: 4}, a[1])
	}
	b := GP64()
	MOVQ(g.b, b)
	k := Load(Param("k"), GP64())
	TESTQ(k, k)
	JE(LabelRef(name + "_done"))
	Label(name + "_k")
	bs := make([]VecVirtual, nv)
	for v := range bs {
		bs[v] = g.vec()
		g.load(Mem{Base: b, Disp: v * width}, maskOf(v), bs[v])
	}
	for r := range sums {
		m := Mem{Base: a[r/4]}
		switch r % 4 {
		case 1, 2:
			m.Index, m.Scale = g.ras, uint8(r%4)
		case 3:
			m.Index, m.Scale = g.ras3, 1
		}
		x := g.vec()
		VBROADCASTSS(m, x)
		for v := range bs {
			VFMADD231PS(bs[v], x, sums[r][v])
		}
	}
	for _, p := range a {
		ADDQ(g.cas, p)
	}
	ADDQ(g.ldb, b)
	DECQ(k)
	JNE(LabelRef(name + "_k"))
	Label(name + "_done")
	eachRow(func(m Mem, v VecVirtual, mask Op) { g.store(v, mask, m) })
}

// pack copies rows of up to two registers to follow each other, zeros behind the last column.
func pack() {
	define("pack", "dst, src *float32, lds, m, n int", "copies src[m,n], rows lds apart, to rows of two registers padded with zeros", packBody)
}

func packBody(f *fn) {
	s := f.isa
	dst, src, m, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("m"), GP64()), Load(Param("n"), GP64())
	lds := floats("lds")
	width := 4 * s.lanes
	rows := func(name string, nv int, mask Op) {
		TESTQ(m, m)
		JE(LabelRef("done" + "_" + s.name))
		x := []VecVirtual{s.vec(), s.vec()}
		for v := range x {
			zero(x[v])
		}
		Label(name)
		for v := range x {
			if v < nv {
				mk := mask
				if v < nv-1 {
					mk = nil
				}
				s.load(Mem{Base: src, Disp: v * width}, mk, x[v])
			}
			s.store(x[v], nil, Mem{Base: dst, Disp: v * width})
		}
		ADDQ(lds, src)
		ADDQ(U32(uint32(2*width)), dst)
		DECQ(m)
		JNE(LabelRef(name))
		ret()
	}
	CMPQ(n, U32(uint32(s.lanes)))
	JG(LabelRef("two" + "_" + s.name))
	rows("one_row"+"_"+s.name, 1, s.mask(n))
	Label("two" + "_" + s.name)
	CMPQ(n, U32(uint32(2*s.lanes)))
	JE(LabelRef("full" + "_" + s.name))
	SUBQ(U32(uint32(s.lanes)), n)
	rows("part_row"+"_"+s.name, 2, s.mask(n))
	Label("full" + "_" + s.name)
	rows("full_row"+"_"+s.name, 2, nil)
	Label("done" + "_" + s.name)
}

// transpose8 copies blocks of eight rows and columns.
func transpose8() {
	TEXT("transpose8", 4, "func(dst *float32, ldd int, src *float32, lds, blocks int)")
	Pragma("noescape")
	Doc("transpose8 copies src[8,8*blocks], rows lds apart, to dst[8*blocks,8], rows ldd apart, with AVX.")
	dst, src, blocks := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("blocks"), GP64())
	ldd, lds := floats("ldd"), floats("lds")
	lds3, ldd3, s4, d4 := GP64(), GP64(), GP64(), GP64()
	LEAQ(Mem{Base: lds, Index: lds, Scale: 2}, lds3)
	LEAQ(Mem{Base: ldd, Index: ldd, Scale: 2}, ldd3)
	row := func(lo, hi, stride, stride3 Register, r, disp int) Mem {
		m := Mem{Base: []Register{lo, hi}[r/4], Disp: disp}
		switch r % 4 {
		case 1, 2:
			m.Index, m.Scale = stride, uint8(r%4)
		case 3:
			m.Index, m.Scale = stride3, 1
		}
		return m
	}
	TESTQ(blocks, blocks)
	JE(LabelRef("done"))
	LEAQ(Mem{Base: src, Index: lds, Scale: 4}, s4)
	Label("block")
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, d4)
	// x[h][r]: columns 4h.. of rows r and r+4.
	var x [2][4]VecVirtual
	for h := range x {
		for r := range x[h] {
			v := YMM()
			VBROADCASTF128(row(src, s4, lds, lds3, r, 16*h), v) // for its lower half
			VINSERTF128(U8(1), row(src, s4, lds, lds3, r+4, 16*h), v, v)
			x[h][r] = v
		}
	}
	for h := range x {
		l0, h0, l1, h1 := YMM(), YMM(), YMM(), YMM()
		VUNPCKLPS(x[h][1], x[h][0], l0)
		VUNPCKHPS(x[h][1], x[h][0], h0)
		VUNPCKLPS(x[h][3], x[h][2], l1)
		VUNPCKHPS(x[h][3], x[h][2], h1)
		for c, y := range [][2]VecVirtual{{l0, l1}, {l0, l1}, {h0, h1}, {h0, h1}} {
			z := YMM()
			sel := U8(0x44)
			if c%2 == 1 {
				sel = 0xee
			}
			VSHUFPS(sel, y[1], y[0], z)
			VMOVUPS(z, row(dst, d4, ldd, ldd3, 4*h+c, 0))
		}
	}
	ADDQ(U8(32), src)
	ADDQ(U8(32), s4)
	LEAQ(Mem{Base: d4, Index: ldd, Scale: 4}, dst)
	DECQ(blocks)
	JNE(LabelRef("block"))
	Label("done")
	ret()
}
