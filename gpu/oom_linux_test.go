package gpu

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"innerloop/prog"
)

// TestOutOfMemory makes allocations fail by limiting the address space, and then lifts the limit.
func TestOutOfMemory(t *testing.T) {
	g := open(t)
	if !g.Adapter().Software {
		t.Skip("a GPU's memory is not limited by the address space")
	}
	usable(t, g) // the first use allocates a lot
	words := int(g.Limits().BufferSize / 4)
	inUse := prog.NewArena("in use")
	in := inUse.Add("x", prog.F32, 100)
	fresh := prog.NewArena("fresh")
	f := fresh.Add("f", prog.F32, 100)
	if err := g.Write(in, make([]float32, 100)); err != nil {
		t.Fatal(err)
	}
	p := record(t, "train step", func(r *prog.Recorder) {
		r.Clear(in)
		r.Clear(f)
		for range 6 {
			r.Clear(r.Keep(r.Temp("x", words)))
		}
	})
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[0])
	if err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	lim := old
	lim.Cur = uint64(pages*os.Getpagesize()) + 9<<30
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &lim); err != nil {
		t.Fatal(err)
	}
	run, err := g.Load(p)
	if e := syscall.Setrlimit(syscall.RLIMIT_AS, &old); e != nil {
		t.Fatal(e)
	}
	if run != nil && err != nil {
		t.Error("a runner beside an error")
	}
	want(t, err, "gpu: out of memory: slot ", " of train step: 2.0 GiB (", " bytes) asked; largest buffer of ", g.Adapter().Name)
	t.Log(err)
	if len(g.runners) != 0 || len(g.arenas) != 1 {
		t.Errorf("%d runners and %d arenas are left, want 0 and 1", len(g.runners), len(g.arenas))
	}
	usable(t, g)
	if err := g.Sync(); err != nil {
		t.Error(err)
	}
	// What the failed Load had allocated is free again: the same limit now suffices for one buffer of the six.
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &lim); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &old); err != nil {
			t.Error(err)
		}
	}()
	for range 4 {
		run, err := g.Load(record(t, "half", func(r *prog.Recorder) {
			r.Clear(r.Keep(r.Temp("x", words)))
			r.Clear(r.Keep(r.Temp("y", words)))
		}))
		if err != nil {
			t.Fatal(err)
		}
		run.Close()
	}
}
