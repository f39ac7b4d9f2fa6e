package model

import (
	"fmt"

	"innerloop/data"
	"innerloop/op"
	"innerloop/prog"
)

// AdamW are the optimiser's settings that stay the same during a run. Decay touches parameters of rank >= 2 only.
type AdamW struct {
	Beta1, Beta2, Eps, WeightDecay float64
	Clip                           float64 // largest global gradient norm; 0: no clipping
}

// StepOptions fix the shape of a training step.
type StepOptions struct {
	Batch  int // B: sequences of a micro-batch
	SeqLen int // L
	Micro  int // micro-batches whose gradients are added up; 0 means 1
	Ring   int // steps whose metrics the device remembers; 0 means 1

	Positions      bool // the host fills Positions too: documents begin, or go on, inside rows
	MaxMiniBatches int  // see Reading
	Carry          bool // rows go on from the state that the last step left in their micro-batch's Memory

	// Half rounds to binary16, two in a word, what linear layers read: their weights, once a step, and their inputs; and
	// what else of the model is kept for the backward pass, but for the residual stream, the inputs of norms and of the
	// inner loop, and its states. Those, all sums, the loss, gradients, moments and the weights themselves stay in float32.
	Half bool
}

// TrainStep is the recorded training step: forward, backward and update, one program, one submission.
type TrainStep struct {
	Program *prog.Program
	Inputs  *prog.Stage // what the host fills before a run: see SetBatch and SetHyper
	Options StepOptions
	Memory  []*Memory // of each micro-batch, with StepOptions.Carry

	lm      *LM
	tokens  []Tokens
	hyper   *prog.Tensor // [op.HyperLen]
	scale   *prog.Tensor // [1]: 1 / number of targets
	clip    *prog.Tensor // [1]
	slot    *prog.Tensor // u32 [1]: the step's row of the ring
	metrics *prog.Arena
	ring    *prog.Tensor // [Ring, 2]: loss and gradient norm
	moments [2]*prog.Arena
	before  []*prog.Arena // Memory as it was at the beginning of the last step that was not halted
	norms   *normProbes   // nil: the model has no normaliser
}

// NewTrainStep records a training step of m.
func NewTrainStep(m *LM, o StepOptions) (*TrainStep, error) {
	o.Micro, o.Ring = max(1, o.Micro), max(1, o.Ring)
	if o.Batch < 1 || o.SeqLen < 2 {
		return nil, fmt.Errorf("model: batch of %d sequences of %d tokens, want at least 1 of 2", o.Batch, o.SeqLen)
	}
	if k := m.Config.MiniBatchSize; o.Carry && o.SeqLen%k != 0 {
		return nil, fmt.Errorf("model: sequences of %d tokens, want a multiple of mini_batch_size %d where the state goes on from one to the next", o.SeqLen, k)
	}
	s := &TrainStep{lm: m, Options: o}
	in := prog.NewArena("inputs")
	for i := range o.Micro {
		s.tokens = append(s.tokens, m.AddTokens(in, fmt.Sprintf("micro%d.", i), o.Batch, o.SeqLen))
	}
	s.hyper = in.Add("hyper", prog.F32, op.HyperLen)
	s.scale = in.Add("scale", prog.F32, 1)
	s.clip = in.Add("clip", prog.F32, 1)
	s.slot = in.Add("slot", prog.U32, 1)
	s.metrics = prog.NewArena("metrics")
	s.ring = s.metrics.Add("ring", prog.F32, o.Ring, 2)
	s.moments = [2]*prog.Arena{m.Arena.Mirror("m"), m.Arena.Mirror("v")}
	s.norms = newNormProbes(m)
	var err error
	s.Program, err = prog.Record("train step", func(r *prog.Recorder) {
		whole := func(a *prog.Arena) *prog.Tensor { return a.Window(a.Name(), 0, a.Words()) }
		r.Clear(whole(m.Grads))
		loss := r.Temp("loss", 1)
		r.Clear(loss)
		how := Reading{MaxMiniBatches: o.MaxMiniBatches}
		if o.Half {
			how.store = prog.F16
			op.HalfWeights(r, m.Linear)
		}
		for i, t := range s.tokens {
			how := how
			if o.Carry {
				how.Memory = m.NewMemory(fmt.Sprintf("memory%d", i), o.Batch)
				s.Memory = append(s.Memory, how.Memory)
				before := how.Memory.Arena.Mirror(how.Memory.Arena.Name() + ".before")
				s.before = append(s.before, before)
				op.Snapshot(r, whole(how.Memory.Arena), s.slot, s.ring, whole(before))
			}
			r.Scope(fmt.Sprintf("micro%d", i), func() {
				if i == o.Micro-1 {
					how.norms = s.norms.record(r, t.Eps)
				}
				act := m.Trunk(r, t, how)
				rows := op.LinearCrossEntropy(r, act.Hidden, m.head, t.Targets, s.scale)
				op.SumTo(r, rows, s.scale, loss)
				r.Backward()
			})
		}
		norm, clip := r.Temp("grad_norm", 1), r.Temp("clip_scale", 1)
		op.ClipNorm(r, []*prog.Tensor{whole(m.Grads)}, s.clip, norm, clip)
		op.PushRow(r, loss, norm, s.slot, clip, s.ring)
		op.AdamW(r, whole(m.Arena), whole(m.Grads), whole(s.moments[0]), whole(s.moments[1]), s.hyper, clip, m.Decay)
	})
	if err != nil {
		return nil, err
	}
	s.Inputs = prog.NewStage(in)
	return s, nil
}

