package prog

import (
	"sync"
	"sync/atomic"
)

// pool is a fixed set of goroutines that share out the work items of one kernel at a time, with no allocation.
type pool[F Float] struct {
	workers int
	scratch [][]F // one a worker; the caller's goroutine is worker 0

	fn    func(scratch []F, lo, hi int)
	items int
	chunk int
	next  atomic.Int64
	wake  []chan struct{}
	done  sync.WaitGroup
}

func newPool[F Float](workers int) *pool[F] {
	p := &pool[F]{workers: workers, scratch: make([][]F, workers)}
	for w := 1; w < workers; w++ {
		c := make(chan struct{}, 1)
		p.wake = append(p.wake, c)
		go func() {
			for range c {
				p.work(w)
				p.done.Done()
			}
		}()
	}
	return p
}

// reserve makes every worker's scratch memory at least n elements.
func (p *pool[F]) reserve(n int) {
	for w := range p.scratch {
		if len(p.scratch[w]) < n {
			p.scratch[w] = make([]F, n)
		}
	}
}

// run calls fn over chunks of 0..items-1 on all workers and returns when all is done.
func (p *pool[F]) run(fn func(scratch []F, lo, hi int), items int) {
	p.fn, p.items = fn, items
	p.chunk = max(1, items/(8*p.workers))
	p.next.Store(0)
	n := min(len(p.wake), items-1)
	p.done.Add(n)
	for _, c := range p.wake[:n] {
		c <- struct{}{}
	}
	p.work(0)
	p.done.Wait()
}

func (p *pool[F]) work(w int) {
	for {
		lo := int(p.next.Add(int64(p.chunk))) - p.chunk
		if lo >= p.items {
			return
		}
		p.fn(p.scratch[w], lo, min(lo+p.chunk, p.items))
	}
}

func (p *pool[F]) close() {
	for _, c := range p.wake {
		close(c)
	}
	p.wake, p.workers = nil, 1
}
