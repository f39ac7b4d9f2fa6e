package main

import (
	"fmt"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// fn is a function over vectors. It takes sixteen elements at a time, in one register or two one after the other, so
// that sums come out the same with either instruction set.
type fn struct {
	isa
	labels int
}

// halves is the number of registers of sixteen elements.
func (s isa) halves() int { return 16 / s.lanes }

func ptr(name string) Register { return Load(Param(name), GP64()) }

// scalar fills a register with a parameter.
func (f *fn) scalar(name string) Register {
	v := f.vec()
	VBROADCASTSS(addr(Param(name)), v)
	return v
}

// element is the i-th one of a parameter that points to several.
func (f *fn) element(p Register, i int) Register {
	v := f.vec()
	VBROADCASTSS(Mem{Base: p, Disp: 4 * i}, v)
	return v
}

// chunk is the part of the vectors that a loop's body does: half a chunk of AVX2 at a time.
type chunk struct {
	*fn
	i    Register // of the first element
	half int
	mask Op
}

func (c chunk) mem(p Register) Mem {
	return Mem{Base: p, Index: c.i, Scale: 4, Disp: 4 * c.lanes * c.half}
}
func (c chunk) get(p Register) Register {
	v := c.vec()
	c.load(c.mem(p), c.mask, v)
	return v
}
func (c chunk) put(v Register, p Register) { c.store(v, c.mask, c.mem(p)) }

// keep clears the lanes behind the last element, which may hold anything but zeros.
func (c chunk) keep(v Register) Register {
	switch {
	case c.mask == nil:
		return v
	case c.wide():
		VMOVAPS_Z(v, c.mask, v)
	default:
		VANDPS(c.mask, v, v)
	}
	return v
}

// each makes the loop over the elements.
func (f *fn) each(body func(c chunk)) {
	f.labels++
	number := f.labels
	label := func(s string) string { return fmt.Sprintf("%s%d_%s", s, number, f.name) }
	i, full := GP64(), GP64()
	XORQ(i, i)
	Load(Param("n"), full)
	ANDQ(I32(-16), full)
	JE(LabelRef(label("rest")))
	Label(label("loop"))
	for h := range f.halves() {
		body(chunk{f, i, h, nil})
	}
	ADDQ(I32(16), i)
	CMPQ(i, full)
	JL(LabelRef(label("loop")))
	Label(label("rest"))
	rest := GP64()
	Load(Param("n"), rest)
	SUBQ(i, rest)
	JE(LabelRef(label("end")))
	for h := range f.halves() {
		if h > 0 {
			no := GP64()
			XORQ(no, no)
			SUBQ(U32(8), rest)
			CMOVQMI(no, rest)
		}
		r := GP64()
		MOVQ(rest, r)
		body(chunk{f, i, h, f.isa.mask(r)})
	}
	Label(label("end"))
}

// constants are the numbers that functions use, sixteen times each.
var constants = map[uint32]Mem{}

func bits(b uint32) Mem {
	m, ok := constants[b]
	if !ok {
		m = GLOBL(fmt.Sprintf("c%08x", b), 8|16)
		for i := range 16 {
			DATA(4*i, U32(b))
		}
		constants[b] = m
	}
	return m
}

func num(x float64) Mem { return bits(math.Float32bits(float32(x))) }

// The operations, each into a new register.

func (f *fn) constant(x float64) Register { v := f.vec(); VMOVUPS(num(x), v); return v }
func (f *fn) add(x, y Op) Register        { v := f.vec(); VADDPS(y, x, v); return v }
func (f *fn) sub(x, y Op) Register        { v := f.vec(); VSUBPS(y, x, v); return v }
func (f *fn) mul(x, y Op) Register        { v := f.vec(); VMULPS(y, x, v); return v }
func (f *fn) div(x, y Op) Register        { v := f.vec(); VDIVPS(y, x, v); return v }
func (f *fn) or(x, y Op) Register         { v := f.vec(); VORPS(y, x, v); return v }
func (f *fn) sqrt(x Op) Register          { v := f.vec(); VSQRTPS(x, v); return v }

// min and max are y where one is no number.
func (f *fn) min(x, y Op) Register { v := f.vec(); VMINPS(y, x, v); return v }
func (f *fn) max(x, y Op) Register { v := f.vec(); VMAXPS(y, x, v); return v }

// fma adds x*y to v itself, fnma subtracts it.
func (f *fn) fma(v Register, x, y Op) Register  { VFMADD231PS(y, x, v); return v }
func (f *fn) fnma(v Register, x, y Op) Register { VFNMADD231PS(y, x, v); return v }

// horner is v = v*x + k.
func (f *fn) horner(v Register, x Op, k float64) Register { VFMADD213PS(num(k), x, v); return v }

// bySign is neg where x has a minus sign, else pos.
func (f *fn) bySign(x, pos, neg Register) Register {
	v := f.vec()
	if f.wide() {
		k := K()
		VPMOVD2M(x, k)
		VBLENDMPS(neg, pos, k, v)
	} else {
		VBLENDVPS(x, neg, pos, v)
	}
	return v
}

// sum is a register that sums up, one for each half.
type sum struct {
	*fn
	v []Register
}

func (f *fn) sums() sum {
	s := sum{f, nil}
	for range f.halves() {
		v := f.vec()
		zero(v)
		s.v = append(s.v, v)
	}
	return s
}

// fold brings all lanes together by op, in the first.
func (s sum) fold(op func(ops ...Op)) VecVirtual {
	y := YMM()
	if s.wide() {
		VEXTRACTF64X4(U8(1), s.v[0], y)
		op(y, s.v[0].(Vec).AsY(), y)
	} else {
		op(s.v[1], s.v[0], y)
	}
	x, t := XMM(), XMM()
	VEXTRACTF128(U8(1), y, x)
	op(x, y.AsX(), x)
	VPERMILPS(U8(0x0e), x, t)
	op(t, x, x)
	VPERMILPS(U8(0x01), x, t)
	op(t, x, x)
	return x
}

func addOp(ops ...Op) { VADDPS(ops...) }
func maxOp(ops ...Op) { VMAXPS(ops...) }

// total is the sum of all lanes, in the first.
func (s sum) total() VecVirtual { return s.fold(addOp) }

// result stores x as result i.
func result(x VecVirtual, i int) { VMOVSS(x, addr(ReturnIndex(i))) }

// spread fills a register with x's first lane.
func (f *fn) spread(x VecVirtual) Register { v := f.vec(); VBROADCASTSS(x, v); return v }

// mean is the total divided by n.
func (s sum) mean() Register {
	x, n := s.total(), XMM()
	VXORPS(n, n, n)
	VCVTSI2SSQ(Load(Param("n"), GP64()), n, n)
	VDIVSS(n, x, x)
	return s.spread(x)
}

// exp is e^x for x <= 0, by the polynomial of Moshier's Cephes library (expf); what is above 0 counts as 0.
func (f *fn) exp(x Register) Register {
	least := f.constant(-88) // where 2^n is 0
	x = f.max(least, x)
	no := f.vec()
	zero(no)
	x = f.min(no, x)
	t := f.constant(1.5 * (1 << 23))
	f.fma(t, x, num(math.Log2E))
	n := f.sub(t, num(1.5*(1<<23)))
	f.fnma(x, n, num(0.693359375))
	f.fnma(x, n, num(-2.12194440e-4))
	p := f.constant(1.9875691500e-4)
	for _, k := range []float64{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		f.horner(p, x, k)
	}
	x2 := f.mul(x, x)
	f.fma(x, p, x2)
	y := f.add(x, num(1))
	VPSLLD(U8(23), t, t)
	VPADDD(bits(127<<23), t, t)
	return f.mul(y, t)
}

// logistic is s = 1/(1+exp(-x)) and its derivative.
func (f *fn) logistic(x Register) (s, ds Register) {
	e := f.exp(f.or(x, bits(1<<31)))
	one := f.constant(1)
	d := f.div(one, f.add(e, one))
	ed := f.mul(e, d)
	return f.bySign(x, d, ed), f.mul(ed, d)
}

// gelu is the tanh form of GELU at z and its first two derivatives as far as they are asked for: with
// u = a (z + b z³), a = sqrt(2/pi), b = 0.044715 it is z s, s = 1/(1+exp(-2u)).
func (f *fn) gelu(z Register, derivatives bool) (y, d, dd Register) {
	const a, b = 0.7978845608028654, 0.044715
	// Beyond 30 nothing changes, and nothing overflows.
	w := f.max(f.constant(-30), z)
	w = f.min(f.constant(30), w)
	w2 := f.mul(w, w)
	p := f.constant(2 * a * b)
	f.horner(p, w2, 2*a)
	s, ds := f.logistic(f.mul(p, w))
	y = f.mul(z, s)
	if !derivatives {
		return y, nil, nil
	}
	du := f.constant(3 * 2 * a * b) // of 2u
	f.horner(du, w2, 2*a)
	zdu := f.mul(w, du)
	d = f.mul(zdu, ds)
	d = f.add(d, s)
	// y'' = ds (2 du + z (ddu - t du²)), t = 2s - 1 = tanh u, ddu = 12ab z.
	t := f.add(s, s)
	t = f.sub(t, num(1))
	x := f.mul(w, num(12*a*b))
	f.fnma(x, t, f.mul(du, du))
	x = f.mul(x, w)
	x = f.add(x, f.add(du, du))
	return y, d, f.mul(x, ds)
}

// elementwise makes a function of vectors of one length, without a sum. out says which pointers body's results go to.
func elementwise(name, vectors, scalars, doc string, body func(c chunk, v func(string) Register, k func(string) Register)) {
	params := vectors + " *float32, "
	if scalars != "" {
		params += scalars + " float32, "
	}
	define(name, params+"n int", doc, func(f *fn) {
		ptrs, ks := map[string]Register{}, map[string]Register{}
		for _, p := range split(vectors) {
			ptrs[p] = ptr(p)
		}
		for _, p := range split(scalars) {
			ks[p] = f.scalar(p)
		}
		f.each(func(c chunk) {
			body(c, func(s string) Register { return ptrs[s] }, func(s string) Register { return ks[s] })
		})
	})
}

func vectors() {
	type named = func(string) Register
	elementwise("add", "dst, x", "", "dst += x", func(c chunk, v, _ named) {
		c.put(c.add(c.get(v("dst")), c.get(v("x"))), v("dst"))
	})
	elementwise("plus", "dst, x, y", "", "dst = x + y", func(c chunk, v, _ named) {
		c.put(c.add(c.get(v("x")), c.get(v("y"))), v("dst"))
	})
	elementwise("times", "dst, x, y", "", "dst = x * y", func(c chunk, v, _ named) {
		c.put(c.mul(c.get(v("x")), c.get(v("y"))), v("dst"))
	})
	elementwise("addTimes", "dst, x, y", "", "dst += x * y", func(c chunk, v, _ named) {
		c.put(c.fma(c.get(v("dst")), c.get(v("x")), c.get(v("y"))), v("dst"))
	})
	elementwise("axpy", "dst, x", "alpha", "dst += alpha*x", func(c chunk, v, k named) {
		c.put(c.fma(c.get(v("dst")), k("alpha"), c.get(v("x"))), v("dst"))
	})
	elementwise("scale", "dst", "alpha", "dst *= alpha", func(c chunk, v, k named) {
		c.put(c.mul(c.get(v("dst")), k("alpha")), v("dst"))
	})
	elementwise("scaleAdd", "x, sum", "alpha", "x *= alpha, sum += x", func(c chunk, v, k named) {
		x := c.mul(c.get(v("x")), k("alpha"))
		c.put(x, v("x"))
		c.put(c.add(c.get(v("sum")), x), v("sum"))
	})
	elementwise("scaled", "dst, x, w", "alpha", "dst = x * alpha * w", func(c chunk, v, k named) {
		c.put(c.mul(c.mul(c.get(v("x")), k("alpha")), c.get(v("w"))), v("dst"))
	})
	elementwise("exps", "dst, x, base", "", "dst = exp(x - base), 0 where x is minus infinity", func(c chunk, v, _ named) {
		x := c.get(v("x"))
		e := c.exp(c.sub(x, c.get(v("base"))))
		if c.wide() {
			k := K()
			VCMPPS(U8(4), bits(0xff800000), x, k) // not equal
			VMOVAPS_Z(e, k, e)
		} else {
			k := YMM()
			VCMPPS(U8(4), bits(0xff800000), x, k)
			VANDPS(k, e, e)
		}
		c.put(e, v("dst"))
	})
	elementwise("swiglu", "dst, gate, up", "", "dst = gate * logistic(gate) * up", func(c chunk, v, _ named) {
		z := c.get(v("gate"))
		s, _ := c.logistic(z)
		c.put(c.mul(c.mul(z, s), c.get(v("up"))), v("dst"))
	})
	elementwise("swigluGrad", "dgate, dup, gate, up, dout", "", "the gradients of swiglu, added", func(c chunk, v, _ named) {
		z, g := c.get(v("gate")), c.get(v("dout"))
		s, ds := c.logistic(z)
		c.put(c.fma(c.get(v("dup")), c.mul(g, z), s), v("dup"))
		slope := c.fma(s, z, ds)
		c.put(c.fma(c.get(v("dgate")), c.mul(g, c.get(v("up"))), slope), v("dgate"))
	})
	elementwise("swigluBack", "dgate, dup, gate, up, h", "", "the gradients of swiglu, added, given h's, which becomes gate * logistic(gate) * up", func(c chunk, v, _ named) {
		z, g, u := c.get(v("gate")), c.get(v("h")), c.get(v("up"))
		s, ds := c.logistic(z)
		y := c.mul(z, s)
		c.put(c.fma(c.get(v("dup")), g, y), v("dup"))
		slope := c.fma(s, z, ds)
		c.put(c.fma(c.get(v("dgate")), c.mul(g, u), slope), v("dgate"))
		c.put(c.mul(y, u), v("h"))
	})
	elementwise("gelu", "y, z", "", "y = gelu(z)", func(c chunk, v, _ named) {
		y, _, _ := c.gelu(c.get(v("z")), false)
		c.put(y, v("y"))
	})
	elementwise("geluSlopes", "y, d, dd, z", "", "y = gelu(z), d and dd its derivatives", func(c chunk, v, _ named) {
		y, d, dd := c.gelu(c.get(v("z")), true)
		c.put(y, v("y"))
		c.put(d, v("d"))
		c.put(dd, v("dd"))
	})
	elementwise("rotate", "dst, x, t", "", "dst = x by pairs as complex numbers, times t", func(c chunk, v, _ named) {
		c.put(c.rotated(c.get(v("x")), c.get(v("t")), false), v("dst"))
	})
	elementwise("addRotated", "dst, x, t", "", "dst += x by pairs as complex numbers, times t's conjugate", func(c chunk, v, _ named) {
		c.put(c.add(c.get(v("dst")), c.rotated(c.get(v("x")), c.get(v("t")), true)), v("dst"))
	})
	elementwise("normGrad", "dx, x, w, grad", "a, c, m, p", "dx += a * (w*g - c - (x-m)*p)", func(c chunk, v, k named) {
		y := c.sub(c.mul(c.get(v("w")), c.get(v("grad"))), k("c"))
		c.fnma(y, c.sub(c.get(v("x")), k("m")), k("p"))
		c.put(c.fma(c.get(v("dx")), k("a"), y), v("dx"))
	})
	elementwise("normGradW", "dw, x, grad", "m, r", "dw += g * (x-m) * r", func(c chunk, v, k named) {
		y := c.mul(c.sub(c.get(v("x")), k("m")), k("r"))
		c.put(c.fma(c.get(v("dw")), c.get(v("grad")), y), v("dw"))
	})
	elementwise("scanGrad", "dq, dk, dv, grad, yq, yk, du, w", "", "dq += grad + yq, dk += yk + du*w, dv -= du*w", func(c chunk, v, _ named) {
		c.put(c.add(c.get(v("dq")), c.add(c.get(v("grad")), c.get(v("yq")))), v("dq"))
		y := c.mul(c.get(v("du")), c.get(v("w")))
		c.put(c.add(c.get(v("dk")), c.add(c.get(v("yk")), y)), v("dk"))
		c.put(c.sub(c.get(v("dv")), y), v("dv"))
	})
	define("addRows", "dst, x *float32, m, n int", "dst += the sum of x[m,n] over m >= 1", func(f *fn) {
		dst, x, lds := ptr("dst"), ptr("x"), floats("n")
		f.each(func(c chunk) {
			v, p, m := c.get(dst), GP64(), Load(Param("m"), GP64())
			LEAQ(c.mem(x), p)
			f.labels++
			row := fmt.Sprintf("row%d_%s", f.labels, f.name)
			Label(row)
			t := c.vec()
			c.load(Mem{Base: p}, c.mask, t)
			VADDPS(t, v, v)
			ADDQ(lds, p)
			DECQ(m)
			JNE(LabelRef(row))
			c.put(v, dst)
		})
	})
}

// rotated are pairs of x as complex numbers times those of t, or t's conjugates.
func (f *fn) rotated(x, t Register, conjugate bool) Register {
	cos, sin, y := f.vec(), f.vec(), f.vec()
	VMOVSLDUP(t, cos)
	VMOVSHDUP(t, sin)
	VPERMILPS(U8(0xb1), x, y)
	VMULPS(sin, y, y)
	if conjugate {
		VFMSUBADD213PS(y, cos, x)
	} else {
		VFMADDSUB213PS(y, cos, x)
	}
	return x
}

// sums are the functions that return numbers.
func sums() {
	define("dot", "x, y *float32, n int) (s float32", "the scalar product", func(f *fn) {
		x, y, t := ptr("x"), ptr("y"), f.sums()
		f.each(func(c chunk) { c.fma(t.v[c.half], c.get(x), c.get(y)) })
		result(t.total(), 0)
	})

	define("addDot", "x, y, z *float32, n int) (s float32", "x += y, and the scalar product of that with z", func(f *fn) {
		x, y, t := ptr("x"), ptr("y"), f.sums()
		z := ptr("z")
		f.each(func(c chunk) {
			v := c.add(c.get(x), c.get(y))
			c.put(v, x)
			c.fma(t.v[c.half], v, c.get(z))
		})
		result(t.total(), 0)
	})

	define("rateBack", "r, a, lr, dlr *float32, ti float32, n int) (s float32", "s = sum of r*a*lr, dlr -= ti*r*a, r *= -ti*lr", func(f *fn) {
		r, a, lr, dlr, t := ptr("r"), ptr("a"), ptr("lr"), ptr("dlr"), f.sums()
		ti := f.scalar("ti")
		f.each(func(c chunk) {
			rate, y := c.get(lr), c.get(r)
			e := c.mul(y, c.get(a))
			c.fma(t.v[c.half], e, rate)
			c.put(c.fnma(c.get(dlr), e, ti), dlr)
			no := c.vec()
			zero(no)
			c.put(c.mul(y, c.fnma(no, rate, ti)), r)
		})
		result(t.total(), 0)
	})

	define("normSums", "x, w, grad *float32, m float32, n int) (s, p float32", "the sums of w*g and of w*g*(x-m)", func(f *fn) {
		x, w, g, t, p, m := ptr("x"), ptr("w"), ptr("grad"), f.sums(), f.sums(), f.scalar("m")
		f.each(func(c chunk) {
			v := c.mul(c.get(w), c.get(g))
			c.fma(p.v[c.half], v, c.sub(c.get(x), m))
			a := t.v[c.half]
			VADDPS(v, a, a)
		})
		result(t.total(), 0)
		result(p.total(), 1)
	})

	define("expSum", "x *float32, base float32, n int) (s float32", "x = exp(x - base), and their sum", func(f *fn) {
		x, b, t := ptr("x"), f.scalar("base"), f.sums()
		f.each(func(c chunk) {
			e := c.exp(c.sub(c.get(x), b))
			c.put(e, x)
			a := t.v[c.half]
			VADDPS(c.keep(e), a, a)
		})
		result(t.total(), 0)
	})

	define("most", "x *float32, n int) (s float32", "the largest element; one that is no number may be left out", func(f *fn) {
		x, t := ptr("x"), f.sums()
		for _, v := range t.v {
			VMOVUPS(bits(0xff800000), v)
		}
		f.each(func(c chunk) {
			v, a := c.get(x), t.v[c.half]
			switch {
			case c.mask == nil:
				VMAXPS(v, a, a)
			case c.wide():
				VMAXPS(v, a, c.mask, a)
			default:
				VBLENDVPS(c.mask, v, a, v)
				VMAXPS(v, a, a)
			}
		})
		result(t.fold(maxOp), 0)
	})
}

// moments begins a LayerNorm over z: its mean and 1/sqrt(variance + eps).
func (f *fn) moments(z Register) (mean, r Register) {
	t, q := f.sums(), f.sums()
	f.each(func(c chunk) {
		a := t.v[c.half]
		VADDPS(c.get(z), a, a)
	})
	mean = t.mean()
	f.each(func(c chunk) {
		d := c.keep(c.sub(c.get(z), mean))
		c.fma(q.v[c.half], d, d)
	})
	v := f.add(q.mean(), f.scalar("eps"))
	one := f.constant(1)
	return mean, f.div(one, f.sqrt(v))
}

// norms are the functions of LayerNorm.
func norms() {
	define("layerNorm", "dst, x, w, b *float32, eps float32, n int) (mean, r float32", "dst = (x - mean)*r * w + b, the LayerNorm of x", func(f *fn) {
		dst, x, w, b := ptr("dst"), ptr("x"), ptr("w"), ptr("b")
		mean, r := f.moments(x)
		f.each(func(c chunk) {
			v := c.mul(c.sub(c.get(x), mean), r)
			c.put(c.fma(c.get(b), v, c.get(w)), dst)
		})
		result(mean.(VecVirtual).AsX().(VecVirtual), 0)
		result(r.(VecVirtual).AsX().(VecVirtual), 1)
	})

	define("normOut", "dst, z, q, w, b *float32, eps float32, n int", "dst = q + LayerNorm(z)", func(f *fn) {
		dst, z, q, w, b := ptr("dst"), ptr("z"), ptr("q"), ptr("w"), ptr("b")
		mean, r := f.moments(z)
		f.each(func(c chunk) {
			v := c.mul(c.sub(c.get(z), mean), r)
			y := c.add(c.get(q), c.get(b))
			c.put(c.fma(y, v, c.get(w)), dst)
		})
	})

	define("normBack", "dz, z, w, grad, dw, db *float32, eps float32, n int", "dz is the gradient at z of the LayerNorm whose output has the gradient g; dw and db add up those of its weights", func(f *fn) {
		dz, z, w, g, dw, db := ptr("dz"), ptr("z"), ptr("w"), ptr("grad"), ptr("dw"), ptr("db")
		mean, r := f.moments(z)
		mu, mux := f.sums(), f.sums()
		f.each(func(c chunk) {
			x, v := c.mul(c.sub(c.get(z), mean), r), c.get(g)
			c.put(c.fma(c.get(dw), v, x), dw)
			c.put(c.add(c.get(db), v), db)
			d := c.mul(v, c.get(w))
			c.put(d, dz)
			a := mu.v[c.half]
			VADDPS(d, a, a)
			c.fma(mux.v[c.half], d, x)
		})
		m, mx := mu.mean(), mux.mean()
		f.each(func(c chunk) {
			x := c.mul(c.sub(c.get(z), mean), r)
			d := c.sub(c.get(dz), m)
			c.fnma(d, x, mx)
			c.put(c.mul(d, r), dz)
		})
	})

	define("innerGrad", "z, grad, w, b, v, k *float32, eps float32, n int) (r float32", "g is the gradient at z of |LayerNorm(z) - (v - k)|²/2; z becomes (z - mean)*r", func(f *fn) {
		z, g, w, b := ptr("z"), ptr("grad"), ptr("w"), ptr("b")
		v, k := ptr("v"), ptr("k")
		mean, r := f.moments(z)
		mu, mux := f.sums(), f.sums()
		f.each(func(c chunk) {
			x := c.mul(c.sub(c.get(z), mean), r)
			c.put(x, z)
			gamma := c.get(w)
			e := c.add(c.sub(c.get(b), c.get(v)), c.get(k))
			c.fma(e, gamma, x)
			u := c.mul(e, gamma)
			c.put(u, g)
			a := mu.v[c.half]
			VADDPS(u, a, a)
			c.fma(mux.v[c.half], u, x)
		})
		m, mx := mu.mean(), mux.mean()
		f.each(func(c chunk) {
			u := c.sub(c.get(g), m)
			c.fnma(u, c.get(z), mx)
			c.put(c.mul(u, r), g)
		})
		result(r.(VecVirtual).AsX().(VecVirtual), 0)
	})

	define("innerBack", "dg, du, x, grad, w, b, v, k, dw, db *float32, r float32, n int", "the way back through innerGrad: dg, the gradient at g, becomes that at z before; du, and what is added to dw and db, come from those at w and b", func(f *fn) {
		dg, du, x, g, w, b := ptr("dg"), ptr("du"), ptr("x"), ptr("grad"), ptr("w"), ptr("b")
		v, k, dw, db := ptr("v"), ptr("k"), ptr("dw"), ptr("db")
		errorAt := func(c chunk, xh, gamma Register) Register { // gamma*xh + b - (v - k)
			e := c.add(c.sub(c.get(b), c.get(v)), c.get(k))
			return c.fma(e, gamma, xh)
		}
		sc, sp, sm, sg := f.sums(), f.sums(), f.sums(), f.sums()
		f.each(func(c chunk) {
			xh, gamma, d := c.get(x), c.get(w), c.get(dg)
			u := c.mul(errorAt(c, xh, gamma), gamma)
			c.fma(sc.v[c.half], u, xh)
			c.fma(sp.v[c.half], d, xh)
			a := sm.v[c.half]
			VADDPS(d, a, a)
			c.fma(sg.v[c.half], d, c.get(g))
		})
		mc, mp, md, mg := sc.mean(), sp.mean(), sm.mean(), sg.mean()
		r := f.scalar("r")
		f.each(func(c chunk) {
			xh, gamma := c.get(x), c.get(w)
			y := c.sub(c.get(dg), md)
			c.fnma(y, xh, mp)
			y = c.mul(y, r)
			c.put(y, du)
			c.put(c.fma(c.get(db), y, gamma), db)
			e := errorAt(c, xh, gamma)
			c.fma(e, gamma, xh)
			c.put(c.fma(c.get(dw), y, e), dw)
		})
		mc, mp, mg = f.mul(mc, r), f.mul(mp, r), f.mul(mg, r)
		sm, sp = f.sums(), f.sums()
		f.each(func(c chunk) {
			xh, gamma := c.get(x), c.get(w)
			dx := c.mul(errorAt(c, xh, gamma), gamma)
			dx = c.mul(dx, mp)
			c.fma(dx, c.get(dg), mc)
			y := c.mul(c.get(du), gamma)
			VFMSUB231PS(gamma, y, dx) // y*gamma - dx
			c.put(dx, dg)
			dx = c.keep(dx)
			a := sm.v[c.half]
			VADDPS(dx, a, a)
			c.fma(sp.v[c.half], dx, xh)
		})
		md, mp = sm.mean(), sp.mean()
		r = f.scalar("r")
		// Through the standard deviation too: -mg*n, times x/n.
		f.each(func(c chunk) {
			xh := c.get(x)
			d := c.sub(c.get(dg), md)
			c.fnma(d, xh, mp)
			d = c.mul(d, r)
			c.put(c.fnma(d, xh, mg), dg)
		})
	})

	define("adamw", "p, grad, m, v, h *float32, scale, decay float32, n int", "a step of AdamW with the first seven hyper-parameters of its tensor h", func(f *fn) {
		p, g, m1, v, h := ptr("p"), ptr("grad"), ptr("m"), ptr("v"), ptr("h")
		scale, decay := f.scalar("scale"), f.scalar("decay")
		var hyper [7]Register
		for i := range hyper {
			hyper[i] = f.element(h, i)
		}
		f.each(func(c chunk) {
			gi := c.mul(c.get(g), scale)
			mi := c.fma(c.mul(c.get(m1), hyper[1]), gi, hyper[2])
			vi := c.mul(c.get(v), hyper[3])
			c.put(mi, m1)
			c.fma(vi, c.mul(gi, hyper[4]), gi)
			c.put(vi, v)
			root := c.mul(c.sqrt(vi), hyper[5])
			root = c.add(root, hyper[6])
			step := c.div(c.mul(mi, hyper[0]), root)
			pi := c.get(p)
			c.fma(step, pi, decay)
			c.put(c.sub(pi, step), p)
		})
	})
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ", ")
}

// addr is where a parameter or a result lies.
func addr(c gotypes.Component) Mem {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}
