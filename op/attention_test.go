package op_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// attentionCase is an attention over rows of tokens at positions; documents may begin anywhere in a row, and rows
// inside documents.
type attentionCase struct {
	name   string
	pos    [][]uint32 // by rows
	heads  int
	width  int // of a head
	window int
}

// from lists n positions from p on.
func from(p uint32, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = p + uint32(i)
	}
	return out
}

// joined is rows end to end.
func joined(rows ...[]uint32) (out []uint32) {
	for _, r := range rows {
		out = append(out, r...)
	}
	return out
}

var attentionCases = []attentionCase{
	{"one token", [][]uint32{{0}}, 1, 2, 0},
	{"one token inside a document", [][]uint32{{7}}, 2, 3, 0},
	{"plain", [][]uint32{from(0, 5), from(0, 5)}, 2, 4, 0},
	{"documents", [][]uint32{joined(from(3, 4), from(0, 1), from(0, 6)), from(1<<31, 11)}, 3, 2, 0},
	{"window", [][]uint32{from(0, 9)}, 1, 6, 3},
	{"window of one", [][]uint32{from(0, 4)}, 2, 2, 1},
	{"window as long as the row", [][]uint32{from(0, 6)}, 1, 5, 6},
	{"window beyond the row", [][]uint32{from(0, 6)}, 1, 5, 100},
	{"window and documents", [][]uint32{joined(from(90, 7), from(0, 13)), joined(from(0, 3), from(0, 17))}, 2, 4, 5},
	{"more than a block", [][]uint32{from(0, 70)}, 1, 7, 0},
	{"two blocks", [][]uint32{from(0, 128), joined(from(9, 63), from(0, 1), from(0, 64))}, 1, 8, 0},
	{"blocks and windows", [][]uint32{joined(from(5, 100), from(0, 93))}, 2, 3, 65},
	{"wide head", [][]uint32{joined(from(0, 33), from(0, 40))}, 1, 128, 50},
}

func (c attentionCase) options() op.AttentionOptions {
	return op.AttentionOptions{Heads: c.heads, SeqLen: len(c.pos[0]), Window: c.window}
}

func (c attentionCase) shape() []int { return []int{len(c.pos), len(c.pos[0]), c.heads * c.width} }

// sees is the definition of who sees whom in a row: j not after i, in i's document, inside the window.
func (c attentionCase) sees(row, i, j int) bool {
	if j > i || c.window > 0 && i-j >= c.window {
		return false
	}
	for t := j + 1; t <= i; t++ {
		if c.pos[row][t] == 0 {
			return false
		}
	}
	return true
}

// attend is attention in float64 as its definition has it, with the whole matrix of scores.
func (c attentionCase) attend(q, k, v []float64) []float64 {
	n, w := len(c.pos[0]), c.heads*c.width
	out := make([]float64, len(q))
	for row := range c.pos {
		for h := range c.heads {
			at := func(x []float64, i int) []float64 { return x[(row*n+i)*w+h*c.width:][:c.width] }
			for i := range n {
				score := make([]float64, i+1)
				most := math.Inf(-1)
				for j := range score {
					score[j] = math.Inf(-1)
					if !c.sees(row, i, j) {
						continue
					}
					score[j] = 0
					for f, x := range at(q, i) {
						score[j] += x * at(k, j)[f]
					}
					score[j] /= math.Sqrt(float64(c.width))
					most = max(most, score[j])
				}
				var sum float64
				for j, s := range score {
					score[j] = math.Exp(s - most)
					sum += score[j]
				}
				for j, p := range score {
					for f, x := range at(v, j) {
						at(out, i)[f] += p / sum * x
					}
				}
			}
		}
	}
	return out
}

func (c attentionCase) build(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
	return []*prog.Tensor{op.Attention(r, in[0], in[1], in[2], in[3], c.options())}
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// values draws a tensor of the case's shape.
func (c attentionCase) values(draw func() float64) []float32 {
	x := make([]float32, prog.Shape(c.shape()).Len())
	for i := range x {
		x[i] = float32(draw())
	}
	return x
}

// run records the case on ex and returns out, and the gradients of q, k and v where out has seed.
func (c attentionCase) run(t *testing.T, ex prog.Executor, q, k, v, seed []float32) results {
	t.Helper()
	shape := c.shape()
	pos := upload(t, ex, joined(c.pos...), shape[0], shape[1])
	defer ex.Free(pos.Arena())
	return runOn(t, ex, []tensorValues{{"q", shape, q}, {"k", shape, k}, {"v", shape, v}}, [][]float32{seed},
		func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor { return c.build(r, append(in, pos)) })
}

func TestAttentionValues(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, c := range attentionCases {
			t.Run(c.name, func(t *testing.T) {
				r := rand.New(rand.NewPCG(5, 5))
				q, k, v := c.values(r.NormFloat64), c.values(r.NormFloat64), c.values(r.NormFloat64)
				res := c.run(t, ex, q, k, v, v)
				check.Within(t, "out", res.outs[0], c.attend(wide(q), wide(k), wide(v)), 1e-6)
			})
		}
	})
}

