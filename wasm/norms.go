package main

import (
	"slices"

	"innerloop/lab"
	"innerloop/model"
	"innerloop/train"
)

// normsData says where the columns of a norms event lie: [layers][heads], flat.
type normsData struct {
	Run    string  `json:"run"`
	Step   int     `json:"step"`
	Layers []int   `json:"layers"` // numbers of the blocks
	Heads  int     `json:"heads"`
	Eps    float64 `json:"eps"`
	Bound  float64 `json:"bound"` // of |z|
}

// probesOf are the columns of a head, or of the worst of several.
func probesOf(s model.NormStats) map[string]float64 {
	return map[string]float64{
		"stdMin": s.Std.Min, "stdMean": s.Std.Mean, "highGain": s.HighGain, "maxZ": s.MaxZ, "gain": s.Gain,
		"xvMin": s.XV.Min, "xvMax": s.XV.Max, "xkMin": s.XK.Min, "xkMax": s.XK.Max, "outMin": s.Out.Min, "outMax": s.Out.Max,
		"keyMin": s.KeyMin, "keyMax": s.KeyMax, "nonFinite": float64(s.NonFinite),
	}
}

// leastIsWorst are the columns of which the least value is the worst.
var leastIsWorst = map[string]bool{"stdMin": true, "stdMean": true, "xvMin": true, "xkMin": true, "outMin": true, "keyMin": true}

// sendNorms tells the page what the normalisers did in the last step, if the model has any, and logs it now and then.
func (o *openRun) sendNorms() error {
	list, err := o.run.Norms()
	if err != nil || len(list) == 0 {
		return err
	}
	d := normsData{Run: o.id, Step: o.run.Step(), Heads: o.run.Config.Model.NumAttentionHeads, Eps: list[0].Eps, Bound: list[0].Bound}
	columns := map[string][]float64{}
	for _, s := range list {
		if s.Head == 0 {
			d.Layers = append(d.Layers, s.Layer)
		}
		for name, v := range probesOf(s) {
			columns[name] = append(columns[name], v)
		}
	}
	o.s.host.Post(event{"norms", d}, columns)
	o.norms.list, o.norms.step = list, d.Step
	// What eps or a fault changes is in the log however short it lasts.
	changed := o.norms.kept > 0 && (o.norms.eps != d.Eps || o.norms.fault != o.run.Model.Fault())
	if changed || o.norms.pace.Due() {
		start := timeNow()
		o.logNorms()
		o.norms.pace.Spent(start)
	}
	return nil
}

// normLog is the log of what an open run's normalisers did.
type normLog struct {
	log   *train.NormLog
	pace  train.Budget
	list  []model.NormStats // of the last step that was told
	step  int
	kept  int // the last step in the log, and what it was made with
	eps   float64
	fault model.Fault
}

// logNorms adds the last step to the log, if it is not yet there.
func (o *openRun) logNorms() {
	n := &o.norms
	if n.step <= n.kept {
		return
	}
	err := n.log.Add(n.step, n.list, o.run.Config.Model.HeadDim(), o.run.Model.Fault())
	if err == nil {
		n.kept, n.eps, n.fault = n.step, n.list[0].Eps, o.run.Model.Fault()
	}
	o.logged(err)
}

// normsResult says what the columns of a run's logged normalisers are of.
type normsResult struct {
	Run    string      `json:"run"`
	Layers []int       `json:"layers"`
	Heads  int         `json:"heads"`
	Bound  float64     `json:"bound"`
	Faults []faultMark `json:"faults"`
}

// faultMark is a change of a run's fault.
type faultMark struct {
	Step  int    `json:"step"`
	Fault string `json:"fault"`
}

// pastNorms answers a request with what a kept run's log says of its normalisers: a row a step, the worst of all layers
// and heads.
func (s *Session) pastNorms(q request) error {
	p, err := decode[runParams](q)
	if err != nil {
		return err
	}
	dir, err := s.kept(p.Run)
	if err != nil {
		return err
	}
	c, err := train.LoadRun(dir)
	if err != nil {
		return fail(codeData, err)
	}
	d := normsResult{Run: p.Run, Layers: []int{}, Heads: c.Model.NumAttentionHeads, Faults: []faultMark{}}
	columns := map[string][]float64{"step": {}, "eps": {}}
	for name := range probesOf(model.NormStats{}) {
		columns[name] = []float64{}
	}
	step, fault := 0, model.NoFault
	broken, err := train.ReadNorms(dir, func(x train.NormPoint) {
		if !slices.Contains(d.Layers, x.Stats.Layer) {
			d.Layers = append(d.Layers, x.Stats.Layer)
		}
		if x.Step < step { // of a program that did not cut the log when it went on
			return
		}
		d.Bound = x.Stats.Bound
		first := x.Step != step
		if first {
			step = x.Step
			columns["step"], columns["eps"] = append(columns["step"], float64(step)), append(columns["eps"], x.Stats.Eps)
			if x.Fault != fault {
				fault = x.Fault
				d.Faults = append(d.Faults, faultMark{step, string(fault)})
			}
		}
		for name, v := range probesOf(x.Stats) {
			if col := columns[name]; first {
				columns[name] = append(col, v)
			} else if worst := &col[len(col)-1]; leastIsWorst[name] {
				*worst = min(*worst, v)
			} else {
				*worst = max(*worst, v)
			}
		}
	})
	if err != nil {
		return fail(codeStorage, err)
	}
	s.broken(broken, train.NormsFile)
	s.host.Post(reply{ID: q.ID, Result: d}, columns)
	return nil
}

