package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

var (
	tanhGateFwdK = define(prog.Spec[rowsC]{
		Name:   "tanh_gate_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.In("y"), prog.In("alpha"), prog.Out("out")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N * c.D, c.D, c.N * c.D} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 10 * float64(c.N*c.D) },
		Grid:   func(c rowsC, t prog.Traits) [3]int { return elemBlocks(c.N*c.D, t) },
		Tune:   elemTune[rowsC],
		F32:    tanhGateFwd[float32],
		F64:    tanhGateFwd[float64],
		Sample: sampleRows,
		Fill:   func(_ rowsC, r *rand.Rand, a *prog.Args[float64]) { fillAlpha(r, a.F[2]) },
	})
	tanhGateBwdK = define(prog.Spec[rowsC]{
		Name:   "tanh_gate_bwd",
		Binds:  []prog.Binding{prog.In("alpha"), prog.In("dout"), prog.Acc("dx"), prog.Acc("dy")},
		Lens:   func(c rowsC) []int { return []int{c.D, c.N * c.D, c.N * c.D, c.N * c.D} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 10 * float64(c.N*c.D) },
		Grid:   func(c rowsC, t prog.Traits) [3]int { return elemBlocks(c.N*c.D, t) },
		Tune:   elemTune[rowsC],
		F32:    tanhGateBwd[float32],
		F64:    tanhGateBwd[float64],
		Sample: sampleRows,
		Fill:   func(_ rowsC, r *rand.Rand, a *prog.Args[float64]) { fillAlpha(r, a.F[0]) },
	})
	tanhGateBwdAlphaK = define(prog.Spec[rowsC]{
		Name:   "tanh_gate_bwd_alpha",
		Binds:  []prog.Binding{prog.In("y"), prog.In("alpha"), prog.In("dout"), prog.Acc("dalpha")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.D, c.N * c.D, c.D} },
		Items:  colItems,
		Flops:  func(c rowsC) float64 { return 2 * float64(c.N*c.D) },
		Grid:   colGrid,
		Tune:   colWG[rowsC],
		F32:    tanhGateBwdAlpha[float32],
		F64:    tanhGateBwdAlpha[float64],
		Sample: sampleRows,
		Fill:   func(_ rowsC, r *rand.Rand, a *prog.Args[float64]) { fillAlpha(r, a.F[1]) },
	})
)

// fillAlpha makes gates near 0, in between, and so far that their tanh is 1.
func fillAlpha(r *rand.Rand, alpha []float64) {
	for i, v := range alpha {
		alpha[i] = float64(float32(v * math.Pow(10, 6*r.Float64()-4)))
	}
}

// TanhGate records out = x + tanh(alpha) * y, the gate by which a block adds a TTT layer's output (Dalal et al. 2025,
// arXiv 2504.05298). x and y are [...,C], alpha is [C], out as x.
func TanhGate(r *prog.Recorder, x, y, alpha *prog.Tensor) *prog.Tensor {
	d := x.Dim(-1)
	c := rowsC{x.Len() / d, d}
	out := r.Temp("tanh_gate", x.Shape()...)
	tanhGateFwdK.Dispatch(r, c, x, y, alpha, out)
	r.Tape(func() {
		dout := r.Grad(out)
		tanhGateBwdK.Dispatch(r, c, alpha, dout, r.Grad(x), r.Grad(y))
		tanhGateBwdAlphaK.Dispatch(r, c, y, alpha, dout, r.Grad(alpha))
	}, out)
	return out
}

func tanhGateFwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, y, alpha, out := a.F[0], a.F[1], a.F[2], a.F[3]
	for i, z := range alpha {
		t := F(math.Tanh(float64(z)))
		for o := lo*c.D + i; o < hi*c.D; o += c.D {
			out[o] = x[o] + t*y[o]
		}
	}
}

func tanhGateBwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	alpha, dout, dx, dy := a.F[0], a.F[1], a.F[2], a.F[3]
	for i, z := range alpha {
		t := F(math.Tanh(float64(z)))
		for o := lo*c.D + i; o < hi*c.D; o += c.D {
			dx[o] += dout[o]
			dy[o] += t * dout[o]
		}
	}
}

func tanhGateBwdAlpha[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	y, alpha, dout, dalpha := a.F[0], a.F[1], a.F[2], a.F[3]
	for i := lo; i < hi; i++ {
		var s F
		for o := i; o < c.N*c.D; o += c.D {
			s += dout[o] * y[o]
		}
		e := math.Exp(-2 * math.Abs(float64(alpha[i])))
		dalpha[i] += s * F(4*e/((1+e)*(1+e))) // 1 - tanh², without its cancellation
	}
}
