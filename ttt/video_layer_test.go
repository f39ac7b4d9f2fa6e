package ttt_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// videoShape is a layer of the video variant: heads, head width, mini-batch, which inner model, how it reads.
type videoShape struct {
	h, f, k        int
	mlp, nonCausal bool
}

func (s videoShape) options() ttt.VideoOptions {
	return ttt.VideoOptions{BaseLR: 1, Options: ttt.Options{Heads: s.h, MiniBatch: s.k, CheckpointEvery: 2, NonCausal: s.nonCausal}}
}

// params lists the layer's parameters: names in order, and shapes.
func (s videoShape) params() (names []string, shapes map[string][]int) {
	c := s.h * s.f
	shapes = map[string][]int{"W1": {s.h, s.f, s.f}, "b1": {s.h, 1, s.f}, "ttt_norm_weight": {s.h, s.f}, "ttt_norm_bias": {s.h, s.f},
		"learnable_ttt_lr_weight": {s.h, 1, c}, "learnable_ttt_lr_bias": {s.h, 1}, "post_norm.weight": {c}, "post_norm.bias": {c}}
	if s.mlp {
		shapes["W1"], shapes["b1"], shapes["W2"], shapes["b2"] = []int{s.h, s.f, 4 * s.f}, []int{s.h, 1, 4 * s.f}, []int{s.h, 4 * s.f, s.f}, []int{s.h, 1, s.f}
	}
	for _, n := range []string{"wq", "wk", "wv", "wo"} {
		shapes[n+".weight"], shapes[n+".bias"] = []int{c, c}, []int{c}
	}
	return append(scanParams(s.mlp), otherParams...), shapes
}

// value draws an element of a parameter: norms are about one, the rest small.
func value(name string, r *rand.Rand) float64 {
	if strings.HasSuffix(name, "norm.weight") || name == "ttt_norm_weight" {
		return 1 + 0.2*r.NormFloat64()
	}
	return 0.3 * r.NormFloat64()
}

// rotary is the table of as many positions.
func rotary(positions, f int) []float32 {
	t := make([]float32, positions*f)
	op.RoPETable(t, positions, f, 1e4)
	return t
}

// videoGradients checks the gradients of what build makes of a layer, its parameters and inputs.
func videoGradients(t *testing.T, s videoShape, pos []uint32, b int, build func(r *prog.Recorder, in ttt.VideoInputs, p ttt.VideoParams) *prog.Tensor) {
	t.Helper()
	r := rand.New(rand.NewPCG(8, 8))
	names, shapes := s.params()
	var ins []check.Input
	for _, n := range names {
		ins = append(ins, check.Input{Name: n, Shape: shapes[n], Fill: func(int) float64 { return value(n, r) }})
	}
	l := len(pos) / b
	table := rotary(l, s.f)
	ins = append(ins, check.Input{Name: "x", Shape: []int{b, l, s.h * s.f}}, check.Input{Name: "pos", Shape: []int{b, l}, U32: pos},
		check.Input{Name: "table", Shape: []int{l, s.f / 2, 2}, Fixed: true, Fill: func(i int) float64 { return float64(table[i]) }},
		check.Input{Name: "eps", Shape: []int{1}, Fixed: true, Fill: func(int) float64 { return 1e-2 }})
	check.Gradients(t, 3, 5e-6, ins, func(r *prog.Recorder, ts []*prog.Tensor) []*prog.Tensor {
		n := len(names)
		at := func(name string) *prog.Tensor { return ts[slices.Index(names, name)] }
		return []*prog.Tensor{build(r, ttt.VideoInputs{X: ts[n], Pos: ts[n+1], Table: ts[n+2], Eps: ts[n+3]}, videoParams(s.mlp, at))}
	})
}

func TestVideoGradient(t *testing.T) {
	for _, s := range []videoShape{{2, 6, 3, false, true}, {1, 6, 4, false, false}, {1, 4, 3, true, true}, {1, 4, 3, true, false}} {
		videoGradients(t, s, []uint32{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 0, 1, 2, 3, 4}, 2, func(r *prog.Recorder, in ttt.VideoInputs, p ttt.VideoParams) *prog.Tensor {
			o := s.options()
			o.MaxMiniBatches = 4 // documents end inside the second row
			return ttt.Video(r, in, p, o).Out
		})
	}
}

