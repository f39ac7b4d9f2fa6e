package op_test

import (
	"testing"

	"innerloop/prog"
)

// tensorValues is an input of runFloat32.
type tensorValues struct {
	name   string
	shape  []int
	values []float32
}

type results struct{ outs, grads [][]float32 }

// runFloat32 records build on the inputs, runs it in float32 on the CPU and returns its outputs and the gradients of
// the inputs. seeds are the outputs' gradients, all one where nil.
func runFloat32(t *testing.T, ins []tensorValues, seeds [][]float32, build func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor) results {
	t.Helper()
	ex := prog.NewCPU[float32](2)
	defer ex.Close()
	return runOn(t, ex, ins, seeds, build)
}

// runOn is runFloat32 on another executor.
func runOn(t *testing.T, ex prog.Executor, ins []tensorValues, seeds [][]float32, build func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor) results {
	t.Helper()
	arena, seedA := prog.NewArena("in"), prog.NewArena("seeds")
	var ts []*prog.Tensor
	for _, in := range ins {
		ts = append(ts, arena.Add(in.name, prog.F32, in.shape...))
	}
	grads := arena.Mirror("grad")
	arena.WithGrad(grads)
	var outs []*prog.Tensor
	p, err := prog.Record(t.Name(), func(r *prog.Recorder) {
		for _, g := range grads.Tensors() {
			r.Clear(g)
		}
		outs = build(r, ts)
		for _, o := range outs {
			r.SetGrad(r.Keep(o), seedA.Add("seed."+o.Name(), prog.F32, o.Shape()...))
		}
		r.Backward()
	})
	if err != nil {
		t.Fatal(err)
	}
	run, err := ex.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	defer ex.Free(arena)
	defer ex.Free(grads)
	defer ex.Free(seedA)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, in := range ins {
		check(ex.Write(ts[i], in.values))
	}
	for i, s := range seedA.Tensors() {
		v := make([]float32, s.Len())
		for j := range v {
			v[j] = 1
			if seeds != nil {
				v[j] = seeds[i][j]
			}
		}
		check(ex.Write(s, v))
	}
	check(run.Run())
	var res results
	for _, o := range outs {
		v := make([]float32, o.Len())
		check(run.Read(o, v))
		res.outs = append(res.outs, v)
	}
	for _, g := range grads.Tensors() {
		v := make([]float32, g.Len())
		check(ex.Read(g, v))
		res.grads = append(res.grads, v)
	}
	return res
}
