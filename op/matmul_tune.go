package op

import (
	"fmt"
	"slices"

	"innerloop/prog"
)

// matmulShape is how a shader shares out: an invocation does tm x tn elements, a workgroup is wx x wy invocations.
type matmulShape struct{ tm, tn, wx, wy int }

func (w matmulShape) grid(c matmulC) [3]int {
	return [3]int{prog.CeilDiv(c.N, w.tn*w.wx), prog.CeilDiv(c.M, w.tm*w.wy), c.Batch}
}

// fit makes the workgroup 64 invocations, as square as leaves none of them without work where c allows that.
func (w matmulShape) fit(c matmulC) matmulShape {
	w.wx, w.wy = 8, 8
	for w.wx > 1 && w.wx/2*w.tn >= c.N {
		w.wx, w.wy = w.wx/2, w.wy*2
	}
	for w.wy > 1 && w.wy/2*w.tm >= c.M {
		w.wy /= 2
		if w.wx*w.tn < c.N {
			w.wx *= 2
		}
	}
	return w
}

func matmulAnyTile(c matmulAnyC) matmulShape {
	return matmulShape{tm: 4, tn: 4}.fit(c.base())
}

// The shaders of a product, beside the one of its name, that shaders/gen makes.
const (
	matmulOneByOne = "_k1"   // takes k one by one; there is none of matmul_tn, whose KS says it
	matmulTiled    = "_tile" // through workgroup memory
)

// matmulShaders are the files of a product.
func matmulShaders(name string) []string {
	if name == "matmul_tn" {
		return []string{name, name + matmulTiled}
	}
	return []string{name, name + matmulOneByOne, name + matmulTiled}
}

// matmulVariants are the ways to compute a product on a device. Every one sums an element's products one after the
// other, k ascending, in the same expression, so that all give the same bits.
func matmulVariants(name string, c matmulC, t prog.Traits) []prog.Variant {
	var vs []prog.Variant
	add := func(v prog.Variant) {
		if !slices.ContainsFunc(vs, func(w prog.Variant) bool { return w.Name == v.Name }) {
			vs = append(vs, v)
		}
	}
	direct := func(tm, tn int) { add(matmulDirect(name, c, t, tm, tn)) }
	tm, tn := matmulTile(c, t)
	direct(tm, tn)
	if t.Software {
		for _, s := range [][2]int{{16, 16}, {16, 8}, {8, 16}, {8, 8}} {
			if s[0] < 2*c.M && s[1] < 2*c.N && (s[0]*s[1] < 256 || !t.ShortLoops) {
				direct(s[0], s[1])
			}
		}
		return vs
	}
	for _, s := range [][4]int{{8, 8, 16, 16}, {8, 8, 8, 8}, {4, 4, 16, 16}} {
		w := matmulShape{s[0], s[1], s[2], s[3]}
		if w.tm*w.wy < 2*c.M && w.tn*w.wx < 2*c.N && w.wx*w.wy <= t.MaxInvocations {
			add(matmulThroughTiles(name, c, w))
		}
	}
	direct(8, 8)
	direct(4, 4)
	return vs
}

// matmulTile gives each invocation 8 x 8 elements, the most that a GPU's registers hold, or 4 x 4 where a GPU would
// otherwise have too few invocations to be busy: the gradient of a weight is small and its sums are long. On a CPU,
// whose registers hold neither, loads are what costs, and 16 x 16 have the fewest; but they compile for long.
func matmulTile(c matmulC, t prog.Traits) (tm, tn int) {
	const (
		busy = 8192      // invocations
		long = 100 << 20 // floating-point operations
	)
	tm, tn = 8, 8
	switch {
	case t.Software && !t.ShortLoops && c.M >= 64 && c.N >= 64 && c.flops() >= long:
		return 16, 16
	case !t.Software && c.Batch*prog.CeilDiv(c.M, 8)*prog.CeilDiv(c.N, 8) < busy:
		tm, tn = 4, 4
	}
	if c.M <= 4 {
		tm = 4
	}
	if c.N <= 4 {
		tn = 4
	}
	return tm, tn
}

// matmulDirect reads a and b where they are. On a CPU that likes short loops it takes k one by one.
func matmulDirect(name string, c matmulC, t prog.Traits, tm, tn int) prog.Variant {
	w := matmulShape{tm: tm, tn: tn}.fit(c)
	v := w.variant(name, c)
	short := t.Software && t.ShortLoops
	switch {
	case name == "matmul_tn" && (short || c.K%4 != 0):
		v.Consts["KS"] = 1
	case name == "matmul_tn":
		v.Consts["KS"] = 4
	case short:
		v.Shader += matmulOneByOne
	}
	return v
}

// matmulThroughTiles has each workgroup read its rows of a and columns of b once, 8 or 16 of the summands at a time,
// into at most 9 KiB of its memory.
func matmulThroughTiles(name string, c matmulC, w matmulShape) prog.Variant {
	v := w.variant(name, c)
	v.Name = fmt.Sprintf("tile %dx%d %dx%d", w.tm, w.tn, w.wx, w.wy)
	v.Shader += matmulTiled
	v.Consts["BK"] = 8
	if w.tm*w.wy <= 64 && w.tn*w.wx <= 64 {
		v.Consts["BK"] = 16
	}
	return v
}

// variant is w's, of the shader of the product's name.
func (w matmulShape) variant(name string, c matmulC) prog.Variant {
	return prog.Variant{
		Name: fmt.Sprintf("%dx%d", w.tm, w.tn), Shader: name, Grid: w.grid(c),
		Consts: map[string]any{"TM": w.tm, "TN": w.tn, "WX": w.wx, "WY": w.wy},
	}
}
