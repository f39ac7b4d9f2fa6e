package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"innerloop/bench"
	"innerloop/internal/version"
	"innerloop/prog"
	"innerloop/train"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench COMMAND",
		Short: "Measure speed",
		Long: `Measure the speed of a device. The shares of the roofline that the suites tell are the least time that the work could
take on this device, by the best matrix product and the memory bandwidth that were measured on it just before, in the
time that it took; what finds its data in caches can have more than 100 %.`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	for _, s := range benchSuites {
		c.AddCommand(a.benchSuiteCommand(s))
	}
	c.AddCommand(a.benchAllCommand(), a.benchCompareCommand())
	return c
}

// benchSuite is the command of a suite.
type benchSuite struct {
	name, short, long, example string
	flags                      []string // its own
}

var benchSuites = []benchSuite{
	{bench.Roofline, "Measure what the device can do",
		`Measure memory bandwidth, as a copy and as the sum of two large buffers, and the best matrix product: the two roofs that
the other suites are compared with.`,
		`  innerloop bench roofline --device gpu`, []string{"copy-mib"}},
	{bench.MatMul, "Time matrix products",
		`Time the matrix products of a training step (forward NT, gradient of the input NN, gradient of the weight TN; M x N x K)
and square ones, up to the largest that the time allows.`,
		`  innerloop bench matmul
  innerloop bench matmul --device gpu --sizes 512,1024 --json`, []string{"copy-mib", "sizes", "config", "set"}},
	{bench.Scan, "Time the inner loop of the TTT layers",
		`Time the scans of TTT-Linear and TTT-MLP by themselves: forward; forward and backward ("both"); and both on one sequence
over its length, with states kept every 16 mini-batches ("long"), where a token should cost the same at every length.`,
		`  innerloop bench scan
  innerloop bench scan --kinds mlp --batch 1 --head-dim 128 --lengths 512,8192`,
		[]string{"copy-mib", "kinds", "batch", "heads", "head-dim", "mini-batch", "seq-len", "checkpoint-every", "lengths"}},
	{bench.Step, "Time a training step, and each kind of kernel in it",
		`Time whole training steps (upload of the batch, forward, backward, update) on random data, the median after a
warm-up; then each dispatch by itself, summed up by kernel. GB/s counts every binding of a dispatch once, so a kernel
that finds its data in caches can show more than the memory has.

By default: TTT-Linear of 4 layers, hidden size 256, 4 heads, intermediate size 688, mini-batch 16; 4 sequences of 512
tokens.`,
		`  innerloop bench step
  innerloop bench step --device gpu --seconds 10
  innerloop bench step --set model.num_hidden_layers=2 --set train.seq_len=1024 --json`, []string{"copy-mib", "config", "set"}},
	{bench.Decode, "Time a token that is read by itself",
		`Time a token that is read by itself, its logits copied back, after a short text and after a long one: it should cost
the same. Sampling is not in it.`,
		`  innerloop bench decode
  innerloop bench decode --kinds mlp --contexts 256,65536`, []string{"kinds", "contexts", "config", "set"}},
	{bench.Load, "Time what comes before the first step",
		`Time opening the device, recording the step, loading it (buffers and pipelines), its weights, the first step and the
second, on fresh devices as often as the time allows; then what compiling costs, by kernel. A driver may keep what it
compiled, also from one run of the program to the next.`,
		`  innerloop bench load --device gpu`, []string{"config", "set"}},
}

// benchFlags are the options of bench.
type benchFlags struct {
	config configFlags
	device deviceFlags
	o      bench.Options
	mib    int
	json   bool
}

