package ttt

import (
	"math/bits"

	"innerloop/prog"
)

// columns is how the scan is shared out where invocations are lanes of a vector: each walks c4 vec4 of a head's columns,
// which it keeps in variables of its own. See shaders/ttt_linear_fwd_columns.wgsl.
type columns struct{ wg, c4 int }

// The lanes of a vector, and how many words of K and Q a workgroup holds at most: a quarter of its memory each.
const lanes, columnWords = 8, 1024

// columnsOf is how c is shared out by columns, on a device where that is faster: one where a load is a loop over the
// lanes of a vector. It has to fit; and the products, which are written out, compile for long where heads are larger.
func (c linearC) columnsOf(t prog.Traits) (x columns, ok bool) {
	x = columns{wg: min(lanes, c.F/4)}
	if !t.Software || t.ShortLoops || c.F < 16 || c.F > 64 || bits.OnesCount(uint(c.F)) != 1 {
		return x, false
	}
	x.c4 = c.F / 4 / x.wg
	return x, c.kp() <= 4*x.wg && c.K*c.F <= columnWords
}

// roundsFwdColumns is what one of x's invocations makes for a mini-batch of the forward pass, at most, and beside.
func (c linearC) roundsFwdColumns(x columns) (each, fixed int) {
	own, k4, steps := 4*x.c4, c.kp()/4, bits.Len(uint(x.wg))
	state := (c.F + 2) * (own + 2)
	share := func(n int) int { return prog.CeilDiv(n, x.wg) + 1 }
	begin := state + c.K + share(c.K*c.F/2) + c.F + 2 + share(c.state())
	tokens := share(k4*k4)*(c.F/4+2) + c.K*(3*steps+4) + 4*k4*own + 1
	step := c.K*(own+2) + c.F/4 + 1
	return begin + tokens + step + 10, 2*state + 20
}

// fwd is how the forward scan is computed on a device.
func (c linearC) fwd(t prog.Traits) prog.Variant {
	v := prog.Variant{Name: "tiles", Shader: "ttt_linear_fwd", Grid: prog.Grid1(c.B*c.H, t)}
	n := c.batchesPerPart(t)
	if x, ok := c.columnsOf(t); ok {
		v.Name, v.Shader = "columns", "ttt_linear_fwd_columns"
		v.Consts = map[string]any{
			"WG": x.wg, "STEPS": bits.Len(uint(x.wg)) - 1, "C4": x.c4, "F4": c.F / 4, "K4": c.kp() / 4, "WORK": c.walkFwd(), "MP": n,
		}
		return v
	}
	v.Consts = tileOf(workgroup(t), t).consts("MP", n)
	return v
}
