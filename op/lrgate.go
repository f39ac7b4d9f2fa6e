package op

import (
	"math/rand/v2"

	"innerloop/prog"
)

type lrGateC struct {
	N, H  int     // tokens, heads
	Scale float64 // base learning rate over the head dimension
}

func sampleLRGate(r *rand.Rand) lrGateC {
	return lrGateC{sampleDim(r), sampleDim(r), 1 / float64(1+r.IntN(64))}
}

var (
	lrGateFwdK = define(prog.Spec[lrGateC]{
		Name:   "lr_gate_fwd",
		Binds:  []prog.Binding{prog.In("z"), prog.In("bias"), prog.Out("lr")},
		Lens:   func(c lrGateC) []int { return []int{c.N * c.H, c.H, c.N * c.H} },
		Items:  func(c lrGateC) int { return c.N },
		Flops:  func(c lrGateC) float64 { return 6 * float64(c.N*c.H) },
		Grid:   func(c lrGateC, t prog.Traits) [3]int { return elemBlocks(c.N*c.H, t) },
		Tune:   elemTune[lrGateC],
		F32:    lrGateFwd[float32],
		F64:    lrGateFwd[float64],
		Sample: sampleLRGate,
		Fill:   func(_ lrGateC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[0]) },
	})
	lrGateBwdZK = define(prog.Spec[lrGateC]{
		Name:   "lr_gate_bwd_z",
		Binds:  []prog.Binding{prog.In("z"), prog.In("bias"), prog.In("dlr"), prog.Acc("dz")},
		Lens:   func(c lrGateC) []int { return []int{c.N * c.H, c.H, c.N * c.H, c.N * c.H} },
		Items:  func(c lrGateC) int { return c.N },
		Flops:  func(c lrGateC) float64 { return 9 * float64(c.N*c.H) },
		Grid:   func(c lrGateC, t prog.Traits) [3]int { return elemBlocks(c.N*c.H, t) },
		Tune:   elemTune[lrGateC],
		F32:    lrGateBwdZ[float32],
		F64:    lrGateBwdZ[float64],
		Sample: sampleLRGate,
		Fill:   func(_ lrGateC, r *rand.Rand, a *prog.Args[float64]) { fillWide(r, a.F[0]) },
	})
	lrGateBwdBiasK = define(prog.Spec[lrGateC]{
		Name:   "lr_gate_bwd_bias",
		Binds:  []prog.Binding{prog.In("z"), prog.In("bias"), prog.In("dlr"), prog.Acc("dbias")},
		Lens:   func(c lrGateC) []int { return []int{c.N * c.H, c.H, c.N * c.H, c.H} },
		Items:  func(c lrGateC) int { return c.H },
		Flops:  func(c lrGateC) float64 { return 9 * float64(c.N*c.H) },
		Grid:   func(c lrGateC, _ prog.Traits) [3]int { return [3]int{prog.CeilDiv(c.H, 16), 1, 1} },
		Tune:   colWG[lrGateC],
		F32:    lrGateBwdBias[float32],
		F64:    lrGateBwdBias[float64],
		Sample: sampleLRGate,
	})
)

// LRGate records the inner loop's learned learning rate, lr = base/headDim * sigmoid(z + bias) (Sun et al. 2024,
// arXiv 2407.04620, section 2.7). z is [...,H], a projection of the tokens on one weight vector a head; bias holds H
// elements; lr is as z.
func LRGate(r *prog.Recorder, z, bias *prog.Tensor, base float64, headDim int) *prog.Tensor {
	if headDim <= 0 {
		r.Failf("lr gate: head dimension %d, want at least 1", headDim)
	}
	h := z.Dim(-1)
	c := lrGateC{z.Len() / h, h, base / float64(headDim)}
	lr := r.Temp("lr", z.Shape()...)
	lrGateFwdK.Dispatch(r, c, z, bias, lr)
	r.Tape(func() {
		dlr := r.Grad(lr)
		lrGateBwdZK.Dispatch(r, c, z, bias, dlr, r.Grad(z))
		if r.WantsGrad(bias) {
			lrGateBwdBiasK.Dispatch(r, c, z, bias, dlr, r.Grad(bias))
		}
	}, lr)
	return lr
}

func lrGateFwd[F prog.Float](c lrGateC, a *prog.Args[F], _ []F, lo, hi int) {
	bias := a.F[1]
	for n := lo; n < hi; n++ {
		z, lr := a.F[0][n*c.H:(n+1)*c.H], a.F[2][n*c.H:(n+1)*c.H]
		for h, v := range z {
			s, _ := logistic(v + bias[h])
			lr[h] = F(c.Scale) * s
		}
	}
}

func lrGateBwdZ[F prog.Float](c lrGateC, a *prog.Args[F], _ []F, lo, hi int) {
	bias := a.F[1]
	for n := lo; n < hi; n++ {
		z, dlr, dz := a.F[0][n*c.H:(n+1)*c.H], a.F[2][n*c.H:(n+1)*c.H], a.F[3][n*c.H:(n+1)*c.H]
		for h, v := range z {
			_, ds := logistic(v + bias[h])
			dz[h] += F(c.Scale) * ds * dlr[h]
		}
	}
}

func lrGateBwdBias[F prog.Float](c lrGateC, a *prog.Args[F], _ []F, lo, hi int) {
	bias, dbias := a.F[1], a.F[3]
	for n := range c.N {
		z, dlr := a.F[0][n*c.H:(n+1)*c.H], a.F[2][n*c.H:(n+1)*c.H]
		for h := lo; h < hi; h++ {
			_, ds := logistic(z[h] + bias[h])
			dbias[h] += F(c.Scale) * ds * dlr[h]
		}
	}
}