// add gives c the device's options and those named.
func (f *benchFlags) add(c *cobra.Command, names []string, seconds float64) {
	f.o = bench.Default()
	f.device.add(c)
	c.Flags().Float64Var(&f.o.Seconds, "seconds", seconds, "measure for about `S` seconds a suite; preparations come on top")
	all := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	all.IntVar(&f.mib, "copy-mib", f.o.CopyBytes>>20, "measure memory bandwidth on buffers of `N` MiB; they should be larger than the caches")
	all.IntSliceVar(&f.o.Sizes, "sizes", nil, "square products of these `SIZES`, as 256,512 (default 256 to 4096, as the time allows)")
	all.StringSliceVar(&f.o.Kinds, "kinds", f.o.Kinds, "`KINDS` of inner model")
	s := &f.o.Scan
	all.IntVar(&s.Batch, "batch", s.Batch, "`N` sequences")
	all.IntVar(&s.Heads, "heads", s.Heads, "`N` heads")
	all.IntVar(&s.HeadDim, "head-dim", s.HeadDim, "`N` channels of a head")
	all.IntVar(&s.MiniBatch, "mini-batch", s.MiniBatch, "`N` tokens of a mini-batch")
	all.IntVar(&s.SeqLen, "seq-len", s.SeqLen, "`N` tokens of a sequence")
	all.IntVar(&s.CheckpointEvery, "checkpoint-every", s.CheckpointEvery, "keep the state every `N` mini-batches")
	all.IntSliceVar(&f.o.Lengths, "lengths", f.o.Lengths, "compare the cost of a token over these `LENGTHS` of one sequence")
	all.IntSliceVar(&f.o.Contexts, "contexts", f.o.Contexts, "decode after so many `TOKENS`, ascending")
	for _, n := range names {
		if n == "config" {
			f.config.add(c)
		} else if flag := all.Lookup(n); flag != nil {
			c.Flags().AddFlag(flag)
		}
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
}

// options are what the options ask for, checked.
func (f *benchFlags) options() (bench.Options, error) {
	o := f.o
	s := train.Defaults(o.Config)
	if err := f.config.load(s); err != nil {
		return o, err
	}
	var err error
	if o.Config, _, err = s.Config(); err != nil {
		return o, fail(exitUsage, err)
	}
	if !(o.Seconds >= 0 && o.Seconds <= 3600) { // NaN too
		return o, failf(exitUsage, "--seconds %g, want 0 to 3600", o.Seconds)
	}
	if f.mib < 1 || f.mib > 1024 {
		return o, failf(exitUsage, "--copy-mib %d, want 1 to 1024", f.mib)
	}
	o.CopyBytes = f.mib << 20
	return o, fail(exitUsage, o.Validate())
}

// opener opens the device that the options ask for, and notes which it was.
func (f *benchFlags) opener(o bench.Options, dev **device) bench.Opener {
	return func() (prog.Executor, error) {
		d, err := f.device.open(o.Config.Device)
		if err != nil {
			return nil, err
		}
		*dev = d
		return d, nil
	}
}

func (a *app) benchSuiteCommand(s benchSuite) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use: s.name + " [options]", Short: s.short, Long: s.long, Example: s.example, Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return untilSignal(func(ctx context.Context) error {
				o, err := f.options()
				if err != nil {
					return err
				}
				r, dev, err := f.suite(ctx, c, s.name, o)
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(a, r)
				}
				a.printBench(r, dev)
				return nil
			})
		},
	}
	seconds := bench.Default().Seconds
	if s.name == bench.Step {
		seconds = 5
	}
	f.add(c, s.flags, seconds)
	return c
}

// suite runs one suite.
func (f *benchFlags) suite(ctx context.Context, c *cobra.Command, name string, o bench.Options) (*bench.Report, *device, error) {
	var dev *device
	r, err := bench.Run(ctx, name, f.opener(o, &dev), o)
	if err != nil {
		return nil, dev, err
	}
	at := slices.IndexFunc(benchSuites, func(s benchSuite) bool { return s.name == name })
	own := append([]string{"device", "threads", "seconds", "json"}, benchSuites[at].flags...)
	r.Device, r.Version, r.Command = dev.label, version.Of().Short(), shellLine("innerloop bench "+name, givenFlags(c, func(n string) bool { return slices.Contains(own, n) }))
	return r, dev, nil
}