// IDs is where the host writes micro-batch i's tokens, [B,L]; SetBatch makes the rest of it.
func (s *TrainStep) IDs(i int) []uint32 { return s.Inputs.U32(s.tokens[i].IDs) }

// Positions is where the host writes the positions in their documents of micro-batch i's tokens, [B,L], where the
// step's options say that it does; 0 is a document's first token.
func (s *TrainStep) Positions(i int) []uint32 { return s.Inputs.U32(s.tokens[i].Pos) }

// SetBatch makes the targets (the next token of the same row) and the embedding's index of the tokens in IDs(0) to
// IDs(Micro-1), and the loss's scale. Tokens outside the vocabulary are an error.
func (s *TrainStep) SetBatch() error {
	n := 0
	for _, t := range s.tokens {
		k, err := s.lm.fillTokens(s.Inputs, t, s.Options.Positions)
		if err != nil {
			return err
		}
		n += k
	}
	s.Inputs.F32(s.scale)[0] = 1 / float32(max(1, n))
	return nil
}

// SetHyper sets what the update of step (counted from 1) uses.
func (s *TrainStep) SetHyper(o AdamW, lr float64, step int) {
	op.FillHyper(s.Inputs.F32(s.hyper), lr, o.Beta1, o.Beta2, o.Eps, o.WeightDecay, step)
	s.Inputs.F32(s.clip)[0] = float32(o.Clip)
	s.Inputs.U32(s.slot)[0] = uint32((step - 1) % s.Options.Ring)
}

// Metrics reads the loss (mean over the targets, nats) and the global gradient norm before clipping of the steps
// that the ring holds, row (step-1) % Ring, into dst [Ring*2].
func (s *TrainStep) Metrics(ex prog.Executor, dst []float32) error { return ex.Read(s.ring, dst) }

// MetricsArena is where the ring lies that Metrics reads.
func (s *TrainStep) MetricsArena() *prog.Arena { return s.metrics }

// Norms reads what the normalisers of the video variant did in the last step's last micro-batch, by layer and head; nil
// where the model has none.
func (s *TrainStep) Norms(ex prog.Executor) ([]NormStats, error) { return s.norms.read(s.lm, ex) }

// Rewind forgets the metrics that the ring holds and puts the memories back to what they were before the first step
// whose metrics are not finite, or else before the last step. A step that is not finite changes no weight and no moment,
// nor do the ones after it, as long as Metrics is read before the ring is full: so all is as it was before.
func (s *TrainStep) Rewind(ex prog.Executor) error {
	if err := ex.Write(s.ring, make([]float32, s.ring.Len())); err != nil {
		return err
	}
	for i, b := range s.before {
		to := s.Memory[i].Arena
		v := make([]float32, b.Words())
		if err := ex.Read(b.Window(b.Name(), 0, b.Words()), v); err != nil {
			return err
		}
		if err := ex.Write(to.Window(to.Name(), 0, to.Words()), v); err != nil {
			return err
		}
	}
	return nil
}

