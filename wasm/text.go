package main

import (
	"bytes"
	"math"
	"slices"
	"time"

	"innerloop/data"
	"innerloop/internal/words"
	"innerloop/model"
)

// vocabulary is how many of the model's tokens are bytes.
const vocabulary = 256

// silentPrompt is how many silent samples a model of sound hears before it begins.
const silentPrompt = 128

// soundTime is how long a sound is made at most.
const soundTime = 6 * time.Second

// sampler makes the samples that a run shows.
type sampler struct {
	decoder *model.Decoder
	turn    int // of the prompts
}

func (p *sampler) close() { p.decoder.Close() }

// speak sends the page a sample, unless a request arrives.
func (o *openRun) speak() error {
	c := o.run.Config.Sample
	length := c.Tokens
	if o.rate > 0 {
		length = int(math.Round(c.Seconds * float64(o.rate)))
	}
	if len(c.Prompts) == 0 && o.rate == 0 || length == 0 {
		return nil
	}
	start, done := timeNow(), o.sample.Spent
	defer func() { done(start) }()
	if o.sampler == nil {
		o.sampler = &sampler{decoder: model.NewDecoder(o.run.Model, o.run.Executor())}
	}
	p := o.sampler
	var prompt string
	given := bytes.Repeat([]byte{data.Silence}, silentPrompt)
	if o.rate == 0 {
		prompt = c.Prompts[p.turn%len(c.Prompts)]
		p.turn++
		given = []byte(prompt)
	}
	if len(given) == 0 {
		return nil
	}
	opts := model.SampleOptions{Temperature: c.Temperature, TopK: c.TopK}
	if o.rate > 0 {
		opts = model.SampleOptions{Temperature: c.SoundTemperature}
	}
	draw := model.NewSampler(opts, o.run.Config.Train.Seed)
	d := p.decoder
	d.Reset()
	ids := data.Bytes{}.Encode(nil, given)
	var out []byte
	for range min(length, d.Left()-len(given)+1) { // the model may place no more
		if o.ctx != nil && o.ctx.Err() != nil {
			done = o.sample.Paid
			return nil
		}
		logits, err := d.Feed(ids)
		if err != nil {
			return err
		}
		id, err := draw.Draw(logits[:vocabulary], d.Position())
		if err != nil {
			return fail(codeNonFinite, err)
		}
		ids = append(ids[:0], id)
		out = append(out, byte(id))
		if o.rate > 0 && timeNow().Sub(start) > soundTime {
			break // thousands of samples may be too many here, and some can be heard, too
		}
	}
	x := said{Step: o.run.Step(), Prompt: prompt}
	if o.rate > 0 {
		x.Sound = out
	} else {
		var u data.UTF8Stream
		x.Text = string(u.Flush(u.Append(nil, out)))
	}
	o.samples.add(x)
	o.tell(x)
	return nil
}

// generation is a text that the model goes on with for the page.
type generation struct {
	o       *openRun
	decoder *model.Decoder
	draw    *model.Sampler
	request int64 // 0: none is under way
	step    int   // of the weights that read it
	text    []byte
	unread  []uint32
	left    int
	result  generated
	begin   time.Time
	batch   []tokenInfo
	probs   []float64
	order   []int
}

