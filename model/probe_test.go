package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"innerloop/data"
	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/model"
	"innerloop/prog"
)

// plainModel is a model without options, in float64 and by the paper's definition: nothing of it is shared with the
// kernels or their references.
type plainModel struct {
	c     model.Config
	param map[string][]float64
}

func readPlain(t *testing.T, m *model.LM, ex prog.Executor) plainModel {
	t.Helper()
	p := plainModel{m.Config, map[string][]float64{}}
	for _, n := range m.Names() {
		v := make([]float32, m.Lookup(n).Len())
		if err := ex.Read(m.Lookup(n), v); err != nil {
			t.Fatal(err)
		}
		for _, x := range v {
			p.param[n] = append(p.param[n], float64(x))
		}
	}
	return p
}

// linear is w x, w [len(w)/len(x), len(x)].
func linear(w, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for j, v := range x {
			y[i] += w[i*len(x)+j] * v
		}
	}
	return y
}

func rmsNorm(x, w []float64, eps float64) (y []float64) {
	var s float64
	for _, v := range x {
		s += v * v / float64(len(x))
	}
	for i, v := range x {
		y = append(y, v/math.Sqrt(s+eps)*w[i])
	}
	return y
}

// layerNorm is LayerNorm's normalised form and its standard deviation.
func layerNorm(x []float64) (y []float64, sd float64) {
	var m, s float64
	for _, v := range x {
		m += v / float64(len(x))
	}
	for _, v := range x {
		s += (v - m) * (v - m) / float64(len(x))
	}
	sd = math.Sqrt(s + 1e-6)
	for _, v := range x {
		y = append(y, (v-m)/sd)
	}
	return y, sd
}

func gelu(z float64) float64 {
	return 0.5 * z * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(z+0.044715*z*z*z)))
}

// head is the inner model of one head: its weights, each layer's followed by its bias, and the inner LayerNorm.
type head struct {
	w           [][]float64
	gamma, beta []float64
}

// apply is the inner model at x: its output, and for an MLP its hidden layer before and after GELU.
func (h head) apply(x []float64) (z, z1, x2 []float64) {
	affine := func(w, b, x []float64) []float64 {
		y := append([]float64(nil), b...)
		for i, v := range x {
			for j := range y {
				y[j] += v * w[i*len(y)+j]
			}
		}
		return y
	}
	z = affine(h.w[0], h.w[1], x)
	if len(h.w) == 2 {
		return z, nil, nil
	}
	z1 = z
	for _, v := range z1 {
		x2 = append(x2, gelu(v))
	}
	return affine(h.w[2], h.w[3], x2), z1, x2
}

// loss is the inner loss of a token.
func (h head) loss(k, v []float64) (sum float64) {
	z, _, _ := h.apply(k)
	xhat, _ := layerNorm(z)
	for j, x := range xhat {
		e := h.gamma[j]*x + h.beta[j] - (v[j] - k[j])
		sum += 0.5 * e * e
	}
	return sum
}

// step adds -rate times the gradient of a token's inner loss at h to w, through LayerNorm's Jacobian.
func (h head) step(w [][]float64, k, v []float64, rate float64) {
	z, z1, x2 := h.apply(k)
	xhat, sd := layerNorm(z)
	n := float64(len(z))
	g := make([]float64, len(z))
	for a := range g {
		for j := range g {
			jac := -1/n - xhat[a]*xhat[j]/n
			if a == j {
				jac++
			}
			g[a] += h.gamma[j] * (h.gamma[j]*xhat[j] + h.beta[j] - (v[j] - k[j])) * jac / sd
		}
	}
	descend := func(w, b, x, g []float64) {
		for j, d := range g {
			b[j] -= rate * d
			for i, v := range x {
				w[i*len(g)+j] -= rate * v * d
			}
		}
	}
	if len(w) == 2 {
		descend(w[0], w[1], k, g)
		return
	}
	g1 := make([]float64, len(z1))
	for i, y := range z1 {
		const e = 1e-3
		slope := (gelu(y-2*e) - 8*gelu(y-e) + 8*gelu(y+e) - gelu(y+2*e)) / (12 * e)
		for j, d := range g {
			g1[i] += h.w[2][i*len(g)+j] * d * slope
		}
	}
	descend(w[0], w[1], k, g1)
	descend(w[2], w[3], x2, g)
}