// shellLine is command with args as a shell takes them.
func shellLine(command string, args []string) string {
	words := []string{command}
	for _, arg := range args {
		words = append(words, shellWord(arg))
	}
	return strings.Join(words, " ")
}

// givenFlags lists the options of c that were given and that want takes.
func givenFlags(c *cobra.Command, want func(name string) bool) (args []string) {
	c.Flags().Visit(func(g *pflag.Flag) {
		if !want(g.Name) {
			return
		}
		values := []string{g.Value.String()}
		if s, ok := g.Value.(pflag.SliceValue); ok {
			values = s.GetSlice()
			if !strings.Contains(g.Value.Type(), "Array") {
				values = []string{strings.Join(values, ",")}
			}
		}
		for _, v := range values {
			if g.Value.Type() == "bool" {
				args = append(args, "--"+g.Name+"="+v)
			} else {
				args = append(args, "--"+g.Name, v)
			}
		}
	})
	return args
}

// shellWord quotes what a shell would take apart, and what a terminal would act on.
func shellWord(s string) string {
	if shown(s) != s {
		var b strings.Builder
		for i := range len(s) {
			if c := s[i]; c < ' ' || c > '~' || c == '\'' || c == '\\' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		return "$'" + b.String() + "'"
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("-_.,=/:@%+", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (a *app) benchAllCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "all [options]",
		Short: "Run every suite",
		Long:  `Run every suite, one after the other, each on a device opened anew.`,
		Example: `  innerloop bench all --device gpu
  innerloop bench all --json >bench.json`,
		Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return untilSignal(func(ctx context.Context) error { return a.benchAll(ctx, c, &f) })
		},
	}
	f.add(c, allBenchFlags(), bench.Default().Seconds)
	return c
}

// allBenchFlags are the options of all suites.
func allBenchFlags() (names []string) {
	for _, s := range benchSuites {
		for _, n := range s.flags {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

func (a *app) benchAll(ctx context.Context, c *cobra.Command, f *benchFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	var reports []*bench.Report
	for i, name := range bench.Suites {
		r, dev, err := f.suite(ctx, c, name, o)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if reports = append(reports, r); f.json {
			continue
		}
		if i > 0 {
			a.out.printf("\n")
		}
		a.out.printf("== %s\n", name)
		a.printBench(r, dev)
	}
	if f.json {
		return printJSON(a, map[string]any{"reports": reports})
	}
	return nil
}

// printBench prints a report for people.
func (a *app) printBench(r *bench.Report, dev *device) {
	p := a.out.printf
	p("device   %s\n", dev)
	if r.StepReport != nil {
		a.printStep(r)
		return
	}
	if s := r.Scan; s != nil {
		p("scan     %s x %s of %d, K=%d, G=%d\n", plural(s.Batch, "sequence"), plural(s.Heads, "head"), s.HeadDim, s.MiniBatch, s.CheckpointEvery)
	}
	a.printRoofline(r)
	p("\n%s", table(resultRows(r)))
	var notes []string
	for _, x := range r.Results {
		if x.Skipped != "" {
			notes = append(notes, x.Name+": skipped: "+x.Skipped)
		} else if x.Note != "" {
			notes = append(notes, x.Name+": "+x.Note)
		}
	}
	if notes != nil {
		p("\n  %s\n", strings.Join(notes, "\n  "))
	}
	if len(r.Pipelines) > 0 {
		rows := [][]string{{"kernel", "pipelines", "load ms", "first run ms"}}
		for _, k := range r.Pipelines {
			rows = append(rows, []string{k.Kernel, strconv.Itoa(k.Count), fmt.Sprintf("%.1f", 1e3*k.Load), fmt.Sprintf("%.1f", 1e3*k.First)})
		}
		p("\n%s", table(rows))
	}
}

func (a *app) printRoofline(r *bench.Report) {
	if c := r.Roofline; c != nil {
		a.out.printf("roofline copy %.1f GB/s, %s %.1f GFLOP/s\n", c.CopyGBPerS, c.MatMul, c.MatMulGFLOPS)
	}
}

// resultRows are the rows of a table of results.
func resultRows(r *bench.Report) [][]string {
	rated, shared := false, false
	for _, x := range r.Results {
		rated, shared = rated || x.Rate > 0, shared || x.Share > 0
	}
	head := []string{r.Suite, "ms", "quartiles", "runs"}
	if rated {
		head = append(head, "rate", "")
	}
	if shared {
		head = append(head, "roofline")
	}
	rows := [][]string{head}
	for _, x := range r.Results {
		row := make([]string, len(head))
		row[0] = x.Name
		if x.Skipped == "" {
			copy(row[1:], []string{fmt.Sprintf("%.3f", 1e3*x.Seconds), fmt.Sprintf("%.3f-%.3f", 1e3*x.Q1, 1e3*x.Q3), strconv.Itoa(x.Runs)})
			if x.Rate > 0 {
				row[4], row[5] = rateText(x.Rate), x.Unit
			}
			if shared {
				row[len(row)-1] = percent(x.Share)
			}
		} else {
			row[1] = "-"
		}
		rows = append(rows, row)
	}
	return rows
}

func rateText(v float64) string {
	if v >= 1000 {
		return count(v)
	}
	return fmt.Sprintf("%.1f", v)
}

// percent prints a share; none where it is not known.
func percent(share float64) string {
	if share <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// printStep prints the report of the suite step.
func (a *app) printStep(r *bench.Report) {
	p, s := a.out.printf, r.StepReport
	c := s.Config
	p("model    %s parameters: %s, %s of %d, %s of %d, K=%d\n", count(s.Parameters), c.Name(),
		plural(c.NumHiddenLayers, "layer"), c.HiddenSize, plural(c.NumAttentionHeads, "head"), c.HeadDim(), c.MiniBatchSize)
	p("step     %s tokens: %s x %s; %s\n", count(s.TokensPerStep), plural(c.Batch*c.MicroBatches, "sequence"), plural(c.SeqLen, "token"), plural(s.Dispatches, "dispatch"))
	p("memory   %s\n", describe(prog.Stats{TempBytes: s.Memory.Temporaries, RawBytes: s.Memory.Unshared, ArenaBytes: s.Memory.Arenas}))
	p("ready in %s\n", clock(s.PrepareSeconds))
	a.printRoofline(r)
	p("\n%s tokens/s, %.2f ms a step (median of %s, best %.2f), %.1f GFLOP/s", count(s.TokensPerSecond), s.MsPerStep,
		plural(s.StepsTimed, "step"), s.MsBest, s.GFLOPS)
	if share := r.Results[0].Share; share > 0 {
		p(", %s of the roofline", percent(share))
	}
	p("\n\n")
	rows := [][]string{{"kernel", "dispatches", "ms/step", "share", "GFLOP/s", "GB/s", "roofline"}}
	var n int
	var ms float64
	for _, k := range s.Kernels {
		flops := ""
		if k.GFLOPS > 0 {
			flops = fmt.Sprintf("%.1f", k.GFLOPS)
		}
		rows = append(rows, []string{k.Name, strconv.Itoa(k.Dispatches), fmt.Sprintf("%.3f", k.Ms), fmt.Sprintf("%.1f %%", 100*k.Share), flops,
			fmt.Sprintf("%.1f", k.GBPerS), percent(k.Roofline)})
		n, ms = n+k.Dispatches, ms+k.Ms
	}
	rows = append(rows, []string{"sum", strconv.Itoa(n), fmt.Sprintf("%.3f", ms), "", "", "", ""})
	p("%s", table(rows))
}
