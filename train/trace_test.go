package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"innerloop/data"
	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/prog"
)

var (
	nan32 = float32(math.NaN())
	inf32 = float32(math.Inf(1))
)

// traced is a run of two layers and two micro-batches.
func traced() Config {
	c := tiny()
	c.Model.NumHiddenLayers, c.Model.PreConv = 2, true
	c.Train.MicroBatches, c.Train.LogEvery = 2, 4
	return c
}

// beginOn prepares a run on ex.
func beginOn(t *testing.T, c Config, ex prog.Executor) *Run {
	t.Helper()
	text, err := Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(c, ex, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// steps queues n steps and asks for their metrics.
func steps(r *Run, n int) (*NonFiniteError, error) {
	var err error
	for range n {
		if err = r.advance(); err != nil {
			break
		}
	}
	err = errors.Join(r.flush(&notes{}), err)
	var bad *NonFiniteError
	if errors.As(err, &bad) {
		return bad, nil
	}
	return nil, err
}

// change replaces elements of tensors of arenas by what to says of each.
func change(t *testing.T, ex prog.Executor, x *prog.Tensor, to func(i int, old float32) float32) {
	t.Helper()
	v := make([]float32, x.Len())
	if err := ex.Read(x, v); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		v[i] = to(i, v[i])
	}
	if err := ex.Write(x, v); err != nil {
		t.Fatal(err)
	}
}

// at replaces one element.
func at(k int, by float32) func(int, float32) float32 {
	return func(i int, old float32) float32 {
		if i == k {
			return by
		}
		return old
	}
}

func all(v float32) func(int, float32) float32 { return func(int, float32) float32 { return v } }

// A value that is not finite is traced to where it comes from: what it was planted in, or the operation that made it.
func TestTrace(t *testing.T) {
	type plant func(t *testing.T, r *Run, param func(name string) *prog.Tensor)
	param := func(name string, to func(int, float32) float32) plant {
		return func(t *testing.T, r *Run, p func(string) *prog.Tensor) { change(t, r.ex, p(name), to) }
	}
	both := func(ps ...plant) plant {
		return func(t *testing.T, r *Run, p func(string) *prog.Tensor) {
			for _, f := range ps {
				f(t, r, p)
			}
		}
	}
	const mlp, seq = "model.layers.1.mlp.", "model.layers.0.seq_modeling_block."
	for _, c := range []struct {
		name   string
		config func(c *Config)
		plant  plant
		want   Origin
		text   string // a part of the error
		input  string // a part of what the details say of the inputs
	}{
		// Of what a step wrote, which element is the first depends on the order of sums: there is no Index.
		{
			"nan weight", nil, param(mlp+"up_proj.weight", at(37, nan32)),
			Origin{Micro: 0, Layer: 1, Parameter: true, Operation: "matmul_nt", Tensor: mlp + "up_proj.weight", Index: []int{1, 5}, NonFinite: 1},
			"before the step, parameter model.layers.1.mlp.up_proj.weight[1,5] is NaN; first read by matmul_nt (micro-batch 0, layer 1). Go on from weights that are finite",
			"read       second moment of model.layers.1.mlp.up_proj.weight [48 32]: ",
		},
		{
			// All weights are copied at once, rounded: who reads the copy reads the weight.
			"nan weight in float16", func(c *Config) { c.Train.Precision = "f16" }, param(mlp+"up_proj.weight", at(37, nan32)),
			Origin{Micro: 0, Layer: 1, Parameter: true, Operation: "matmul_nt_f16_out", Tensor: mlp + "up_proj.weight", Index: []int{1, 5}, NonFinite: 1},
			"before the step, parameter model.layers.1.mlp.up_proj.weight[1,5] is NaN; first read by matmul_nt_f16_out (micro-batch 0, layer 1). Go on",
			"read       second moment of model.layers.1.mlp.up_proj.weight [48 32]: ",
		},
		{
			"inf weight of an inner model", nil, param(seq+"ttt_norm_weight", at(17, -inf32)),
			Origin{Micro: 0, Layer: 0, Parameter: true, Operation: "ttt_linear_fwd", Tensor: seq + "ttt_norm_weight", Index: []int{1, 1}, NonFinite: 1},
			"is -Inf; first read by ttt_linear_fwd (micro-batch 0, layer 0)", "1 not finite",
		},
		{
			"two weights", nil, both(param("model.norm.weight", at(3, nan32)), param("model.layers.1.conv.conv.bias", at(2, nan32))),
			Origin{Micro: 0, Layer: 1, Parameter: true, Operation: "conv_fwd", Tensor: "model.layers.1.conv.conv.bias", Index: []int{2}, NonFinite: 1}, "", "",
		},
		{
			"activation of a product", nil,
			both(param(mlp+"gate_proj.weight", all(1e19)), param(mlp+"up_proj.weight", all(1e19))),
			Origin{Micro: 0, Layer: 1, Operation: "swiglu_fwd", Tensor: "layers.1.swiglu"},
			"first swiglu_fwd (micro-batch 0, layer 1) wrote ", "read       gate = layers.1.linear#",
		},
		{
			"activation of a matrix", nil, param(mlp+"up_proj.weight", func(i int, old float32) float32 {
				if i/32 == 7 { // of one output, whose sums overflow
					return 3e38
				}
				return old
			}),
			Origin{Micro: 0, Layer: 1, Operation: "matmul_nt", Tensor: "layers.1.linear#"},
			", of model.layers.1.mlp.up_proj.weight. Try a lower train.lr", "b = model.layers.1.mlp.up_proj.weight [48 32]: ",
		},
		{
			"loss", nil, func(t *testing.T, r *Run, p func(string) *prog.Tensor) {
				change(t, r.ex, p("model.norm.weight"), all(1e19))
				change(t, r.ex, p("lm_head.weight"), func(_ int, old float32) float32 { return 1e19 * old })
			},
			Origin{Micro: 0, Layer: -1, Operation: "sum_to", Tensor: "loss"}, "outside the layers", "",
		},
		{
			// silu(0) * up is 0, but its derivative is up/2.
			"gradient", nil,
			both(param(mlp+"gate_proj.weight", all(0)), param(mlp+"up_proj.weight", func(_ int, old float32) float32 { return 1e20 * old }),
				param(mlp+"down_proj.weight", func(_ int, old float32) float32 { return 1e25 * old })),
			Origin{Micro: 0, Layer: 1, Backward: true, Operation: "matmul_nn_glu_bwd", Tensor: "gradient of layers.1.linear"},
			"(micro-batch 0, layer 1, backward)", ": 0 there; 0 to 0, largest [0,0,0]; begins 0 0 0 0 0 0\nread       up = layers.1.linear#",
		},
		{
			"norm of gradients", nil,
			both(param(mlp+"up_proj.weight", all(0)), param(mlp+"down_proj.weight", func(_ int, old float32) float32 { return 1e27 * old })),
			Origin{Micro: -1, Layer: -1, Operation: "clip_part", Tensor: "clip.part"},
			"outside the layers", "largest gradient of model.layers.1.mlp.up_proj.weight[",
		},
		{
			"table", nil, func(t *testing.T, r *Run, _ func(string) *prog.Tensor) {
				for _, a := range r.train.Program.Arenas {
					if a.Name() == "tables" {
						change(t, r.ex, a.Lookup("rope"), at(2*8+5, inf32))
					}
				}
			},
			Origin{Micro: 0, Layer: 0, Given: true, Operation: "rope_fwd", Tensor: "rope", Index: []int{1, 2, 1}, NonFinite: 1},
			"before the step, rope[1,2,1] is +Inf", "",
		},
		{
			"carried memory", func(c *Config) { c.Train.CarryState = true }, func(t *testing.T, r *Run, _ func(string) *prog.Tensor) {
				change(t, r.ex, r.train.Memory[1].Arena.Lookup("layers.1.state"), at(70, nan32))
			},
			Origin{Micro: 1, Layer: 1, Given: true, Operation: "ttt_linear_fwd", Tensor: "carried memory layers.1.state", Index: []int{0, 70}, NonFinite: 1},
			"before the step, carried memory layers.1.state[0,70] is NaN", "1 not finite",
		},
		{
			// The update of the first step is made: what is not finite in it is not looked for. The next one shows it.
			"moment", nil, func(t *testing.T, r *Run, _ func(string) *prog.Tensor) {
				first, _ := r.train.Moments()
				change(t, r.ex, first.Lookup(mlp+"down_proj.weight"), at(4, inf32))
				if bad, err := steps(r, 1); err != nil || bad != nil {
					t.Fatal(bad, err)
				}
			},
			Origin{Step: 4, Micro: 0, Layer: 1, Parameter: true, Operation: "matmul_nt", Tensor: mlp + "down_proj.weight", Index: []int{0, 4}, NonFinite: 1},
			"", "first moment of model.layers.1.mlp.down_proj.weight [32 48]: ",
		},
		{
			"learning rate", nil, func(_ *testing.T, r *Run, _ func(string) *prog.Tensor) { r.Config.Train.LR = math.NaN() },
			Origin{Micro: -1, Layer: -1, Given: true, Tensor: "hyper", Index: []int{0}, NonFinite: 1},
			"train: step 3: not finite; the step was not made: the step's input hyper[0] is NaN", "",
		},
		{
			"eps", func(c *Config) { c.Model.Variant = model.VariantVideo },
			func(_ *testing.T, r *Run, _ func(string) *prog.Tensor) { r.Config.Model.TargetEps = math.Inf(1) },
			Origin{Micro: 0, Layer: -1, Given: true, Tensor: "target_eps", Index: []int{0}, NonFinite: 1}, "target_eps[0] is +Inf", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				conf := traced()
				if c.config != nil {
					c.config(&conf)
				}
				conf.Model.TieWordEmbeddings = false
				r := beginOn(t, conf, ex)
				if bad, err := steps(r, 2); bad != nil || err != nil {
					t.Fatal(bad, err)
				}
				c.plant(t, r, func(name string) *prog.Tensor {
					x := r.Model.Lookup(name)
					if x == nil {
						t.Fatalf("no parameter %s", name)
					}
					return x
				})
				before := weights(t, r)
				bad, err := steps(r, 1)
				if err != nil || bad == nil {
					t.Fatalf("%v, %v, want a NonFiniteError", bad, err)
				}
				o := bad.Origin
				if o == nil {
					t.Fatalf("not traced: %v", bad.Trace)
				}
				if c.want.Step == 0 {
					c.want.Step = 3
				}
				got := Origin{o.Step, o.Micro, o.Layer, o.Backward, o.Parameter, o.Loaded, o.Given, o.Half, o.Operation, "", o.Tensor, nil, o.Index, 0, o.NonFinite, nil}
				w := c.want
				if w.Index == nil {
					got.Index, got.NonFinite = nil, 0
				}
				if strings.HasPrefix(got.Tensor, w.Tensor) && (w.Tensor == "" || strings.HasSuffix(w.Tensor, "#") || strings.HasSuffix(w.Tensor, "linear")) {
					got.Tensor = w.Tensor
				}
				if fmt.Sprint(got) != fmt.Sprint(w) {
					t.Errorf("got  %+v\nwant %+v", got, w)
				}
				if finite(o.Value) || o.NonFinite < 1 || bad.Step != w.Step || r.Step() != w.Step-1 {
					t.Errorf("%+v of step %d, at step %d", o, bad.Step, r.Step())
				}
				if !strings.Contains(bad.Error(), c.text) || strings.Contains(bad.Error(), "\n") {
					t.Errorf("%q lacks %q", bad, c.text)
				}
				if !strings.Contains(o.Details(), c.input) {
					t.Errorf("details\n%s\nlack %q", o.Details(), c.input)
				}
				if !sameBits(before, weights(t, r)) {
					t.Error("weights changed")
				}
				if testing.Verbose() {
					t.Logf("%v\n%s", bad, o.Details())
				}
			})
		})
	}
}