func cloneAll(w [][]float64) (c [][]float64) {
	for _, p := range w {
		c = append(c, append([]float64(nil), p...))
	}
	return c
}

// read reads a text token by token and adds what its inner loops gain to p.
func (m plainModel) read(ids []uint32, p *model.Probe) {
	c := m.c
	p.Layers, p.Heads, p.MiniBatchSize = c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize
	p.MiniBatches = (len(ids) + c.MiniBatchSize - 1) / c.MiniBatchSize
	var xs [][]float64
	for _, id := range ids {
		xs = append(xs, append([]float64(nil), m.param["model.embed_tokens.weight"][int(id)*c.HiddenSize:][:c.HiddenSize]...))
	}
	for i := range c.NumHiddenLayers {
		layer := func(n string) []float64 { return m.param[fmt.Sprintf("model.layers.%d.%s", i, n)] }
		for t, y := range m.layer(layer, xs, p) {
			for j, v := range linear(layer("seq_modeling_block.o_proj.weight"), y) {
				xs[t][j] += v
			}
			h := rmsNorm(xs[t], layer("ffn_norm.weight"), c.RMSNormEps)
			gate, up := linear(layer("mlp.gate_proj.weight"), h), linear(layer("mlp.up_proj.weight"), h)
			for j, g := range gate {
				up[j] *= g / (1 + math.Exp(-g))
			}
			for j, v := range linear(layer("mlp.down_proj.weight"), up) {
				xs[t][j] += v
			}
		}
	}
}

// layer is a TTT layer up to post_norm on x, the inputs of the block.
func (m plainModel) layer(param func(string) []float64, x [][]float64, p *model.Probe) (out [][]float64) {
	c, f := m.c, m.c.HeadDim()
	block := func(n string) []float64 { return param("seq_modeling_block." + n) }
	var q, k, v [][]float64
	var norm [][]float64
	turn := func(y []float64, t int) []float64 {
		for h := range c.NumAttentionHeads {
			for i := range f / 2 {
				angle := float64(t%c.MiniBatchSize) * math.Pow(c.RopeTheta, -2*float64(i)/float64(f))
				pair := y[h*f+2*i:][:2]
				pair[0], pair[1] = pair[0]*math.Cos(angle)-pair[1]*math.Sin(angle), pair[0]*math.Sin(angle)+pair[1]*math.Cos(angle)
			}
		}
		return y
	}
	for t := range x {
		n := rmsNorm(x[t], param("seq_norm.weight"), c.RMSNormEps)
		norm = append(norm, n)
		q, k = append(q, turn(linear(block("q_proj.weight"), n), t)), append(k, turn(linear(block("k_proj.weight"), n), t))
		v = append(v, linear(block("v_proj.weight"), n))
		out = append(out, make([]float64, c.HiddenSize))
	}
	for h := range c.NumAttentionHeads {
		of := func(y [][]float64, t int) []float64 { return y[t][h*f:][:f] }
		part := func(n string) []float64 { w := block(n); l := len(w) / c.NumAttentionHeads; return w[h*l:][:l] }
		start := head{[][]float64{part("W1"), part("b1")}, part("ttt_norm_weight"), part("ttt_norm_bias")}
		if c.TTTLayerType == "mlp" {
			start.w = append(start.w, part("W2"), part("b2"))
		}
		now := start
		for t0 := 0; t0 < len(x); t0 += c.MiniBatchSize {
			n := min(c.MiniBatchSize, len(x)-t0)
			var next head
			for i := range n {
				next = head{cloneAll(now.w), start.gamma, start.beta}
				tok := math.Max(0, 1/float64(i+1)+block("learnable_token_idx")[i])
				for j := t0; j <= t0+i; j++ {
					gate := part("learnable_ttt_lr_bias")[0] + linear(part("learnable_ttt_lr_weight"), norm[j])[0]
					now.step(next.w, of(k, j), of(v, j), tok*c.TTTBaseLR/(1+math.Exp(-gate))/float64(f))
				}
				z, _, _ := next.apply(of(q, t0+i))
				zh, _ := layerNorm(z)
				for j, y := range zh {
					out[t0+i][h*f+j] = of(q, t0+i)[j] + start.gamma[j]*y + start.beta[j]
				}
			}
			var l [3]float64
			for i := t0; i < t0+n; i++ {
				for j, w := range []head{start, now, next} {
					l[j] += w.loss(of(k, i), of(v, i)) / float64(n)
				}
			}
			var far, size float64
			for i, w := range start.w {
				for j, s := range w {
					far += (next.w[i][j] - s) * (next.w[i][j] - s)
					size += s * s
				}
			}
			p.Start, p.Before, p.After = append(p.Start, l[0]), append(p.Before, l[1]), append(p.After, l[2])
			p.Drift = append(p.Drift, math.Sqrt(far/size))
			now = next
		}
	}
	for t := range out {
		xhat, _ := layerNorm(out[t])
		for j, y := range xhat {
			out[t][j] = y*block("post_norm.weight")[j] + block("post_norm.bias")[j]
		}
	}
	return out
}

