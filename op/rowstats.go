package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

// tiny is the smallest normal float32. A standard deviation below it counts as zero in a backward pass: devices
// may flush it, and its reciprocal overflows.
const tiny = 0x1p-126

var (
	rowStatsFwdK = define(prog.Spec[rowsC]{
		Name:   "row_stats_fwd",
		Binds:  []prog.Binding{prog.In("x"), prog.Out("mean"), prog.Out("dev")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N, c.N} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 6 * float64(c.N*c.D) },
		Grid:   rowGrid,
		Tune:   rowWG[rowsC],
		F32:    rowStatsFwd[float32],
		F64:    rowStatsFwd[float64],
		Sample: sampleRows,
	})
	rowStatsBwdK = define(prog.Spec[rowsC]{
		Name: "row_stats_bwd",
		Binds: []prog.Binding{prog.In("x"), prog.In("dev"), prog.In("dmean"), prog.In("dstd"),
			prog.Acc("dx")},
		Lens:   func(c rowsC) []int { return []int{c.N * c.D, c.N, c.N, c.N, c.N * c.D} },
		Items:  rowItems,
		Flops:  func(c rowsC) float64 { return 6 * float64(c.N*c.D) },
		Grid:   rowGrid,
		Tune:   rowWG[rowsC],
		F32:    rowStatsBwd[float32],
		F64:    rowStatsBwd[float64],
		Sample: sampleRows,
		Fill:   func(_ rowsC, r *rand.Rand, a *prog.Args[float64]) { fillStd(r, a.F[1]) },
	})
)

// fillStd makes test values of a standard deviation: positive, now and then zero.
func fillStd(r *rand.Rand, s []float64) {
	for i := range s {
		if s[i] = float64(float32(0.1 + math.Abs(s[i]))); r.IntN(5) == 0 {
			s[i] = 0
		}
	}
}

// RowStats records mean and unbiased standard deviation sqrt(sum((x-mean)²)/(D-1)) over the last axis. x is [...,D];
// mean and std are [N], N = x.Len()/D. A row of equal elements, and so one of D = 1, has std exactly 0, where the
// gradient of std is taken as 0. Deviations from the mean between 1e-18 and 1e18 are safe: their squares are floats.
func RowStats(r *prog.Recorder, x *prog.Tensor) (mean, std *prog.Tensor) {
	d := x.Dim(-1)
	n := x.Len() / d
	mean = r.Temp("row_stats.mean", n)
	std = r.Temp("row_stats.std", n)
	rowStatsFwdK.Dispatch(r, rowsC{n, d}, x, mean, std)
	r.Tape(func() {
		rowStatsBwdK.Dispatch(r, rowsC{n, d}, x, std, r.Grad(mean), r.Grad(std), r.Grad(x))
	}, mean, std)
	return mean, std
}

// shiftedMean is mean(x - x[0]): small where the elements are close together, and so without the rounding of their
// common part.
func shiftedMean[F prog.Float](x []F) F {
	var s F
	for _, v := range x {
		s += v - x[0]
	}
	return s / F(len(x))
}

func rowStatsFwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, mean, std := a.F[0], a.F[1], a.F[2]
	for r := lo; r < hi; r++ {
		xr := x[r*c.D : (r+1)*c.D]
		m := shiftedMean(xr)
		var q F
		for _, v := range xr {
			e := v - xr[0] - m
			q += e * e
		}
		mean[r] = xr[0] + m
		std[r] = F(math.Sqrt(float64(q) / float64(max(c.D-1, 1))))
	}
}

func rowStatsBwd[F prog.Float](c rowsC, a *prog.Args[F], _ []F, lo, hi int) {
	x, std, dmean, dstd, dx := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4]
	for r := lo; r < hi; r++ {
		xr, dr := x[r*c.D:(r+1)*c.D], dx[r*c.D:(r+1)*c.D]
		m := shiftedMean(xr)
		g := dmean[r] / F(c.D)
		var k F
		if std[r] >= tiny {
			k = dstd[r] / std[r] / F(max(c.D-1, 1))
		}
		for i, v := range xr {
			dr[i] += g + k*(v-xr[0]-m)
		}
	}
}
