package bench

import (
	"fmt"
	"time"

	"innerloop/model"
)

// decode is the suite of that name: what a token costs that is read by itself, its logits read back, after so many
// others.
func (s *suite) decode() error {
	share := s.o.Seconds / float64(len(s.o.Kinds)*max(1, len(s.o.Contexts)))
	for _, kind := range s.o.Kinds {
		c := s.o.Config.Model
		c.TTTLayerType = kind
		if err := s.decodeKind(kind, c, share); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) decodeKind(kind string, c model.Config, seconds float64) error {
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		return err
	}
	defer m.Free(s.ex)
	if err := m.Prepare(s.ex); err != nil {
		return err
	}
	if err := m.Init(s.ex, s.o.Config.Train.Seed); err != nil {
		return err
	}
	d := model.NewDecoder(m, s.ex)
	defer d.Close()
	ids := make([]uint32, 1<<10)
	for i := range ids {
		ids[i] = uint32(i*i) % uint32(c.VocabSize)
	}
	runs := func(n int) error { // each ends with its logits on the host: nothing is left to wait for
		for range n {
			if _, err := d.Feed(ids[:1]); err != nil {
				return err
			}
		}
		return nil
	}
	limit := max(3*s.o.Seconds, 5) // seconds of reading
	for _, context := range s.o.Contexts {
		name := fmt.Sprintf("%s/%d", kind, context)
		slow := false
		for start := time.Now(); d.Position() < context; {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if slow = time.Since(start).Seconds() > limit; slow {
				break
			}
			if _, err := d.Feed(ids[:min(len(ids), context-d.Position())]); err != nil {
				return err
			}
		}
		if slow {
			s.add(Result{Name: name, Skipped: fmt.Sprintf("reading so much takes more than %.0f s", limit)})
			continue
		}
		r, err := timed(s.ctx, seconds, runs)
		if err != nil {
			return err
		}
		r.Name = name
		s.add(r.per(1, "tokens/s"))
	}
	return nil
}
