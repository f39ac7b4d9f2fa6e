package model

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"innerloop/prog"
	"innerloop/ttt"
)

// Params are a model's parameters: tensors of one arena, those that weight decay touches (rank >= 2) first, so that the
// optimiser is one dispatch, and of those the weights of linear layers first, so that rounding them is one. Their order
// for people and files is the official state dict's.
type Params struct {
	Config Config
	Arena  *prog.Arena  // parameters
	Grads  *prog.Arena  // of the same layout
	Decay  int          // words of Arena that weight decay touches
	Linear *prog.Tensor // the window of Arena with the weights of all linear layers

	names  []string
	embed  *prog.Tensor // [V,C]
	head   *prog.Tensor // [V,C]: embed where tied
	norm   *prog.Tensor // [C]
	layers []layerParams
}

type layerParams struct {
	convNorm, convW, convB     *prog.Tensor // [C], [C,1,W], [C]; with pre_conv
	seqNorm                    *prog.Tensor // [C]
	q, k, v, o, g              *prog.Tensor // [C,C]; k not with share_qk, g with use_gate
	convQW, convQB             *prog.Tensor // [C,1,W], [C]; with share_qk
	convKW, convKB             *prog.Tensor
	lrW, lrB                   *prog.Tensor // [H,1,C], [H,1]
	tok                        *prog.Tensor // [K]
	scan                       ttt.Params
	postW, postB               *prog.Tensor // [C]
	ffnNorm                    *prog.Tensor // [C]
	gateProj, upProj, downProj *prog.Tensor // [I,C], [I,C], [C,I]

	qB, kB, vB, oB     *prog.Tensor // [C]; of the video variant
	attQ, attK, attV   *prog.Tensor // [C,C]; of a hybrid
	attO               *prog.Tensor
	alpha              *prog.Tensor // [C]: the gate of a hybrid's TTT layer
	hasTTT, hasAttends bool
	number             int // of the block
}

// shapes lists every parameter with its shape in the official state dict's order.
func shapes(c Config) (names []string, dims [][]int) {
	add := func(name string, d ...int) { names, dims = append(names, name), append(dims, d) }
	w := c.HiddenSize
	add("model.embed_tokens.weight", c.VocabSize, w)
	on, _ := c.TTTLayers() // the configuration is valid
	for i := range c.NumHiddenLayers {
		l := fmt.Sprintf("model.layers.%d.", i)
		if on[i] {
			tttShapes(c, l+"seq_modeling_block.", add)
		}
		if c.Block == BlockHybrid {
			for _, p := range []string{"q_proj", "k_proj", "v_proj", "o_proj"} {
				add(l+"self_attn."+p+".weight", w, w)
			}
			if on[i] {
				add(l+"ttt_gate", w)
			}
		}
		add(l+"mlp.gate_proj.weight", c.IntermediateSize, w)
		add(l+"mlp.up_proj.weight", c.IntermediateSize, w)
		add(l+"mlp.down_proj.weight", w, c.IntermediateSize)
		if c.PreConv {
			add(l+"conv.norm.weight", w)
			add(l+"conv.conv.weight", w, 1, c.ConvKernel)
			add(l+"conv.conv.bias", w)
		}
		add(l+"seq_norm.weight", w)
		add(l+"ffn_norm.weight", w)
	}
	add("model.norm.weight", w)
	if !c.TieWordEmbeddings {
		add("lm_head.weight", c.VocabSize, w)
	}
	return names, dims
}

// tttShapes adds the parameters of a TTT layer whose names begin with s.
func tttShapes(c Config, s string, add func(name string, d ...int)) {
	h, f, w := c.NumAttentionHeads, c.HeadDim(), c.HiddenSize
	if c.TTTLayerType == "mlp" {
		add(s+"W1", h, f, 4*f)
		add(s+"b1", h, 1, 4*f)
		add(s+"W2", h, 4*f, f)
		add(s+"b2", h, 1, f)
	} else {
		add(s+"W1", h, f, f)
		add(s+"b1", h, 1, f)
	}
	add(s+"ttt_norm_weight", h, f)
	add(s+"ttt_norm_bias", h, f)
	add(s+"learnable_ttt_lr_weight", h, 1, w)
	add(s+"learnable_ttt_lr_bias", h, 1)
	if c.Variant == VariantVideo {
		for _, p := range []string{"wq", "wk", "wv", "wo"} {
			add(s+p+".weight", w, w)
			add(s+p+".bias", w)
		}
		add(s+"post_norm.weight", w)
		add(s+"post_norm.bias", w)
		return
	}
	add(s+"learnable_token_idx", c.MiniBatchSize)
	add(s+"q_proj.weight", w, w)
	if c.ShareQK {
		add(s+"conv_q.weight", w, 1, c.ConvKernel)
		add(s+"conv_q.bias", w)
		add(s+"conv_k.weight", w, 1, c.ConvKernel)
		add(s+"conv_k.bias", w)
	} else {
		add(s+"k_proj.weight", w, w)
	}
	add(s+"v_proj.weight", w, w)
	add(s+"o_proj.weight", w, w)
	if c.UseGate {
		add(s+"g_proj.weight", w, w)
	}
	add(s+"post_norm.weight", w)
	add(s+"post_norm.bias", w)
}