// Logits as large as they get: of 10,000, and of 1e30, where the next float32 is 1e23 away.
func TestAttentionExtremeLogits(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for _, c := range []attentionCase{
			{"", [][]uint32{joined(from(3, 40), from(0, 60))}, 2, 4, 0},
			{"", [][]uint32{from(0, 100)}, 1, 64, 33},
			{"", [][]uint32{from(0, 70)}, 1, 64, 0},
		} {
			r := rand.New(rand.NewPCG(6, 6))
			whole := func() float64 { return float64(r.IntN(141) - 70) } // products of whole numbers are exact
			q, k, v, seed := c.values(whole), c.values(whole), c.values(r.NormFloat64), c.values(r.NormFloat64)
			for i, w := 0, c.heads*c.width; i < len(k); i++ { // neighbours tie, else hardly a gradient is not 0
				if i/w%2 == 1 {
					k[i] = k[i-w]
				}
				if i%c.width == 0 {
					q[i] = 0
					k[i] = float32(i/w%2) + 1
				}
			}
			res := c.run(t, ex, q, k, v, seed)
			check.Within(t, "out", res.outs[0], c.attend(wide(q), wide(k), wide(v)), 1e-6)
			oracle := prog.NewCPU[float64](1)
			defer oracle.Close()
			exact := c.run(t, oracle, q, k, v, seed)
			for i, name := range []string{"q", "k", "v"} { // the logarithm of a sum, of size 1e4, is rounded to 1e-3
				check.Within(t, "gradient of "+name, res.grads[i], exact.grads[i], 2e-3)
			}
			huge := func() float64 { return 1e15 * r.NormFloat64() }
			res = c.run(t, ex, c.values(huge), c.values(huge), v, seed)
			for i, x := range append(res.grads, res.outs...) {
				for j, y := range x {
					if e := math.Abs(float64(y)); !(e <= 1e18) {
						t.Fatalf("%+v: %d[%d] is %g", c, i, j, y)
					}
				}
			}
		}
	})
}

// What a later token, one of another document, or one before the window holds does not change a bit.
func TestAttentionSeesNothingElse(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		c := attentionCase{"", [][]uint32{joined(from(5, 20), from(0, 70)), from(0, 90)}, 2, 8, 17}
		r := rand.New(rand.NewPCG(7, 7))
		n, w := len(c.pos[0]), c.heads*c.width
		x := [][]float32{c.values(r.NormFloat64), c.values(r.NormFloat64), c.values(r.NormFloat64)}
		before := c.run(t, ex, x[0], x[1], x[2], x[2]).outs[0]
		for _, changed := range []int{0, 3, 19, 20, 21, 50, 89, n + 40} {
			y := [][]float32{slices.Clone(x[0]), slices.Clone(x[1]), slices.Clone(x[2])}
			for i := range w {
				for _, v := range y {
					v[changed*w+i] += 100
				}
			}
			after := c.run(t, ex, y[0], y[1], y[2], x[2]).outs[0]
			for i := range 2 * n {
				sees := i/n == changed/n && c.sees(i/n, i%n, changed%n)
				if same := slices.Equal(before[i*w:(i+1)*w], after[i*w:(i+1)*w]); same == sees {
					t.Errorf("token %d changed: token %d sees it: %v, its output is the same: %v", changed, i, sees, same)
				}
			}
		}
	})
}

func TestAttentionRefuses(t *testing.T) {
	a := prog.NewArena("in")
	x, wide, pos, few := a.Add("x", prog.F32, 6, 12), a.Add("wide", prog.F32, 6, 130), a.Add("pos", prog.U32, 6), a.Add("few", prog.U32, 5)
	memory := prog.NewArena("memory")
	cache, small := memory.Add("cache", prog.F32, 2, 9, 12), memory.Add("small", prog.F32, 1, 9, 12)
	at := func(x, pos *prog.Tensor, o op.AttentionOptions) func(r *prog.Recorder) {
		return func(r *prog.Recorder) { op.Attention(r, x, x, x, pos, o) }
	}
	decode := func(cache *prog.Tensor) func(r *prog.Recorder) {
		return func(r *prog.Recorder) {
			op.AttentionDecode(r, x, x, x, pos, cache, cache, op.AttentionOptions{Heads: 2, SeqLen: 3})
		}
	}
	for _, c := range []struct {
		want  string
		build func(r *prog.Recorder)
	}{
		{"attention: 12 channels for 5 heads", at(x, pos, op.AttentionOptions{Heads: 5, SeqLen: 3})},
		{"attention: 12 channels for 0 heads", at(x, pos, op.AttentionOptions{SeqLen: 3})},
		{"attention: head width 130, want at most 128", at(wide, pos, op.AttentionOptions{Heads: 1, SeqLen: 3})},
		{"attention: 6 tokens for rows of 4", at(x, pos, op.AttentionOptions{Heads: 2, SeqLen: 4})},
		{"attention: 6 tokens for rows of 0", at(x, pos, op.AttentionOptions{Heads: 2})},
		{"attention: window -1", at(x, pos, op.AttentionOptions{Heads: 2, SeqLen: 3, Window: -1})},
		{"pos is few [5], 5 elements, want 6", at(x, few, op.AttentionOptions{Heads: 2, SeqLen: 3})},
		{"cache of keys small [1 9 12], want [2 Cap 12]", decode(small)},
		{"kc and vc are both in memory", decode(cache)},
	} {
		if _, err := prog.Record("attention", c.build); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one about %q", err, c.want)
		}
	}
}