// A block's gates, and its second pass, which reads the first one's output backwards with the same parameters.
func TestVideoGradientOfTwoPasses(t *testing.T) {
	for _, s := range []videoShape{{1, 4, 3, false, true}, {1, 4, 3, true, true}, {2, 4, 3, false, false}} {
		videoGradients(t, s, []uint32{0, 1, 2, 3, 4}, 1, func(r *prog.Recorder, in ttt.VideoInputs, p ttt.VideoParams) *prog.Tensor {
			// The layer's own parameters of this shape stand for the gates, so that their gradients are checked as well.
			return ttt.Gated(r, in.X, p.PostB, p.BO, func(x *prog.Tensor) *prog.Tensor {
				in.X = x
				return ttt.Video(r, in, p, s.options()).Out
			})
		})
	}
}

// What a block with a second pass makes of a row is what its layer makes of the row and of the turned row, one after the
// other; without one it is the first pass alone, in which a causal layer sees nothing of a token's future.
func TestVideoTwoPasses(t *testing.T) {
	for _, s := range []videoShape{{2, 8, 4, false, true}, {1, 8, 4, true, true}, {1, 8, 4, false, false}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { videoTwoPasses(t, ex, s) })
		})
	}
}

func videoTwoPasses(t *testing.T, ex prog.Executor, s videoShape) {
	const l = 11
	c := s.h * s.f
	m := newVideoModel(t, ex, s)
	a := prog.NewArena("gates")
	alpha, back := a.Add("alpha", prog.F32, c), a.Add("back", prog.F32, c)
	gates := [2][]float32{make([]float32, c), make([]float32, c)}
	for i := range c {
		gates[0][i], gates[1][i] = 0.1+0.02*float32(i), 0.4-0.03*float32(i)
	}
	m.must(ex.Write(alpha, gates[0]))
	m.must(ex.Write(back, gates[1]))
	t.Cleanup(func() { ex.Free(a) })
	layer := m.program(l, 0, false, false)
	x := normals(l * c)
	// What the layer makes of x, gated by g, in float64 but for the layer.
	add := func(x []float32, g []float32) []float32 {
		y := layer.read(x, upTo(0, l)...)
		for i := range y {
			y[i] = float32(float64(x[i]) + math.Tanh(float64(g[i%c]))*float64(y[i]))
		}
		return y
	}
	turn := func(x []float32) []float32 {
		y := make([]float32, len(x))
		for i := range l {
			copy(y[i*c:], x[(l-1-i)*c:(l-i)*c])
		}
		return y
	}
	first := add(x, gates[0])
	both := turn(add(turn(first), gates[1]))
	for _, w := range []struct {
		name string
		back *prog.Tensor
		want []float32
	}{{"one pass", nil, first}, {"two passes", back, both}} {
		p, err := prog.Record(w.name, func(r *prog.Recorder) {
			in := layer.in
			layer.y.Out = r.Keep(ttt.Gated(r, in.X, alpha, w.back, func(x *prog.Tensor) *prog.Tensor {
				in.X = x
				return ttt.Video(r, in, m.layer(), s.options()).Out
			}))
		})
		m.must(err)
		run, err := ex.Load(p)
		m.must(err)
		gated := &videoRun{m: m, in: layer.in, inputs: layer.inputs, run: run, y: layer.y}
		got := gated.read(x, upTo(0, l)...)
		check.Within(t, w.name, got, w.want, 1e-5)
		if w.back == nil {
			run.Close()
			continue
		}
		// The first token has seen the last one.
		x[len(x)-1]++
		if slices.Equal(gated.read(x, upTo(0, l)...)[:c], got[:c]) {
			t.Error("the second pass does not show the first token what comes last")
		}
		run.Close()
	}
}

// videoModel is a layer's parameters and the state of a row on an executor; its programs share them.
type videoModel struct {
	t      *testing.T
	ex     prog.Executor
	s      videoShape
	params *prog.Arena
	memory *prog.Arena
	state  *prog.Tensor
	sum    *prog.Tensor
}

func newVideoModel(t *testing.T, ex prog.Executor, s videoShape) *videoModel {
	m := &videoModel{t: t, ex: ex, s: s, params: prog.NewArena("params"), memory: prog.NewArena("memory")}
	r := rand.New(rand.NewPCG(8, 8))
	names, shapes := s.params()
	for _, n := range names {
		m.params.Add(n, prog.F32, shapes[n]...)
	}
	words := m.layer().Inner.StateLen()
	m.state, m.sum = m.memory.Add("state", prog.F32, s.h, words), m.memory.Add("sum", prog.F32, s.h, words)
	for _, n := range names {
		v := make([]float32, m.params.Lookup(n).Len())
		for i := range v {
			v[i] = float32(value(n, r))
		}
		m.must(ex.Write(m.params.Lookup(n), v))
	}
	t.Cleanup(func() { ex.Free(m.params); ex.Free(m.memory) })
	return m
}

func (m *videoModel) layer() ttt.VideoParams { return videoParams(m.s.mlp, m.params.Lookup) }

func (m *videoModel) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