// A parameter that was not finite when a run began, or went on from a checkpoint, is told from one that became so.
func TestLoadedParameter(t *testing.T) {
	const name = "model.layers.1.mlp.up_proj.weight"
	plant := func(r *Run) { change(t, r.ex, r.Model.Lookup(name), at(37, nan32)) }
	fails := func(r *Run, step int, cause, text string) {
		t.Helper()
		bad, err := steps(r, 1)
		if err != nil || bad == nil || bad.Origin == nil {
			t.Fatalf("%v, %v, want an origin", bad, err)
		}
		if o := bad.Origin; bad.Step != step || !o.Parameter || o.Tensor != name || o.Loaded != (cause == "loaded") || o.Cause() != cause {
			t.Errorf("%+v of step %d, want step %d and cause %s", o, bad.Step, step, cause)
		}
		if !strings.Contains(bad.Error(), text) || strings.Contains(bad.Error(), "lower train.lr") {
			t.Errorf("%q lacks %q, or blames the learning rate", bad, text)
		}
	}
	const loaded, became = "It was so before the run's first step, as it was initialised or loaded", "Go on from weights that are finite, such as an earlier checkpoint"
	dir := t.TempDir()
	r, _ := begin(t, traced())
	if bad, err := steps(r, 2); bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	if _, err := r.Save(dir, 1); err != nil {
		t.Fatal(err)
	}
	plant(r)
	fails(r, 3, "parameter", became)
	last, _, err := Latest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Restore(last); err != nil {
		t.Fatal(err)
	}
	plant(r)
	fails(r, 3, "loaded", loaded)
	fresh, _ := begin(t, traced())
	plant(fresh)
	fails(fresh, 1, "loaded", loaded)
	var bad *NonFiniteError
	if _, err := fresh.Save(t.TempDir(), 1); !errors.As(err, &bad) || bad.Origin.Cause() != "loaded" || !strings.Contains(err.Error(), loaded) {
		t.Errorf("a checkpoint of it: %v", err)
	}
}

