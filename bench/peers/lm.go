package main

import (
	"fmt"
	"math"

	"innerloop/op"
	"innerloop/prog"
)

// The language model that all train: it sees one byte and predicts the next. With x the embedding of the byte, each
// block does, without biases,
//
//	h = RMSNorm(x) ; x += Wo (Wa h * Wb h * Wc h) ; x += Wdown (silu(Wgate x) * Wup x)
//
// where * is the product of elements; the head is a matrix of its own. The one norm of a block is before its
// projections. So there are 2*256*128 + 2*(128 + 4*128*128 + 3*128*344) = 461,056 parameters.
const (
	lmVocab  = 256
	lmWidth  = 128
	lmHidden = 344
	lmBlocks = 2
	lmRows   = 8
	lmLength = 128
	lmEps    = 1e-6 // RMSNorm's

	adamRate, adamBeta1, adamBeta2, adamEps = 1e-3, 0.9, 0.999, 1e-8
)

// lm is the model with its training step on our engine.
type lm struct {
	params *prog.Arena
	step   *prog.Program
	inputs *prog.Stage
	loss   *prog.Tensor // [1]: nats a byte, kept

	ids, targets, order, start, hyper *prog.Tensor
	grads                             *prog.Arena
	moments                           [2]*prog.Arena
}

// lmBlock are the weights of a block; a matrix is [out, in].
type lmBlock struct{ norm, a, b, c, out, gate, up, down *prog.Tensor }

// newLM lays the parameters out and records the step.
func newLM() (*lm, error) {
	m := &lm{params: prog.NewArena("params")}
	embed := m.params.Add("embed", prog.F32, lmVocab, lmWidth)
	var blocks []lmBlock
	for i := range lmBlocks {
		add := func(name string, shape ...int) *prog.Tensor {
			return m.params.Add(fmt.Sprintf("blocks.%d.%s", i, name), prog.F32, shape...)
		}
		blocks = append(blocks, lmBlock{
			norm: add("norm", lmWidth), a: add("a", lmWidth, lmWidth), b: add("b", lmWidth, lmWidth), c: add("c", lmWidth, lmWidth),
			out: add("out", lmWidth, lmWidth), gate: add("gate", lmHidden, lmWidth), up: add("up", lmHidden, lmWidth), down: add("down", lmWidth, lmHidden),
		})
	}
	head := m.params.Add("head", prog.F32, lmVocab, lmWidth)
	m.grads = m.params.Mirror("grads")
	m.params.WithGrad(m.grads)
	m.moments = [2]*prog.Arena{m.params.Mirror("m"), m.params.Mirror("v")}

	in := prog.NewArena("inputs")
	const n = lmRows * lmLength
	m.ids, m.targets, m.order = in.Add("ids", prog.U32, n), in.Add("targets", prog.U32, n), in.Add("order", prog.U32, n)
	m.start = in.Add("start", prog.U32, lmVocab+1)
	m.hyper = in.Add("hyper", prog.F32, op.HyperLen)
	mean, one := in.Add("mean", prog.F32, 1), in.Add("one", prog.F32, 1)
	m.inputs = prog.NewStage(in)
	m.inputs.F32(mean)[0], m.inputs.F32(one)[0] = 1/float32(n), 1

	var err error
	m.step, err = prog.Record("mlp language model", func(r *prog.Recorder) {
		whole := func(a *prog.Arena) *prog.Tensor { return a.Window(a.Name(), 0, a.Words()) }
		r.Clear(whole(m.grads))
		m.loss = r.Keep(r.Temp("loss", 1))
		r.Clear(m.loss)
		x := op.Embedding(r, m.ids, m.order, m.start, embed)
		for i, w := range blocks {
			r.Scope(fmt.Sprintf("blocks.%d", i), func() { x = w.record(r, x) })
		}
		rows := op.CrossEntropy(r, op.Linear(r, x, head), m.targets, mean)
		op.SumTo(r, rows, mean, m.loss)
		r.Backward()
		op.AdamW(r, whole(m.params), whole(m.grads), whole(m.moments[0]), whole(m.moments[1]), m.hyper, one, 0)
	})
	return m, err
}

// record records the block on x [N,C].
func (w lmBlock) record(r *prog.Recorder, x *prog.Tensor) *prog.Tensor {
	h := op.RMSNorm(r, x, w.norm, lmEps)
	h = op.Product(r, op.Linear(r, h, w.a), op.Linear(r, h, w.b), op.Linear(r, h, w.c))
	x = op.LinearPlus(r, h, w.out, x)
	return op.SwiGLULinear(r, op.Linear(r, x, w.gate), op.Linear(r, x, w.up), w.down, x)
}

// count is the number of parameters.
func (m *lm) count() (n int) {
	for _, t := range m.params.Tensors() {
		n += t.Len()
	}
	return n
}

// trainer is the model under training on an executor.
type trainer struct {
	*lm
	ex   prog.Executor
	run  prog.Runner
	text []byte // batches of lmRows rows of lmLength+1 bytes
	done int    // steps made
}

// batchBytes is the text of one batch: a byte more a row than it predicts.
const batchBytes = lmRows * (lmLength + 1)

// newTrainer readies the step on ex.
func newTrainer(ex prog.Executor, text []byte) (*trainer, error) {
	if len(text) == 0 || len(text)%batchBytes != 0 {
		return nil, fmt.Errorf("text of %d bytes, want a multiple of %d", len(text), batchBytes)
	}
	m, err := newLM()
	if err != nil {
		return nil, err
	}
	run, err := ex.Load(m.step)
	if err != nil {
		return nil, err
	}
	return &trainer{lm: m, ex: ex, run: run, text: text}, nil
}

// reset begins anew with weights, the parameters one after the other.
func (t *trainer) reset(weights []float32) error {
	if len(weights) != t.count() {
		return fmt.Errorf("%d weights, want %d", len(weights), t.count())
	}
	for _, p := range t.params.Tensors() {
		if err := t.ex.Write(p, weights[:p.Len()]); err != nil {
			return err
		}
		weights = weights[p.Len():]
	}
	for _, a := range t.moments {
		if err := t.ex.Upload(prog.NewStage(a)); err != nil {
			return err
		}
	}
	t.done = 0
	return nil
}

// advance queues a step, on the batches of the text in turn.
func (t *trainer) advance() error {
	at := t.done * batchBytes % len(t.text)
	ids, targets := t.inputs.U32(t.ids), t.inputs.U32(t.targets)
	for i := range ids {
		b := t.text[at+i/lmLength*(lmLength+1)+i%lmLength:]
		ids[i], targets[i] = uint32(b[0]), uint32(b[1])
	}
	if err := op.IndexIDs(t.inputs.U32(t.order), t.inputs.U32(t.start), ids); err != nil {
		return err
	}
	t.done++
	op.FillHyper(t.inputs.F32(t.hyper), adamRate, adamBeta1, adamBeta2, adamEps, 0, t.done)
	if err := t.ex.Upload(t.inputs); err != nil {
		return err
	}
	return t.run.Run()
}

// train makes steps and returns the last one's loss, which waits for them.
func (t *trainer) train(steps int) (float64, error) {
	for range steps {
		if err := t.advance(); err != nil {
			return math.NaN(), err
		}
	}
	var loss [1]float32
	err := t.run.Read(t.loss, loss[:])
	return float64(loss[0]), err
}

// losses are those of the next steps.
func (t *trainer) losses(steps int) ([]float64, error) {
	out := make([]float64, steps)
	for i := range out {
		var err error
		if out[i], err = t.train(1); err != nil {
			return nil, err
		}
	}
	return out, nil
}
