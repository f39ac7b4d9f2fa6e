//go:build !js && cgo

package gpu

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// layoutC prints the layout of every struct of webgpu.h and the value of every constant.
const layoutC = `
#include HEADER
#include <stdio.h>
#include <stddef.h>
#define S(t) printf(#t " %zu\n", sizeof(t));
#define F(t, f) printf(#t "." #f " %zu\n", offsetof(t, f));
#define V(v) printf(#v " %ld\n", (long)v);
int main(void) {
LINES
return 0; }
`

// layoutLines are the checks of what native.c uses.
const layoutLines = `
S(WGPUChainedStruct) F(WGPUChainedStruct, sType)
S(WGPUInstanceDescriptor)
S(WGPUInstanceExtras) F(WGPUInstanceExtras, backends) F(WGPUInstanceExtras, dxcPath)
S(WGPUInstanceEnumerateAdapterOptions) F(WGPUInstanceEnumerateAdapterOptions, backends)
S(WGPUAdapterInfo) F(WGPUAdapterInfo, description) F(WGPUAdapterInfo, backendType) F(WGPUAdapterInfo, adapterType) F(WGPUAdapterInfo, vendorID) F(WGPUAdapterInfo, deviceID)
S(WGPULimits) F(WGPULimits, maxStorageBuffersPerShaderStage) F(WGPULimits, maxStorageBufferBindingSize) F(WGPULimits, minStorageBufferOffsetAlignment) F(WGPULimits, maxBufferSize)
F(WGPULimits, maxBindingsPerBindGroup) F(WGPULimits, maxComputeWorkgroupStorageSize) F(WGPULimits, maxComputeInvocationsPerWorkgroup) F(WGPULimits, maxComputeWorkgroupSizeZ) F(WGPULimits, maxComputeWorkgroupsPerDimension)
S(WGPUSupportedLimits) F(WGPUSupportedLimits, limits) S(WGPURequiredLimits) F(WGPURequiredLimits, limits)
S(WGPUDeviceDescriptor) F(WGPUDeviceDescriptor, label) F(WGPUDeviceDescriptor, requiredLimits) F(WGPUDeviceDescriptor, deviceLostCallback) F(WGPUDeviceDescriptor, deviceLostUserdata) F(WGPUDeviceDescriptor, uncapturedErrorCallbackInfo)
S(WGPUUncapturedErrorCallbackInfo) F(WGPUUncapturedErrorCallbackInfo, callback) F(WGPUUncapturedErrorCallbackInfo, userdata)
S(WGPUBufferDescriptor) F(WGPUBufferDescriptor, label) F(WGPUBufferDescriptor, usage) F(WGPUBufferDescriptor, size) F(WGPUBufferDescriptor, mappedAtCreation)
S(WGPUShaderModuleWGSLDescriptor) F(WGPUShaderModuleWGSLDescriptor, code)
S(WGPUShaderModuleDescriptor) F(WGPUShaderModuleDescriptor, label) F(WGPUShaderModuleDescriptor, hintCount)
S(WGPUBindGroupLayoutEntry) F(WGPUBindGroupLayoutEntry, binding) F(WGPUBindGroupLayoutEntry, visibility) F(WGPUBindGroupLayoutEntry, buffer) F(WGPUBindGroupLayoutEntry, sampler) F(WGPUBindGroupLayoutEntry, texture) F(WGPUBindGroupLayoutEntry, storageTexture)
S(WGPUBufferBindingLayout) F(WGPUBufferBindingLayout, type) F(WGPUBufferBindingLayout, minBindingSize)
S(WGPUBindGroupLayoutDescriptor) F(WGPUBindGroupLayoutDescriptor, entryCount) F(WGPUBindGroupLayoutDescriptor, entries)
S(WGPUPipelineLayoutDescriptor) F(WGPUPipelineLayoutDescriptor, bindGroupLayoutCount) F(WGPUPipelineLayoutDescriptor, bindGroupLayouts)
S(WGPUProgrammableStageDescriptor) F(WGPUProgrammableStageDescriptor, module) F(WGPUProgrammableStageDescriptor, entryPoint)
S(WGPUComputePipelineDescriptor) F(WGPUComputePipelineDescriptor, layout) F(WGPUComputePipelineDescriptor, compute)
S(WGPUBindGroupEntry) F(WGPUBindGroupEntry, binding) F(WGPUBindGroupEntry, buffer) F(WGPUBindGroupEntry, offset) F(WGPUBindGroupEntry, size)
S(WGPUBindGroupDescriptor) F(WGPUBindGroupDescriptor, layout) F(WGPUBindGroupDescriptor, entryCount) F(WGPUBindGroupDescriptor, entries)
S(WGPUBool) S(WGPUFlags)
V(WGPUSType_ShaderModuleWGSLDescriptor) V(WGPUSType_InstanceExtras) V(WGPUInstanceBackend_Vulkan) V(WGPUInstanceBackend_Primary)
V(WGPUBufferUsage_MapRead) V(WGPUBufferUsage_CopySrc) V(WGPUBufferUsage_CopyDst) V(WGPUBufferUsage_Storage) V(WGPUMapMode_Read) V(WGPUShaderStage_Compute)
V(WGPUBufferBindingType_Storage) V(WGPUBufferBindingType_ReadOnlyStorage) V(WGPUErrorType_Validation) V(WGPUErrorType_OutOfMemory) V(WGPUErrorType_DeviceLost) V(WGPUBufferMapAsyncStatus_Success)
`

// TestABI compiles the same text with our webgpu.h and with the binding's header, and compares what they print.
func TestABI(t *testing.T) {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cogentcore/webgpu").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(strings.TrimSpace(string(out)), "wgpu", "lib", "wgpu.h")
	ours, err := filepath.Abs("webgpu.h")
	if err != nil {
		t.Fatal(err)
	}
	layout := func(name, header string) string {
		t.Helper()
		bin, src := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), name+".c")
		text := strings.Replace(layoutC, "LINES", layoutLines, 1)
		if err := os.WriteFile(src, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(cc, "-DHEADER=\""+header+"\"", "-DINNERLOOP_LAYOUT_ONLY", "-o", bin, src)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
		out, err := exec.Command(bin).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	a, b := layout("ours", ours), layout("theirs", theirs)
	got, want := strings.Split(a, "\n"), strings.Split(b, "\n")
	if len(got) < 80 || len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
}