const videoPositions = 64

// videoRun is a program that reads a row of l tokens.
type videoRun struct {
	m      *videoModel
	in     ttt.VideoInputs
	inputs *prog.Stage
	run    prog.Runner
	y      ttt.VideoLayer
}

// program records and loads one; with decode l is 1, with carry the row goes on from the state that the last one left.
func (m *videoModel) program(l, spare int, decode, carry bool) *videoRun {
	m.t.Helper()
	a := prog.NewArena("inputs")
	v := &videoRun{m: m, in: ttt.VideoInputs{X: a.Add("x", prog.F32, 1, l, m.s.h*m.s.f), Pos: a.Add("pos", prog.U32, 1, l),
		Table: a.Add("table", prog.F32, videoPositions, m.s.f/2, 2), Eps: a.Add("eps", prog.F32, 1)}}
	v.inputs = prog.NewStage(a)
	copy(v.inputs.F32(v.in.Table), rotary(videoPositions, m.s.f))
	v.inputs.F32(v.in.Eps)[0] = 1e-5
	p, err := prog.Record("video", func(r *prog.Recorder) {
		o := m.s.options()
		o.MaxMiniBatches = prog.CeilDiv(l, m.s.k) + spare
		o.Inner = func(xs *prog.Tensor, o ttt.Options) *prog.Tensor {
			switch {
			case decode:
				return m.layer().Inner.Decode(r, xs, nil, m.state, m.sum, o)
			case carry:
				return m.layer().Inner.Scan(r, xs, nil, m.state, o).Out
			}
			return m.layer().Inner.Scan(r, xs, nil, nil, o).Out
		}
		v.y = ttt.Video(r, v.in, m.layer(), o)
		for _, k := range []*prog.Tensor{v.y.Out, v.y.XK, v.y.Z} {
			r.Keep(k)
		}
	})
	m.must(err)
	v.run, err = m.ex.Load(p)
	m.must(err)
	m.t.Cleanup(func() { v.run.Close(); m.ex.Free(a) })
	return v
}

// read runs the program on x and positions and returns its output.
func (v *videoRun) read(x []float32, pos ...uint32) []float32 {
	v.m.t.Helper()
	copy(v.inputs.F32(v.in.X), x)
	copy(v.inputs.U32(v.in.Pos), pos)
	v.m.must(v.m.ex.Upload(v.inputs))
	v.m.must(v.run.Run())
	return v.kept(v.y.Out)
}

func (v *videoRun) kept(t *prog.Tensor) []float32 {
	v.m.t.Helper()
	out := make([]float32, t.Len())
	v.m.must(v.run.Read(t, out))
	return out
}

// upTo is the positions first..end-1.
func upTo(first, end int) (pos []uint32) {
	for i := first; i < end; i++ {
		pos = append(pos, uint32(i))
	}
	return pos
}

func normals(n int) []float32 {
	r := rand.New(rand.NewPCG(4, 4))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// Causal, the layer reads as a language model does: a token at a time, in parts, and rows of several documents give
// what whole rows give, on every executor.
func TestVideoReadsAsLanguageModels(t *testing.T) {
	for _, mlp := range []bool{false, true} {
		s := videoShape{2, 8, 4, mlp, false}
		t.Run(fmt.Sprintf("mlp=%v", mlp), func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { videoReads(t, ex, s, 1e-5) })
			ex := prog.NewCPU[float64](1)
			defer ex.Close()
			t.Run("float64", func(t *testing.T) { videoReads(t, ex, s, 1e-7) }) // of its float32 outputs
		})
	}
}

func videoReads(t *testing.T, ex prog.Executor, s videoShape, tol float64) {
	const l, cut = 16, 8
	c := s.h * s.f
	x := normals(l * c)
	m := newVideoModel(t, ex, s)
	whole := m.program(l, 1, false, false)
	want := whole.read(x, upTo(0, l)...)
	for i := 0; i < l*c; i += s.f { // keys of norm 1, rotated by absolute positions
		var sum float64
		for _, k := range whole.kept(whole.y.XK)[i : i+s.f] {
			sum += float64(k) * float64(k)
		}
		if sum < 1-1e-5 || sum > 1+1e-5 {
			t.Fatalf("a key of norm² %g", sum)
		}
	}

	one := m.program(1, 0, true, false)
	var decoded []float32
	for i := range l {
		decoded = append(decoded, one.read(x[i*c:(i+1)*c], uint32(i))...)
	}
	check.Within(t, "token by token", decoded, want, tol)

	part := m.program(cut, 0, false, true)
	carried := part.read(x[:cut*c], upTo(0, cut)...)
	for i := cut; i < l; i++ {
		carried = append(carried, one.read(x[i*c:(i+1)*c], uint32(i))...)
	}
	check.Within(t, "a part, then token by token", carried, want, tol)
	halves := append(part.read(x[:cut*c], upTo(0, cut)...), part.read(x[cut*c:], upTo(cut, l)...)...)
	check.Within(t, "two parts", halves, want, tol)

	const doc = 6 // another document begins here
	packed := whole.read(x, append(upTo(0, doc), upTo(0, l-doc)...)...)
	check.Within(t, "first document", packed[:doc*c], want[:doc*c], tol)
	alone := one.read(x[doc*c:(doc+1)*c], 0)
	for i := doc + 1; i < l; i++ {
		alone = append(alone, one.read(x[i*c:(i+1)*c], uint32(i-doc))...)
	}
	check.Within(t, "second document", packed[doc*c:], alone, tol)
}

