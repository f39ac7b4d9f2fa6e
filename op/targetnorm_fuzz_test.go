package op_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/prog"
)

// targetNormData is one case for a recorded TargetNorm.
type targetNormData struct {
	xv, xk, w, b, dout []float32
	eps                float32
}

// holds checks what TargetNorm guarantees of every finite input: the bound of z, a finite std >= 0, a finite output
// where the exact one is far from the largest float32, and finite gradients where the exact ones are below 1e30.
func (n *targetNorm) holds(t testing.TB, x targetNormData) error {
	t.Helper()
	n.t = t
	for to, v := range map[*prog.Tensor][]float32{n.xv: x.xv, n.xk: x.xk, n.w: x.w, n.b: x.b, n.dout: x.dout} {
		n.write(to, v)
	}
	n.step(x.eps)
	f := n.xv.Dim(-1)
	want := targetNormExact(x, f)
	bound := math.Sqrt(float64(f-1)) * (1 + 1e-5)
	for i, v := range n.gotZ {
		if !(math.Abs(float64(v)) <= bound) {
			return fmt.Errorf("F=%d, eps=%g: z[%d] = %g, want at most %g", f, x.eps, i, v, bound)
		}
	}
	for i, v := range n.gotStd {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return fmt.Errorf("F=%d, eps=%g: std[%d] = %g", f, x.eps, i, v)
		}
	}
	for _, c := range []struct {
		name string
		got  []float32
		want []float64
	}{{"out", n.gotOut, want.out}, {"dxv", n.gotDXV, want.dxv}, {"dxk", n.gotDXK, want.dxk}, {"dw", n.gotDW, want.dw}, {"db", n.gotDB, want.db}} {
		for i, v := range c.got {
			if v-v != 0 && math.Abs(c.want[i]) < 1e30 {
				return fmt.Errorf("F=%d, eps=%g: %s[%d] = %g, want about %g", f, x.eps, c.name, i, v, c.want[i])
			}
		}
	}
	return nil
}

type targetNormResults struct{ out, dxv, dxk, dw, db []float64 }

// targetNormExact is the formula and its gradients as they stand, in float64.
func targetNormExact(x targetNormData, f int) (y targetNormResults) {
	n := len(x.xv)
	y.dw, y.db = make([]float64, len(x.w)), make([]float64, len(x.w))
	for row := 0; row < n; row += f {
		z, std := targetNormFloat64(x.xv[row:row+f], x.xk[row:row+f], float64(x.eps))
		if f == 1 {
			std = 0
		}
		den := std + float64(x.eps)
		var mean, dot float64
		for i := range f {
			p := (row + i) % len(x.w)
			if std == 0 {
				z[i] = 0
			}
			g := float64(x.dout[row+i]) * float64(x.w[p])
			mean += g / float64(f)
			dot += g * z[i]
			y.out = append(y.out, z[i]*float64(x.w[p])+float64(x.b[p])+float64(x.xk[row+i]))
			y.dw[p] += float64(x.dout[row+i]) * z[i]
			y.db[p] += float64(x.dout[row+i])
		}
		for i := range f {
			var d float64
			if den > 0 {
				d = (float64(x.dout[row+i])*float64(x.w[(row+i)%len(x.w)]) - mean) / den
			}
			if std > 0 {
				d -= z[i] * dot / std / float64(f-1)
			}
			y.dxv = append(y.dxv, d)
			y.dxk = append(y.dxk, float64(x.dout[row+i])-d)
		}
	}
	return y
}

// epsToTry are the values of eps that people choose, and the ends of what they can.
var epsToTry = []float32{0, 1e-45, 1e-8, 1e-5, 1e-3, 1, math.MaxFloat32}

// Rows of every kind, seen through weights and gradients of every size.
func TestTargetNormHolds(t *testing.T) { gputest.Each(t, targetNormHolds) }