// probeConfig is a small model without options.
func probeConfig(kind string) model.Config {
	c := model.DefaultConfig()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads = 128, 16, 24, 2, 2
	c.TTTLayerType, c.MiniBatchSize, c.InitializerRange = kind, 4, 0.2
	return c
}

func newModel(t *testing.T, c model.Config, ex prog.Executor, seed uint64) *model.LM {
	t.Helper()
	m, err := model.New(c, model.ScanOptions{CheckpointEvery: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Free(ex) })
	if err := m.Prepare(ex); err != nil {
		t.Fatal(err)
	}
	if err := m.Init(ex, seed); err != nil {
		t.Fatal(err)
	}
	return m
}

// A probe is what reading the text token by token gives, for every layer and head, its last mini-batch short or whole.
func TestProbe(t *testing.T) {
	for _, kind := range []string{"linear", "mlp"} {
		t.Run(kind, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				r := rand.New(rand.NewPCG(1, 9))
				m := newModel(t, probeConfig(kind), ex, 1)
				for _, p := range m.Arena.Tensors() { // every parameter away from its plain start
					v := make([]float32, p.Len())
					if err := ex.Read(p, v); err != nil {
						t.Fatal(err)
					}
					for i := range v {
						v[i] += float32(0.15 * r.NormFloat64())
					}
					if err := ex.Write(p, v); err != nil {
						t.Fatal(err)
					}
				}
				var got model.Probe // read into again and again
				for _, l := range []int{19, 8, 3} {
					s, err := model.NewProbeStep(m, l)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Free(ex)
					run := load(t, ex, s.Program)
					for i := range s.IDs() {
						s.IDs()[i] = uint32(r.IntN(m.Config.VocabSize))
					}
					if err := s.Run(ex, run); err != nil {
						t.Fatal(err)
					}
					if err := s.Read(ex, &got); err != nil {
						t.Fatal(err)
					}
					var want model.Probe
					readPlain(t, m, ex).read(s.IDs(), &want)
					if shape := fmt.Sprint(got.Layers, got.Heads, got.MiniBatches, got.MiniBatchSize); shape != fmt.Sprint(want.Layers, want.Heads, want.MiniBatches, want.MiniBatchSize) {
						t.Fatalf("%d tokens: shape %s, want %+v", l, shape, want)
					}
					check.Within(t, fmt.Sprint(l, " start"), got.Start, want.Start, 1e-5)
					check.Within(t, fmt.Sprint(l, " before"), got.Before, want.Before, 1e-5)
					check.Within(t, fmt.Sprint(l, " after"), got.After, want.After, 1e-5)
					check.Within(t, fmt.Sprint(l, " drift"), got.Drift, want.Drift, 1e-5)
				}
			})
		})
	}
}

