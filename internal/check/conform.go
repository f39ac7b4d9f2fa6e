package check

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"innerloop/prog"
)

// Conform runs kernel k with n random specialisations on ex and compares every buffer that it writes with the
// float64 reference. Each specialisation runs twice over: once adding to what Accumulate bindings hold, and once,
// two runs in a row, overwriting them. Written buffers start as NaN, so that an element left out shows.
func Conform(t *testing.T, ex prog.Executor, k *prog.Kernel, n int) {
	t.Helper()
	for i := range n {
		r := rand.New(rand.NewPCG(uint64(i), 11))
		c := k.Sample(r)
		for _, fresh := range []bool{false, true} {
			if err := conformOne(ex, k, c, r, fresh); err != nil {
				t.Errorf("%s(%+v) fresh=%v: %v", k.Name, c, fresh, err)
				return
			}
		}
	}
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
		if e := RelErr(got[i], want[i]); !(e <= k.Tol) {
			return fmt.Errorf("%s: relative error %.3g, want at most %.3g", b.Name, e, k.Tol)
		}
	}
	return nil
}

// runKernel runs one dispatch on ex, each binding an arena of its own, Accumulate bindings temporaries where fresh.
func runKernel(ex prog.Executor, k *prog.Kernel, c any, in *prog.Args[float64], fresh bool) ([][]float32, error) {
	ts := make([]*prog.Tensor, len(k.Binds))
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
			a := prog.NewArena(b.Name)
			arenas = append(arenas, a)
			ts[i] = a.Add(b.Name, b.DType, lens[i])
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
			s := prog.NewStage(ts[i].Arena())
			if b.DType == prog.U32 {
				copy(s.U32(ts[i]), in.U[i])
			} else {
				for j, v := range in.F[i] {
					s.F32(ts[i])[j] = float32(v)
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
