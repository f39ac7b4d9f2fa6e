package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"innerloop/bench"
	"innerloop/internal/version"
	"innerloop/prog"
)

// compareFlags are the options of bench compare.
type compareFlags struct {
	benchFlags
	suite   string
	against string
	builds  []string
	rounds  int
}

func (a *app) benchCompareCommand() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare [options]",
		Short: "Compare two devices, or two builds",
		Long: `Run a suite on two devices, or of two builds of innerloop, in turns, and print how many times as fast the first is as
the second: the median of the rounds, their quartiles, and the least and the most. What else the machine does meets both.

Two devices are --device and --against; two builds are executables, named by two --build, on the same --device.`,
		Example: `  innerloop bench compare --device gpu --against cpu
  innerloop bench compare --build ./innerloop --build ./innerloop.before --suite matmul --rounds 9`,
		Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return untilSignal(func(ctx context.Context) error { return a.benchCompare(ctx, c, &f) })
		},
	}
	f.add(c, allBenchFlags(), 2)
	c.Flags().StringVar(&f.suite, "suite", bench.Step, "the `SUITE`: "+strings.Join(bench.Suites, ", "))
	c.Flags().StringVar(&f.against, "against", "", "the second device's `NAME`, as for --device")
	c.Flags().StringArrayVar(&f.builds, "build", nil, "an executable `FILE` of innerloop; twice")
	c.Flags().IntVar(&f.rounds, "rounds", 5, "measure both `N` times")
	complete(c, "suite", func() []string { return bench.Suites })
	return c
}

// measurer runs the suite on one side.
type measurer func(ctx context.Context) (*bench.Report, error)

func (a *app) benchCompare(ctx context.Context, c *cobra.Command, f *compareFlags) error {
	o, err := f.options()
	switch {
	case err != nil:
		return err
	case !slices.Contains(bench.Suites, f.suite):
		return failf(exitUsage, "--suite %q, want one of %s", f.suite, strings.Join(bench.Suites, ", "))
	case f.rounds < 1 || f.rounds > 1000:
		return failf(exitUsage, "--rounds %d, want 1 to 1000", f.rounds)
	case len(f.builds) > 0 && f.against != "":
		return failf(exitUsage, "--build compares builds, --against devices: want one of the two")
	case len(f.builds) == 0 && f.against == "":
		return failf(exitUsage, "bench compare needs what to compare: --build FILE twice, or --against NAME, a second device")
	case len(f.builds) != 2 && f.against == "":
		return failf(exitUsage, "got %s, want --build FILE twice", plural(len(f.builds), "build"))
	}
	o.NoRoofline = f.suite != bench.Roofline // it would be measured in every round
	var sides [2]measurer
	var names [2]string
	if len(f.builds) == 2 {
		for i, file := range f.builds {
			if sides[i], err = f.build(c, file); err != nil {
				return err
			}
			names[i] = file
		}
	} else {
		for i, d := range []deviceFlags{f.device, {f.against, f.device.threads}} {
			side := f.benchFlags
			side.device = d
			dev, err := d.open(o.Config.Device)
			if err != nil {
				return err
			}
			defer dev.Close()
			sides[i], names[i] = side.on(dev, f.suite, o), dev.label
		}
	}
	var got [2][]*bench.Report
	for round := range f.rounds {
		for i := range 2 {
			i = (i + round) % 2 // who is first has the cooler machine
			r, err := sides[i](ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			got[i] = append(got[i], r)
		}
	}
	x, err := bench.Compare(got[0], got[1])
	if err != nil {
		return fail(exitUsage, fmt.Errorf("%s and %s: %w", names[0], names[1], err))
	}
	x.First.Name, x.Second.Name, x.Command = names[0], names[1], shellLine("innerloop bench compare", givenFlags(c, func(string) bool { return true }))
	if f.json {
		return printJSON(a, x)
	}
	a.printComparison(x)
	return nil
}

// on measures a device, which stays open, but for load.
func (f benchFlags) on(dev *device, suite string, o bench.Options) measurer {
	open := bench.Keep(dev)
	if suite == bench.Load {
		open = func() (prog.Executor, error) { return f.device.open(o.Config.Device) }
	}
	return func(ctx context.Context) (*bench.Report, error) {
		r, err := bench.Run(ctx, suite, open, o)
		if err == nil {
			r.Device, r.Version = dev.label, version.Of().Short()
		}
		return r, err
	}
}

// build measures an executable.
func (f *compareFlags) build(c *cobra.Command, file string) (measurer, error) {
	path, err := exec.LookPath(file)
	if err != nil {
		return nil, failf(exitUsage, "--build %s: %w", file, cause(lookPathCause(err)))
	}
	args := append([]string{"bench", f.suite}, givenFlags(c, func(n string) bool {
		return !slices.Contains([]string{"suite", "rounds", "build", "json", "seconds"}, n)
	})...)
	args = append(args, "--json", "--seconds", fmt.Sprint(f.o.Seconds))
	return func(ctx context.Context) (*bench.Report, error) {
		child := exec.CommandContext(ctx, path, args...)
		child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
		child.WaitDelay = 5 * time.Second
		var out, errs bytes.Buffer
		child.Stdout, child.Stderr = &out, &errs
		if err := child.Run(); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if said := strings.TrimSpace(errs.String()); said != "" {
				err = errors.New(said)
			}
			return nil, failf(exitUsage, "bench %s: %w", f.suite, err)
		}
		r, err := bench.ReadReport(out.Bytes())
		if err != nil {
			return nil, failf(exitUsage, "bench %s --json: %w", f.suite, err)
		}
		return r, nil
	}, nil
}

// lookPathCause is why an executable was not found.
func lookPathCause(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (a *app) printComparison(x *bench.Comparison) {
	p := a.out.printf
	for i, s := range []bench.Side{x.First, x.Second} {
		p("%s %s", []string{"first   ", "second  "}[i], s.Name)
		if s.Device != s.Name {
			p(", %s", s.Device)
		}
		if s.Version != "" && x.First.Version != x.Second.Version {
			p(", version %s", s.Version)
		}
		p("\n")
	}
	p("rounds   %d, in turns; first / second is how many times as fast the first is\n\n", x.Rounds)
	p("%s", table(ratioRows(x.Suite, x.Results)))
	var notes []string
	for _, r := range x.Results {
		if r.Skipped != "" {
			notes = append(notes, r.Name+": skipped: "+r.Skipped)
		}
	}
	if notes != nil {
		p("\n  %s\n", strings.Join(notes, "\n  "))
	}
	if len(x.Kernels) > 0 {
		p("\n%s", table(ratioRows("kernel", x.Kernels)))
	}
}

func ratioRows(head string, ratios []bench.Ratio) [][]string {
	rows := [][]string{{head, "first ms", "second ms", "first / second", "quartiles", "least-most"}}
	for _, r := range ratios {
		if r.Skipped != "" {
			rows = append(rows, []string{r.Name, "", "", "-", "", ""})
			continue
		}
		rows = append(rows, []string{r.Name, fmt.Sprintf("%.3f", 1e3*r.Seconds[0].Median), fmt.Sprintf("%.3f", 1e3*r.Seconds[1].Median),
			fmt.Sprintf("%.3f", r.Ratio.Median), fmt.Sprintf("%.3f-%.3f", r.Ratio.Q1, r.Ratio.Q3), fmt.Sprintf("%.3f-%.3f", r.Ratio.Min, r.Ratio.Max)})
	}
	return rows
}
