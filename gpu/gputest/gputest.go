// Package gputest gives tests the executors that the machine has.
package gputest

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"innerloop/gpu"
	"innerloop/prog"
)

// Executor is an executor under the name that subtests use.
type Executor struct {
	Name string // "go", and "native" or in the browser "webgpu"
	prog.Executor
}

// Name is what subtests call the WebGPU device: "native", or "webgpu" in the browser.
var Name = map[bool]string{true: "webgpu", false: "native"}[runtime.GOOS == "js"]

// open opens the device once for the whole test binary; it stays open until the process ends.
var open = sync.OnceValues(func() (*gpu.Device, error) { return gpu.Open(gpu.Options{}) })

// Device returns the machine's default WebGPU device, shared by all tests of the binary, which must not run in
// parallel on it. Without an adapter it skips the test, or fails it where INNERLOOP_REQUIRE_GPU=1.
func Device(t testing.TB) *gpu.Device {
	t.Helper()
	d, err := open()
	switch {
	case err == nil:
		return d
	case os.Getenv("INNERLOOP_REQUIRE_GPU") == "1" || !errors.Is(err, gpu.ErrNoAdapter):
		t.Fatal(err)
	}
	t.Skip(err)
	return nil
}

var cpu = sync.OnceValue(func() prog.Executor { return prog.NewCPU[float32](0) })

// Each runs fn as a subtest for every kind of executor: "go", the pure-Go one in float32, and Name, the
// machine's default WebGPU device.
func Each(t *testing.T, fn func(t *testing.T, ex prog.Executor)) {
	t.Helper()
	t.Run("go", func(t *testing.T) { fn(t, cpu()) })
	t.Run(Name, func(t *testing.T) { fn(t, Device(t)) })
}

// Executors lists the executors of the machine; the device is left out where there is no adapter, unless
// INNERLOOP_REQUIRE_GPU=1, which makes that a failure.
func Executors(t testing.TB) []Executor {
	t.Helper()
	out := []Executor{{"go", cpu()}}
	d, err := open()
	switch {
	case err == nil:
		out = append(out, Executor{Name, d})
	case os.Getenv("INNERLOOP_REQUIRE_GPU") == "1" || !errors.Is(err, gpu.ErrNoAdapter):
		t.Fatal(err)
	}
	return out
}
