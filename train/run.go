package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"innerloop/data"
	"innerloop/internal/words"
	"innerloop/model"
	"innerloop/prog"
)

// Step is what one training step measured.
type Step struct {
	Step     int     `json:"step"`      // from 1
	Loss     float64 `json:"loss"`      // nats a token, mean over the step's targets
	GradNorm float64 `json:"grad_norm"` // global, before clipping
	LR       float64 `json:"lr"`
	Tokens   int64   `json:"tokens"` // read since the start of the run
}

// Eval is a validation.
type Eval struct {
	Step        int     `json:"step"`     // after this many updates
	Loss        float64 `json:"val_loss"` // nats a token
	BitsPerByte float64 `json:"val_bits_per_byte"`
	Tokens      int     `json:"val_tokens"` // that were predicted
	Seconds     float64 `json:"val_seconds"`
}

// Observer is told what happens in a run, on the run's goroutine and in order.
type Observer interface {
	// Steps are the steps since the last call: several at a time, because their metrics stay on the device until
	// log_every steps or a second have passed. seconds is the time that they took.
	Steps(s []Step, seconds float64) error
	Eval(e Eval) error
	// Save is called where a checkpoint is due; the run's Model holds the weights after step.
	Save(step int) error
}

// Run is a run under way.
type Run struct {
	Config Config
	Model  *model.LM
	ex     prog.Executor

	// StopAt ends Train after that many updates in all, where it is less than the configuration's steps; 0: it does not.
	StopAt int
	// Saves says when Train saves beside what save_every asks for. New makes it of save_seconds; where Every is 0, it never does.
	Saves Budget
	// OtherText lets Restore take a checkpoint that was trained on another text.
	OtherText bool
	// Breathe, where it is not nil, is called now and then within steps that take long. Where it returns true the step is
	// given up, as far as it has changed nothing, and Train ends without it.
	Breathe func() bool

	step   int   // updates made
	began  int   // step at which its weights were initialised or loaded
	read   int64 // tokens up to began, where other batches may have been
	train  *model.TrainStep
	trainR prog.Runner
	eval   *model.EvalStep
	evalR  prog.Runner
	reader *data.Reader

	trainPart, val data.Part
	valDocs        data.Documents
	textSHA        string // of both; empty: not yet computed

	ring    []float32
	pending []Step
	since   time.Time
	pace    float64 // seconds of a step, by the last ones; 0: not known
}

// saveShare is the largest part of the time that goes into checkpoints which are made by time.
const saveShare = 0.05

// Corpus is the text or the sound that a configuration names: a file, or what is generated, which bears its task's name.
// A sound has the configuration's rate.
func Corpus(c Data) (*data.Corpus, error) {
	if c.File != "" {
		return data.LoadSound(c.File, c.SampleRate)
	}
	return data.GenerateCorpus(c.Task, 1, c.StoryBytes, c.SampleRate)
}

// Split is the part of a text to train on and the part that is held out. A text that is too short, or in which there is
// nothing to predict, is an error.
func Split(c Config, text *data.Corpus) (trainPart, val data.Part, err error) {
	if trainPart, val, err = text.Split(c.Data.ValFraction, c.Train.SeqLen); err != nil {
		return trainPart, val, err
	}
	for _, p := range []data.Part{trainPart, val} {
		if err := CheckPredicts(p, p.Documents(c.Data.Document), c.Data.Document); err != nil {
			return trainPart, val, err
		}
	}
	return trainPart, val, nil
}

// CheckPredicts is an error where every document of a part, which separator ends, has one token: there is none to predict.
func CheckPredicts(p data.Part, docs data.Documents, separator string) error {
	if p.Len() < 2 || docs.Longest(p.Len()) > 1 {
		return nil
	}
	return fmt.Errorf("train: %s tokens in which every document has one: there is none to predict; data.document %.40q ends a document too often", words.Count(p.Len()), separator)
}

