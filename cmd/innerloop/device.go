package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/gpu"
	"innerloop/internal/memlimit"
	"innerloop/prog"
)

// deviceFlags are the options that choose a device.
type deviceFlags struct {
	name    string
	threads int
}

func (d *deviceFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&d.name, "device", "", "device `NAME`: auto (a hardware GPU if there is one, else cpu), cpu (pure Go), gpu (any WebGPU adapter), a part of an adapter's name, or gpu:N, the adapter that innerloop doctor lists so")
	c.Flags().IntVar(&d.threads, "threads", 0, "run the cpu device on `N` threads; 0: one for each processor")
	complete(c, "device", func() (names []string) {
		as, _ := gpu.Adapters() // none: no completions
		names = append(names, "auto", "cpu", "gpu")
		for _, a := range as {
			names = append(names, a.Name, cobra.CompletionWithDesc(a.Option(), a.String()))
		}
		return names
	})
}

// complete gives an option's values to the shell's completion.
func complete(c *cobra.Command, flag string, values func() []string) {
	err := c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err)
	}
}

// device is an executor and how it was chosen.
type device struct {
	prog.Executor
	label string // for people
	why   string // a remark on auto's choice; empty: none
}

// String is the label with the remark.
func (d *device) String() string {
	if d.why == "" {
		return d.label
	}
	return d.label + " (" + d.why + ")"
}

// open opens the device that the options ask for; other is what a configuration says where they do not.
func (d *deviceFlags) open(other string) (*device, error) {
	if d.threads < 0 || d.threads > 4096 {
		return nil, failf(exitUsage, "--threads %d, want 0 to 4096", d.threads)
	}
	name := d.name
	if name == "" {
		name = other
	}
	switch strings.ToLower(name) {
	case "", "auto":
		return d.auto(), nil
	case "cpu":
		return d.cpu(""), nil
	case "gpu":
		name = ""
	}
	return openGPU(gpu.Options{Adapter: name})
}

// auto takes a hardware GPU if there is one that opens, and pure Go otherwise: it outruns adapters that are software.
func (d *deviceFlags) auto() *device {
	hardware, why := chooseAuto(gpu.Adapters())
	if hardware {
		dev, err := openGPU(gpu.Options{Hardware: true})
		if err == nil {
			return dev
		}
		why = "the GPU does not open: " + oneLine(err)
	}
	return d.cpu(why)
}

// chooseAuto says whether auto takes a GPU, and why not.
func chooseAuto(as []gpu.Adapter, err error) (hardware bool, why string) {
	if err != nil && !errors.Is(err, gpu.ErrNoAdapter) {
		return false, oneLine(err)
	}
	for _, a := range as {
		if !a.Software {
			return true, ""
		}
	}
	if len(as) == 0 {
		return false, "there is no GPU"
	}
	return false, "the only adapter is software, and slower"
}

func (d *deviceFlags) cpu(why string) *device {
	c := prog.NewCPU[float32](d.threads)
	return &device{guard(c, memlimit.Physical(), true).counting(), c.Info().Name, why}
}

func openGPU(o gpu.Options) (*device, error) {
	o.Tune, o.TuneFile = tuning()
	g, err := gpu.Open(o)
	if errors.Is(err, gpu.ErrNoAdapter) {
		return nil, failf(exitDevice, "%w: innerloop doctor says more; --device cpu works everywhere", err)
	}
	if err != nil {
		return nil, fail(exitDevice, err)
	}
	limit, host := memlimit.Limit{}, g.Adapter().Software // a GPU says itself when its memory ends
	if host {
		limit = memlimit.Physical()
	}
	return &device{guard(g, limit, host).counting(), g.Adapter().String(), equals(o.Adapter, g.Adapter(), g.Equals())}, nil
}

// equals says which adapters a name that was asked for means beside the one that is taken; empty: none.
func equals(name string, taken gpu.Adapter, others []gpu.Adapter) string {
	if name == "" || len(others) == 0 {
		return ""
	}
	var options []string
	for _, a := range others {
		options = append(options, a.Option())
	}
	return fmt.Sprintf("%s; %q is %s too: --device %s takes that", taken.Option(), name, strings.Join(options, " and "), options[0])
}

// tuning says whether programs try the variants of their kernels, and where what they find is kept.
// INNERLOOP_TUNE=off forbids it.
func tuning() (on bool, file string) {
	if dir, err := os.UserCacheDir(); err == nil {
		file = filepath.Join(dir, "innerloop", "tune.json")
	}
	return os.Getenv("INNERLOOP_TUNE") != "off", file
}

// describe says what memory a program needs: for a step, and from step to step.
func describe(s prog.Stats) string {
	return fmt.Sprintf("%s: %s temporary (%s unshared), %s lasting",
		byteCount(s.TempBytes+s.ArenaBytes), byteCount(s.TempBytes), byteCount(s.RawBytes), byteCount(s.ArenaBytes))
}
