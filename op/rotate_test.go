package op_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

func TestRotateGradient(t *testing.T) {
	for _, c := range []ropeCase{
		{[]uint32{0}, 1, 2, 1},
		{[]uint32{0, 1, 2, 3, 4, 7, 8, 9, 0, 1}, 3, 4, 12},
		{[]uint32{5, 0, 1 << 30}, 2, 2, 16},
	} {
		table := c.table()
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "x", Shape: []int{len(c.pos), c.heads * c.headDim}},
			{Name: "table", Shape: []int{c.period, c.headDim / 2, 2}, Fixed: true,
				Fill: func(i int) float64 { return float64(table[i]) }},
			{Name: "pos", Shape: []int{len(c.pos)}, U32: c.pos}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.Rotate(r, in[0], in[1], in[2], c.heads)}
			})
	}
}

// The angle is the position times theta^(-2i/F) up to the table's end, and from there begins anew.
func TestRotateValues(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		c := ropeCase{[]uint32{0, 1, 2, 999, 1000, 1999, 1<<32 - 1}, 3, 10, 1000}
		r := rand.New(rand.NewPCG(3, 3))
		n, w := len(c.pos), c.heads*c.headDim
		x := make([]float32, n*w)
		for i := range x {
			x[i] = normal(r)
		}
		pos := upload(t, ex, c.pos, n)
		out := runOn(t, ex, []tensorValues{{"x", []int{n, w}, x}, {"table", []int{c.period, c.headDim / 2, 2}, c.table()}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.Rotate(r, in[0], in[1], pos, c.heads)}
			}).outs[0]
		var want []float64
		for i := 0; i < n*w; i += 2 {
			a, b := float64(x[i]), float64(x[i+1])
			ang := float64(int(c.pos[i/w])%c.period) * math.Pow(1e4, -float64(i%w%c.headDim)/float64(c.headDim))
			want = append(want, a*math.Cos(ang)-b*math.Sin(ang), a*math.Sin(ang)+b*math.Cos(ang))
		}
		check.Within(t, "out", out, want, 1e-6)
	})
}

// Rotating and packing is what RoPE does at once where its period is the mini-batch, gradients included.
func TestRotateAndPackAreRoPE(t *testing.T) {
	c := ropeCase{[]uint32{0, 1, 2, 3, 4, 7, 8, 9, 0, 1, 1<<32 - 1}, 3, 4, 4}
	n, w := len(c.pos), c.heads*c.headDim
	r := rand.New(rand.NewPCG(4, 4))
	values := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = normal(r)
		}
		return v
	}
	ins := []tensorValues{{"q", []int{n, w}, values(n * w)}, {"k", []int{n, w}, values(n * w)}, {"v", []int{n, w}, values(n * w)},
		{"lr", []int{n, c.heads}, values(n * c.heads)}, {"table", []int{c.period, c.headDim / 2, 2}, c.table()}}
	seeds := [][]float32{values(n * ttt.Row(c.heads, c.headDim))}
	ex := prog.NewCPU[float32](2)
	defer ex.Close()
	pos := upload(t, ex, c.pos, n)
	want := runOn(t, ex, ins, seeds, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		return []*prog.Tensor{op.RoPE(r, in[0], in[1], in[2], in[3], in[4], pos, c.options())}
	})
	got := runOn(t, ex, ins, seeds, func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
		turned := func(x *prog.Tensor) *prog.Tensor { return op.Rotate(r, x, in[4], pos, c.heads) }
		return []*prog.Tensor{op.Pack(r, turned(in[0]), turned(in[1]), in[2], in[3], pos, c.period)}
	})
	check.Within(t, "out", got.outs[0], want.outs[0], 0)
	for i, g := range want.grads {
		check.Within(t, "gradient of "+ins[i].name, got.grads[i], g, 0)
	}
}

func TestPackGradient(t *testing.T) {
	const n, heads, f = 5, 2, 3
	check.Gradients(t, 1, 1e-9, []check.Input{{Name: "q", Shape: []int{n, heads * f}}, {Name: "k", Shape: []int{n, heads * f}},
		{Name: "v", Shape: []int{n, heads * f}}, {Name: "lr", Shape: []int{n, heads}}, {Name: "pos", Shape: []int{n}, U32: []uint32{0, 1, 2, 3, 0}}},
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
			return []*prog.Tensor{op.Pack(r, in[0], in[1], in[2], in[3], in[4], 3)}
		})
}

func TestRotateAndPackRefuse(t *testing.T) {
	a := prog.NewArena("in")
	x, lr, wide := a.Add("x", prog.F32, 4, 6), a.Add("lr", prog.F32, 4, 2), a.Add("wide", prog.F32, 4, 4)
	table, pos := a.Add("table", prog.F32, 3, 2), a.Add("pos", prog.U32, 4)
	for _, c := range []struct {
		want  string
		build func(r *prog.Recorder)
	}{
		{"head width 3 is odd", func(r *prog.Recorder) { op.Rotate(r, x, table, pos, 2) }},
		{"6 channels for 4 heads", func(r *prog.Recorder) { op.Rotate(r, x, table, pos, 4) }},
		{"table table [3 2]", func(r *prog.Recorder) { op.Rotate(r, wide, table, pos, 1) }},
		{"6 channels for 4 heads", func(r *prog.Recorder) { op.Pack(r, x, x, x, wide, pos, 2) }},
		{"mini-batches of 0 tokens", func(r *prog.Recorder) { op.Pack(r, x, x, x, lr, pos, 0) }},
	} {
		if _, err := prog.Record("rotate", c.build); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one about %q", err, c.want)
		}
	}
}