// Moments are the optimiser's two arenas, laid out as the parameters.
func (s *TrainStep) Moments() (m, v *prog.Arena) { return s.moments[0], s.moments[1] }

// Free releases the step's own memory on ex.
func (s *TrainStep) Free(ex prog.Executor) {
	for _, a := range []*prog.Arena{s.Inputs.Arena, s.metrics, s.moments[0], s.moments[1]} {
		ex.Free(a)
	}
	for _, m := range s.Memory {
		ex.Free(m.Arena)
	}
	s.norms.free(ex)
}

// EvalStep scores sequences without learning from them.
type EvalStep struct {
	Program *prog.Program
	Inputs  *prog.Stage
	lm      *LM
	memory  *Memory
	tokens  Tokens
	next    []uint32     // [B]
	rows    *prog.Tensor // [B*L]
	losses  []float32

	positions bool // are the host's
}

// EvalOptions say how an EvalStep reads its rows. The zero value reads each as a document of its own.
type EvalOptions struct {
	Carry          bool // rows go on from the state that the last run left, and Positions says where they are
	Positions      bool // Positions says where in their documents the tokens are
	MaxMiniBatches int  // see Reading
}

// NewEvalStep records the scoring of b sequences of l tokens.
func NewEvalStep(m *LM, b, l int, o EvalOptions) (*EvalStep, error) {
	if b < 1 || l < 1 {
		return nil, fmt.Errorf("model: %d sequences of %d tokens to score, want at least 1 of 1", b, l)
	}
	if k := m.Config.MiniBatchSize; o.Carry && l%k != 0 {
		return nil, fmt.Errorf("model: sequences of %d tokens, want a multiple of mini_batch_size %d where the state goes on from one to the next", l, k)
	}
	s := &EvalStep{lm: m, positions: o.Carry || o.Positions, losses: make([]float32, b*l), next: make([]uint32, b)}
	for i := range s.next {
		s.next[i] = op.IgnoreIndex
	}
	if o.Carry {
		s.memory = m.NewMemory("memory", b)
	}
	in := prog.NewArena("inputs")
	s.tokens = m.AddTokens(in, "", b, l)
	var err error
	s.Program, err = prog.Record("eval step", func(r *prog.Recorder) {
		act := m.Trunk(r, s.tokens, Reading{Memory: s.memory, MaxMiniBatches: o.MaxMiniBatches})
		s.rows = r.Keep(op.EvalLinearCrossEntropy(r, act.Hidden, m.head, s.tokens.Targets))
	})
	if err != nil {
		return nil, err
	}
	s.Inputs = prog.NewStage(in)
	return s, nil
}

// IDs is where the host writes the tokens, [B,L].
func (s *EvalStep) IDs() []uint32 { return s.Inputs.U32(s.tokens.IDs) }

// Positions is where the host writes the tokens' positions, [B,L], with Carry or Positions of its options.
func (s *EvalStep) Positions() []uint32 { return s.Inputs.U32(s.tokens.Pos) }

// Next is where the host writes the token that follows each row, [B], which its last one should predict;
// op.IgnoreIndex, as it is at first: there is none. A run leaves it as it is.
func (s *EvalStep) Next() []uint32 { return s.next }

// Losses runs the step and returns the loss of every token of IDs as the prediction of the next one of its row, in
// nats [B,L]; a row's last predicts Next, and without one its loss is 0. They are valid until the next call.
func (s *EvalStep) Losses(ex prog.Executor, run prog.Runner) ([]float32, error) {
	if _, err := s.lm.fillTokens(s.Inputs, s.tokens, s.positions); err != nil {
		return nil, err
	}
	targets, vocab, l := s.Inputs.U32(s.tokens.Targets), s.tokens.Start.Len()-1, s.tokens.IDs.Dim(1)
	for i, n := range s.next {
		if n == op.IgnoreIndex {
			continue
		}
		if int64(n) >= int64(vocab) {
			return nil, fmt.Errorf("model: the token after row %d is %d, want below the vocabulary of %d", i, n, vocab)
		}
		targets[(i+1)*l-1] = n
	}
	if err := ex.Upload(s.Inputs); err != nil {
		return nil, err
	}
	if err := run.Run(); err != nil {
		return nil, err
	}
	return s.losses, run.Read(s.rows, s.losses)
}

