package gpu

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"innerloop/prog"
	"innerloop/shaders"
)

// What trials may cost. They are for the kernels that a program spends its time on, and all of a device's together
// take about as long as the budget says; what is then still untried takes its first variant until another start.
const (
	trialBudget         = time.Second
	trialBudgetSoftware = 150 * time.Millisecond
	trialLeast          = 5e7     // floating-point operations of a program that is worth a trial
	trialShare          = 0.05    // of a program's floating-point operations: less is not worth a trial
	trialFlops          = 8e9     // of a trial's dispatch at most, of a device that is fast
	trialFlopsSoftware  = 3e7     // and of a CPU
	trialRounds         = 3       // of which the shortest counts
	trialTime           = 1.5e-3  // of a measurement, in seconds, so that the clock's steps do not matter
	trialRepeats        = 64      // of a dispatch in a measurement
	trialGain           = 0.93    // of the first variant's time: a variant that is not faster than that is not taken
	trialGainSoftware   = 0.85    // and of a CPU, whose other work a trial cannot tell from its own
	tuneFileBytes       = 1 << 20 // a file of choices that is larger is damaged
)

// tuner knows which variants of kernels are fastest on a device.
type tuner struct {
	file   string // "": choices last as long as the device
	left   time.Duration
	chosen map[string]string // names of variants by key
	hashes map[string]uint32 // of kernels' shaders
	force  int               // n > 0: the n-th variant of every kernel, counted around; for tests
}

// choices are those of a file, by adapter.
type choices map[string]map[string]string

func newTuner(o Options, a Adapter) *tuner {
	t := &tuner{file: o.TuneFile, chosen: map[string]string{}, hashes: map[string]uint32{}}
	if o.Tune {
		t.left = trialBudget
		if a.Software {
			t.left = trialBudgetSoftware
		}
		maps.Copy(t.chosen, readChoices(t.file)[a.identity()])
	}
	return t
}

// identity names the adapter; wgpu does not tell its driver's version.
func (a Adapter) identity() string {
	return strings.Join([]string{a.Name, a.Backend, a.Vendor, a.Device}, ", ")
}

// readChoices reads a file of choices. What it cannot read is made anew.
func readChoices(file string) choices {
	c := choices{}
	if file == "" {
		return c
	}
	b, err := os.ReadFile(file)
	if err != nil || len(b) > tuneFileBytes || json.Unmarshal(b, &c) != nil || c == nil {
		return choices{}
	}
	return c
}

// save puts the choices for an adapter into the file, beside the others'. What cannot be written is found anew.
func (t *tuner) save(adapter string) {
	if t.file == "" {
		return
	}
	all := readChoices(t.file)
	if all[adapter] == nil {
		all[adapter] = map[string]string{}
	}
	maps.Copy(all[adapter], t.chosen)
	b, err := json.MarshalIndent(all, "", "\t")
	if err != nil || os.MkdirAll(filepath.Dir(t.file), 0o755) != nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", t.file, os.Getpid())
	if os.WriteFile(tmp, b, 0o644) != nil || os.Rename(tmp, t.file) != nil {
		_ = os.Remove(tmp)
	}
}

// key is what a choice is kept under: the kernel, what its shaders are now, and about how large it is.
func (t *tuner) key(k *prog.Kernel, c any) string {
	h, ok := t.hashes[k.Name]
	if !ok {
		f := fnv.New32a()
		for _, s := range k.Shaders {
			text, _ := shaders.Text(s) // a shader that is missing fails when it is wanted
			_, _ = f.Write([]byte(text))
		}
		h = f.Sum32()
		t.hashes[k.Name] = h
	}
	return fmt.Sprintf("%s %08x %s", k.Name, h, k.Class(c))
}

// pick is the variant that a step takes on g.
func (g *Device) pick(st *prog.Step, traits prog.Traits) prog.Variant {
	vs := st.Kernel.Variants(st.C, traits)
	if len(vs) == 1 {
		return vs[0]
	}
	if n := g.tune.force; n > 0 {
		return vs[(n-1)%len(vs)]
	}
	name := g.tune.chosen[g.tune.key(st.Kernel, st.C)]
	return vs[max(0, slices.IndexFunc(vs, func(v prog.Variant) bool { return v.Name == name }))]
}

// tuneSteps tries the variants of the steps on which the program spends its time, the longest first. The program's
// buffers are there, and are only read.
func (r *runner) tuneSteps() error {
	g := r.g
	if g.tune.left <= 0 || g.tune.force > 0 {
		return nil
	}
	type task struct {
		st    *prog.Step
		vs    []prog.Variant
		flops float64 // of all its steps
	}
	tasks := map[string]*task{}
	total := 0.0
	traits := g.Info().Traits
	for i := range r.p.Steps {
		st := &r.p.Steps[i]
		if st.Kernel == nil {
			continue
		}
		total += st.Flops()
		key := g.tune.key(st.Kernel, st.C)
		if t := tasks[key]; t != nil {
			t.flops += st.Flops()
		} else if _, known := g.tune.chosen[key]; !known {
			if vs := st.Kernel.Variants(st.C, traits); len(vs) > 1 {
				tasks[key] = &task{st, vs, st.Flops()}
			}
		}
	}
	var keys []string
	for k, t := range tasks {
		if t.flops >= trialShare*total {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || total < trialLeast {
		return nil
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(tasks[b].flops, tasks[a].flops), cmp.Compare(a, b))
	})
	if err := g.settle(); err != nil {
		return err
	}
	start, budget := time.Now(), g.tune.left
	for _, k := range keys {
		best, err := r.trial(tasks[k].st, tasks[k].vs, start.Add(budget))
		if err != nil {
			return err
		}
		g.tune.chosen[k] = tasks[k].vs[best].Name
		if g.tune.left = budget - time.Since(start); g.tune.left <= 0 {
			break
		}
	}
	g.tune.save(g.adapter.identity())
	return nil
}

