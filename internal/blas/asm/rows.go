package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// block is the number of rows of b whose sums a register holds.
const block = 8

// fewRows is a product of m rows of a with the rows of b: dst[i,j] = (acc ? dst[i,j] : 0) + sum over p of
// a[i*k+p] * b[j*k+p], one multiply-add after the other. A register holds the sums of a block of rows of b, of which
// four columns at a time are transposed in registers. Several blocks go side by side, since each sum waits for its last
// multiply-add. It is AVX2 at both levels: transposing is most of the work, and half as wide more units can do it.
//
// Blocks that would reach behind row n begin at row n-8 instead, and only their new sums are written.
type fewRows struct {
	m, blocks int
	j         Mem         // the first row of b of the blocks under way
	a         Register    // these point to the next column of the first row
	b         []Register  // each block's
	stride    [8]Register // 1, 3, 5 and 7 rows of k elements in bytes
	sums      [][]VecVirtual
}

func rows() {
	for i, blocks := range []int{4, 4, 2, 2} {
		g := &fewRows{m: i + 1, blocks: blocks}
		name := fmt.Sprintf("rows%d", g.m)
		TEXT(name, 4, "func(dst, a, b *float32, n, k int, acc bool)")
		Pragma("noescape")
		Doc(fmt.Sprintf("%s: dst[%d,n] (+)= a[%d,k] * b[n,k], b transposed, with AVX2; n is %d or more.", name, g.m, g.m, block))
		g.body()
	}
}

func (g *fewRows) body() {
	k := Load(Param("k"), GP64())
	g.stride[1] = floats("k")
	for i := 3; i < len(g.stride); i += 2 {
		g.stride[i] = GP64()
		LEAQ(Mem{Base: g.stride[i-2], Index: g.stride[1], Scale: 2}, g.stride[i])
	}
	g.j = AllocLocal(8)
	MOVQ(I32(0), g.j)

	Label("blocks")
	g.start()
	count := GP64()
	MOVQ(k, count)
	SHRQ(U8(4), count)
	JE(LabelRef("fours"))
	Label("lines")
	for i := 0; i < g.blocks; i += 2 { // a pair of blocks uses up its lines: where rows are a multiple of 4 KiB, more do not fit
		for c := 0; c < 16; c += 4 {
			g.four(i, c)
			g.four(i+1, c)
		}
	}
	g.forward(64)
	DECQ(count)
	JNE(LabelRef("lines"))
	Label("fours")
	MOVQ(k, count)
	SHRQ(U8(2), count)
	ANDQ(U8(3), count)
	JE(LabelRef("rest"))
	Label("four")
	for i := range g.b {
		g.four(i, 0)
	}
	g.forward(16)
	DECQ(count)
	JNE(LabelRef("four"))
	Label("rest")
	MOVQ(k, count)
	ANDQ(U8(3), count)
	JE(LabelRef("write"))
	Label("column")
	for i := range g.b {
		g.fma(i, 0, g.column(i))
	}
	g.forward(4)
	DECQ(count)
	JNE(LabelRef("column"))
	Label("write")
	g.write()
	j := GP64()
	MOVQ(g.j, j)
	ADDQ(U8(uint8(block*g.blocks)), j)
	MOVQ(j, g.j)
	CMPQ(j, Load(Param("n"), GP64()))
	JL(LabelRef("blocks"))
	ret()
}

// row is block i's row r of b.
func (g *fewRows) row(i, r, disp int) Mem {
	m := Mem{Base: g.b[i], Disp: disp}
	switch r {
	case 0:
	case 6:
		m.Index, m.Scale = g.stride[3], 2
	case 1, 2, 4:
		m.Index, m.Scale = g.stride[1], uint8(r)
	default:
		m.Index, m.Scale = g.stride[r], 1
	}
	return m
}

func (g *fewRows) forward(bytes uint8) {
	for _, p := range append([]Register{g.a}, g.b...) {
		ADDQ(U8(bytes), p)
	}
}

