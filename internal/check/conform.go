package check

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"innerloop/op"
	"innerloop/prog"
)

// Conform runs kernel k with n random specialisations on ex and compares every buffer that it writes with the
// float64 reference. Each specialisation runs twice over: once adding to what Accumulate bindings hold, and once,
// two runs in a row, overwriting them. Written buffers start as NaN, so that an element left out shows.
func Conform(t *testing.T, ex prog.Executor, k *prog.Kernel, n int) {
	t.Helper()
	for _, seed := range seeds(k, ex.Info().Traits, n) {
		r := rand.New(rand.NewPCG(seed, 11))
		c := k.Sample(r)
		for _, fresh := range []bool{false, true} {
			if err := conformOne(ex, k, c, r, fresh); err != nil {
				t.Errorf("%s(%+v) fresh=%v: %v", k.Name, c, fresh, err)
				return
			}
		}
	}
}

// seeds are those of n samples, and of as many more as give each shader that the device takes four, or n.
func seeds(k *prog.Kernel, traits prog.Traits, n int) (list []uint64) {
	taken := map[string]int{}
	for i := range uint64(max(n, 40)) {
		shader := k.Variants(k.Sample(rand.New(rand.NewPCG(i, 11))), traits)[0].Shader
		if int(i) < n || taken[shader] < min(n, 4) {
			taken[shader]++
			list = append(list, i)
		}
	}
	return list
}

func conformOne(ex prog.Executor, k *prog.Kernel, c any, r *rand.Rand, fresh bool) error {
	lens := k.Lens(c)
	in := &prog.Args[float64]{F: make([][]float64, len(lens)), U: make([][]uint32, len(lens))}
	for i, b := range k.Binds {
		if b.DType == prog.U32 {
			in.U[i] = make([]uint32, lens[i])
		} else {
			in.F[i] = make([]float64, lens[i])
		}
	}
	k.Fill(c, r, in)
	for i, b := range k.Binds {
		if b.DType == prog.F16 && b.Access == prog.Read {
			for j, v := range in.F[i] {
				in.F[i][j] = float64(prog.RoundHalf(float32(max(-prog.MaxHalf, min(prog.MaxHalf, v)))))
			}
		}
	}
	nan := float64(float32(math.NaN()))
	for i, b := range k.Binds {
		if b.Access == prog.Write {
			for j := range in.F[i] {
				in.F[i][j] = nan
			}
		}
	}
	oracle := prog.NewCPU[float64](1)
	defer oracle.Close()
	want, err := runKernel(oracle, k, c, in, fresh)
	if err != nil {
		return err
	}
	got, err := runKernel(ex, k, c, in, fresh)
	if err != nil {
		return err
	}
	for i, b := range k.Binds {
		if b.Access == prog.Read || b.Scratch {
			continue
		}
		if b.DType == prog.F16 {
			if err := nearHalves(got[i], want[i], k.Tol); err != nil {
				return fmt.Errorf("%s%w", b.Name, err)
			}
		} else if e := RelErr(got[i], want[i]); !(e <= k.Tol) {
			return fmt.Errorf("%s: relative error %.3g, want at most %.3g", b.Name, e, k.Tol)
		}
	}
	return nil
}

// nearHalves reports the first of got that is not a binary16 next to want, which is exact but for tol of its largest
// element.
func nearHalves(got, want []float32, tol float64) error {
	var most float64
	for _, w := range want {
		if math.Abs(float64(w)) <= prog.MaxHalf {
			most = max(most, math.Abs(float64(w)))
		}
	}
	for i, w := range want {
		g := float64(got[i])
		const unit, least = 1.0 / (1 << 11), 1.0 / (1 << 25) // half the distance to the next: of w, and of denormals
		switch {
		case got[i] == prog.RoundHalf(w):
		case prog.RoundHalf(got[i]) != got[i] || !(math.Abs(g-float64(w)) <= math.Abs(float64(w))*(unit+tol)+least+tol*most):
			return fmt.Errorf("[%d] is %g, want %g rounded, %g", i, g, w, prog.RoundHalf(w))
		}
	}
	return nil
}

// runKernel runs one dispatch on ex, each binding an arena of its own, Accumulate bindings temporaries where fresh. What
// is of F16 is a temporary too: inputs are made of an arena of F32.
func runKernel(ex prog.Executor, k *prog.Kernel, c any, in *prog.Args[float64], fresh bool) ([][]float32, error) {
	ts := make([]*prog.Tensor, len(k.Binds))
	filled := make([]*prog.Tensor, len(k.Binds)) // by the host
	temp := make([]bool, len(k.Binds))
	var arenas []*prog.Arena
	defer func() {
		for _, a := range arenas {
			ex.Free(a)
		}
	}()
	lens := k.Lens(c)
	p, err := prog.Record(k.Name, func(r *prog.Recorder) {
		for i, b := range k.Binds {
			if fresh && b.Access == prog.Accumulate {
				ts[i], temp[i] = r.Keep(r.Temp(b.Name, lens[i])), true
				continue
			}
			if b.DType == prog.F16 && b.Access != prog.Read {
				ts[i], temp[i] = r.Keep(r.TempOf(b.DType, b.Name, lens[i])), true
				continue
			}
			a := prog.NewArena(b.Name)
			arenas = append(arenas, a)
			if b.DType == prog.F16 {
				filled[i] = a.Add(b.Name, prog.F32, lens[i])
				ts[i] = op.Half(r, filled[i])
				continue
			}
			ts[i] = a.Add(b.Name, b.DType, lens[i])
			filled[i] = ts[i]
		}
		r.Dispatch(k, c, ts...)
	})
	if err != nil {
		return nil, err
	}
	run, err := ex.Load(p)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	for n := range 2 {
		for i, b := range k.Binds {
			if temp[i] {
				continue
			}
			s := prog.NewStage(filled[i].Arena())
			if b.DType == prog.U32 {
				copy(s.U32(filled[i]), in.U[i])
			} else {
				for j, v := range in.F[i] {
					s.F32(filled[i])[j] = float32(v)
				}
			}
			if err := ex.Upload(s); err != nil {
				return nil, err
			}
		}
		if err := run.Run(); err != nil {
			return nil, err
		}
		if !fresh && n == 0 {
			break // a second run would start from the same uploads
		}
	}
	out := make([][]float32, len(k.Binds))
	for i, b := range k.Binds {
		if b.Access == prog.Read || b.Scratch {
			continue
		}
		out[i] = make([]float32, lens[i])
		if temp[i] {
			err = run.Read(ts[i], out[i])
		} else {
			err = ex.Read(ts[i], out[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
