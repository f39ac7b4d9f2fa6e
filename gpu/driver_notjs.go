//go:build !js && cgo

package gpu

/*
#include <stdlib.h>
#include "native.h"

#cgo noescape gpu_submit
#cgo nocallback gpu_submit
#cgo noescape gpu_write
#cgo nocallback gpu_write
#cgo noescape gpu_read
#cgo nocallback gpu_read
*/
import "C"

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	_ "github.com/cogentcore/webgpu/wgpu" // carries the library that native.c calls
)

// list enumerates the adapters; free must be called.
func list() (*C.gpu_list, []Adapter) {
	backends := C.WGPUFlags(C.WGPUInstanceBackend_Primary)
	if runtime.GOOS == "linux" {
		backends = C.WGPUInstanceBackend_Vulkan // the probe of OpenGL is noisy
	}
	l := C.gpu_list_new(backends)
	var as []Adapter
	for i := range int(C.gpu_list_len(l)) {
		var a C.gpu_adapter
		C.gpu_list_get(l, C.int(i), &a)
		as = append(as, Adapter{
			Name:     C.GoString(&a.name[0]),
			Vendor:   vendorName(uint32(a.vendor)),
			Device:   fmt.Sprintf("0x%x", uint32(a.device)),
			Backend:  backendName(int(a.backend)),
			Software: a._type == 2,
			Type:     [...]string{"discrete", "integrated", "cpu", "unknown"}[min(uint32(a._type), 3)],
			Limits:   fromC(a.limits),
		})
	}
	return l, as
}

// vendorName names a PCI vendor, or one of Khronos's.
func vendorName(id uint32) string {
	switch id {
	case 0x1002:
		return "AMD"
	case 0x106b:
		return "Apple"
	case 0x10de:
		return "NVIDIA"
	case 0x13b5:
		return "Arm"
	case 0x1414:
		return "Microsoft"
	case 0x5143:
		return "Qualcomm"
	case 0x8086:
		return "Intel"
	case 0x10005:
		return "Mesa"
	}
	return fmt.Sprintf("0x%x", id)
}

func backendName(b int) string {
	names := [...]string{"undefined", "null", "webgpu", "d3d11", "d3d12", "metal", "vulkan", "opengl", "opengles"}
	if b < 0 || b >= len(names) {
		return fmt.Sprintf("backend %d", b)
	}
	return names[b]
}

func fromC(l C.WGPULimits) Limits {
	return Limits{
		BufferSize:         int64(min(uint64(l.maxBufferSize), 1<<62)),
		BindingSize:        int64(min(uint64(l.maxStorageBufferBindingSize), 1<<62)),
		StorageBuffers:     int(l.maxStorageBuffersPerShaderStage),
		WorkgroupMemory:    int(l.maxComputeWorkgroupStorageSize),
		Invocations:        int(l.maxComputeInvocationsPerWorkgroup),
		WorkgroupSize:      [3]int{int(l.maxComputeWorkgroupSizeX), int(l.maxComputeWorkgroupSizeY), int(l.maxComputeWorkgroupSizeZ)},
		WorkgroupsPerAxis:  int(l.maxComputeWorkgroupsPerDimension),
		OffsetAlignment:    int(l.minStorageBufferOffsetAlignment),
		BindingsOfAllKinds: int(l.maxBindingsPerBindGroup),
	}
}

func adapters() ([]Adapter, error) {
	l, as := list()
	C.gpu_list_free(l)
	return as, nil
}

type native struct {
	d   *C.gpu_device
	lim Limits
}

// openAdapter opens the adapter that choose picks from the list.
func openAdapter(choose func([]Adapter) (int, error), _ func(done, total int)) (driver, Adapter, error) {
	l, as := list()
	defer C.gpu_list_free(l)
	i, err := choose(as)
	if err != nil {
		return nil, Adapter{}, err
	}
	var want, got C.WGPULimits
	// All ones: the default. Only what is asked for by name is raised; an adapter's limits as a whole are refused.
	for b := range unsafe.Slice((*byte)(unsafe.Pointer(&want)), unsafe.Sizeof(want)) {
		*(*byte)(unsafe.Add(unsafe.Pointer(&want), b)) = 0xff
	}
	a, def := as[i].Limits, defaultLimits
	want.maxBufferSize = C.uint64_t(max(a.BufferSize, def.BufferSize))
	want.maxStorageBufferBindingSize = C.uint64_t(max(a.BindingSize, def.BindingSize))
	want.maxStorageBuffersPerShaderStage = C.uint32_t(max(a.StorageBuffers, def.StorageBuffers))
	want.maxComputeWorkgroupStorageSize = C.uint32_t(max(a.WorkgroupMemory, def.WorkgroupMemory))
	want.maxComputeInvocationsPerWorkgroup = C.uint32_t(max(a.Invocations, def.Invocations))
	want.maxComputeWorkgroupSizeX = C.uint32_t(max(a.WorkgroupSize[0], def.WorkgroupSize[0]))
	want.maxComputeWorkgroupSizeY = C.uint32_t(max(a.WorkgroupSize[1], def.WorkgroupSize[1]))
	want.maxComputeWorkgroupSizeZ = C.uint32_t(max(a.WorkgroupSize[2], def.WorkgroupSize[2]))
	msg := (*C.char)(C.calloc(4096, 1))
	defer C.free(unsafe.Pointer(msg))
	d := C.gpu_open(l, C.int(i), &want, &got, msg, 4096)
	if d == nil {
		return nil, as[i], errors.New(tidy(C.GoString(msg)))
	}
	return &native{d, fromC(got)}, as[i], nil
}

