//go:build !js

package gpu_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"innerloop/gpu/gputest/chromium"
	"innerloop/prog"
)

// tintJS defines compile, which resolves to what is wrong with each of a list of shaders. The device offers no more
// than WebGPU's defaults.
const tintJS = `(async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("no WebGPU adapter");
  const device = await adapter.requestDevice();
  globalThis.compile = async (shaders) => (await Promise.all(shaders.map(async ({ label, code, readOnly, whole }) => {
    const bad = (line, message) => ({ label, line, message });
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label, code });
    const layout = device.createBindGroupLayout({ entries: readOnly.map((r, binding) => ({
      binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: r ? "read-only-storage" : "storage" } })) });
    const scope = device.popErrorScope();
    const error = (await module.getCompilationInfo()).messages.find((m) => m.type === "error");
    const failed = await scope;
    if (error) return bad(error.lineNum, error.message);
    if (failed) return bad(0, failed.message);
    if (!whole) return null;
    try {
      await device.createComputePipelineAsync({ layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute: { module, entryPoint: "main" } });
    } catch (e) {
      return bad(0, e.message);
    }
    return null;
  }))).filter(Boolean);
  return adapter.info.architecture || adapter.info.vendor || "unnamed";
})()`

type tintShader struct {
	Label    string `json:"label"`
	Code     string `json:"code"`
	ReadOnly []bool `json:"readOnly"`
	Whole    bool   `json:"whole"` // a pipeline too: SwiftShader compiles those for long
}

type tintError struct {
	Label   string
	Line    int
	Message string
}

func (e tintError) String() string { return fmt.Sprintf("%s: line %d: %s", e.Label, e.Line, e.Message) }

// tint compiles shaders in the page.
func tint(t *testing.T, page *chromium.Page, shaders []tintShader) []tintError {
	t.Helper()
	b, err := json.Marshal(shaders)
	if err != nil {
		t.Fatal(err)
	}
	errs, err := chromium.Eval[[]tintError](page, "compile("+string(b)+")")
	if err != nil {
		t.Fatal(err)
	}
	return errs
}

func readOnly(k *prog.Kernel) []bool {
	out := make([]bool, len(k.Binds))
	for i, b := range k.Binds {
		out[i] = b.Access == prog.Read
	}
	return out
}

// TestTint compiles every kernel, specialised a few times, with the compiler of Chromium, and one pipeline of each.
func TestTint(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles hundreds of shaders")
	}
	page := chromium.Open(t, nil)
	adapter, err := chromium.Eval[string](page, tintJS)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, k := range kernels() {
		var list []tintShader
		seen := map[string]bool{}
		err := specialisations(k, 2, func(label, src string) error {
			if !seen[src] {
				seen[src] = true
				list = append(list, tintShader{label, src, readOnly(k), len(list) == 0})
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			continue
		}
		total += len(list)
		if errs := tint(t, page, list); len(errs) > 0 {
			t.Errorf("%v (and %d more of %d)", errs[0], len(errs)-1, len(list))
		}
	}
	t.Logf("%d shaders on %s", total, adapter)

	// The test can fail: each of these is wrong in a way of its own.
	const good = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n@compute @workgroup_size(64)\nfn main() { x[0] = 1.0; }"
	list := []tintShader{
		{"good", good, []bool{false}, true},
		{"syntax", strings.Replace(good, "= 1.0;", "= ;", 1), []bool{false}, true},
		{"type", strings.Replace(good, "1.0", "1u", 1), []bool{false}, true},
		{"access", good, []bool{true}, true},
		{"binding", good, []bool{}, true},
		{"workgroup", strings.Replace(good, "64", "1024", 1), []bool{false}, true},
		{"memory", strings.Replace(strings.Replace(good, "@compute", "var<workgroup> s: array<f32, 100000>;\n@compute", 1), "1.0", "s[0]", 1), []bool{false}, true},
		{"barrier", strings.Replace(good, "x[0] = 1.0;", "if (x[0] > 0.0) { workgroupBarrier(); }", 1), []bool{false}, true},
	}
	errs := tint(t, page, list)
	var got []string
	for _, e := range errs {
		got = append(got, e.Label)
		if (e.Label == "syntax" || e.Label == "type" || e.Label == "barrier") && e.Line != 3 || e.Message == "" {
			t.Errorf("%v: want line 3 and a message", e)
		}
	}
	if want := "syntax type access binding workgroup memory barrier"; strings.Join(got, " ") != want {
		t.Errorf("bad shaders: errors of %v, want of %s", got, want)
	}
}
