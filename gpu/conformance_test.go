package gpu_test

import (
	"math/rand/v2"
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
	for _, k := range kernels() {
		n := 12
		switch scan := slices.Contains(ttt.Kernels, k); { // every shape of a scan compiles anew, which takes seconds
		case runtime.GOOS == "js" && scan:
			n = 1
		case runtime.GOOS == "js":
			n = 4
		case scan:
			n = 5
		}
		t.Run(k.Name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) {
				if ex.Info().Backend == "go" {
					check.Conform(t, ex, k, 40)
				} else {
					check.Conform(t, ex, k, n)
				}
			})
		})
	}
}

// Kernels that one dispatch cannot finish go on where the last one stopped.
func TestConformanceInParts(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("the native run tests it")
	}
	dev := gputest.Device(t)
	defer dev.SetTraits(true, 1)()
	for _, k := range kernels() {
		r := rand.New(rand.NewPCG(1, 1))
		parts := 1
		for range 20 {
			parts = max(parts, k.Parts(k.Sample(r), dev.Info().Traits))
		}
		if parts > 1 {
			t.Run(k.Name, func(t *testing.T) { check.Conform(t, dev, k, 2) })
		}
	}
}

// The tuning for real GPUs, on whatever device there is.
func TestConformanceAsGPU(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("the native run tests it")
	}
	dev := gputest.Device(t)
	if !dev.Info().Traits.Software {
		t.Skip("the device is a GPU: TestConformance has tested it")
	}
	defer dev.SetTraits(false, dev.Info().Traits.LoopRounds)()
	for _, k := range kernels() {
		t.Run(k.Name, func(t *testing.T) { check.Conform(t, dev, k, 2) })
	}
}
