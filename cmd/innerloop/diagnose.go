package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/lab"
	"innerloop/model"
	"innerloop/train"
)

// diagnoseFlags are the options of diagnose.
type diagnoseFlags struct {
	config configFlags
	device deviceFlags
	data   string
	fault  string
	json   bool
}

func (a *app) diagnoseCommand() *cobra.Command {
	var f diagnoseFlags
	c := &cobra.Command{
		Use:   "diagnose [DIR] [options]",
		Short: "Find out why the numbers of a TTT layer explode, or that they are sound",
		Long: `Read one batch with a model and test every known cause of an explosion: of a run or checkpoint in DIR, or of a
configuration with its initial weights. What is measured:

  the normaliser of the reconstruction target (model.variant=video): its inputs and outputs on the batch, layer by layer,
  against the invariants that no input and no eps can break, and the normaliser by itself, on rows on which the known
  wrong formulas differ, with two values of eps;
  the keys' length, the norm's weights and biases, and whether a token sees those after it.

H5, the inconsistent normaliser, comes first, then H1 to H4 of the investigation that this is made for, and others; each has
a measurement, a verdict, and where it is supported, what mends it. One cause is named. The exit code is 0 for a healthy
model and 8 for any other, also for one of which something could not be tested (undecidable).

--fault puts a known fault in (innerloop help faults), to see what it does and that it is found. It brings the variant of
the layer that has it, where nobody sets another.`,
		Example: `  innerloop diagnose runs/book
  innerloop diagnose --fault std-aliased
  innerloop diagnose --config audio.toml --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return failf(exitUsage, "diagnose takes one folder, got %s: see %s --help", plural(len(args), "argument"), c.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.diagnose(f, args) },
	}
	f.config.add(c)
	c.Flags().StringVar(&f.data, "data", "", "text or sound `FILE` for the batch (default: the run's)")
	c.Flags().StringVar(&f.fault, "fault", "", "put the known fault `NAME` into the layer")
	complete(c, "fault", func() (names []string) {
		for _, x := range model.Faults() {
			names = append(names, cobra.CompletionWithDesc(string(x.Fault), x.About))
		}
		return names
	})
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	f.device.add(c)
	return c
}

// faultsTopic lists the faults.
func faultsTopic() string {
	var b strings.Builder
	b.WriteString("Faults that --fault of train and diagnose, and train.fault of a configuration, put into the TTT layers. Each is one that\npeople have had, and diagnose names each of them.\n\n")
	for _, f := range model.Faults() {
		note := ""
		if f.Video {
			note = " (brings model.variant=video)"
		}
		fmt.Fprintf(&b, "  %-13s %s%s\n", f.Fault, f.About, note)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// settings are the configuration of what is diagnosed, and the folder of its weights, if it has one: from is what is open
// there.
func (f *diagnoseFlags) settings(args []string, from *model.Checkpoint) (cfg train.Config, dir, brought string, err error) {
	base := train.Demo()
	s := train.Defaults(base)
	if len(args) == 1 {
		dir = args[0]
		own := ""
		switch base, err = train.LoadRun(dir); {
		case errors.Is(err, fs.ErrNotExist):
			base, own = train.Default(), "model."
		case err != nil:
			return base, dir, "", fail(exitData, err)
		}
		base.Model = from.Params.Config
		s = train.Defaults(base)
		s.Keep(own)
	}
	if err = f.config.load(s); err != nil {
		return cfg, dir, "", err
	}
	if f.data != "" {
		s.Put("data.file", f.data)
	}
	if f.fault != "" {
		s.Put("train.fault", f.fault)
	}
	cfg, brought, err = s.Config()
	if was := base.Model; dir != "" {
		was.TargetEps = cfg.Model.TargetEps
		if cfg.Model != was {
			return cfg, dir, "", failf(exitUsage, "%s: a checkpoint keeps its model: of it --set and --config may change model.target_eps only", dir)
		}
	}
	return cfg, dir, brought, fail(exitUsage, err)
}

// mostDiagnosed bounds the batch, whose tensors are all read back.
const mostDiagnosed = 4096

func (a *app) diagnose(f diagnoseFlags, args []string) error {
	var from *model.Checkpoint
	if len(args) == 1 {
		var err error
		if from, err = a.openCheckpoint(args[0]); err != nil {
			return err
		}
		defer from.Close()
	}
	cfg, dir, brought, err := f.settings(args, from)
	if err != nil {
		return err
	}
	if dir != "" {
		a.edited(dir)
	}
	text, err := corpus(cfg.Data)
	if err != nil {
		return fail(exitData, err)
	}
	l := min(cfg.Train.SeqLen, mostDiagnosed)
	b := max(1, min(cfg.Train.BatchSize, mostDiagnosed/l))
	part, _, err := text.Split(0, l)
	if err != nil {
		return fail(exitData, err)
	}
	b = min(b, part.Windows(l))
	ids := make([]uint32, b*l)
	if err := part.Read(ids, 0); err != nil {
		return fail(exitData, err)
	}
	dev, err := f.device.open(cfg.Device)
	if err != nil {
		return err
	}
	defer dev.Close()
	m, err := model.New(cfg.Model, model.ScanOptions{})
	if err != nil {
		return fail(exitUsage, err)
	}
	defer m.Free(dev)
	if err := m.SetFault(model.Fault(cfg.Train.Fault)); err != nil {
		return fail(exitUsage, err)
	}
	if err := m.Prepare(dev); err != nil {
		return err
	}
	if from != nil {
		err = from.Load(dev, m.Params)
	} else {
		err = m.Init(dev, cfg.Train.Seed)
	}
	if err == nil {
		err = m.ApplyFault(dev)
	}
	if err != nil {
		return checkpointError(dir, err)
	}
	e, err := lab.Examine(m, dev, ids, b, l)
	if err != nil {
		return err
	}
	r := lab.Diagnose(e)
	if f.json {
		if err := a.printJSON(finiteReport(r, cfg.Train.Fault)); err != nil {
			return err
		}
	} else {
		what := dir
		if what == "" {
			what = "initial weights"
		}
		a.out.printf("device  %s\nmodel   %s: %s, variant %s, block %s, %s of %d\nbatch   %s x %d tokens of %s, loss %.4f nats a token\n",
			dev, what, cfg.Model.Name(), cfg.Model.Variant, cfg.Model.Block, plural(cfg.Model.NumHiddenLayers, "layer"), cfg.Model.HiddenSize, plural(b, "sequence"), l, text.Name(), e.Loss)
		if cfg.Train.Fault != "" {
			a.out.printf("%s", faultLine(cfg.Train.Fault, brought))
		}
		a.printReport(r)
	}
	if r.Cause == lab.Healthy {
		return nil
	}
	if r.Cause == lab.NotDecidable {
		return failf(exitUnhealthy, "diagnose: not decidable: %s", strings.TrimSuffix(r.Summary, "."))
	}
	return failf(exitUnhealthy, "diagnose: not healthy: %s", r.Cause)
}

// printReport prints the tables of the investigation and the verdicts.
func (a *app) printReport(r *lab.Report) {
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	span := func(s lab.Stats) string { return num(s.Min) + " .. " + num(s.Max) }
	if len(r.Layers) > 0 {
		a.out.printf("\neps %g; no |z| can pass sqrt(n-1) = %.4g\n", r.Eps, r.Bound)
		before := [][]string{{"BEFORE", "XV", "XK", "||XK||", "std", "gain > " + strconv.Itoa(model.HighGain)}}
		after := [][]string{{"AFTER", "output", "mean", "max |z|", "weight", "bias", "gain 1/(std+eps)", "not finite"}}
		for _, l := range r.Layers {
			name := "layer " + strconv.Itoa(l.Layer)
			before = append(before, []string{name, span(l.XV), span(l.XK), num(l.KeyNormMin) + " .. " + num(l.KeyNormMax), num(l.StdMin) + " (mean " + num(l.StdMean) + ")", num(100*l.HighGain) + " %"})
			after = append(after, []string{name, span(l.Out), num(l.Out.Mean), num(l.MaxZ), span(l.Weight), span(l.Bias), num(l.Gain), strconv.Itoa(l.NonFinite)})
		}
		a.out.printf("\n%s\n%s", table(before), table(after))
	} else {
		a.out.printf("\nno normaliser of the target in this model (TTT layers of model.variant=video have one)\n")
	}
	a.out.printf("\n")
	for _, h := range r.Hypotheses {
		a.out.printf("  %-3s %-12s %s\n      %s\n", h.ID, h.Verdict, h.Text, h.Measurement)
		if h.Mend != "" {
			a.out.printf("      mend: %s\n", h.Mend)
		}
	}
	a.out.printf("\ncause: %s\n", r.Cause)
	if r.Cause == lab.Healthy {
		for _, n := range r.Notes {
			a.out.printf("note: %s\n", n)
		}
	}
}

// finiteReport is a report as JSON can have it: numbers that are not finite are null there, as they have no name in it.
func finiteReport(r *lab.Report, fault string) any {
	three := func(s lab.Stats) [3]jsonNumber {
		return [3]jsonNumber{jsonNumber(s.Min), jsonNumber(s.Max), jsonNumber(s.Mean)}
	}
	layers := []map[string]any{}
	for _, l := range r.Layers {
		layers = append(layers, map[string]any{
			"layer": l.Layer, "xv": three(l.XV), "xk": three(l.XK), "out": three(l.Out), "weight": three(l.Weight), "bias": three(l.Bias),
			"std_min": jsonNumber(l.StdMin), "std_mean": jsonNumber(l.StdMean), "high_gain_rows": jsonNumber(l.HighGain), "max_z": jsonNumber(l.MaxZ),
			"key_norm_min": jsonNumber(l.KeyNormMin), "key_norm_max": jsonNumber(l.KeyNormMax), "gain": jsonNumber(l.Gain), "non_finite": l.NonFinite,
		})
	}
	return map[string]any{
		"cause": r.Cause, "summary": r.Summary, "fault": fault, "eps": jsonNumber(r.Eps), "bound": jsonNumber(math.Max(0, r.Bound)), "layers": layers, "hypotheses": r.Hypotheses,
	}
}
