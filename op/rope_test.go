package op_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

type ropeCase struct {
	pos                    []uint32
	heads, headDim, period int
}

func (c ropeCase) options() op.RoPEOptions { return op.RoPEOptions{Heads: c.heads, Period: c.period} }

func (c ropeCase) table() []float32 {
	t := make([]float32, c.period*c.headDim)
	op.RoPETable(t, c.period, c.headDim, 1e4)
	return t
}

func TestRoPEGradient(t *testing.T) {
	for _, c := range []ropeCase{
		{[]uint32{0}, 1, 2, 1},
		{[]uint32{0, 1, 2, 3, 4, 7, 8, 9, 0, 1}, 3, 4, 3},
		{[]uint32{5, 0, 1 << 30}, 2, 2, 16},
	} {
		n, w := len(c.pos), c.heads*c.headDim
		table := c.table()
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "q", Shape: []int{n, w}}, {Name: "k", Shape: []int{n, w}},
			{Name: "v", Shape: []int{n, w}}, {Name: "lr", Shape: []int{n, c.heads}},
			{Name: "table", Shape: []int{c.period, c.headDim / 2, 2}, Fixed: true,
				Fill: func(i int) float64 { return float64(table[i]) }},
			{Name: "pos", Shape: []int{n}, U32: c.pos}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.RoPE(r, in[0], in[1], in[2], in[3], in[4], in[5], c.options())}
			})
	}
}

// TestRoPEValues compares with the formula, at positions where a float32 angle would have lost its digits and at those
// that a float32 cannot hold.
func TestRoPEValues(t *testing.T) {
	long := make([]uint32, 4000)
	for i := range long {
		long[i] = uint32(i)
	}
	for _, c := range []ropeCase{
		{long, 1, 4, 4000},
		{[]uint32{0, 1, 2, 3, 4, 0, 1, 15, 16, 17, 0, 0, 8}, 3, 10, 4},
		{[]uint32{1 << 24, 1<<24 + 1, 1<<24 + 3, 1<<32 - 1, 1<<32 - 6}, 2, 2, 5},
	} {
		r := rand.New(rand.NewPCG(3, 3))
		n, w := len(c.pos), c.heads*c.headDim
		normal := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
			return v
		}
		q, k, v, lr := normal(n*w), normal(n*w), normal(n*w), normal(n*c.heads)
		ex := prog.NewCPU[float32](2)
		defer ex.Close()
		pos := upload(t, ex, c.pos, n)
		res := runOn(t, ex, []tensorValues{{"q", []int{n, w}, q}, {"k", []int{n, w}, k}, {"v", []int{n, w}, v},
			{"lr", []int{n, c.heads}, lr}, {"table", []int{c.period, c.headDim / 2, 2}, c.table()}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.RoPE(r, in[0], in[1], in[2], in[3], in[4], pos, c.options())}
			})
		out := res.outs[0]
		row := ttt.Row(c.heads, c.headDim)
		if len(out) != n*row {
			t.Fatalf("%+v: %d elements, want %d rows of %d", c, len(out), n, row)
		}
		var want []float64
		for tok := range n {
			pos := int(c.pos[tok])
			for _, x := range [][]float32{q, k} {
				for ch := 0; ch < w; ch += 2 {
					a, b := float64(x[tok*w+ch]), float64(x[tok*w+ch+1])
					ang := float64(pos%c.period) * math.Pow(1e4, -float64(ch%c.headDim)/float64(c.headDim))
					want = append(want, a*math.Cos(ang)-b*math.Sin(ang), a*math.Sin(ang)+b*math.Cos(ang))
				}
			}
			for ch := range w {
				want = append(want, float64(v[tok*w+ch]))
			}
			for h := range c.heads {
				want = append(want, float64(lr[tok*c.heads+h]))
			}
			code := float64(ttt.PlaceCode(pos, c.period))
			want = append(want, code)
			if got := float64(out[(tok+1)*row-1]); got != code {
				t.Errorf("place code of position %d with period %d: got %g, want %g", pos, c.period, got, code)
			}
			for h := range c.heads {
				in, o := q[tok*w+h*c.headDim:][:c.headDim], out[tok*row+h*c.headDim:][:c.headDim]
				if a, b := norm(in), norm(o); math.Abs(a-b) > 1e-6*a {
					t.Fatalf("%+v: token %d head %d: the rotation changes the norm from %g to %g", c, tok, h, a, b)
				}
			}
			// Without the code, whose size would hide an error of the others.
			check.Within(t, "row", out[tok*row:(tok+1)*row-1], want[tok*row:(tok+1)*row-1], 1e-6)
		}
	}
}

// upload puts the elements of a tensor of u32 on ex, in an arena of their own.
func upload(t *testing.T, ex prog.Executor, values []uint32, shape ...int) *prog.Tensor {
	t.Helper()
	a := prog.NewArena("u32")
	u := a.Add("u32", prog.U32, shape...)
	s := prog.NewStage(a)
	copy(s.U32(u), values)
	if err := ex.Upload(s); err != nil {
		t.Fatal(err)
	}
	return u
}

func norm(v []float32) float64 {
	var s float64
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

func TestRoPERefuses(t *testing.T) {
	for _, c := range []struct {
		width, tokens int
		o             op.RoPEOptions
		want          string
	}{
		{6, 4, op.RoPEOptions{Heads: 2, Period: 3}, "head width 3 is odd"},
		{6, 4, op.RoPEOptions{Heads: 4, Period: 3}, "6 channels for 4 heads"},
		{6, 4, op.RoPEOptions{Heads: 1}, "period 0"},
		{6, 4, op.RoPEOptions{Heads: 1, Period: 4}, "table"}, // the table has three rows
		{6, 5, op.RoPEOptions{Heads: 1, Period: 3}, "pos"},
	} {
		a := prog.NewArena("in")
		x, lr := a.Add("x", prog.F32, 4, c.width), a.Add("lr", prog.F32, 4, max(c.o.Heads, 1))
		table, pos := a.Add("table", prog.F32, 3, 3, 2), a.Add("pos", prog.U32, c.tokens)
		_, err := prog.Record("rope", func(r *prog.Recorder) { op.RoPE(r, x, x, x, lr, table, pos, c.o) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got error %v, want one about %q", c.o, err, c.want)
		}
	}
}