func targetNormHolds(t *testing.T, ex prog.Executor) {
	const tokens = 4
	heads := len(kindsOfRows)
	sizes := []struct {
		name string
		of   func(r *rand.Rand) float32
	}{
		{"normal", normal},
		{"one", func(*rand.Rand) float32 { return 1 }},
		{"zero", func(*rand.Rand) float32 { return 0 }},
		{"tiny", func(r *rand.Rand) float32 { return 1e-30 * normal(r) }},
		{"huge", func(r *rand.Rand) float32 { return 1e30 * normal(r) }},
		{"mixed", func(r *rand.Rand) float32 { return normal(r) * float32(math.Pow(10, float64(r.IntN(60)-30))) }},
		{"mostly zero", func(r *rand.Rand) float32 { return 1e30 * float32(max(0, r.IntN(6)-4)) }},
	}
	for _, f := range []int{1, 2, 3, 16, 64, 128} {
		r := rand.New(rand.NewPCG(uint64(f), 6))
		n := newTargetNorm(t, ex, tokens, heads, f)
		for _, w := range sizes {
			for _, g := range sizes {
				x := targetNormData{eps: epsToTry[r.IntN(len(epsToTry))], xv: make([]float32, n.xv.Len()), xk: make([]float32, n.xv.Len()), b: make([]float32, n.b.Len())}
				for row := range tokens * heads {
					kindsOfRows[row%heads].row(r, f, x.xv[row*f:], x.xk[row*f:])
				}
				for range n.w.Len() {
					x.w = append(x.w, w.of(r))
				}
				for range x.xv {
					x.dout = append(x.dout, g.of(r))
				}
				for range 2 {
					if err := n.holds(t, x); err != nil {
						t.Errorf("%s weights, %s gradients: %v", w.name, g.name, err)
						break
					}
					x.eps = epsToTry[r.IntN(len(epsToTry))]
				}
			}
		}
	}
}

// FuzzTargetNorm looks for inputs that TargetNorm's guarantees do not hold for, on every executor: an eps and, over and
// over where there are too few, the values of xv, xk, weight and gradient, as bits of float32.
func FuzzTargetNorm(f *testing.F) {
	const heads, width = 2, 8
	var ns []*targetNorm
	for _, ex := range gputest.Executors(f) {
		ns = append(ns, newTargetNorm(f, ex, 2, heads, width))
	}
	bits := func(v ...float32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	f.Add(float32(1e-8), bits(1, 2, 3, -4, 5))
	f.Add(float32(0), bits(1e30, -1e30, 1e-30, 1e-45, 0))
	f.Add(float32(math.MaxFloat32), bits(math.MaxFloat32, -math.MaxFloat32, 1))
	f.Add(float32(1e-45), bits(0.1))
	f.Add(float32(1e-5), bits(1, 1, 1, 1, 1, 1, 1, 1.0000001, 1))
	f.Fuzz(func(t *testing.T, eps float32, b []byte) {
		at := 0
		next := func() float32 {
			var w [4]byte
			for i := range w {
				if len(b) > 0 {
					w[i] = b[at%len(b)]
				}
				at++
			}
			v := math.Float32frombits(binary.LittleEndian.Uint32(w[:]))
			if v-v != 0 {
				return 1
			}
			return v
		}
		x := targetNormData{eps: float32(math.Abs(float64(eps))), b: make([]float32, heads*width)}
		if eps-eps != 0 {
			x.eps = 0
		}
		fill := func(n int, most float64) (v []float32) {
			for range n {
				v = append(v, float32(min(max(float64(next()), -most), most)))
			}
			return v
		}
		n := ns[0].xv.Len()
		x.xv, x.xk = fill(n, math.MaxFloat32), fill(n, math.MaxFloat32)
		x.w, x.dout = fill(heads*width, 1e30), fill(n, 1e30)
		for _, n := range ns {
			if err := n.holds(t, x); err != nil {
				t.Errorf("%s: %v", n.ex.Info().Backend, err)
			}
		}
	})
}
