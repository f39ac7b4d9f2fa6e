package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"innerloop/data"
	"innerloop/gpu"
	"innerloop/internal/memlimit"
	"innerloop/internal/version"
	"innerloop/prog"
	"innerloop/train"
)

// doctorTolerance is the relative deviation from the reference that a device may have.
const doctorTolerance = 1e-4

// checkup is what doctor finds out about a device.
type checkup struct {
	Name     string  `json:"name"`
	Device   string  `json:"device"` // what --device takes for it
	Backend  string  `json:"backend"`
	Type     string  `json:"type,omitempty"`
	Vendor   string  `json:"vendor,omitempty"`
	DeviceID string  `json:"device_id,omitempty"`
	Software bool    `json:"software"`
	Threads  int     `json:"threads,omitempty"`
	Memory   int64   `json:"memory_bytes,omitempty"` // of the machine; 0: not known
	Limits   *limits `json:"limits,omitempty"`

	OK        bool       `json:"ok"`
	Error     string     `json:"error,omitempty"`
	Steps     []stepSeen `json:"steps,omitempty"`
	Deviation *float64   `json:"deviation"` // the largest, relative to the reference; null: not tried, or not finite
	Prepare   float64    `json:"prepare_seconds"`
	First     float64    `json:"first_step_seconds"` // drivers compile at first use
	Second    float64    `json:"second_step_seconds"`
}

type stepSeen struct {
	Loss     float64 `json:"loss"`
	GradNorm float64 `json:"grad_norm"`

	seconds float64
}

// limits are those of gpu.Limits that matter here, under names for JSON.
type limits struct {
	Buffer            int64 `json:"buffer_bytes"`
	Binding           int64 `json:"binding_bytes"`
	StorageBuffers    int   `json:"storage_buffers"`
	WorkgroupMemory   int   `json:"workgroup_memory_bytes"`
	Invocations       int   `json:"workgroup_invocations"`
	WorkgroupsPerAxis int   `json:"workgroups_per_axis"`
}