// sameBits compares two tensors; any NaN is the same as any other.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
	})
}

// everything is all that a run goes on with: parameters, moments, carried memory.
func everything(t *testing.T, r *Run) []float32 {
	t.Helper()
	out := weights(t, r)
	for _, a := range r.stateArenas() {
		for _, x := range a.Tensors() {
			v := make([]float32, x.Len())
			if err := r.ex.Read(x, v); err != nil {
				t.Fatal(err)
			}
			out = append(out, v...)
		}
	}
	return out
}

// After a step that is not finite, in the middle of a log's window, the good ones that are queued behind it change nothing
// either, and the run is what it was before that step, bit for bit. It can go on from there.
func TestTraceHalts(t *testing.T) {
	for _, carry := range []bool{false, true} {
		t.Run(fmt.Sprintf("carry %v", carry), func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				c := traced()
				c.Train.Steps, c.Train.LogEvery, c.Train.CarryState = 40, 20, carry
				c.Train.BatchSize, c.Train.SeqLen, c.Data.ValFraction, c.Model.TieWordEmbeddings = 1, 16, 0, false
				// One letter is rare: few steps read it, and only those read its row of the embedding.
				text := []byte(strings.Repeat("the cat sat on the mat. ", 160))
				for i := 100; i < len(text); i += 130 {
					text[i] = 'Z'
				}
				corpus, err := data.NewCorpus("rare", text)
				if err != nil {
					t.Fatal(err)
				}
				r, err := New(c, ex, corpus)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(r.Close)
				reads := func(step int) bool {
					t.Helper()
					ids, pos := make([]uint32, 16), make([]uint32, 16)
					for m := range 2 {
						if err := r.reader.Fill(ids, pos, step-1, m); err != nil {
							t.Fatal(err)
						}
						if slices.Contains(ids, 'Z') {
							return true
						}
					}
					return false
				}
				bad := 3
				for ; !reads(bad) || reads(bad+1) || reads(bad+2); bad++ {
					if bad > 15 {
						t.Fatal("no step reads the letter and is followed by two that do not")
					}
				}
				if e, err := steps(r, bad-1); e != nil || err != nil {
					t.Fatal(e, err)
				}
				row := int('Z') * c.Model.HiddenSize
				change(t, ex, r.Model.Lookup("model.embed_tokens.weight"), at(row+9, nan32))
				before := everything(t, r)
				for range 2 { // the second time it does so anew
					e, err := steps(r, 3)
					if err != nil || e == nil || e.Step != bad || r.Step() != bad-1 {
						t.Fatalf("%v, %v at step %d, want step %d not finite", e, err, r.Step(), bad)
					}
					if o := e.Origin; o == nil || o.Tensor != "model.embed_tokens.weight" || o.Operation != "embedding_fwd" || !slices.Equal(o.Index, []int{'Z', 9}) {
						t.Errorf("%v", e)
					}
					if !sameBits(before, everything(t, r)) {
						t.Fatal("what the run goes on with has changed")
					}
				}
				// With the weight mended it goes on, and all of the queued steps are made.
				change(t, ex, r.Model.Lookup("model.embed_tokens.weight"), at(row+9, 0))
				if e, err := steps(r, 3); e != nil || err != nil || r.Step() != bad+2 {
					t.Fatalf("%v, %v at step %d, want %d", e, err, r.Step(), bad+2)
				}
				if sameBits(before, everything(t, r)) {
					t.Error("the steps after it changed nothing")
				}
			})
		})
	}
}
