package op

import (
	"math"
	"math/rand/v2"

	"innerloop/prog"
)

// NormStats is how many numbers NormProbe makes of a head; the constants below are their places.
const (
	NormXVMin = iota // of the target's input
	NormXVMax
	NormXVMean
	NormXKMin // of the keys
	NormXKMax
	NormXKMean
	NormOutMin // of the normalised target
	NormOutMax
	NormOutMean
	NormStdMin
	NormStdMax
	NormStdMean
	NormHighGain  // part of the rows whose Gain is above HighGain
	NormZMax      // largest |z|
	NormXKLeast   // least and largest Euclidean length of a key
	NormXKLargest //
	NormBad       // elements of XV, XK, out, z and std that are not finite
	NormNear      // the std+eps that is nearest to 0, without its sign
	NormStats
)

// HighGain is where amplification begins to be one: healthy models have gains of 4 to 6, and values nearly equal to keys
// those of 1/eps.
const HighGain = 100

// Gain is what the backward pass of TargetNorm multiplies a row's gradients by, at most: 1/(std+eps). A row of two channels
// has a single direction, in which z changes only as far as eps shrinks it: there it is eps/(std+eps)². Where std+eps is 0
// or below, as only a faulty normaliser has it, it is infinite; std is a row's, n its channels.
func Gain(std, eps float64, n int) float64 {
	den := std + eps
	switch {
	case math.IsNaN(den):
		return den
	case n == 2 && eps == 0:
		return 0
	case den <= 0:
		return math.Inf(1)
	case n == 2:
		return eps / den / den
	}
	return 1 / den
}

// quiet is the std+eps of HighGain, as float32 has it.
const quiet = float32(1.0 / HighGain)

var normProbeK = define(prog.Spec[targetNormC]{
	Name: "norm_probe",
	Binds: []prog.Binding{prog.In("xv"), prog.In("xk"), prog.In("aim"), prog.In("z"), prog.In("dev"), prog.In("eps"),
		prog.Out("stats")},
	Lens: func(c targetNormC) []int {
		n := c.N * c.F
		return []int{n, n, n, n, c.N, 1, c.H * NormStats}
	},
	Items: func(c targetNormC) int { return c.H },
	Flops: func(c targetNormC) float64 { return 12 * float64(c.N*c.F) },
	Grid:  func(c targetNormC, t prog.Traits) [3]int { return prog.Grid1(c.H, t) },
	Tune: func(_ targetNormC, t prog.Traits) map[string]any {
		return map[string]any{"WG": min(128, t.MaxInvocations)}
	},
	F32:    normProbe[float32],
	F64:    normProbe[float64],
	Sample: sampleTargetNorm,
	Fill: func(_ targetNormC, r *rand.Rand, a *prog.Args[float64]) {
		fillStd(r, a.F[4])
		for i := range a.F[4] { // on either side of what is quiet, with eps and without
			a.F[4][i] = float64(float32(a.F[4][i] * [...]float64{1, 0.01, 0.001}[r.IntN(3)]))
		}
		a.F[5][0] = float64(float32([...]float64{0, 0.0005, 0.004}[r.IntN(3)]))
	},
})

// NormProbe records what a run looks at of a TargetNorm: of every head the least and greatest of its tensors and the
// invariants' by-products, stats [H, NormStats] in the places of the constants. xv, xk, target (TargetNorm's out) and z
// are [...,H,F], std [...,H], eps one element. Elements that are not finite are counted and left out of everything else;
// a head of which nothing is finite has least values of the largest float32 and greatest of its negative. Nothing has a
// gradient.
func NormProbe(r *prog.Recorder, xv, xk, target, z, std, eps, stats *prog.Tensor) {
	h, f := xv.Dim(-2), xv.Dim(-1)
	if std.Len()*f != xv.Len() || stats.Len() != h*NormStats {
		r.Failf("norm probe: xv is %v, std %v and stats %v, want [... H F], [... H] and [H %d]", xv, std, stats, NormStats)
	}
	normProbeK.Dispatch(r, targetNormC{xv.Len() / f, h, f}, xv, xk, target, z, std, eps, stats)
}

// span is what is known of a tensor's finite elements.
type span[F prog.Float] struct{ lo, hi, sum F }

func newSpan[F prog.Float]() span[F] { return span[F]{math.MaxFloat32, -math.MaxFloat32, 0} }

// isFinite is judged as float32 judges, in float64 too.
func isFinite[F prog.Float](v F) bool {
	return v >= -math.MaxFloat32 && v <= math.MaxFloat32
}

// add counts v in, or says that it is not finite.
func (s *span[F]) add(v F) (bad int) {
	if !isFinite(v) {
		return 1
	}
	s.lo, s.hi, s.sum = min(s.lo, v), max(s.hi, v), s.sum+v
	return 0
}

func normProbe[F prog.Float](c targetNormC, a *prog.Args[F], _ []F, lo, hi int) {
	xv, xk, target, z, dev, eps, stats := a.F[0], a.F[1], a.F[2], a.F[3], a.F[4], a.F[5][0], a.F[6]
	for h := lo; h < hi; h++ {
		sv, sk, so, sd, length := newSpan[F](), newSpan[F](), newSpan[F](), newSpan[F](), newSpan[F]()
		var zmax F
		near := F(math.MaxFloat32)
		bad, high := 0, 0
		for r := h; r < c.N; r += c.H {
			var square F
			badKey := 0
			for i := r * c.F; i < (r+1)*c.F; i++ {
				bad += sv.add(xv[i]) + so.add(target[i])
				badKey += sk.add(xk[i])
				square += xk[i] * xk[i]
				if !isFinite(z[i]) {
					bad++
				} else {
					zmax = max(zmax, z[i], -z[i])
				}
			}
			if bad += badKey; badKey == 0 && isFinite(square) {
				length.add(F(math.Sqrt(float64(square))))
			}
			bad += sd.add(dev[r])
			// Of two channels, see Gain.
			den := max(dev[r]+eps, -dev[r]-eps)
			if isFinite(den) {
				near = min(near, den)
			}
			if den < F(quiet) && (c.F != 2 || den*den < F(quiet)*eps) {
				high++
			}
		}
		rows := F(c.N / c.H)
		s := stats[h*NormStats:][:NormStats]
		for i, x := range []span[F]{sv, sk, so, sd} {
			n := rows * F(c.F)
			if i == 3 {
				n = rows
			}
			s[3*i], s[3*i+1], s[3*i+2] = x.lo, x.hi, x.sum/n
		}
		s[NormHighGain], s[NormZMax] = F(high)/rows, zmax
		s[NormXKLeast], s[NormXKLargest], s[NormBad], s[NormNear] = length.lo, length.hi, F(bad), near
	}
}