// diagnosisResult is a lab.Report as the page is told it; the layers' numbers, which may not be finite, are in columns.
type diagnosisResult struct {
	Cause      string           `json:"cause"`
	Summary    string           `json:"summary"`
	Step       int              `json:"step"`
	Eps        float64          `json:"eps"`
	Bound      float64          `json:"bound"`
	Hypotheses []lab.Hypothesis `json:"hypotheses"`
	Layers     []int            `json:"layers"`
}

// diagnosedTokens bounds the batch.
const diagnosedTokens = 1024

// diagnose answers a request with the diagnosis of the open run on held-out text.
func (s *Session) diagnose(q request) error {
	if _, err := decode[empty](q); err != nil {
		return err
	}
	o, err := s.need("diagnose")
	if err != nil {
		return err
	}
	text, held := o.run.Text()
	l := min(o.run.Config.Train.SeqLen, diagnosedTokens)
	if held.Windows(l) == 0 {
		held = text
	}
	b := max(1, min(o.run.Config.Train.BatchSize, diagnosedTokens/l, held.Windows(l)))
	ids := make([]uint32, b*l)
	if err := held.Read(ids, 0); err != nil {
		return fail(codeData, err)
	}
	o.run.Model.TargetEps = o.run.Config.Model.TargetEps // it may have been changed since the last step
	e, err := lab.Examine(o.run.Model, o.run.Executor(), ids, b, l)
	if err != nil {
		return fail(codeDevice, err)
	}
	r := lab.Diagnose(e)
	d := diagnosisResult{Cause: r.Cause, Summary: r.Summary, Step: o.run.Step(), Eps: r.Eps, Bound: r.Bound, Hypotheses: r.Hypotheses, Layers: []int{}}
	columns := map[string][]float64{}
	for _, l := range r.Layers {
		d.Layers = append(d.Layers, l.Layer)
		for name, v := range map[string]float64{
			"xvMin": l.XV.Min, "xvMax": l.XV.Max, "xkMin": l.XK.Min, "xkMax": l.XK.Max, "outMin": l.Out.Min, "outMax": l.Out.Max, "stdMin": l.StdMin,
			"highGain": l.HighGain, "maxZ": l.MaxZ, "keyMin": l.KeyNormMin, "keyMax": l.KeyNormMax, "gain": l.Gain, "nonFinite": float64(l.NonFinite),
		} {
			columns[name] = append(columns[name], v)
		}
	}
	s.host.Post(reply{ID: q.ID, Result: d}, columns)
	return nil
}

// faultInfo describes a fault to the page.
type faultInfo struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Video bool   `json:"video"`
}

func faults() (list []faultInfo) {
	for _, f := range model.Faults() {
		list = append(list, faultInfo{string(f.Fault), f.About, f.Video})
	}
	return list
}

// refit loads the open run anew with a configuration whose programs are others, from a checkpoint of this very step.
func (s *Session) refit(c train.Config) error {
	o := s.open
	if err := o.saveNow(); err != nil {
		return fail(codeStorage, err)
	}
	if err := train.SaveConfig(o.dir, c); err != nil {
		return fail(codeStorage, err)
	}
	state, was := s.state, o.run.Config
	o.close()
	next, err := s.load(o.id, loadOptions{text: c.Data.File, otherText: true})
	if err != nil {
		// As it was before, if that can still be.
		if e := train.SaveConfig(o.dir, was); e == nil {
			if back, e := s.load(o.id, loadOptions{text: was.Data.File, otherText: true}); e == nil {
				s.open = back
				s.enter(state, nil)
				return err
			}
		}
		s.open = nil
		s.host.Unlock(lockName(o.id))
		s.enter(stateIdle, nil)
		return err
	}
	next.losses, next.kept = o.losses, o.kept
	s.open = next
	if err := s.open.run.Model.ApplyFault(s.dev); err != nil {
		return err
	}
	s.enter(state, nil)
	return nil
}
