//go:build !js

package gpu_test

import (
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

// elsewhere are the tests of other packages that run in the browser, by folder. It starts once for each package, since all
// pipelines are compiled anew in another.
var elsewhere = map[string]string{
	"../model": "^TestGolden",
	"../op":    "^TestGolden|^TestTargetNorm(Holds|Bound|EpsIsData)$/webgpu",
	"../train": "^TestTrace/./webgpu|^TestEpsActsAtOnce$/webgpu|^TestHalf(Follows|Overflow)/./webgpu",
	"../ttt":   "^TestGolden",
}

// ran are the names of the tests of elsewhere that have run and passed, by folder.
var ran = map[string][]string{}

// elsewherePassed fails t where a test of the package in dir that is among names did not pass in the browser.
func elsewherePassed(t *testing.T, dir string, names ...string) {
	t.Helper()
	if ran[dir] == nil {
		ran[dir] = chromium.RunTests(t, dir, "-test.run="+elsewhere[dir])
	}
	passed(t, ran[dir], names)
}

// TestBrowserTrace traces values that are not finite to their origin in the browser, on its WebGPU device.
func TestBrowserTrace(t *testing.T) {
	elsewherePassed(t, "../train", "TestTrace/nan_weight/webgpu", "TestTrace/nan_weight_in_float16/webgpu", "TestTrace/activation_of_a_product/webgpu",
		"TestTrace/gradient/webgpu", "TestTrace/carried_memory/webgpu", "TestTrace/table/webgpu", "TestTrace/eps/webgpu",
		"TestTraceHalts/carry_false/webgpu", "TestTraceHalts/carry_true/webgpu")
}

// TestBrowserNorms holds the target's normaliser to its bound in the browser, on its WebGPU device, and sees a changed eps
// act on the next step.
func TestBrowserNorms(t *testing.T) {
	elsewherePassed(t, "../op", "TestTargetNormHolds/webgpu", "TestTargetNormBound/webgpu", "TestTargetNormEpsIsData/webgpu")
	elsewherePassed(t, "../train", "TestEpsActsAtOnce/webgpu")
}

// TestBrowserHalf trains in float16 in the browser, on its WebGPU device.
func TestBrowserHalf(t *testing.T) {
	elsewherePassed(t, "../train", "TestHalfFollows/webgpu", "TestHalfOverflow/webgpu")
}

// TestBrowserGoldens compares operations and models with the official implementation in the browser, on its WebGPU
// device. It is here so that the tests of those packages need no browser.
func TestBrowserGoldens(t *testing.T) {
	elsewherePassed(t, "../op", "TestGoldenNorm/norm-target/webgpu")
	elsewherePassed(t, "../ttt", "TestGoldenVideo/video-linear/webgpu", "TestGoldenVideo/video-mlp/webgpu")
	elsewherePassed(t, "../model", "TestGoldenLM/lm-linear-basic/webgpu", "TestGoldenLM/lm-linear-full-remainder/webgpu", "TestGoldenLM/lm-linear-head64/webgpu",
		"TestGoldenLM/lm-mlp-basic/webgpu", "TestGoldenLM/lm-mlp-full-remainder/webgpu",
		"TestGoldenTrain/train-linear/webgpu", "TestGoldenTrain/train-mlp/webgpu")
}