// four does four columns of block i, the first c behind the next one.
func (g *fewRows) four(i, c int) {
	var x [4]VecVirtual
	for r := range x {
		x[r] = YMM()
		VBROADCASTF128(g.row(i, r, 4*c), x[r]) // for its lower half
		VINSERTF128(U8(1), g.row(i, r+4, 4*c), x[r], x[r])
	}
	l0, h0, l1, h1 := YMM(), YMM(), YMM(), YMM()
	VUNPCKLPS(x[1], x[0], l0)
	VUNPCKHPS(x[1], x[0], h0)
	VUNPCKLPS(x[3], x[2], l1)
	VUNPCKHPS(x[3], x[2], h1)
	var z [4]VecVirtual
	for j, y := range [][2]VecVirtual{{l0, l1}, {l0, l1}, {h0, h1}, {h0, h1}} {
		z[j] = YMM()
		VSHUFPS([]Constant{U8(0x44), U8(0xee)}[j%2], y[1], y[0], z[j])
	}
	for j, v := range z {
		g.fma(i, c+j, v)
	}
}

// column is one column of block i.
func (g *fewRows) column(i int) Register {
	var half [2]VecVirtual
	for h := range half {
		half[h] = YMM()
		x := half[h].AsX()
		VBROADCASTSS(g.row(i, 4*h, 0), half[h])
		for r := 1; r < 4; r++ {
			VINSERTPS(U8(16*r), g.row(i, 4*h+r, 0), x, x)
		}
	}
	VINSERTF128(U8(1), half[1].AsX(), half[0], half[0])
	return half[0]
}

// fma adds column c, v of block i, times a.
func (g *fewRows) fma(i, c int, v Register) {
	for r, s := range g.sums[i] {
		m := Mem{Base: g.a, Disp: 4 * c}
		switch r {
		case 1, 2:
			m.Index, m.Scale = g.stride[1], uint8(r)
		case 3:
			m.Index, m.Scale = g.stride[3], 1
		}
		x := YMM()
		VBROADCASTSS(m, x)
		VFMADD231PS(v, x, s)
	}
}

// first is where block i begins, and how many rows sooner than those before it end.
func (g *fewRows) first(i int) (j, sooner Register) {
	j, sooner = GP64(), GP64()
	MOVQ(g.j, j)
	if i > 0 {
		ADDQ(U8(uint8(i*block)), j)
	}
	MOVQ(j, sooner)
	last := GP64()
	Load(Param("n"), last)
	SUBQ(U8(block), last)
	CMPQ(j, last)
	CMOVQGT(last, j)
	SUBQ(j, sooner)
	return j, sooner
}

// out is where the sums of a block that begins at j go, the first row's; next goes on to the next row.
func (g *fewRows) out(j Register) (d Register, next func()) {
	d = GP64()
	Load(Param("dst"), d)
	LEAQ(Mem{Base: d, Index: j, Scale: 4}, d)
	n := GP64()
	if g.m > 1 {
		Load(Param("n"), n)
		SHLQ(U8(2), n)
	}
	return d, func() { ADDQ(n, d) }
}

// start begins the next blocks.
func (g *fewRows) start() {
	g.a = Load(Param("a"), GP64())
	g.b, g.sums = nil, nil
	for i := range g.blocks {
		g.sums = append(g.sums, nil)
		for range g.m {
			v := YMM()
			zero(v)
			g.sums[i] = append(g.sums[i], v)
		}
		b := GP64()
		g.b = append(g.b, b)
		fresh := fmt.Sprintf("fresh%d", i)
		j, _ := g.first(i)
		MOVQ(j, b)
		IMULQ(g.stride[1], b)
		ADDQ(Load(Param("b"), GP64()), b)
		acc := Load(Param("acc"), GP8())
		TESTB(acc, acc)
		JE(LabelRef(fresh))
		d, next := g.out(j)
		for r, v := range g.sums[i] {
			if r > 0 {
				next()
			}
			VMOVUPS(Mem{Base: d}, v)
		}
		Label(fresh)
	}
}

// write writes the blocks' sums.
func (g *fewRows) write() {
	for i, sums := range g.sums {
		whole, end := fmt.Sprintf("whole%d", i), fmt.Sprintf("end%d", i)
		j, sooner := g.first(i)
		d, next := g.out(j)
		each := func(mask Op) {
			for r, v := range sums {
				if r > 0 {
					next()
				}
				isas[1].store(v, mask, Mem{Base: d})
			}
		}
		TESTQ(sooner, sooner)
		JE(LabelRef(whole))
		CMPQ(sooner, U8(block))
		JGE(LabelRef(end))
		each(maskBehind(sooner))
		JMP(LabelRef(end))
		Label(whole)
		each(nil)
		Label(end)
	}
}