func (n *native) limits() Limits { return n.lim }

func (n *native) err(code C.int) error {
	if code == 0 {
		return nil
	}
	e := &driverError{invalid, tidy(C.GoString(C.gpu_message(n.d)))}
	switch {
	case code == C.WGPUErrorType_DeviceLost:
		e.kind = lost
	case code == C.WGPUErrorType_OutOfMemory, strings.Contains(e.text, "Not enough memory left"):
		e.kind = outOfMemory // wgpu 0.19 calls some of these validation errors
	}
	return e
}

// rustNote matches lines of wgpu's reports that say nothing about the cause.
var rustNote = regexp.MustCompile(`^(Validation Error|Caused by:|In wgpu\w+|note: .*|)$`)

// codeFrame matches the head of naga's excerpt: "┌─ wgsl:12:7".
var codeFrame = regexp.MustCompile(`┌─ \w*:?(\d+):(\d+)`)

// tidy turns wgpu's report of many lines into "line 12:7: cause: cause".
func tidy(report string) string {
	var out []string
	where := ""
	for l := range strings.SplitSeq(report, "\n") {
		l = strings.TrimSpace(l)
		if m := codeFrame.FindStringSubmatch(l); m != nil && where == "" {
			where = "line " + m[1] + ":" + m[2] + ": "
		}
		if rustNote.MatchString(l) || strings.ContainsAny(l, "│┌") {
			continue
		}
		mark := strings.TrimLeft(l, "= ")
		if strings.Trim(mark, "^-") == "" || len(out) > 0 && strings.HasSuffix(out[len(out)-1], mark) {
			continue
		}
		out = append(out, mark)
	}
	return where + strings.Join(out, ": ")
}

func (n *native) newBuffer(label string, bytes int64) (handle, error) {
	s := C.CString(label)
	defer C.free(unsafe.Pointer(s))
	var h C.gpu_handle
	err := n.err(C.gpu_buffer_new(n.d, s, C.uint64_t(bytes), &h))
	return handle(h), err
}

func (n *native) freeBuffer(h handle) { C.gpu_buffer_free(C.gpu_handle(h)) }

func (n *native) newPipeline(label, wgsl string, readOnly []bool) (handle, error) {
	s, code := C.CString(label), C.CString(wgsl)
	defer C.free(unsafe.Pointer(s))
	defer C.free(unsafe.Pointer(code))
	ro := make([]C.uint8_t, len(readOnly)+1)
	for i, r := range readOnly {
		if r {
			ro[i] = 1
		}
	}
	var h C.gpu_handle
	err := n.err(C.gpu_pipeline_new(n.d, s, code, &ro[0], C.int(len(readOnly)), &h))
	if e := (*driverError)(nil); errors.As(err, &e) && e.kind == invalid {
		err = shaderError(e.text)
	}
	return handle(h), err
}

// placed matches what tidy puts before a report with a place.
var placed = regexp.MustCompile(`^line (\d+):(\d+): `)

func shaderError(report string) *ShaderError {
	e := &ShaderError{Message: report}
	if m := placed.FindStringSubmatch(report); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Column, _ = strconv.Atoi(m[2])
		e.Message = report[len(m[0]):]
	}
	return e
}

// settle has nothing to wait for: everything is done when it returns.
func (n *native) settle() (int, error) { return -1, nil }
func (n *native) cancel()              {}

func (n *native) stagingBytes() int64 { return int64(C.gpu_staging_bytes(n.d)) }

func (n *native) freePipeline(h handle) { C.gpu_pipeline_free(C.gpu_handle(h)) }
func (n *native) newTape() handle       { return handle(C.gpu_tape_new()) }
func (n *native) freeTape(h handle)     { C.gpu_tape_free(C.gpu_handle(h)) }

func (b bind) c() C.gpu_bind {
	return C.gpu_bind{C.gpu_handle(b.buf), C.uint64_t(b.off), C.uint64_t(b.n)}
}

func (n *native) tapeDispatch(tape, pipeline handle, binds []bind, grid [3]uint32) error {
	bs := make([]C.gpu_bind, 0, len(binds)+1)
	for _, b := range binds {
		bs = append(bs, b.c())
	}
	return n.err(C.gpu_tape_dispatch(n.d, C.gpu_handle(tape), C.gpu_handle(pipeline), unsafe.SliceData(bs), C.int(len(bs)),
		C.uint32_t(grid[0]), C.uint32_t(grid[1]), C.uint32_t(grid[2])))
}

func (n *native) tapeClear(tape handle, b bind) error {
	return n.err(C.gpu_tape_clear(n.d, C.gpu_handle(tape), b.c()))
}

func (n *native) submit(tape handle, first, count, repeat int) error {
	return n.err(C.gpu_submit(n.d, C.gpu_handle(tape), C.int(first), C.int(count), C.int(repeat), maxInFlight))
}

func (n *native) write(buf handle, off int64, data []byte) error {
	return n.err(C.gpu_write(n.d, C.gpu_handle(buf), C.uint64_t(off), unsafe.Pointer(unsafe.SliceData(data)), C.size_t(len(data))))
}

func (n *native) read(buf handle, off int64, dst []byte) error {
	return n.err(C.gpu_read(n.d, C.gpu_handle(buf), C.uint64_t(off), unsafe.Pointer(unsafe.SliceData(dst)), C.size_t(len(dst))))
}

func (n *native) wait() error { return n.err(C.gpu_wait(n.d, 0)) }
func (n *native) poll()       { C.gpu_poll(n.d) }
func (n *native) close()      { C.gpu_close(n.d) }
