package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"innerloop/internal/symlink"
	"innerloop/rundir"
	"innerloop/train"
)

// runSummary is what runs --json prints of each run.
type runSummary struct {
	Name            string            `json:"name"` // its folder
	Model           string            `json:"model"`
	Step            int               `json:"step"` // of the last line of its metrics
	Steps           int               `json:"steps"`
	Tokens          int64             `json:"tokens"`
	Loss            *float64          `json:"loss"`     // of the last step, nats a token; null: no step
	ValLoss         *float64          `json:"val_loss"` // of the last validation; null: none
	ValBitsPerByte  *float64          `json:"val_bits_per_byte"`
	TokensPerSecond float64           `json:"tokens_per_second"` // of training, validation not counted
	When            time.Time         `json:"when"`              // it was last written to
	Ended           string            `json:"ended"`             // done, stopped, interrupted, diverged, failed: why; running; killed
	Exit            *train.Ending     `json:"exit"`              // what its folder says of that; null: nothing
	Differences     map[string]string `json:"differences"`       // keys of the configuration that are not the same in all runs

	unread error // why Exit is not known
	config train.Config
	broken string   // lines of its metrics that were passed over; empty: none
	keys   []string // of Differences, in the configuration's order
}

func (a *app) runsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "runs [DIR] [options]",
		Short: "List the runs in a folder and what differs between them",
		Long: `List the runs in the folders of DIR, by default ./runs, the oldest first: model, steps made and asked for, how they
ended, the last validation, speed. Below are the values of the configuration that are not the same in all of them; for a single run,
those that are not the default. DIR may also be the folder of one run.

A run ended "done", "stopped" (--stop-after), "interrupted", "diverged" or "failed", as its exit.json says, or is
"running"; one without exit.json that did not make its steps was "killed", or stopped by a version that wrote none; a run of the page is "in the page".

A folder that is no run, or a damaged one, is named on standard error and passed over.`,
		Example: `  innerloop runs
  innerloop runs experiments --json
  innerloop runs runs/book`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return failf(exitUsage, "runs takes one folder, got %s: see %s --help", plural(len(args), "argument"), c.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "runs"
			if len(args) == 1 {
				dir = args[0]
			}
			return a.runs(dir, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON list")
	return c
}

func (a *app) runs(dir string, asJSON bool) error {
	es, err := os.ReadDir(dir)
	if link := symlink.Dangling(dir); err != nil && link != nil {
		return fail(exitData, link)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return failf(exitData, "%s: no such folder: innerloop train makes runs, in ./runs unless --out names another place; innerloop runs DIR looks elsewhere", shown(dir))
	}
	if err != nil {
		return failf(exitData, "%s: %w", dir, cause(err))
	}
	dirs := []string{dir}
	if _, err := os.Lstat(filepath.Join(dir, runConfigFile)); err != nil {
		dirs = nil
		for _, e := range es {
			path := filepath.Join(dir, e.Name())
			if st, err := os.Stat(path); err == nil && st.IsDir() && !strings.HasPrefix(e.Name(), ".") { // a link to a folder too
				dirs = append(dirs, path)
			}
		}
	}
	all := []*runSummary{}
	for _, d := range dirs {
		s, err := summarize(d)
		if err != nil {
			fmt.Fprintf(a.err, "innerloop: passed over: %s\n", oneLine(err))
			continue
		}
		if s.unread != nil {
			fmt.Fprintf(a.err, "innerloop: %s\n", oneLine(s.unread))
		}
		a.note("%s", s.broken)
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b *runSummary) int { return cmp.Or(a.When.Compare(b.When), cmp.Compare(a.Name, b.Name)) })
	compare(all)
	if asJSON {
		return printJSON(a, all)
	}
	if len(all) == 0 {
		a.out.printf("no runs in %s\n", shown(dir))
		return nil
	}
	rows := [][]string{{"run", "model", "steps", "ended", "val nats", "bits/byte", "tokens/s", "when"}}
	for _, s := range all {
		nats, bits, speed := "-", "-", "-"
		if s.ValLoss != nil {
			nats, bits = fmt.Sprintf("%.4f", *s.ValLoss), fmt.Sprintf("%.4f", *s.ValBitsPerByte)
		}
		if s.TokensPerSecond > 0 {
			speed = count(s.TokensPerSecond)
		}
		rows = append(rows, []string{shown(s.Name), s.Model, fmt.Sprintf("%d/%d", s.Step, s.Steps), short(s.Ended), nats, bits, speed, s.When.Format("2006-01-02 15:04")})
	}
	a.out.printf("%s", table(rows))
	what := "not the default:"
	if len(all) > 1 {
		what = "not the same in all of them:"
	}
	if len(all[0].keys) > 0 {
		a.out.printf("\n%s\n", what)
	}
	for _, s := range all {
		if len(s.keys) == 0 {
			continue
		}
		values := make([]string, len(s.keys))
		for i, k := range s.keys {
			values[i] = k + "=" + short(s.Differences[k])
		}
		a.out.printf("  %s  %s\n", shown(s.Name), strings.Join(values, "  "))
	}
	return nil
}

// summarize reads a run's folder.
func summarize(dir string) (*runSummary, error) {
	_ = rundir.Repair(dir) // what cannot be repaired shows when it is read
	c, err := train.LoadRun(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no run: it has no %s", dir, runConfigFile)
	}
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	p, err := train.ReadMetrics(dir, math.MaxInt, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m := c.Model
	s := &runSummary{Name: dir, Step: p.Last.Step, Steps: c.Train.Steps, Tokens: p.Last.Tokens, config: c, broken: p.Broken.In(filepath.Join(dir, metricsFile)), Differences: map[string]string{},
		Model: fmt.Sprintf("%s %dx%d H%d K%d", m.Name(), m.NumHiddenLayers, m.HiddenSize, m.NumAttentionHeads, m.MiniBatchSize)}
	if p.Last.Step > 0 {
		s.Loss = &p.Last.Loss
	}
	if p.Eval != nil {
		s.ValLoss, s.ValBitsPerByte = &p.Eval.Loss, &p.Eval.BitsPerByte
	}
	s.TokensPerSecond = math.Round(rate(p.Last.Tokens, p.Seconds))
	s.Ended, s.Exit, s.unread = endedAs(dir, s.Steps)
	s.Step = max(s.Step, train.LatestStep(dir)) // a run that was saved beside its folder has no metrics
	for _, name := range []string{metricsFile, runConfigFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && s.When.IsZero() {
			s.When = st.ModTime().Round(time.Second)
		}
	}
	return s, nil
}

// compare fills in what differs between runs, or of a single one from the default.
func compare(all []*runSummary) {
	if len(all) == 0 {
		return
	}
	base := all[0].config
	if len(all) == 1 {
		base = train.Default()
	}
	differ := map[string]bool{}
	for _, s := range all {
		for _, x := range train.Diff(base, s.config) {
			differ[x.Key] = true
		}
	}
	for _, s := range all {
		for _, v := range train.Values(s.config) {
			if differ[v.Key] {
				s.keys = append(s.keys, v.Key)
				s.Differences[v.Key] = v.Value
			}
		}
	}
}

// short keeps a value readable in a line.
func short(v string) string {
	const most = 60
	if len(v) <= most {
		return v
	}
	q, err := strconv.Unquote(v)
	if err == nil && filepath.IsAbs(q) {
		return strconv.Quote(".../" + filepath.Base(q))
	}
	return strings.ToValidUTF8(v[:most], "") + "..."
}
