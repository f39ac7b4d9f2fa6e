package main

import (
	"bytes"
	"encoding/json"

	"innerloop/train"
)

// change is a value of a run that was changed while it was open. A run made of its configuration alone is another from that
// step on, so that it is kept with the run, and marked in its curves.
type change struct {
	Step int    `json:"step"` // the last one that was made with the value of before
	Key  string `json:"key"`
	From any    `json:"from"`
	To   any    `json:"to"`
}

// matters says whether a key has a part in what a run learns: the others only change what is shown of it.
func matters(key string) bool {
	switch key {
	case "train.steps", "train.lr", "train.warmup_steps", "train.min_lr_ratio", "train.weight_decay", "train.clip", "model.target_eps", "train.fault", "train.precision":
		return true
	}
	return false
}

// changed adds a change after step to the list. What is changed again before the next step, as by a slider, is one change,
// and none where it is back at what it was.
func changed(list []change, c change) []change {
	if same(c.From, c.To) {
		return list
	}
	for i := range list {
		if old := &list[i]; old.Key == c.Key && old.Step == c.Step {
			if old.To = c.To; same(old.From, old.To) {
				return append(list[:i:i], list[i+1:]...)
			}
			return list
		}
	}
	return append(list, c)
}

// back is the list for a run that goes on from an earlier step: what was changed later acts from there on.
func back(list []change, step int) []change {
	var out []change
	for _, c := range list {
		c.Step = min(c.Step, step)
		out = changed(out, c)
	}
	return out
}

// took notes that a key of the open run went from one value to the other.
func (o *openRun) took(key string, was, now train.Config) {
	if matters(key) {
		o.kept.Changes = changed(o.kept.Changes, change{o.run.Step(), key, train.Flat(was)[key], train.Flat(now)[key]})
	}
}

// same says whether two values are the same in JSON: what comes from there has lost the types of its numbers.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
