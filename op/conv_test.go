package op_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// rowPositions are the positions of b rows of l tokens that each begin a document.
func rowPositions(b, l int) []uint32 {
	pos := make([]uint32, b*l)
	for i := range pos {
		pos[i] = uint32(i % l)
	}
	return pos
}

func TestCausalConvGradient(t *testing.T) {
	for _, s := range []struct {
		b, l, c, w int
		pos        []uint32 // nil: every row is a document
	}{
		{1, 1, 1, 1, nil}, {1, 2, 1, 4, nil}, {2, 5, 3, 4, nil}, {3, 7, 2, 3, nil}, {2, 4, 17, 1, nil},
		{2, 6, 3, 4, []uint32{0, 1, 2, 0, 1, 0, 9, 10, 0, 1, 2, 3}},
		{1, 3, 2, 5, []uint32{1 << 31, 1<<31 + 1, 1<<31 + 2}},
	} {
		if s.pos == nil {
			s.pos = rowPositions(s.b, s.l)
		}
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{s.b, s.l, s.c}},
			{Name: "w", Shape: []int{s.c, 1, s.w}}, {Name: "b", Shape: []int{s.c}},
			{Name: "pos", Shape: []int{s.b, s.l}, U32: s.pos}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.CausalConv(r, in[0], in[1], in[2], in[3], nil)}
			})
	}
}

// With inputs before the row. A copy of them, because a step replaces them and the check runs it often.
func TestCausalConvGradientWithTail(t *testing.T) {
	for _, s := range []struct {
		b, l, c, w int
		pos        []uint32
	}{
		{1, 1, 1, 2, []uint32{1}},
		{2, 1, 3, 4, []uint32{2, 1 << 31}}, // fewer tokens than the tail has
		{3, 6, 2, 4, []uint32{0, 1, 2, 3, 4, 5, 1, 2, 0, 1, 2, 3, 70, 71, 72, 0, 0, 1}},
	} {
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{s.b, s.l, s.c}},
			{Name: "w", Shape: []int{s.c, 1, s.w}}, {Name: "b", Shape: []int{s.c}},
			{Name: "pos", Shape: []int{s.b, s.l}, U32: s.pos},
			{Name: "tail", Shape: []int{s.b, s.w - 1, s.c}, Fixed: true},
			{Name: "zero", Shape: []int{s.b, s.w - 1, s.c}, Fixed: true, Fill: func(int) float64 { return 0 }}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				tail := op.Add(r, in[4], in[5])
				return []*prog.Tensor{op.CausalConv(r, in[0], in[1], in[2], in[3], tail)}
			})
	}
}

// The taps of PyTorch's Conv1d: the last one meets the token itself, and a document does not see the one before it,
// whether that is in another row or in the same.
func TestCausalConvValues(t *testing.T) {
	x := []float32{1, 10, 2, 20, 3, 30 /* next document */, 4, 40, 5, 50, 6, 60}
	w := []float32{1, 2, 3, 0.1, 0.2, 0.3} // [2,1,3]
	b := []float32{100, 0}
	want := []float64{
		100 + 3*1, 0.3 * 10,
		100 + 2*1 + 3*2, 0.2*10 + 0.3*20,
		100 + 1*1 + 2*2 + 3*3, 0.1*10 + 0.2*20 + 0.3*30,
		100 + 3*4, 0.3 * 40,
		100 + 2*4 + 3*5, 0.2*40 + 0.3*50,
		100 + 1*4 + 2*5 + 3*6, 0.1*40 + 0.2*50 + 0.3*60,
	}
	for _, rows := range []int{1, 2} {
		ex := prog.NewCPU[float32](2)
		defer ex.Close()
		pos := upload(t, ex, []uint32{0, 1, 2, 0, 1, 2}, rows, 6/rows)
		res := runOn(t, ex, []tensorValues{{"x", []int{rows, 6 / rows, 2}, x}, {"w", []int{2, 1, 3}, w}, {"b", []int{2}, b}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.CausalConv(r, in[0], in[1], in[2], pos, nil)}
			})
		check.Within(t, "out", res.outs[0], want, 1e-6)
	}
}