// mostParams keeps offsets, in words, inside 32 bits.
const mostParams = 1 << 30

// NewParams lays out the parameters of a valid configuration.
func NewParams(c Config) (*Params, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Params{Config: c, Arena: prog.NewArena("params")}
	names, dims := shapes(c)
	p.names = names
	var words int64
	for _, d := range dims {
		if words += int64(prog.Shape(d).Len()); words > mostParams {
			return nil, fmt.Errorf("model: more than %d parameters: vocab_size %d, hidden_size %d, intermediate_size %d, num_hidden_layers %d",
				mostParams, c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers)
		}
	}
	var linear []*prog.Tensor
	order := make([]int, len(names))
	for i := range names {
		order[i] = i
	}
	if c.ShareQK { // the gate's weight lies beside that of queries and keys: they are one product
		for i, n := range names {
			if q := strings.TrimSuffix(n, "g_proj.weight") + "q_proj.weight"; strings.HasSuffix(n, ".g_proj.weight") {
				order = slices.Insert(slices.Delete(order, i, i+1), slices.Index(names, q)+1, i)
			}
		}
	}
	for _, group := range []int{linearWeights, otherWeights, notDecayed} {
		for _, i := range order {
			n := names[i]
			if groupOf(c, n, len(dims[i])) != group {
				continue
			}
			if group == linearWeights {
				p.Arena.Pad(2 * prog.Align) // so that a copy in half as many words is aligned too
				linear = append(linear, p.Arena.Add(n, prog.F32, dims[i]...))
			} else {
				p.Arena.Add(n, prog.F32, dims[i]...)
			}
		}
		if group == otherWeights {
			p.Decay = p.Arena.Words()
		}
	}
	p.Linear = p.Arena.Span("params.linear", linear[0], linear[len(linear)-1])
	p.Grads = p.Arena.Mirror("grads")
	p.Arena.WithGrad(p.Grads)
	at := p.Arena.Lookup
	p.embed, p.head, p.norm = at("model.embed_tokens.weight"), at("lm_head.weight"), at("model.norm.weight")
	if c.TieWordEmbeddings {
		p.head = p.embed
	}
	for i := range c.NumHiddenLayers {
		l := fmt.Sprintf("model.layers.%d.", i)
		s := l + "seq_modeling_block."
		first := func(names ...string) *prog.Tensor { // the variants name the same thing differently
			for _, n := range names {
				if t := at(s + n); t != nil {
					return t
				}
			}
			return nil
		}
		a := l + "self_attn."
		p.layers = append(p.layers, layerParams{
			number: i, hasTTT: c.HasTTT(i), hasAttends: c.Block == BlockHybrid,
			attQ: at(a + "q_proj.weight"), attK: at(a + "k_proj.weight"), attV: at(a + "v_proj.weight"), attO: at(a + "o_proj.weight"),
			alpha: at(l + "ttt_gate"), qB: at(s + "wq.bias"), kB: at(s + "wk.bias"), vB: at(s + "wv.bias"), oB: at(s + "wo.bias"),
			convNorm: at(l + "conv.norm.weight"), convW: at(l + "conv.conv.weight"), convB: at(l + "conv.conv.bias"),
			seqNorm: at(l + "seq_norm.weight"),
			q:       first("q_proj.weight", "wq.weight"), k: first("k_proj.weight", "wk.weight"), v: first("v_proj.weight", "wv.weight"),
			o: first("o_proj.weight", "wo.weight"), g: at(s + "g_proj.weight"),
			convQW: at(s + "conv_q.weight"), convQB: at(s + "conv_q.bias"), convKW: at(s + "conv_k.weight"), convKB: at(s + "conv_k.bias"),
			lrW: at(s + "learnable_ttt_lr_weight"), lrB: at(s + "learnable_ttt_lr_bias"), tok: at(s + "learnable_token_idx"),
			scan:  inner(c, c.HasTTT(i), func(n string) *prog.Tensor { return at(s + n) }),
			postW: at(s + "post_norm.weight"), postB: at(s + "post_norm.bias"),
			ffnNorm:  at(l + "ffn_norm.weight"),
			gateProj: at(l + "mlp.gate_proj.weight"), upProj: at(l + "mlp.up_proj.weight"), downProj: at(l + "mlp.down_proj.weight"),
		})
	}
	return p, nil
}