// New prepares a run of a valid configuration on ex: initial weights, recorded programs, split text.
func New(c Config, ex prog.Executor, text *data.Corpus) (*Run, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t := c.Train
	trainPart, val, err := Split(c, text)
	if err != nil {
		return nil, err
	}
	// Sums over tokens are loops of that many rounds.
	if most := ex.Info().Traits.LoopRounds / 2; most > 0 && t.BatchSize*t.SeqLen > most {
		return nil, fmt.Errorf("train: micro-batches of %d tokens (batch_size %d * seq_len %d), want at most %d: %s ends longer loops unfinished; use micro_batches",
			t.BatchSize*t.SeqLen, t.BatchSize, t.SeqLen, most, ex.Info().Name)
	}
	m, err := model.New(c.Model, model.ScanOptions{CheckpointEvery: t.CheckpointEvery})
	if err != nil {
		return nil, err
	}
	if err := m.SetFault(model.Fault(t.Fault)); err != nil {
		return nil, err
	}
	r := &Run{Config: c, Model: m, ex: ex, trainPart: trainPart, val: val, ring: make([]float32, 2*t.LogEvery)}
	r.Saves = Budget{Every: time.Duration(t.SaveSeconds * float64(time.Second)), Share: saveShare}
	if err := r.load(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Run) load() (err error) {
	t := r.Config.Train
	sampler, err := data.NewSampler(r.trainPart, t.Seed, t.BatchSize, t.SeqLen)
	if err != nil {
		return err
	}
	c := r.Config.Model
	if r.reader, err = data.NewReader(sampler, data.Layout{
		Separator: r.Config.Data.Document, Carry: t.CarryState, Length: t.CarryTokens, Rows: t.BatchSize * t.MicroBatches, MiniBatch: c.MiniBatchSize, Reach: c.ConvKernel - 1,
	}); err != nil {
		return err
	}
	// A recording first: what cannot be recorded should cost no memory.
	if r.train, err = model.NewTrainStep(r.Model, model.StepOptions{
		Batch: t.BatchSize, SeqLen: t.SeqLen, Micro: t.MicroBatches, Ring: t.LogEvery,
		Positions: true, MaxMiniBatches: r.reader.MiniBatches(), Carry: t.CarryState, Half: t.Half(),
	}); err != nil {
		return err
	}
	if r.trainR, err = r.ex.Load(r.train.Program); err != nil {
		return err
	}
	if err = r.Model.Prepare(r.ex); err != nil {
		return err
	}
	if err = r.Model.Init(r.ex, t.Seed); err != nil {
		return err
	}
	if err = r.Model.ApplyFault(r.ex); err != nil {
		return err
	}
	if r.val.Len() == 0 {
		return nil
	}
	r.valDocs = r.val.Documents(r.Config.Data.Document)
	if r.eval, err = NewScorer(r.Model, r.valDocs, t.BatchSize, t.SeqLen); err != nil {
		return err
	}
	r.evalR, err = r.ex.Load(r.eval.Program)
	return err
}

// Close releases what the run holds on its executor.
func (r *Run) Close() {
	if r.trainR != nil {
		r.trainR.Close()
	}
	if r.train != nil {
		r.train.Free(r.ex)
	}
	if r.evalR != nil {
		r.evalR.Close()
	}
	if r.eval != nil {
		r.eval.Free(r.ex)
	}
	r.Model.Free(r.ex)
}

// Program is the recorded training step.
func (r *Run) Program() *prog.Program { return r.train.Program }

// Step is the number of updates made.
func (r *Run) Step() int { return r.step }

// Norms are what the normalisers of the video variant did in the last step, by layer and head; nil where there are none.
func (r *Run) Norms() ([]model.NormStats, error) { return r.train.Norms(r.ex) }

// Executor is what the run trains on. It may be used between two steps, and by an observer.
func (r *Run) Executor() prog.Executor { return r.ex }

// Text is what the run trains on and what is held out of it.
func (r *Run) Text() (train, held data.Part) { return r.trainPart, r.val }

// Train makes the steps that are left, and validates and saves where the configuration or Saves asks for it and at the
// end. It ends early, after a whole step and with everything told to o, when ctx does (the error then is ctx's), and at
// StopAt, where it saves.
func (r *Run) Train(ctx context.Context, o Observer) error {
	t := r.Config.Train
	r.since = time.Now()
	if r.Saves.next.IsZero() {
		r.Saves.Wait(r.Saves.Every)
	}
	for end := r.end(); r.step < end; {
		if err := ctx.Err(); err != nil {
			return errors.Join(r.flush(o), err)
		}
		err := r.advance()
		if errors.Is(err, errGivenUp) {
			return errors.Join(r.flush(o), cmp.Or(ctx.Err(), context.Canceled))
		}
		if err != nil {
			if bad := (*NonFiniteError)(nil); errors.As(err, &bad) { // the steps before it were good
				err = errors.Join(r.flush(o), err)
			}
			return err
		}
		evalDue := r.EvalDue()
		saveDue := r.SaveDue() || r.Saves.Every > 0 && r.Saves.Due()
		if r.step%t.LogEvery == 0 || evalDue || saveDue || r.long() || time.Since(r.since) > time.Second {
			if err := r.flush(o); err != nil {
				return err
			}
		}
		if evalDue {
			e, err := r.Evaluate(ctx)
			if err != nil {
				return err
			}
			if err := o.Eval(e); err != nil {
				return err
			}
		}
		if saveDue {
			start := r.Saves.now()
			if err := o.Save(r.step); err != nil {
				return err
			}
			r.Saves.Spent(start)
		}
		if evalDue || saveDue {
			r.since = time.Now()
		}
	}
	return nil
}

// end is the number of updates at which Train ends.
func (r *Run) end() int {
	if r.StopAt > 0 {
		return min(r.Config.Train.Steps, r.StopAt)
	}
	return r.Config.Train.Steps
}

// SaveDue says whether the configuration, or the end, asks for a checkpoint after the updates made so far: one that counts
// among those that keep_checkpoints keeps.
func (r *Run) SaveDue() bool {
	every := r.Config.Train.SaveEvery
	return r.step > 0 && every > 0 && r.step%every == 0 || r.step == r.end()
}

// long says whether the steps that are queued take a second or more: on a device that queues them that is known beforehand,
// so that long steps are told one by one.
func (r *Run) long() bool { return float64(len(r.pending))*r.pace >= 1 }

// EvalDue says whether the configuration asks for a validation after the updates made so far.
func (r *Run) EvalDue() bool {
	t := r.Config.Train
	return r.val.Len() > 0 && r.step > 0 && (r.step == t.Steps || t.EvalEvery > 0 && r.step%t.EvalEvery == 0)
}

// prepare fills the inputs of the step after the last one.
func (r *Run) prepare() error {
	t := r.Config.Train
	for i := range t.MicroBatches {
		if err := r.reader.Fill(r.train.IDs(i), r.train.Positions(i), r.step, i); err != nil {
			return err
		}
	}
	r.Model.TargetEps = r.Config.Model.TargetEps // a change acts at once
	if err := r.train.SetBatch(); err != nil {
		return err
	}
	r.train.SetHyper(model.AdamW{Beta1: t.Beta1, Beta2: t.Beta2, Eps: t.Eps, WeightDecay: t.WeightDecay, Clip: t.Clip}, t.Schedule(r.step+1), r.step+1)
	return nil
}

// advance queues one training step.
func (r *Run) advance() error {
	if err := r.prepare(); err != nil {
		return err
	}
	if o := r.badInput(); o != nil {
		return &NonFiniteError{Step: o.Step, Loss: math.NaN(), GradNorm: math.NaN(), Origin: o, Fault: r.Config.Train.Fault}
	}
	if err := r.ex.Upload(r.train.Inputs); err != nil {
		return err
	}
	r.step++
	if err := r.execute(); errors.Is(err, errGivenUp) {
		r.step--
		return err
	} else if err != nil {
		return fmt.Errorf("train: step %d: %w", r.step, err)
	}
	r.pending = append(r.pending, Step{Step: r.step, LR: r.Config.Train.Schedule(r.step), Tokens: r.Tokens()})
	return nil
}

// Tokens is the number of tokens read so far, by earlier parts of the run too, whatever their batches were.
func (r *Run) Tokens() int64 {
	t := r.Config.Train
	return r.read + int64(r.step-r.began)*int64(t.BatchSize*t.SeqLen*t.MicroBatches)
}

// flush reads the metrics of the steps since the last flush from the device and tells o. Where one is not finite, those
// after it changed nothing: the run goes back to before it, and it is traced.
func (r *Run) flush(o Observer) error {
	if len(r.pending) == 0 {
		return nil
	}
	if err := r.train.Metrics(r.ex, r.ring); err != nil {
		return fmt.Errorf("train: step %d: %w", r.step, err)
	}
	now := time.Now()
	seconds := now.Sub(r.since).Seconds()
	r.since = now
	r.pace = seconds / float64(len(r.pending))
	var bad *NonFiniteError
	for i := range r.pending {
		s := &r.pending[i]
		row := (s.Step - 1) % r.Config.Train.LogEvery
		s.Loss, s.GradNorm = float64(r.ring[2*row]), float64(r.ring[2*row+1])
		if !finite(s.Loss) || !finite(s.GradNorm) {
			bad = &NonFiniteError{Step: s.Step, Loss: s.Loss, GradNorm: s.GradNorm, Fault: r.Config.Train.Fault}
			r.pending = r.pending[:i]
			r.step = bad.Step - 1
			if err := r.train.Rewind(r.ex); err != nil {
				return errors.Join(bad, err)
			}
			break
		}
	}
	var err error
	if len(r.pending) > 0 {
		err = o.Steps(r.pending, seconds)
		r.since = time.Now() // what the observer does is no training
	}
	r.pending = r.pending[:0]
	if bad == nil {
		return err
	}
	bad.Origin, bad.Trace = r.trace()
	return errors.Join(err, bad)
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Evaluate scores the held-out text: consecutive windows of SeqLen tokens, each alone, in which documents end as in
// training.
func (r *Run) Evaluate(ctx context.Context) (Eval, error) {
	start := time.Now()
	sum, n, err := Score(ctx, r.ex, r.eval, r.evalR, r.val, r.valDocs, r.Config.Train.SeqLen)
	if err != nil {
		return Eval{}, err
	}
	loss := sum / float64(n)
	return Eval{Step: r.step, Loss: loss, BitsPerByte: loss / math.Ln2, Tokens: n, Seconds: time.Since(start).Seconds()}, nil
}

// NewScorer records what Score wants to score windows of l tokens, b at a time, of a text with the documents docs.
func NewScorer(m *model.LM, docs data.Documents, b, l int) (*model.EvalStep, error) {
	return model.NewEvalStep(m, b, l, model.EvalOptions{Positions: true, MaxMiniBatches: docs.MiniBatches(l, m.Config.MiniBatchSize)})
}

// Score sums the losses, in nats, of the consecutive windows of l tokens of part, each scored alone, and counts the
// tokens that were predicted: neither a window's first nor a document's. s is part's NewScorer. It ends with ctx's error
// when ctx does.
func Score(ctx context.Context, ex prog.Executor, s *model.EvalStep, run prog.Runner, part data.Part, docs data.Documents, l int) (sum float64, count int, err error) {
	ids := s.IDs()
	b := len(ids) / l
	windows := part.Windows(l)
	if windows == 0 {
		return 0, 0, fmt.Errorf("train: %d bytes to score, want at least seq_len %d", part.Len(), l)
	}
	for w := 0; w < windows; w += b {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		n := min(b, windows-w)
		for i := range n {
			if err := part.Window(ids[i*l:(i+1)*l], w+i); err != nil {
				return 0, 0, err
			}
			docs.Positions(s.Positions()[i*l:(i+1)*l], (w+i)*l, 0)
		}
		s1, n1, err := s.Score(ex, run, n)
		if err != nil {
			return 0, 0, err
		}
		sum, count = sum+s1, count+n1
	}
	if count == 0 {
		return 0, 0, fmt.Errorf("train: %d bytes to score, in which every document has one token: there is none to predict", part.Len())
	}
	return sum, count, nil
}
