package model

import (
	"fmt"

	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// LM is a TTT language model: parameters and what every program of it shares. Its methods record programs; an
// executor runs them.
type LM struct {
	*Params
	Scan ScanOptions

	// TargetEps is what the video variant's normaliser adds to the standard deviation. It is data: the next step takes it up.
	TargetEps float64

	fault    Fault
	firstEps *float64 // that StaleEps stays with; nil: none yet

	tables *prog.Arena  // constants: the rotary embeddings' tables
	rope   *prog.Tensor // [K, F/2, 2], for places in mini-batches
	angles *prog.Tensor // [MaxPositionEmbeddings, F/2, 2], for absolute positions; nil where nothing needs them
}

// ScanOptions are choices of speed against memory that do not change the model.
type ScanOptions struct {
	CheckpointEvery int // G: the inner state is kept every G mini-batches for the backward pass; 0 means 1
}

// New lays out a model of a valid configuration. Its parameters have no values yet: see Params.Init and Load.
func New(c Config, o ScanOptions) (*LM, error) {
	p, err := NewParams(c)
	if err != nil {
		return nil, err
	}
	m := &LM{Params: p, Scan: o, TargetEps: c.TargetEps, tables: prog.NewArena("tables")}
	m.rope = m.tables.Add("rope", prog.F32, c.MiniBatchSize, c.HeadDim()/2, 2)
	if c.needsPositions() {
		m.angles = m.tables.Add("angles", prog.F32, c.MaxPositionEmbeddings, c.HeadDim()/2, 2)
	}
	return m, nil
}

// Prepare puts the model's constants on ex; it comes before the first run of any of its programs there.
func (m *LM) Prepare(ex prog.Executor) error {
	s := prog.NewStage(m.tables)
	op.RoPETable(s.F32(m.rope), m.Config.MiniBatchSize, m.Config.HeadDim(), m.Config.RopeTheta)
	if m.angles != nil {
		op.RoPETable(s.F32(m.angles), m.Config.MaxPositionEmbeddings, m.Config.HeadDim(), m.Config.RopeTheta)
	}
	return ex.Upload(s)
}

// Free releases the model's memory on ex.
func (m *LM) Free(ex prog.Executor) {
	for _, a := range []*prog.Arena{m.Arena, m.Grads, m.tables} {
		ex.Free(a)
	}
}

// Tokens are the inputs of one micro-batch, tensors of an arena of inputs.
type Tokens struct {
	IDs     *prog.Tensor // u32 [B,L]
	Order   *prog.Tensor // u32 [B*L]: positions sorted by token, for the embedding's gradient
	Start   *prog.Tensor // u32 [V+1]: where each token's positions begin in Order
	Pos     *prog.Tensor // u32 [B,L]: each token's position in its document, 0 the first
	Targets *prog.Tensor // u32 [B,L]; op.IgnoreIndex where there is none
	Eps     *prog.Tensor // [1]: LM.TargetEps, in the video variant
}

// AddTokens adds the tensors of a micro-batch of b sequences of l tokens to a.
func (m *LM) AddTokens(a *prog.Arena, prefix string, b, l int) Tokens {
	t := Tokens{
		IDs:     a.Add(prefix+"ids", prog.U32, b, l),
		Order:   a.Add(prefix+"order", prog.U32, b*l),
		Start:   a.Add(prefix+"start", prog.U32, m.Config.VocabSize+1),
		Pos:     a.Add(prefix+"pos", prog.U32, b, l),
		Targets: a.Add(prefix+"targets", prog.U32, b, l),
	}
	if m.Config.Variant == VariantVideo {
		t.Eps = a.Add(prefix+"target_eps", prog.F32, 1)
	}
	return t
}

// Activations are the tensors of a forward pass that others look at.
type Activations struct {
	Hidden *prog.Tensor   // [B*L, C]: what the head reads, normalised
	Logits *prog.Tensor   // [B*L, V]; nil after Trunk
	Blocks []*prog.Tensor // [B, L, C]: each TTT layer's output, before the residual sum
}

// Reading says how a program reads its rows. The zero value reads each as a document of its own.
type Reading struct {
	Memory         *Memory // rows go on from it and leave their state there; nil: none does
	Decode         bool    // rows of one token, that may be at any place of a mini-batch; wants a Memory
	MaxMiniBatches int     // of a row in which documents end; 0: ceil(L/K), which is none inside a row

	// store is the type, F32 or F16, of inputs of linear layers, and of what else the backward pass wants and may be
	// rounded.
	store prog.DType
	// norms is told the tensors of every layer of the video variant; nil: nobody is.
	norms func(w *layerParams, y ttt.VideoLayer)
	// outputs is told the output of every TTT layer, before its gate; nil: nobody is.
	outputs func(w *layerParams, y *prog.Tensor)
	// probe records the layers' inner loops instead of the plain scan, after the last of which the pass ends; nil: the
	// whole pass.
	probe innerLoop
}

// innerLoop records the inner loop of the next layer, whose parameters are w, on xs and returns its output [B*L, C].
type innerLoop func(r *prog.Recorder, w *layerParams, xs *prog.Tensor, o ttt.Options) *prog.Tensor

// Forward records the model on in's ids and positions: embedding, blocks, norm, head.
func (m *LM) Forward(r *prog.Recorder, in Tokens, how Reading) Activations {
	act := m.Trunk(r, in, how)
	if act.Hidden != nil {
		act.Logits = op.Linear(r, act.Hidden, m.head)
	}
	return act
}

// Trunk records Forward without the head.
func (m *LM) Trunk(r *prog.Recorder, in Tokens, how Reading) Activations {
	c, p := m.Config, m.Params
	var act Activations
	b, l := in.IDs.Dim(0), in.IDs.Dim(1)
	if mem := how.Memory; mem != nil && mem.Rows != b || how.Decode && (mem == nil || l != 1) {
		r.Failf("model: %d rows of %d tokens, read with a memory that does not fit", b, l)
	}
	if m.angles != nil && l > c.MaxPositionEmbeddings {
		r.Failf("model: rows of %d tokens, want at most max_position_embeddings %d: attention and the video variant place no more", l, c.MaxPositionEmbeddings)
	}
	x := op.Embedding(r, in.IDs, in.Order, in.Start, p.embed).Reshape(b, l, c.HiddenSize)
	var y *prog.Tensor // the last residual branch, not yet added to x
	norm := func(w *prog.Tensor, to prog.DType) (h *prog.Tensor) {
		if y == nil {
			return op.RMSNormTo(r, to, x, w, c.RMSNormEps)
		}
		x, h = op.AddRMSNormTo(r, to, x, y, w, c.RMSNormEps)
		return h
	}
	for i := range p.layers {
		r.Scope(fmt.Sprintf("layers.%d", i), func() {
			w := &p.layers[i]
			var mem layerMemory
			if how.Memory != nil {
				mem = how.Memory.layers[i]
			}
			if c.PreConv {
				y = op.CausalConv(r, norm(w.convNorm, prog.F32), w.convW, w.convB, in.Pos, mem.pre)
			}
			y = m.mixer(r, w, in, norm(w.seqNorm, how.store), mem, how)
			act.Blocks = append(act.Blocks, y)
			if how.probe != nil && i == len(p.layers)-1 {
				return
			}
			h := norm(w.ffnNorm, how.store)
			gu := op.Linears(r, how.store, h, w.gateProj, w.upProj)
			y = op.SwiGLULinear(r, gu[0], gu[1], w.downProj, nil) // the next norm adds it to x
		})
	}
	if how.probe != nil {
		return act
	}
	act.Hidden = norm(p.norm, how.store).Reshape(b*l, c.HiddenSize)
	return act
}

// mixer records what mixes the tokens of a block, on its normalised input x [B,L,C].
func (m *LM) mixer(r *prog.Recorder, w *layerParams, in Tokens, x *prog.Tensor, mem layerMemory, how Reading) *prog.Tensor {
	layer := func(x *prog.Tensor) (y *prog.Tensor) {
		if m.Config.Variant == VariantVideo {
			y = m.videoLayer(r, w, in, x, mem, how)
		} else {
			y = m.tttLayer(r, w, in.Pos, x, mem, how)
		}
		if how.outputs != nil {
			how.outputs(w, y)
		}
		return y
	}
	if !w.hasAttends {
		return layer(x)
	}
	y := m.attention(r, w, in, x, mem)
	if !w.hasTTT {
		return y
	}
	return ttt.Gated(r, y, w.alpha, nil, func(x *prog.Tensor) *prog.Tensor {
		if how.store == prog.F16 {
			x = op.Half(r, x)
		}
		return layer(x)
	})
}

// tttLayer records one TTT layer on x [B,L,C], the block's normalised input, of tokens at positions pos.
func (m *LM) tttLayer(r *prog.Recorder, w *layerParams, pos, x *prog.Tensor, mem layerMemory, how Reading) *prog.Tensor {
	c := m.Config
	b, l, d := x.Dim(0), x.Dim(1), c.HiddenSize
	// Joined is what lives equally long: queries until the convolution's gradient, as the gate; or only until RoPE has read them.
	var q, k, v, g *prog.Tensor
	switch {
	case !c.ShareQK:
		ps := op.Linears(r, prog.F32, x, w.q, w.k, w.v)
		q, k, v = ps[0], ps[1], ps[2]
	case c.UseGate && how.store == prog.F32:
		ps := op.Linears(r, prog.F32, x, w.q, w.g)
		q, g = ps[0], ps[1].Reshape(b*l, d)
	default:
		q = op.Linear(r, x, w.q)
	}
	if c.ShareQK {
		z := q
		q, k = op.CausalConv(r, z, w.convQW, w.convQB, pos, mem.q), op.CausalConv(r, z, w.convKW, w.convKB, pos, mem.k)
		v = op.Linear(r, x, w.v)
	}
	lr := op.LRGate(r, op.Linear(r, x, w.lrW.Reshape(c.NumAttentionHeads, d)), w.lrB, c.TTTBaseLR, c.HeadDim())
	xs := op.RoPE(r, q.Reshape(b*l, d), k.Reshape(b*l, d), v.Reshape(b*l, d), lr.Reshape(b*l, c.NumAttentionHeads), m.rope,
		pos.Reshape(b*l), op.RoPEOptions{Heads: c.NumAttentionHeads, Period: c.MiniBatchSize})
	o := ttt.Options{
		Heads: c.NumAttentionHeads, SeqLen: l, MiniBatch: c.MiniBatchSize, CheckpointEvery: m.Scan.CheckpointEvery,
		MaxMiniBatches: how.MaxMiniBatches, NonCausal: m.leaks(how),
	}
	y := m.innerLoop(r, w, xs, mem, how, o)
	y = op.LayerNormTo(r, how.store, y, w.postW, w.postB, 1e-6)
	if c.UseGate && g == nil {
		g = op.LinearTo(r, how.store, x.Reshape(b*l, d), w.g)
	}
	if c.UseGate {
		y = op.GELUGateLinear(r, y, g, w.o, nil)
	} else {
		y = op.Linear(r, y, w.o)
	}
	return y.Reshape(b, l, d)
}