type doctorResult struct {
	Platform  string     `json:"platform"`
	Reference []stepSeen `json:"reference"` // pure Go in float64
	Tolerance float64    `json:"tolerance"`
	Devices   []checkup  `json:"devices"`
	Auto      string     `json:"auto"` // what auto takes
	Why       string     `json:"why,omitempty"`
	Error     string     `json:"error,omitempty"` // of looking for adapters
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [options]",
		Short: "List the devices and check that each computes what it should",
		Long: `List the machine's devices with the limits that matter, train two steps of a small model on each, and compare losses
and gradient norms with the same steps in pure Go and float64. A device that fails, or deviates by more than 1e-4 of
the value, makes the exit code 4. What --device takes for each is said with it, and what auto takes at the end.`,
		Example: `  innerloop doctor
  innerloop doctor --json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return a.doctor(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// doctorConfig is the run that every device makes: two steps, so that the update is seen too. No size is a multiple
// of another.
func doctorConfig() train.Config {
	c := train.Default()
	c.Model.HiddenSize, c.Model.IntermediateSize, c.Model.NumAttentionHeads, c.Model.MiniBatchSize = 48, 80, 3, 8
	c.Train.Steps, c.Train.BatchSize, c.Train.SeqLen, c.Train.WarmupSteps, c.Train.EvalEvery, c.Train.LogEvery = 2, 3, 40, 0, 0, 1
	c.Data.ValFraction = 0
	return c
}

// steps keeps what a run measures.
type steps struct{ seen []stepSeen }

// Steps implements train.Observer.
func (s *steps) Steps(ss []train.Step, seconds float64) error {
	for _, x := range ss {
		s.seen = append(s.seen, stepSeen{x.Loss, x.GradNorm, seconds})
	}
	return nil
}

// Eval implements train.Observer.
func (*steps) Eval(train.Eval) error { return nil }

// Save implements train.Observer.
func (*steps) Save(int) error { return nil }

// tryDevice makes doctor's run on ex.
func tryDevice(ex prog.Executor) (seen []stepSeen, prepare float64, err error) {
	text, err := data.NewCorpus("stories", data.Stories(1, 4096))
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	run, err := train.New(doctorConfig(), ex, text)
	if err != nil {
		return nil, 0, err
	}
	defer run.Close()
	if err := ex.Sync(); err != nil {
		return nil, 0, err
	}
	prepare = time.Since(start).Seconds()
	var s steps
	err = run.Train(context.Background(), &s)
	return s.seen, prepare, err
}

// deviation is the largest difference of got from want, relative to want; infinite where a value is missing or not
// finite.
func deviation(got, want []stepSeen) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst := 0.0
	for i, w := range want {
		g := got[i]
		worst = max(worst, math.Abs(g.Loss-w.Loss)/w.Loss, math.Abs(g.GradNorm-w.GradNorm)/w.GradNorm)
	}
	if math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst
}

// examine tries ex and writes what came of it into c.
func (c *checkup) examine(ex prog.Executor, want []stepSeen) {
	var err error
	c.Steps, c.Prepare, err = tryDevice(ex)
	if err != nil {
		c.Error = oneLine(err)
		return
	}
	c.First, c.Second = c.Steps[0].seconds, c.Steps[1].seconds
	off := deviation(c.Steps, want)
	if !math.IsInf(off, 0) { // JSON has no infinity
		c.Deviation = &off
	}
	if c.OK = off <= doctorTolerance; !c.OK {
		c.Error = fmt.Sprintf("deviates from the reference by %.1e, want at most %.0e", off, doctorTolerance)
	}
}

func (a *app) doctor(asJSON bool) error {
	r := doctorResult{Platform: runtime.GOOS + "/" + runtime.GOARCH, Tolerance: doctorTolerance}
	oracle := prog.NewCPU[float64](0)
	defer oracle.Close()
	var err error
	if r.Reference, _, err = tryDevice(oracle); err != nil {
		return err
	}
	if !asJSON {
		a.out.printf("innerloop %s on %s\nreference: pure Go in float64: loss %.6f, gradient norm %.6f\n", version.Of().Short(), r.Platform, r.Reference[0].Loss, r.Reference[0].GradNorm)
	}
	add := func(c checkup) {
		r.Devices = append(r.Devices, c)
		if !asJSON {
			a.printCheckup(c)
		}
	}
	cpu := prog.NewCPU[float32](0)
	defer cpu.Close()
	c := checkup{Name: cpu.Info().Name, Device: "cpu", Backend: "go", Threads: runtime.GOMAXPROCS(0), Memory: memlimit.Physical().Bytes}
	c.examine(cpu, r.Reference)
	add(c)
	adapters, adaptersErr := gpu.Adapters()
	for _, ad := range adapters {
		c := checkup{Name: ad.Name, Device: ad.Option(), Backend: ad.Backend, Type: ad.Type, Vendor: ad.Vendor, DeviceID: ad.Device, Software: ad.Software, Limits: limitsOf(ad.Limits)}
		c.examineAdapter(r.Reference)
		add(c)
	}
	r.conclude(adapters, adaptersErr, cpu.Info().Name)
	bad := 0
	for _, c := range r.Devices {
		if !c.OK {
			bad++
		}
	}
	if asJSON {
		if err := printJSON(a, r); err != nil {
			return err
		}
	} else {
		a.printConclusion(r, len(adapters))
	}
	if bad > 0 {
		return failf(exitDevice, "%d of %s failed", bad, plural(len(r.Devices), "device"))
	}
	return nil
}

func limitsOf(l gpu.Limits) *limits {
	return &limits{l.BufferSize, l.BindingSize, l.StorageBuffers, l.WorkgroupMemory, l.Invocations, l.WorkgroupsPerAxis}
}

func (c *checkup) examineAdapter(want []stepSeen) {
	d, err := gpu.Open(gpu.Options{Adapter: c.Device})
	if err != nil {
		c.Error = oneLine(err)
		return
	}
	defer d.Close()
	c.examine(d, want)
}

// conclude says what auto takes.
func (r *doctorResult) conclude(as []gpu.Adapter, err error, cpu string) {
	if err != nil && !errors.Is(err, gpu.ErrNoAdapter) {
		r.Error = oneLine(err)
	}
	hardware, why := chooseAuto(as, err)
	r.Auto, r.Why = cpu, why
	if !hardware {
		return
	}
	d, err := gpu.Open(gpu.Options{Hardware: true})
	if err != nil {
		r.Why = "the GPU does not open: " + oneLine(err)
		return
	}
	defer d.Close()
	r.Auto, r.Why = d.Adapter().String(), "a hardware GPU"
}

func (a *app) printCheckup(c checkup) {
	p := a.out.printf
	p("\n%s\n", c.Name)
	if c.Limits == nil {
		p("  backend  pure Go, %s", plural(c.Threads, "thread"))
		if c.Memory > 0 {
			p("; %s of memory", byteCount(c.Memory))
		}
		p("\n")
	} else {
		kind := c.Type
		if c.Software {
			kind = "a CPU that plays a GPU"
		}
		p("  backend  %s; %s; vendor %s, device %s\n", c.Backend, kind, c.Vendor, c.DeviceID)
		l := c.Limits
		p("  limits   buffer %s, binding %s; %d storage buffers a kernel; workgroup: %d invocations, %s\n", byteCount(l.Buffer),
			byteCount(l.Binding), l.StorageBuffers, l.Invocations, byteCount(int64(l.WorkgroupMemory)))
	}
	p("  option   --device %s\n", c.Device)
	switch {
	case !c.OK:
		p("  step     FAILED: %s\n", c.Error)
	default:
		p("  step     ok: loss %.6f, gradient norm %.6f; largest deviation %.1e\n           ready in %s, first step %s, second %.1f ms\n", c.Steps[0].Loss,
			c.Steps[0].GradNorm, *c.Deviation, clock(c.Prepare), clock(c.First), 1e3*c.Second)
	}
}

func (a *app) printConclusion(r doctorResult, adapters int) {
	p := a.out.printf
	if adapters == 0 {
		why := r.Error
		if why == "" {
			why = "no WebGPU adapter"
		}
		p("\n%s\n", why)
		if runtime.GOOS == "linux" {
			p("  A GPU needs its Vulkan driver: for most, the package mesa-vulkan-drivers; for NVIDIA, NVIDIA's own. In a\n  container, the device has to be passed in.\n")
		}
	}
	p("\n--device auto takes %s", r.Auto)
	if r.Why != "" {
		p(": %s", r.Why)
	}
	p("\n")
}
