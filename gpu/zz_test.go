package gpu

import (
	"math/rand/v2"
	"testing"
	"time"
	"fmt"

	"innerloop/op"
	"innerloop/prog"
)

type timedDriver struct {
	driver
	t map[string]time.Duration
	n map[string]int
}

func (d *timedDriver) add(s string, t time.Time) { d.t[s] += time.Since(t); d.n[s]++ }
func (d *timedDriver) newBuffer(l string, b int64) (handle, error) { defer d.add("newBuffer", time.Now()); return d.driver.newBuffer(l, b) }
func (d *timedDriver) freeBuffer(h handle) { defer d.add("freeBuffer", time.Now()); d.driver.freeBuffer(h) }
func (d *timedDriver) newPipeline(l, w string, r []bool) (handle, error) { defer d.add("newPipe", time.Now()); return d.driver.newPipeline(l, w, r) }
func (d *timedDriver) tapeDispatch(a, b handle, c []bind, g [3]uint32) error { defer d.add("dispatch", time.Now()); return d.driver.tapeDispatch(a, b, c, g) }
func (d *timedDriver) submit(a handle, b, c, e int) error { defer d.add("submit", time.Now()); return d.driver.submit(a, b, c, e) }
func (d *timedDriver) read(a handle, b int64, c []byte) error { defer d.add("read", time.Now()); return d.driver.read(a, b, c) }
func (d *timedDriver) write(a handle, b int64, c []byte) error { defer d.add("write", time.Now()); return d.driver.write(a, b, c) }
func (d *timedDriver) poll() { defer d.add("poll", time.Now()); d.driver.poll() }
func (d *timedDriver) wait() error { defer d.add("wait", time.Now()); return d.driver.wait() }

func TestZZ(t *testing.T) {
	dev, err := Open(Options{})
	if err != nil { t.Fatal(err) }
	td := &timedDriver{driver: dev.d}
	dev.d = td
	k := op.Kernels[0]
	for _, x := range op.Kernels { if x.Name == "swiglu_bwd" { k = x } }
	for round := range 8 {
		td.t, td.n = map[string]time.Duration{}, map[string]int{}
		for i := range 100 {
			r := rand.New(rand.NewPCG(uint64(i), uint64(round)))
			c := k.Sample(r)
			lens := k.Lens(c)
			ts := make([]*prog.Tensor, len(lens))
			var as []*prog.Arena
			p, err := prog.Record("x", func(r *prog.Recorder) {
				for i, b := range k.Binds {
					a := prog.NewArena(b.Name)
					ts[i] = a.Add(b.Name, b.DType, lens[i])
					as = append(as, a)
				}
				r.Dispatch(k, c, ts...)
			})
			if err != nil { t.Fatal(err) }
			run, err := dev.Load(p)
			if err != nil { t.Fatal(err) }
			for _, a := range as { if err := dev.Upload(prog.NewStage(a)); err != nil { t.Fatal(err) } }
			if err := run.Run(); err != nil { t.Fatal(err) }
			if err := dev.Read(ts[0], make([]float32, ts[0].Len())); err != nil { t.Fatal(err) }
			run.Close()
			for _, a := range as { dev.Free(a) }
		}
		s := ""
		for n, d := range td.t { s += fmt.Sprintf("%s %v/%d  ", n, d/time.Duration(td.n[n]), td.n[n]) }
		fmt.Println(len(dev.pipes), s)
	}
	dev.Close()
}
