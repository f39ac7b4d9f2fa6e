package op

import "innerloop/prog"

var (
	productFwdK = define(prog.Spec[elemC]{
		Name:   "product_fwd",
		Binds:  []prog.Binding{prog.In("a"), prog.In("b"), prog.In("c"), prog.Out("out")},
		Lens:   elemLens(4),
		Items:  elemItems,
		Flops:  func(c elemC) float64 { return 2 * float64(c.N) },
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    productFwd[float32],
		F64:    productFwd[float64],
		Sample: sampleElem,
	})
	productBwdK = define(prog.Spec[elemC]{
		Name: "product_bwd",
		Binds: []prog.Binding{prog.In("a"), prog.In("b"), prog.In("c"), prog.In("dout"),
			prog.Acc("da"), prog.Acc("db"), prog.Acc("dc")},
		Lens:   elemLens(7),
		Items:  elemItems,
		Flops:  func(c elemC) float64 { return 8 * float64(c.N) },
		Grid:   elemGrid,
		Tune:   elemTune[elemC],
		F32:    productBwd[float32],
		F64:    productBwd[float64],
		Sample: sampleElem,
	})
)

// Product records out = a * b * c, element by element: what mixes three projections without attention. The three are
// different tensors of one length, out as a.
func Product(r *prog.Recorder, a, b, c *prog.Tensor) *prog.Tensor {
	n := elemC{a.Len()}
	out := r.Temp("product", a.Shape()...)
	productFwdK.Dispatch(r, n, a, b, c, out)
	r.Tape(func() {
		productBwdK.Dispatch(r, n, a, b, c, r.Grad(out), r.Grad(a), r.Grad(b), r.Grad(c))
	}, out)
	return out
}

func productFwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	x, y, z, out := a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi], a.F[3][lo:hi]
	for i, v := range x {
		out[i] = v * y[i] * z[i]
	}
}

func productBwd[F prog.Float](_ elemC, a *prog.Args[F], _ []F, lo, hi int) {
	x, y, z, dout := a.F[0][lo:hi], a.F[1][lo:hi], a.F[2][lo:hi], a.F[3][lo:hi]
	dx, dy, dz := a.F[4][lo:hi], a.F[5][lo:hi], a.F[6][lo:hi]
	for i, g := range dout {
		dx[i] += g * y[i] * z[i]
		dy[i] += g * x[i] * z[i]
		dz[i] += g * x[i] * y[i]
	}
}