// Score runs the step and returns the sum of the losses of the first n rows of IDs, in nats, and the number of tokens
// that were predicted in them.
func (s *EvalStep) Score(ex prog.Executor, run prog.Runner, n int) (sum float64, count int, err error) {
	losses, err := s.Losses(ex, run)
	if err != nil {
		return 0, 0, err
	}
	targets := s.Inputs.U32(s.tokens.Targets)
	for i, v := range losses[:min(n*s.tokens.IDs.Dim(1), len(losses))] {
		if sum += float64(v); targets[i] != op.IgnoreIndex {
			count++
		}
	}
	return sum, count, nil
}

// Free releases the step's own memory on ex.
func (s *EvalStep) Free(ex prog.Executor) {
	ex.Free(s.Inputs.Arena)
	if s.memory != nil {
		ex.Free(s.memory.Arena)
	}
}

// LogitsStep is the forward pass alone, its logits readable.
type LogitsStep struct {
	Program *prog.Program
	Inputs  *prog.Stage
	Act     Activations
	lm      *LM
	tokens  Tokens
	how     Reading
}

// NewLogitsStep records the forward pass over b sequences of l tokens and keeps its logits and TTT outputs.
func NewLogitsStep(m *LM, b, l int) (*LogitsStep, error) { return newLogitsStep(m, b, l, Reading{}) }

func newLogitsStep(m *LM, b, l int, how Reading) (*LogitsStep, error) {
	s := &LogitsStep{lm: m, how: how}
	in := prog.NewArena("inputs")
	s.tokens = m.AddTokens(in, "", b, l)
	var err error
	s.Program, err = prog.Record("forward", func(r *prog.Recorder) {
		s.Act = m.Forward(r, s.tokens, how)
		r.Keep(s.Act.Logits)
		if how.Memory == nil {
			for _, t := range s.Act.Blocks {
				r.Keep(t)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	s.Inputs = prog.NewStage(in)
	return s, nil
}

// IDs is where the host writes the tokens, [B,L].
func (s *LogitsStep) IDs() []uint32 { return s.Inputs.U32(s.tokens.IDs) }

// Run uploads the tokens and runs the pass.
func (s *LogitsStep) Run(ex prog.Executor, run prog.Runner) error {
	if _, err := s.lm.fillTokens(s.Inputs, s.tokens, s.how.Memory != nil); err != nil {
		return err
	}
	if err := ex.Upload(s.Inputs); err != nil {
		return err
	}
	return run.Run()
}

// Free releases the step's own memory on ex.
func (s *LogitsStep) Free(ex prog.Executor) { ex.Free(s.Inputs.Arena) }

// fillTokens makes the targets and the embedding's index of t's ids, and unless the host has written them the
// positions, 0 to L-1 in each row. A token before a document's first has no target. It returns the number of targets.
func (m *LM) fillTokens(s *prog.Stage, t Tokens, positions bool) (int, error) {
	if t.Eps != nil {
		s.F32(t.Eps)[0] = float32(m.eps())
	}
	ids, pos, targets := s.U32(t.IDs), s.U32(t.Pos), s.U32(t.Targets)
	b, l := t.IDs.Dim(0), t.IDs.Dim(1)
	if err := op.IndexIDs(s.U32(t.Order), s.U32(t.Start), ids); err != nil {
		return 0, err
	}
	if err := data.Targets(targets, ids, b, l); err != nil {
		return 0, err
	}
	if !positions {
		for i := range pos {
			pos[i] = uint32(i % l)
		}
		return b * (l - 1), nil
	}
	n := 0
	for i := range targets {
		if (i+1)%l != 0 && pos[i+1] == 0 {
			targets[i] = op.IgnoreIndex
		}
		if targets[i] != op.IgnoreIndex {
			n++
		}
	}
	return n, nil
}
