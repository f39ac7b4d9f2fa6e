package gpu

import (
	"errors"
	"fmt"
)

// What goes wrong on a device. errors.Is finds these in what its methods return.
var (
	// ErrNoAdapter says that the machine, or the browser, offers no WebGPU adapter.
	ErrNoAdapter = errors.New("no adapter")
	// ErrSoftware says that every adapter is a CPU where Options.Hardware asks for another.
	ErrSoftware = errors.New("every adapter is a CPU")
	// ErrCancelled says that Cancel ended a Load.
	ErrCancelled = errors.New("cancelled")
	// ErrLost says that the device is gone: its driver was reset or updated, the GPU was unplugged, or the browser took
	// it away. Nothing but Close works from then on; another device may be opened.
	ErrLost = errors.New("device lost")
	// ErrOutOfMemory says that the device has no room for a buffer, or that its limits forbid one so large.
	ErrOutOfMemory = errors.New("out of memory")
)

// ShaderError says that a kernel's WGSL does not compile. errors.As finds it in what Load returns.
type ShaderError struct {
	Kernel       string // the file's name in shaders/, without .wgsl
	Line, Column int    // of the specialised source, from 1; 0: the compiler names none
	Message      string // the compiler's
}

// Error implements error. The step, which names the kernel, is put before it by Load.
func (e *ShaderError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d:%d: %s", e.Line, e.Column, e.Message)
}

// driverError is an error of the implementation.
type driverError struct {
	kind errorKind
	text string // without the kind
}

type errorKind uint8

const (
	invalid errorKind = iota
	noAdapter
	outOfMemory
	lost
	cancelled
)

// sentinels are the exported errors of the kinds that have one.
var sentinels = map[errorKind]error{noAdapter: ErrNoAdapter, outOfMemory: ErrOutOfMemory, lost: ErrLost, cancelled: ErrCancelled}

func (e *driverError) Error() string {
	if s := e.Unwrap(); s != nil {
		return fmt.Sprintf("%v: %s", s, e.text)
	}
	return e.text
}

func (e *driverError) Unwrap() error { return sentinels[e.kind] }