// A model that trains a little learns to gain from its inner loops, the step and what came before it; and that it is
// probed between its steps changes no bit of it.
func TestProbeWhileTraining(t *testing.T) {
	for _, kind := range []string{"linear", "mlp"} {
		t.Run(kind, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				const steps, l = 40, 64
				alone, _ := trainProbed(t, kind, ex, steps, l, 0)
				probed, p := trainProbed(t, kind, ex, steps, l, 10)
				for i := range alone {
					if alone[i] != probed[i] {
						t.Fatalf("step %d: loss or gradient norm %v with a probe, %v without", i/2+1, probed[i], alone[i])
					}
				}
				first, last := p[0], p[len(p)-1]
				t.Logf("start %.4f before %.4f after %.4f drift %.4f", avg(last.Start), avg(last.Before), avg(last.After), avg(last.Drift))
				if s, b, a := avg(last.Start), avg(last.Before), avg(last.After); !(s > b && b > a && a > 0) {
					t.Errorf("mean loss at the start %g, before the step %g, after it %g, want them to fall", s, b, a)
				}
				for i := range last.Start {
					switch t0 := i%last.MiniBatches == 0; {
					case t0 && math.Abs(last.Start[i]-last.Before[i]) > 1e-6*last.Start[i]:
						t.Errorf("first mini-batch: loss at the start %g, before the step %g, want the same", last.Start[i], last.Before[i])
					case !(last.Drift[i] > 0):
						t.Errorf("drift %g at %d, want the state to move", last.Drift[i], i)
					}
				}
				if avg(first.Start) == avg(last.Start) {
					t.Error("the probe does not see the weights change")
				}
			})
		})
	}
}

// trainProbed trains a model on stories and probes it every so many steps (0: never). It returns the losses and
// gradient norms of the steps.
func trainProbed(t *testing.T, kind string, ex prog.Executor, steps, l, every int) (metrics []float32, ps []model.Probe) {
	t.Helper()
	m := newModel(t, probeConfig(kind), ex, 3)
	text := data.Stories(1, 20000)
	s, err := model.NewTrainStep(m, model.StepOptions{Batch: 2, SeqLen: l, Ring: steps})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free(ex)
	run := load(t, ex, s.Program)
	fill := func(ids []uint32, at int) {
		for i := range ids {
			ids[i] = uint32(text[at+i])
		}
	}
	var probe *model.ProbeStep
	var probeRun prog.Runner
	for n := range steps {
		fill(s.IDs(0), n*131)
		if err := s.SetBatch(); err != nil {
			t.Fatal(err)
		}
		s.SetHyper(model.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Clip: 1}, 5e-3, n+1)
		if err := ex.Upload(s.Inputs); err != nil {
			t.Fatal(err)
		}
		if err := run.Run(); err != nil {
			t.Fatal(err)
		}
		if every == 0 || n%every != every-1 {
			continue
		}
		if probe == nil {
			if probe, err = model.NewProbeStep(m, 2*l); err != nil {
				t.Fatal(err)
			}
			defer probe.Free(ex)
			probeRun = load(t, ex, probe.Program)
			fill(probe.IDs(), len(text)-2*l)
		}
		if err := probe.Run(ex, probeRun); err != nil {
			t.Fatal(err)
		}
		var p model.Probe
		if err := probe.Read(ex, &p); err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	metrics = make([]float32, 2*steps)
	if err := s.Metrics(ex, metrics); err != nil {
		t.Fatal(err)
	}
	return metrics, ps
}

func avg(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
}

// After the first a probe allocates nothing.
func TestProbeAllocates(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	m := newModel(t, probeConfig("linear"), ex, 1)
	s, err := model.NewProbeStep(m, 30)
	if err != nil {
		t.Fatal(err)
	}
	run := load(t, ex, s.Program)
	var p model.Probe
	n := testing.AllocsPerRun(10, func() {
		if err := s.Run(ex, run); err != nil {
			t.Fatal(err)
		}
		if err := s.Read(ex, &p); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%g allocations a probe, want 0", n)
	}
}

func TestProbeErrors(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	m := newModel(t, probeConfig("linear"), ex, 1)
	if _, err := model.NewProbeStep(m, 0); err == nil || err.Error() != "model: 0 tokens to probe, want at least 1" {
		t.Error(err)
	}
	s, err := model.NewProbeStep(m, 5)
	if err != nil {
		t.Fatal(err)
	}
	s.IDs()[2] = 128
	if err := s.Run(ex, load(t, ex, s.Program)); err == nil || !strings.Contains(err.Error(), "id 128 at position 2, want less than the vocabulary of 128") {
		t.Error(err)
	}
}
