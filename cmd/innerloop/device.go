package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/gpu"
	"innerloop/prog"
)

// deviceFlags are the options that choose a device.
type deviceFlags struct {
	name    string
	threads int
}

func (d *deviceFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&d.name, "device", "", "device `NAME`: auto (a hardware GPU if there is one, else cpu), cpu (pure Go), gpu (any WebGPU adapter), or a part of an adapter's name")
	c.Flags().IntVar(&d.threads, "threads", 0, "run the cpu device on `N` threads; 0: one for each processor")
	complete(c, "device", func() (names []string) {
		as, _ := gpu.Adapters() // none: no completions
		names = append(names, "auto", "cpu", "gpu")
		for _, a := range as {
			names = append(names, a.Name)
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
	return &device{guard(c, memory()), c.Info().Name, why}
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
	limit := int64(0) // a GPU says itself when its memory ends
	if g.Adapter().Software {
		limit = memory()
	}
	return &device{guard(g, limit), g.Adapter().String(), ""}, nil
}

// tuning says whether programs try the variants of their kernels, and where what they find is kept.
// INNERLOOP_TUNE=off forbids it.
func tuning() (on bool, file string) {
	if dir, err := os.UserCacheDir(); err == nil {
		file = filepath.Join(dir, "innerloop", "tune.json")
	}
	return os.Getenv("INNERLOOP_TUNE") != "off", file
}

// memory is the machine's memory in bytes, or the less that its container may use; 0 where that is not known.
func memory() int64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	var total int64
	b, _ := os.ReadFile("/proc/meminfo") // none: not known
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				total = n << 10
			}
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, _ := os.ReadFile(name) // the other version of the interface, or none
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && (total == 0 || n < total) {
			total = n
		}
	}
	return total
}

// guarded is an executor whose errors carry the device's exit code, and which refuses programs that the machine's
// memory cannot hold: the allocation would get the process killed, with no word about why.
type guarded struct {
	prog.Executor
	limit  int64 // bytes; 0: none
	temps  int64 // bytes of the temporaries of the loaded programs
	arenas map[*prog.Arena]bool
}

func guard(ex prog.Executor, limit int64) *guarded {
	return &guarded{ex, limit, 0, map[*prog.Arena]bool{}}
}

// Load implements prog.Executor.
func (g *guarded) Load(p *prog.Program) (prog.Runner, error) {
	temps := p.Stats().TempBytes
	if g.Info().Backend == "go" {
		temps = p.CPUBytes()
	}
	need := g.temps + temps
	for a := range g.arenas {
		need += 4 * int64(a.Words())
	}
	for _, a := range p.Arenas {
		if !g.arenas[a] {
			need += 4 * int64(a.Words())
		}
	}
	if g.limit > 0 && need > g.limit {
		return nil, failf(exitDevice, "out of memory: %s needs %s, the machine has %s: lower batch_size, seq_len or the model's size, or raise scan_checkpoint_every",
			p.Name, byteCount(need), byteCount(g.limit))
	}
	r, err := g.Executor.Load(p)
	if err != nil {
		return nil, deviceError(err)
	}
	for _, a := range p.Arenas {
		g.arenas[a] = true
	}
	g.temps += temps
	return &guardedRunner{r, g, temps}, nil
}

// Upload implements prog.Executor.
func (g *guarded) Upload(s *prog.Stage) error { return deviceError(g.Executor.Upload(s)) }

// Write implements prog.Executor.
func (g *guarded) Write(t *prog.Tensor, src []float32) error {
	return deviceError(g.Executor.Write(t, src))
}

// Read implements prog.Executor.
func (g *guarded) Read(t *prog.Tensor, dst []float32) error {
	return deviceError(g.Executor.Read(t, dst))
}

// Free implements prog.Executor.
func (g *guarded) Free(a *prog.Arena) {
	delete(g.arenas, a)
	g.Executor.Free(a)
}

// Sync implements prog.Executor.
func (g *guarded) Sync() error { return deviceError(g.Executor.Sync()) }

type guardedRunner struct {
	prog.Runner
	g     *guarded
	temps int64
}

// Run implements prog.Runner.
func (r *guardedRunner) Run() error { return deviceError(r.Runner.Run()) }

// Read implements prog.Runner.
func (r *guardedRunner) Read(t *prog.Tensor, dst []float32) error {
	return deviceError(r.Runner.Read(t, dst))
}

// Profile implements prog.Runner.
func (r *guardedRunner) Profile() ([]float64, error) {
	p, err := r.Runner.Profile()
	return p, deviceError(err)
}

// Close implements prog.Runner.
func (r *guardedRunner) Close() {
	r.g.temps -= r.temps
	r.temps = 0
	r.Runner.Close()
}

func deviceError(err error) error { return fail(exitDevice, err) }

// describe says what memory a program needs: for a step, and from step to step.
func describe(s prog.Stats) string {
	return fmt.Sprintf("%s: %s temporary (%s unshared), %s lasting",
		byteCount(s.TempBytes+s.ArenaBytes), byteCount(s.TempBytes), byteCount(s.RawBytes), byteCount(s.ArenaBytes))
}