// Groups of parameters, in the order in which they lie in the arena.
const (
	linearWeights = iota
	otherWeights
	notDecayed
)

// groupOf is the group of a parameter by its name and rank.
func groupOf(c Config, name string, rank int) int {
	switch part := name[strings.LastIndexByte(strings.TrimSuffix(name, ".weight"), '.')+1:]; {
	case rank < 2:
		return notDecayed
	case strings.HasSuffix(part, "_proj.weight"), part == "lm_head.weight", part == "learnable_ttt_lr_weight",
		part == "wq.weight", part == "wk.weight", part == "wv.weight", part == "wo.weight",
		part == "embed_tokens.weight" && c.TieWordEmbeddings:
		return linearWeights
	}
	return otherWeights
}

// inner is the inner loop whose parameters at looks up; nil where a block has none.
func inner(c Config, has bool, at func(name string) *prog.Tensor) ttt.Params {
	if !has {
		return nil
	}
	gamma, beta := at("ttt_norm_weight"), at("ttt_norm_bias")
	if c.TTTLayerType == "mlp" {
		return ttt.MLPParams{W1: at("W1"), B1: at("b1"), W2: at("W2"), B2: at("b2"), Gamma: gamma, Beta: beta}
	}
	return ttt.LinearParams{W1: at("W1"), B1: at("b1"), Gamma: gamma, Beta: beta}
}

// Names lists the parameters in the official state dict's order.
func (p *Params) Names() []string { return p.names }

// Lookup returns the parameter of that name, or nil.
func (p *Params) Lookup(name string) *prog.Tensor { return p.Arena.Lookup(name) }

// Count is the number of parameters, padding not counted.
func (p *Params) Count() int {
	n := 0
	for _, t := range p.Arena.Tensors() {
		n += t.Len()
	}
	return n
}

// Init fills the parameters on ex with the original's initial values: projections, embedding, W1 and the
// learning-rate gate normal, norms one, biases zero, convolutions uniform as PyTorch's Conv1d. Each parameter has a
// random stream of its own, of seed and name, so that an option does not change the others' values.
func (p *Params) Init(ex prog.Executor, seed uint64) error {
	for _, t := range p.Arena.Tensors() {
		v := make([]float32, t.Len())
		p.initial(t, seed, v)
		if err := ex.Write(t, v); err != nil {
			return err
		}
	}
	return nil
}

func (p *Params) initial(t *prog.Tensor, seed uint64, v []float32) {
	name := t.Name()
	hash := fnv.New64a()
	hash.Write([]byte(name))
	r := rand.New(rand.NewPCG(seed, hash.Sum64()))
	normal := func(std float64) {
		for i := range v {
			v[i] = float32(std * r.NormFloat64())
		}
	}
	switch part := name[strings.LastIndexByte(name, '.')+1:]; {
	case strings.Contains(name, "conv.conv.") || strings.Contains(name, "conv_q.") || strings.Contains(name, "conv_k."):
		bound := 1 / math.Sqrt(float64(p.Config.ConvKernel)) // fan-in of a depthwise kernel
		for i := range v {
			v[i] = float32(bound * (2*r.Float64() - 1))
		}
	case part == "W1" || part == "W2" || part == "learnable_ttt_lr_weight":
		normal(0.02)
	case part == "ttt_norm_weight" || strings.HasSuffix(name, "norm.weight"):
		for i := range v {
			v[i] = 1
		}
	case part == "ttt_gate":
		for i := range v {
			v[i] = float32(p.Config.GateInit)
		}
	case part == "weight":
		normal(p.Config.InitializerRange)
	}
}
