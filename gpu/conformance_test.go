package gpu_test

import (
	"runtime"
	"slices"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// kernels are all kernels there are.
func kernels() []*prog.Kernel { return slices.Concat(op.Kernels, ttt.Kernels) }

// TestConformance runs every kernel on every executor of the machine against the float64 reference.
func TestConformance(t *testing.T) {
	n := 12
	if runtime.GOOS == "js" {
		n = 4 // ten times slower
	}
	for _, k := range kernels() {
		t.Run(k.Name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { check.Conform(t, ex, k, n) })
		})
	}
}
