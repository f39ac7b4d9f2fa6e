package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"innerloop/data"
	"innerloop/internal/memlimit"
	"innerloop/prog"
	"innerloop/train"
)

// guarded is an executor whose errors carry the device's exit code, and which refuses programs that the memory of this
// process cannot hold: the allocation would get it killed, or end it in Go's own words, with none about why.
type guarded struct {
	prog.Executor
	limit memlimit.Limit // of what the process may fill
	host  bool           // the executor's memory is the process's own
	base  int64          // bytes that the process held before
	held  int64          // bytes of the arenas and of the temporaries of the loaded programs

	arenas map[*prog.Arena]int64
}

func guard(ex prog.Executor, limit memlimit.Limit, host bool) *guarded {
	return &guarded{Executor: ex, limit: limit, host: host, arenas: map[*prog.Arena]int64{}}
}

// counting is g where what the process holds by now, the text above all, counts too.
func (g *guarded) counting() *guarded {
	runtime.GC() // of what made it nothing is needed any more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	g.base = int64(m.HeapAlloc + m.StackSys + m.OtherSys)
	return g
}

// room is an error where the process cannot have so many bytes more, for what.
func (g *guarded) room(what string, more int64) error {
	if !g.host {
		return nil
	}
	if need := g.base + g.held + more; g.limit.Bytes > 0 && need > g.limit.Bytes {
		return outOfMemory(what+" needs "+byteCount(need), g.limit)
	}
	return roomFor(what, more)
}

// checkpointBytes is what each parameter costs while a checkpoint is written: its value and AdamW's two moments.
const checkpointBytes = 3 * 4

// room is an error where there is no room for so many bytes that the device does not know of, for what.
func (d *device) room(what string, more int64) error {
	if g, ok := d.Executor.(*guarded); ok {
		return g.room(what, more)
	}
	return nil
}

// outOfMemory is the error of something that a limit does not allow.
func outOfMemory(what string, l memlimit.Limit) error {
	return failf(exitDevice, "out of memory: %s, limit %s from %s: lower batch_size, seq_len or the model's size, or raise scan_checkpoint_every", what, byteCount(l.Bytes), l.From)
}

// roomFor is an error where the system does not let the process take so many bytes more, for what.
func roomFor(what string, more int64) error {
	if l := memlimit.Room(more + slack(more)); l.Bytes > 0 {
		return outOfMemory(what+" needs "+byteCount(more)+" more than the process has", l)
	}
	return nil
}

// slack is what Go takes beside so many bytes: its heap grows by 64 MiB at a time and has its own tables, its collector
// comes late, and every thread has a stack that C makes of 8 MiB.
func slack(more int64) int64 { return 96<<20 + more/16 + int64(runtime.GOMAXPROCS(0)+4)<<23 }

// corpus is the text or the sound that a configuration names, where there is room for it.
func corpus(d train.Data) (*data.Corpus, error) {
	name, size := d.Task, int64(d.StoryBytes)
	if d.File != "" {
		name = d.File
		if st, err := os.Stat(d.File); err == nil { // else reading it says what is wrong
			size = st.Size()
		}
	}
	l := memlimit.Physical()
	if size <= l.Bytes {
		l = memlimit.Limit{}
	}
	if l.Bytes == 0 && size > 16<<20 { // a small one is not worth the question
		l = memlimit.Room(size + slack(size))
	}
	if l.Bytes > 0 && size > 0 {
		return nil, failf(exitDevice, "out of memory: %s has %s, limit %s from %s: take a part of it", printable(name), byteCount(size), byteCount(l.Bytes), l.From)
	}
	c, err := train.Corpus(d)
	return c, fail(exitData, err)
}

// limitMemory lets Go's collector know of a limit that is below what it would take. GOMEMLIMIT goes before.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	most := int64(math.MaxInt64)
	if l := memlimit.Physical(); l.Bytes > 0 {
		most = l.Bytes - l.Bytes/10
	}
	if l := memlimit.AddressSpace(); l.Bytes > 0 {
		most = min(most, max(l.Bytes-memlimit.Used()-slack(0), 64<<20))
	}
	debug.SetMemoryLimit(most)
}

// hold makes sure that there is room for an arena before it is made.
func (g *guarded) hold(a *prog.Arena) error {
	if a == nil || g.arenas[a] > 0 {
		return nil
	}
	n := 4 * int64(a.Words())
	if err := g.room(a.Name(), n); err != nil {
		return err
	}
	g.arenas[a] = n
	g.held += n
	return nil
}

// Load implements prog.Executor.
func (g *guarded) Load(p *prog.Program) (prog.Runner, error) {
	temps := p.Stats().TempBytes
	if g.Info().Backend == "go" {
		temps = p.CPUBytes()
	}
	more := temps
	for _, a := range p.Arenas {
		if g.arenas[a] == 0 {
			more += 4 * int64(a.Words())
		}
	}
	if err := g.room(p.Name, more); err != nil {
		return nil, err
	}
	r, err := g.Executor.Load(p)
	if err != nil {
		return nil, deviceError(err)
	}
	for _, a := range p.Arenas {
		g.arenas[a] = 4 * int64(a.Words())
	}
	g.held += more
	return &guardedRunner{r, g, temps}, nil
}

// Upload implements prog.Executor.
func (g *guarded) Upload(s *prog.Stage) error {
	if err := g.hold(s.Arena); err != nil {
		return err
	}
	return deviceError(g.Executor.Upload(s))
}

// Write implements prog.Executor.
func (g *guarded) Write(t *prog.Tensor, src []float32) error {
	if err := g.hold(t.Arena()); err != nil {
		return err
	}
	return deviceError(g.Executor.Write(t, src))
}

// Read implements prog.Executor.
func (g *guarded) Read(t *prog.Tensor, dst []float32) error {
	if err := g.hold(t.Arena()); err != nil {
		return err
	}
	return deviceError(g.Executor.Read(t, dst))
}

// Free implements prog.Executor.
func (g *guarded) Free(a *prog.Arena) {
	g.held -= g.arenas[a]
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
	r.g.held -= r.temps
	r.temps = 0
	r.Runner.Close()
}

func deviceError(err error) error { return fail(exitDevice, err) }