// contender is a variant on trial.
type contender struct {
	variant int // its index
	tape    handle
	share   float64
	repeats int
	best    float64 // seconds of a whole dispatch
}

// trial times a step's variants and returns the index of the fastest. After the deadline it compiles no more of them.
// An error is the device's: a variant that does not compile, or has no room, only loses.
func (r *runner) trial(st *prog.Step, vs []prog.Variant, deadline time.Time) (int, error) {
	g := r.g
	free, outs, err := r.scratch(st)
	defer free()
	if err != nil {
		return 0, g.err // no room, or the device's end
	}
	var cs []*contender
	defer func() {
		for _, c := range cs {
			g.d.freeTape(c.tape)
		}
	}()
	for i, v := range vs {
		if i > 0 && time.Now().After(deadline) {
			break
		}
		c := &contender{variant: i, tape: g.d.newTape(), best: math.Inf(1)}
		if err := r.enter(c, st, v, outs); err == nil {
			cs = append(cs, c)
			continue
		}
		g.d.freeTape(c.tape)
		if g.err != nil {
			return 0, g.err
		}
	}
	// The first run of each is not measured but tells how many make a measurement.
	for round := range 1 + trialRounds {
		for _, c := range cs {
			n := max(1, c.repeats)
			start := time.Now()
			if err := g.d.submit(c.tape, 0, 1, n); err != nil {
				return 0, g.stick(err)
			}
			if err := g.d.wait(); err != nil {
				return 0, g.stick(err)
			}
			took := time.Since(start).Seconds()
			if round == 0 {
				c.repeats = int(min(trialRepeats, max(1, trialTime/max(took, 1e-9))))
				continue
			}
			c.best = min(c.best, took/float64(n)/c.share)
		}
	}
	if g.adapter.Software {
		return winner(cs, trialGainSoftware), nil
	}
	return winner(cs, trialGain), nil
}

// winner is the variant of the fastest contender, or the first variant where none takes less than gain of its time.
func winner(cs []*contender, gain float64) int {
	first, best := math.Inf(1), -1
	for i, c := range cs {
		if c.variant == 0 {
			first = c.best
		}
		if best < 0 || c.best < cs[best].best {
			best = i
		}
	}
	if best < 0 || cs[best].best > gain*first {
		return 0
	}
	return cs[best].variant
}

// scratch allocates what stands for the buffers that st writes, so that a trial changes nothing.
func (r *runner) scratch(st *prog.Step) (free func(), outs []handle, err error) {
	g := r.g
	outs = make([]handle, len(st.Tensors))
	free = func() {
		for _, h := range outs {
			if h != 0 {
				g.d.freeBuffer(h)
			}
		}
		g.d.poll()
	}
	for i, b := range st.Kernel.Binds {
		if b.Access == prog.Read {
			continue
		}
		if outs[i], err = g.newBuffer("trial of "+st.Kernel.Name, st.Tensors[i].Words()); err != nil {
			return free, outs, err
		}
	}
	return free, outs, g.settle()
}

// enter puts a dispatch of v on c's tape, or the share of it that is long enough to judge by.
func (r *runner) enter(c *contender, st *prog.Step, v prog.Variant, outs []handle) error {
	g := r.g
	grid, most := v.Grid, float64(trialFlops)
	if g.adapter.Software {
		most = trialFlopsSoftware
	}
	axis := 0
	for i := range grid {
		if grid[i] > grid[axis] {
			axis = i
		}
	}
	whole := grid[axis]
	grid[axis] = max(1, int(float64(whole)*min(1, most/max(1, st.Flops()))))
	c.share = float64(grid[axis]) / float64(whole)

	tell := func(err error) error { return fmt.Errorf("gpu: trial of %s: %w", st.Label(), err) }
	binds, size, err := r.arguments(st, grid)
	if err != nil {
		return err
	}
	for i, h := range outs {
		if h != 0 {
			binds[i] = bind{buf: h, n: 4 * int64(st.Tensors[i].Words())}
		}
	}
	src, err := g.source(v.Shader, st.Kernel.VariantConsts(st.C, st.Fresh, v))
	if err != nil {
		return err
	}
	p, err := g.pipeline(st.Kernel, src, tell)
	if err == nil {
		err = g.settle()
	}
	if err != nil {
		return err
	}
	if err := g.begin(g.d.tapeDispatch(c.tape, p.h, binds, size), tell); err != nil {
		return err
	}
	return g.settle()
}
