package model

import (
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// needsPositions says whether the model turns keys and queries by absolute positions.
func (c Config) needsPositions() bool { return c.Block == BlockHybrid || c.Variant == VariantVideo }

// attention records causal attention on x [B,L,C], a hybrid block's normalised input. Queries and keys are rotated to
// their absolute positions.
func (m *LM) attention(r *prog.Recorder, w *layerParams, in Tokens, x *prog.Tensor, mem layerMemory) *prog.Tensor {
	c := m.Config
	b, l, h := x.Dim(0), x.Dim(1), c.NumAttentionHeads
	ps := op.Linears(r, prog.F32, x, w.attQ, w.attK)
	q := op.Rotate(r, ps[0], m.angles, in.Pos, h)
	k := op.Rotate(r, ps[1], m.angles, in.Pos, h)
	v := op.Linear(r, x, w.attV)
	var y *prog.Tensor
	o := op.AttentionOptions{Heads: h, SeqLen: l, Window: c.Window}
	if mem.keys != nil {
		y = op.AttentionDecode(r, q, k, v, in.Pos, mem.keys, mem.values, o)
	} else {
		y = op.Attention(r, q, k, v, in.Pos, o)
	}
	return op.Linear(r, y.Reshape(b, l, c.HiddenSize), w.attO)
}

// videoLayer records a TTT layer of the video variant on x [B,L,C].
func (m *LM) videoLayer(r *prog.Recorder, w *layerParams, in Tokens, x *prog.Tensor, mem layerMemory, how Reading) *prog.Tensor {
	c := m.Config
	y := ttt.Video(r, ttt.VideoInputs{X: x, Pos: in.Pos, Table: m.angles, Eps: in.Eps}, ttt.VideoParams{
		WQ: w.q, BQ: w.qB, WK: w.k, BK: w.kB, WV: w.v, BV: w.vB, WO: w.o, BO: w.oB,
		LRW: w.lrW, LRB: w.lrB, Inner: w.scan, PostW: w.postW, PostB: w.postB,
	}, ttt.VideoOptions{
		Options: ttt.Options{
			Heads: c.NumAttentionHeads, MiniBatch: c.MiniBatchSize, CheckpointEvery: m.Scan.CheckpointEvery, MaxMiniBatches: how.MaxMiniBatches,
			NonCausal: m.leaks(how),
		},
		BaseLR: c.TTTBaseLR,
		Fault:  m.fault.video(),
		Inner:  func(xs *prog.Tensor, o ttt.Options) *prog.Tensor { return m.innerLoop(r, w, xs, mem, how, o) },
	})
	if how.norms != nil {
		how.norms(w, y)
	}
	return y.Out
}

// innerLoop records the inner loop of a layer on xs and returns its output [B*L, C].
func (m *LM) innerLoop(r *prog.Recorder, w *layerParams, xs *prog.Tensor, mem layerMemory, how Reading, o ttt.Options) *prog.Tensor {
	switch {
	case how.probe != nil:
		return how.probe(r, w, xs, o)
	case how.Decode:
		return w.scan.Decode(r, xs, w.tok, mem.state, mem.sum, o)
	}
	return w.scan.Scan(r, xs, w.tok, mem.state, o).Out
}
