package op_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

type ropeCase struct{ seqs, seqLen, heads, headDim, period int }

func (c ropeCase) options() op.RoPEOptions {
	return op.RoPEOptions{SeqLen: c.seqLen, Heads: c.heads, Period: c.period}
}

func (c ropeCase) table() []float32 {
	p := c.options().Positions()
	t := make([]float32, p*c.headDim)
	op.RoPETable(t, p, c.headDim, 1e4)
	return t
}

func TestRoPEGradient(t *testing.T) {
	for _, c := range []ropeCase{{1, 1, 1, 2, 0}, {2, 5, 3, 4, 0}, {2, 5, 2, 6, 3}, {1, 3, 2, 2, 16}} {
		n, w := c.seqs*c.seqLen, c.heads*c.headDim
		table := c.table()
		check.Gradients(t, 1, 1e-7, []check.Input{{Name: "q", Shape: []int{n, w}}, {Name: "k", Shape: []int{n, w}},
			{Name: "v", Shape: []int{n, w}}, {Name: "lr", Shape: []int{n, c.heads}},
			{Name: "table", Shape: []int{c.options().Positions(), c.headDim / 2, 2}, Fixed: true,
				Fill: func(i int) float64 { return float64(table[i]) }}},
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.RoPE(r, in[0], in[1], in[2], in[3], in[4], c.options())}
			})
	}
}

// TestRoPEValues compares with the formula, at positions where a float32 angle would have lost its digits.
func TestRoPEValues(t *testing.T) {
	for _, c := range []ropeCase{{1, 4000, 1, 4, 0}, {2, 7, 3, 10, 4}, {3, 2, 2, 2, 5}} {
		r := rand.New(rand.NewPCG(3, 3))
		n, w := c.seqs*c.seqLen, c.heads*c.headDim
		normal := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
			return v
		}
		q, k, v, lr := normal(n*w), normal(n*w), normal(n*w), normal(n*c.heads)
		res := runFloat32(t, []tensorValues{{"q", []int{n, w}, q}, {"k", []int{n, w}, k}, {"v", []int{n, w}, v},
			{"lr", []int{n, c.heads}, lr}, {"table", []int{c.options().Positions(), c.headDim / 2, 2}, c.table()}}, nil,
			func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
				return []*prog.Tensor{op.RoPE(r, in[0], in[1], in[2], in[3], in[4], c.options())}
			})
		out := res.outs[0]
		row := 3*w + c.heads
		var want []float64
		for tok := range n {
			pos := tok % c.seqLen
			if c.period > 0 {
				pos %= c.period
			}
			for _, x := range [][]float32{q, k} {
				for ch := 0; ch < w; ch += 2 {
					a, b := float64(x[tok*w+ch]), float64(x[tok*w+ch+1])
					ang := float64(pos) * math.Pow(1e4, -float64(ch%c.headDim)/float64(c.headDim))
					want = append(want, a*math.Cos(ang)-b*math.Sin(ang), a*math.Sin(ang)+b*math.Cos(ang))
				}
			}
			for ch := range w {
				want = append(want, float64(v[tok*w+ch]))
			}
			for h := range c.heads {
				want = append(want, float64(lr[tok*c.heads+h]))
			}
			for h := range c.heads {
				in, o := q[tok*w+h*c.headDim:][:c.headDim], out[tok*row+h*c.headDim:][:c.headDim]
				if a, b := norm(in), norm(o); math.Abs(a-b) > 1e-6*a {
					t.Fatalf("%+v: token %d head %d: the rotation changes the norm from %g to %g", c, tok, h, a, b)
				}
			}
		}
		check.Within(t, "out", out, want, 1e-6)
	}
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
		width int
		o     op.RoPEOptions
		want  string
	}{
		{6, op.RoPEOptions{SeqLen: 4, Heads: 2}, "head width 3 is odd"},
		{6, op.RoPEOptions{SeqLen: 4, Heads: 4}, "6 channels for 4 heads"},
		{6, op.RoPEOptions{SeqLen: 3, Heads: 1}, "4 tokens are no whole sequences of 3"},
		{6, op.RoPEOptions{Heads: 1}, "sequences of 0"},
		{6, op.RoPEOptions{SeqLen: 4, Heads: 1, Period: -1}, "period -1"},
		{6, op.RoPEOptions{SeqLen: 4, Heads: 1, Period: 3}, "table"}, // the table has four rows
	} {
		a := prog.NewArena("in")
		x, lr := a.Add("x", prog.F32, 4, c.width), a.Add("lr", prog.F32, 4, max(c.o.Heads, 1))
		table := a.Add("table", prog.F32, 4, 3, 2)
		_, err := prog.Record("rope", func(r *prog.Recorder) { op.RoPE(r, x, x, x, lr, table, c.o) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got error %v, want one about %q", c.o, err, c.want)
		}
	}
}