// What a token reads: nothing of its future where the layer is causal, and only its own mini-batch's where it is not.
func TestVideoFuture(t *testing.T) {
	for _, s := range []videoShape{{1, 8, 4, false, false}, {1, 8, 4, true, false}, {1, 8, 4, false, true}, {1, 8, 4, true, true}} {
		const l, changed = 11, 6 // in the mini-batch of the tokens 4 to 7
		ex := prog.NewCPU[float32](1)
		x := normals(l * s.f)
		p := newVideoModel(t, ex, s).program(l, 0, false, false)
		before := p.read(x, upTo(0, l)...)
		x[changed*s.f]++
		after := p.read(x, upTo(0, l)...)
		for i := range l {
			same := slices.Equal(before[i*s.f:(i+1)*s.f], after[i*s.f:(i+1)*s.f])
			if want := i < changed && (!s.nonCausal || i < 4); same != want {
				t.Errorf("%+v: a change of token %d leaves token %d: %v, want %v", s, changed, i, same, want)
			}
		}
	}
}

// Another eps acts on the next run of a loaded program.
func TestVideoEpsIsData(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		s := videoShape{1, 8, 4, false, true}
		p := newVideoModel(t, ex, s).program(4, 0, false, false)
		x := normals(4 * s.f)
		var at1 []float32
		for _, eps := range []float32{1e-8, 1, 1e-5, 1} {
			p.inputs.F32(p.in.Eps)[0] = eps
			p.read(x, upTo(0, 4)...)
			z := p.kept(p.y.Z)
			var sum float64 // z = z0 std/(std + eps), and the squares of z0 = (d - mean)/std sum to F-1 in each row
			for _, v := range z {
				sum += float64(v) * float64(v)
			}
			full := float64(4 * (s.f - 1))
			if small := eps < 1e-4; small != (sum > 0.999*full) {
				t.Errorf("eps %g: sum of z² %g, of %g", eps, sum, full)
			}
			if eps == 1 {
				if at1 != nil && !slices.Equal(at1, z) {
					t.Errorf("eps 1 a second time: %v, want %v", z, at1)
				}
				at1 = z
			}
		}
	})
}

func TestVideoRefuses(t *testing.T) {
	for _, c := range []struct {
		l    int
		x    []int
		o    ttt.VideoOptions
		want string
	}{
		{l: 5, x: []int{1, 5, 8}, o: ttt.VideoOptions{Options: ttt.Options{Heads: 2, MiniBatch: 2}}, want: "ttt: sequences of 5 tokens, want at most 4: the rotary embedding's table"},
		{l: 4, x: []int{4, 8}, o: ttt.VideoOptions{Options: ttt.Options{Heads: 2, MiniBatch: 2}}, want: "ttt: a layer on x [4 8] with 2 heads"},
		{l: 4, x: []int{1, 4, 8}, o: ttt.VideoOptions{Options: ttt.Options{Heads: 3, MiniBatch: 2}}, want: "ttt: a layer on x [1 4 8] with 3 heads"},
		{l: 4, x: []int{1, 4, 8}, o: ttt.VideoOptions{Options: ttt.Options{Heads: 2}}, want: "mini-batches of 0 tokens"},
	} {
		a := prog.NewArena("in")
		in := ttt.VideoInputs{X: a.Add("x", prog.F32, c.x...), Pos: a.Add("pos", prog.U32, 1, c.l), Table: a.Add("table", prog.F32, 4, 2, 2), Eps: a.Add("eps", prog.F32, 1)}
		m := videoShape{2, 4, 2, false, false}
		params := prog.NewArena("params")
		names, shapes := m.params()
		for _, n := range names {
			params.Add(n, prog.F32, shapes[n]...)
		}
		_, err := prog.Record("video", func(r *prog.Recorder) { ttt.Video(r, in, videoParams(false, params.Lookup), c.o) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
