//go:build !js

package gpu_test

import (
	"os"
	"strings"
	"testing"

	"innerloop/gpu/gputest/chromium"
	_ "innerloop/model" // TestBrowserGoldens tests it
	_ "innerloop/train" // TestBrowserTrace tests it
)

// passed fails t where a test that passed in the browser is not among names.
func passed(t *testing.T, names, want []string) {
	t.Helper()
	all := "\n" + strings.Join(names, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(all, "\n"+w+"\n") {
			t.Errorf("%s did not pass in the browser", w)
		}
	}
}

// TestBrowser runs this package's tests in the browser, on its WebGPU device.
func TestBrowser(t *testing.T) {
	want := []string{"TestVariantsAgree/gpu", "TestVariantsAgree/short_loops", "TestHalfIsExact/webgpu"}
	for _, k := range kernels() {
		want = append(want, "TestConformance/"+k.Name+"/webgpu")
	}
	passed(t, chromium.RunTests(t, "."), want)
}

// TestBrowserTrace traces values that are not finite to their origin in the browser, on its WebGPU device.
func TestBrowserTrace(t *testing.T) {
	passed(t, chromium.RunTests(t, "../train", "-test.run=^TestTrace/./webgpu"), []string{
		"TestTrace/nan_weight/webgpu", "TestTrace/nan_weight_in_float16/webgpu", "TestTrace/activation_of_a_product/webgpu", "TestTrace/gradient/webgpu", "TestTrace/carried_memory/webgpu",
		"TestTrace/table/webgpu", "TestTrace/eps/webgpu",
		"TestTraceHalts/carry_false/webgpu", "TestTraceHalts/carry_true/webgpu",
	})
}

// TestBrowserNorms holds the target's normaliser to its bound in the browser, on its WebGPU device, and sees a changed eps
// act on the next step.
func TestBrowserNorms(t *testing.T) {
	for _, c := range []struct{ dir, run, want string }{
		{"../op", "^TestTargetNorm(Holds|Bound|EpsIsData)$/webgpu", "TestTargetNormHolds/webgpu TestTargetNormBound/webgpu TestTargetNormEpsIsData/webgpu"},
		{"../train", "^TestEpsActsAtOnce$/webgpu", "TestEpsActsAtOnce/webgpu"},
	} {
		passed(t, chromium.RunTests(t, c.dir, "-test.run="+c.run), strings.Fields(c.want))
	}
}

// TestBrowserHalf trains in float16 in the browser, on its WebGPU device.
func TestBrowserHalf(t *testing.T) {
	passed(t, chromium.RunTests(t, "../train", "-test.run=^TestHalf(Follows|Overflow)/./webgpu"), []string{"TestHalfFollows/webgpu", "TestHalfOverflow/webgpu"})
}

// TestBrowserGoldens compares operations and models with the official implementation in the browser, on its WebGPU
// device. It is here so that the tests of those packages need no browser.
func TestBrowserGoldens(t *testing.T) {
	for _, c := range []struct {
		dir  string
		want []string
	}{
		{"../op", []string{"TestGoldenNorm/norm-target/webgpu"}},
		{"../ttt", []string{"TestGoldenVideo/video-linear/webgpu", "TestGoldenVideo/video-mlp/webgpu"}},
		{"../model", []string{
			"TestGoldenLM/lm-linear-basic/webgpu", "TestGoldenLM/lm-linear-full-remainder/webgpu", "TestGoldenLM/lm-linear-head64/webgpu",
			"TestGoldenLM/lm-mlp-basic/webgpu", "TestGoldenLM/lm-mlp-full-remainder/webgpu",
			"TestGoldenTrain/train-linear/webgpu", "TestGoldenTrain/train-mlp/webgpu",
		}},
	} {
		passed(t, chromium.RunTests(t, c.dir, "-test.run=^TestGolden"), c.want)
	}
}

// TestTimingBrowser compares what a replayed step costs in the browser with one that is encoded through the binding.
func TestTimingBrowser(t *testing.T) {
	if os.Getenv("INNERLOOP_TIMING") != "1" {
		t.Skip("measures time: make timing runs it")
	}
	passed(t, chromium.RunTests(t, ".", "-test.run=^TestTiming"), []string{"TestTimingReplay"})
}