// TestCausalConvPieces cuts rows into pieces, each with the tail that the one before it left: the outputs and the
// weights' gradients are the whole rows', and the tail ends as the last inputs. It begins as NaN, which nothing may
// touch.
func TestCausalConvPieces(t *testing.T) {
	const b, l, c, w = 2, 9, 3, 4
	rnd := rand.New(rand.NewPCG(5, 5))
	normal := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rnd.NormFloat64())
		}
		return v
	}
	x, seed, wv, bv := normal(b*l*c), normal(b*l*c), normal(c*w), normal(c)
	pos := []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 0, 1, 2, 3, 4, 5}
	// run runs the rows in pieces of these lengths, and as they are without tail where there is one piece.
	run := func(lens ...int) (out, dw, db []float32, tail []float32) {
		ex := prog.NewCPU[float32](2)
		defer ex.Close()
		var ins []tensorValues
		var seeds [][]float32
		var at []*prog.Tensor
		from := 0
		for i, n := range lens {
			cut := func(v []float32) (p []float32) {
				for row := range b {
					p = append(p, v[(row*l+from)*c:(row*l+from+n)*c]...)
				}
				return p
			}
			ins = append(ins, tensorValues{"x" + string(rune('0'+i)), []int{b, n, c}, cut(x)})
			seeds = append(seeds, cut(seed))
			var p []uint32
			for row := range b {
				p = append(p, pos[row*l+from:row*l+from+n]...)
			}
			at = append(at, upload(t, ex, p, b, n))
			from += n
		}
		ins = append(ins, tensorValues{"w", []int{c, 1, w}, wv}, tensorValues{"b", []int{c}, bv})
		var tails *prog.Tensor
		if len(lens) > 1 {
			tails = prog.NewArena("tail").Add("tail", prog.F32, b, w-1, c)
			v := make([]float32, tails.Len())
			for i := range v {
				v[i] = float32(math.NaN())
			}
			if err := ex.Write(tails, v); err != nil {
				t.Fatal(err)
			}
		}
		res := runOn(t, ex, ins, seeds, func(r *prog.Recorder, in []*prog.Tensor) (outs []*prog.Tensor) {
			for i := range lens {
				r.Scope(ins[i].name, func() {
					outs = append(outs, op.CausalConv(r, in[i], in[len(lens)], in[len(lens)+1], at[i], tails))
				})
			}
			return outs
		})
		out = make([]float32, b*l*c)
		from = 0
		for i, n := range lens {
			for row := range b {
				copy(out[(row*l+from)*c:(row*l+from+n)*c], res.outs[i][row*n*c:])
			}
			from += n
		}
		if tails != nil {
			tail = make([]float32, tails.Len())
			if err := ex.Read(tails, tail); err != nil {
				t.Fatal(err)
			}
		}
		return out, res.grads[len(lens)], res.grads[len(lens)+1], tail
	}
	want, wantDW, wantDB, _ := run(l)
	var last []float32
	for row := range b {
		last = append(last, x[((row+1)*l-(w-1))*c:(row+1)*l*c]...)
	}
	for _, lens := range [][]int{{4, 5}, {7, 2}, {1, 8}, {2, 2, 1, 4}, {1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		out, dw, db, tail := run(lens...)
		if !slices.Equal(out, want) {
			t.Errorf("pieces of %v: the outputs are not the whole rows': got %v, want %v", lens, out, want)
		}
		check.Within(t, "dw", dw, wantDW, 1e-6)
		check.Within(t, "db", db, wantDB, 1e-6)
		if !slices.Equal(tail, last) {
			t.Errorf("pieces of %v: tail %v, want the last inputs %v", lens, tail, last)
		}
	}
}

func TestCausalConvRefusesShapes(t *testing.T) {
	a, other := prog.NewArena("in"), prog.NewArena("tail")
	x, w, b := a.Add("x", prog.F32, 2, 3, 4), a.Add("w", prog.F32, 4, 1, 3), a.Add("b", prog.F32, 4)
	pos := a.Add("pos", prog.U32, 2, 3)
	for _, c := range []struct {
		w, pos, tail *prog.Tensor
		want         string
	}{
		{a.Add("full", prog.F32, 4, 2, 3), pos, nil, "[C 1 W]"}, // not depthwise
		{w, a.Add("short", prog.U32, 2, 2), nil, "pos"},
		{w, pos, other.Add("long", prog.F32, 2, 3, 4), "tail"},
	} {
		_, err := prog.Record("conv", func(r *prog.Recorder) { op.CausalConv(r, x, c.w, b, c.pos, c.tail) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one about %q", err, c.want)
		}
	}
}