// generate begins to go on with a text.
func (s *Session) generate(id int64, p generateParams) error {
	o, err := s.need("generate")
	if err != nil {
		return err
	}
	opts := model.SampleOptions{Temperature: p.Temperature, TopK: p.TopK}
	text := []byte(p.Bytes)
	if p.Bytes == nil {
		text = []byte(p.Text)
	}
	switch err := opts.Validate(); {
	case err != nil:
		return fail(codeUsage, err)
	case len(text) == 0 || len(text) > 4<<20:
		return failf(codeUsage, "generate: a text of %d bytes, want 1 to %d", len(text), 4<<20)
	case p.Tokens < 1 || p.Tokens > 100000:
		return failf(codeUsage, "generate: %d tokens, want 1 to 100000", p.Tokens)
	case s.state == stateFailed:
		return failf(codeUsage, "generate: the run has failed: go on from its checkpoint first")
	}
	s.endGeneration(false)
	g := o.gen
	if g == nil {
		g = &generation{o: o, decoder: model.NewDecoder(o.run.Model, o.run.Executor())}
		o.gen = g
	}
	s.mu.Lock()
	s.uncancel() // but it may have been cancelled while it waited
	s.mu.Unlock()
	// What the state holds is read text without the tokens that were drawn last and not fed.
	kept := g.decoder.Position()
	if g.step != o.run.Step() || kept == 0 || len(text) < kept || !slices.Equal(g.text[:kept], text[:kept]) {
		g.decoder.Reset()
		kept = 0
	}
	if left := g.decoder.Left() - (len(text) - kept) + 1; p.Tokens > left {
		return failf(codeUsage, "generate: %s after %s, want at most %d: model.max_position_embeddings ends there", words.Plural(p.Tokens, "token"), words.Plural(len(text), "byte"), max(0, left))
	}
	g.step, g.text, g.begin = o.run.Step(), text, timeNow()
	g.unread = data.Bytes{}.Encode(g.unread[:0], text[kept:])
	g.draw = model.NewSampler(opts, p.Seed)
	g.request, g.left, g.batch = id, p.Tokens, g.batch[:0]
	g.result = generated{Read: len(text) - kept, Kept: kept, Step: g.step}
	s.gen = g
	return nil
}

// likeliest is how many bytes the page is shown at each place.
const likeliest = 5

// flushEvery is how long tokens wait to be sent together.
const flushEvery = 30 * time.Millisecond

// continueText generates some tokens of what was asked for, until a request arrives.
func (s *Session) continueText() {
	g := s.gen
	begin := timeNow()
	for g.left > 0 && timeNow().Sub(begin) < flushEvery {
		s.mu.Lock()
		cancelled, waiting := s.cancelled, len(s.queue) > 0
		s.mu.Unlock()
		if cancelled {
			s.endGeneration(true)
			return
		}
		if waiting {
			break
		}
		if err := g.next(); err != nil {
			s.gen = nil
			g.flush()
			s.answer(request{ID: g.request}, nil, err)
			if asFailure(err).Code == codeLost {
				s.failed(err)
			}
			return
		}
	}
	g.flush()
	if g.left == 0 {
		s.endGeneration(false)
	}
}

// endGeneration answers the generation under way, if there is one.
func (s *Session) endGeneration(cancelled bool) {
	g := s.gen
	if g == nil {
		return
	}
	s.gen = nil
	g.flush()
	g.result.Cancelled = cancelled || g.left > 0
	g.result.Seconds = timeNow().Sub(g.begin).Seconds()
	s.answer(request{ID: g.request}, g.result, nil)
}

func (s *Session) cancel(empty) (any, error) {
	s.endGeneration(true)
	return nil, nil
}

// next draws one token.
func (g *generation) next() error {
	logits, err := g.decoder.Feed(g.unread)
	if err != nil {
		return err
	}
	logits = logits[:vocabulary]
	id, err := g.draw.Draw(logits, g.decoder.Position())
	if err != nil {
		return fail(codeNonFinite, err)
	}
	g.unread = append(g.unread[:0], id)
	g.text = append(g.text, byte(id))
	g.left--
	g.result.Tokens++
	g.batch = append(g.batch, g.look(logits, int(id)))
	return nil
}

// look is a drawn token with the model's own probabilities, at temperature 1.
func (g *generation) look(logits []float32, id int) tokenInfo {
	g.probs, g.order = g.probs[:0], g.order[:0]
	most := slices.Max(logits)
	var sum float64
	for i, l := range logits {
		p := math.Exp(float64(l - most))
		sum += p
		g.probs, g.order = append(g.probs, p), append(g.order, i)
	}
	slices.SortStableFunc(g.order, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	t := tokenInfo{byteProb: byteProb{id, g.probs[id] / sum}}
	for _, i := range g.order[:likeliest] {
		t.Top = append(t.Top, byteProb{i, g.probs[i] / sum})
	}
	return t
}

// flush sends what was generated.
func (g *generation) flush() {
	if len(g.batch) > 0 {
		g.o.s.send("token", tokenData{g.request, g.batch})
		g.batch = g.batch[:0]
	}
}