// TestAttentionDecode reads documents in pieces of any size and compares with the attention over all of them at once.
func TestAttentionDecode(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		long := joined(from(0, 30), from(0, 11))
		for _, c := range []struct {
			attentionCase
			capacity int
			pieces   []int
		}{
			{attentionCase{"token by token", [][]uint32{long, from(0, 41)}, 2, 6, 0}, 41, nil},
			{attentionCase{"room to spare", [][]uint32{long, from(0, 41)}, 1, 16, 0}, 100, nil},
			{attentionCase{"a ring of the window", [][]uint32{long, from(0, 41)}, 2, 8, 7}, 7, nil},
			{attentionCase{"a ring wider than the window", [][]uint32{from(0, 41), long}, 1, 4, 7}, 10, nil},
			{attentionCase{"a ring of one", [][]uint32{long}, 1, 4, 1}, 1, nil},
			{attentionCase{"prompt and tokens", [][]uint32{from(0, 41), from(0, 41)}, 3, 5, 0}, 41, []int{33, 1, 1, 1, 5}},
			{attentionCase{"pieces longer than the ring", [][]uint32{long}, 2, 4, 5}, 5, []int{16, 2, 17, 1, 5}},
		} {
			t.Run(c.name, func(t *testing.T) {
				r := rand.New(rand.NewPCG(8, 8))
				q, k, v := c.values(r.NormFloat64), c.values(r.NormFloat64), c.values(r.NormFloat64)
				pieces := c.pieces
				for n := 0; n < len(c.pos[0]) && c.pieces == nil; n++ {
					pieces = append(pieces, 1)
				}
				got := c.decode(t, ex, q, k, v, c.capacity, pieces)
				check.Within(t, "out", got, c.attend(wide(q), wide(k), wide(v)), 2e-6)
			})
		}
	})
}

// decode reads the case's rows in pieces of so many tokens, each a program of its own.
func (c attentionCase) decode(t *testing.T, ex prog.Executor, q, k, v []float32, capacity int, pieces []int) []float32 {
	t.Helper()
	rows, n, w := len(c.pos), len(c.pos[0]), c.heads*c.width
	memory := prog.NewArena("memory")
	keys, values := memory.Add("keys", prog.F32, rows, capacity, w), memory.Add("values", prog.F32, rows, capacity, w)
	defer ex.Free(memory)
	out := make([]float32, len(q))
	at := 0
	for _, piece := range pieces {
		cut := func(x []float32) (y []float32) {
			for row := range rows {
				y = append(y, x[(row*n+at)*w:(row*n+at+piece)*w]...)
			}
			return y
		}
		var positions []uint32
		for row := range rows {
			positions = append(positions, c.pos[row][at:at+piece]...)
		}
		pos := upload(t, ex, positions, rows, piece)
		shape := []int{rows, piece, w}
		in := prog.NewArena("in")
		var ts []*prog.Tensor
		for _, name := range []string{"q", "k", "v"} {
			ts = append(ts, in.Add(name, prog.F32, shape...))
		}
		var res *prog.Tensor
		p, err := prog.Record("decode", func(r *prog.Recorder) {
			res = r.Keep(op.AttentionDecode(r, ts[0], ts[1], ts[2], pos, keys, values, op.AttentionOptions{Heads: c.heads, SeqLen: piece, Window: c.window}))
		})
		if err != nil {
			t.Fatal(err)
		}
		run, err := ex.Load(p)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, rows*piece*w)
		if err := errors.Join(ex.Write(ts[0], cut(q)), ex.Write(ts[1], cut(k)), ex.Write(ts[2], cut(v)), run.Run(), run.Read(res, got)); err != nil {
			t.Fatal(err)
		}
		run.Close()
		ex.Free(in)
		ex.Free(pos.Arena())
		for row := range rows {
			copy(out[(row*n+at)*w:], got[row*piece*w:(row+1)*piece*w])
		}
		at += piece
	}
	return out
}

func TestAttentionGradient(t *testing.T) {
	for i, c := range attentionCases {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && i%4 > 0 {
				t.Skip("one case of four, where time is short")
			}
			check.Gradients(t, 1, 1e-7, []check.Input{{Name: "q", Shape: c.shape()}, {Name: "k", Shape: c.shape()},
				{Name: "v", Shape: c.shape()}, {Name: "pos", Shape: c.shape()[:2], U32: joined(c.pos...)}},
				func(r *prog.Recorder, in []*prog.Tensor) []*prog.Tensor {
					// Where tokens see only themselves q and k have no gradient but that of their sum.
					return append(c.build(r, in), op.Add(r, in[0], in[1]))
				})
		})
	}
}
