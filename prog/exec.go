package prog

import (
	"fmt"
	"unsafe"
)

// Info describes an executor.
type Info struct {
	Name    string // of the adapter or processor
	Backend string // "go", "vulkan", "metal", "webgpu", ...
	Traits  Traits
}

// Executor prepares programs for one device and holds the arenas that they share. It is for one goroutine at a time.
type Executor interface {
	Info() Info
	// Load allocates what p needs and makes it ready to run.
	Load(p *Program) (Runner, error)
	// Upload copies the whole of a stage into its arena.
	Upload(s *Stage) error
	// Write replaces the elements of t, a tensor of an arena, by src, of the same length: floats or u32 as t's type.
	Write(t *Tensor, src []float32) error
	// Read copies the elements of t, a tensor of an arena, to dst, of the same length, once all runs have ended.
	Read(t *Tensor, dst []float32) error
	// Free releases the memory of an arena; nothing may use it afterwards.
	Free(a *Arena)
	// Sync waits until all runs have ended and returns the device's error, if it has one.
	Sync() error
	Close()
}

// Runner is a program made ready on one device. Its arenas keep their contents from one run to the next.
type Runner interface {
	// Run replays every step in order. On a GPU it returns when the work is queued; a failure of the device is
	// returned by this or a later call and stays.
	Run() error
	// Read copies the elements of t, a temporary of f32 or f16 that Recorder.Keep kept, to dst, of the same length.
	Read(t *Tensor, dst []float32) error
	// Profile runs every step by itself and returns the seconds that each takes. Temporaries and arenas hold
	// meaningless values afterwards.
	Profile() ([]float64, error)

	// RunSteps replays count steps from the first on. So a program can be run in pieces, and looked into between them.
	RunSteps(first, count int) error
	// Peek copies the elements of t, any temporary of f32 or f16, to dst, of the same length. They are t's own from the first
	// step that writes t to the last one that uses it, and else of what it shares its memory with.
	Peek(t *Tensor, dst []float32) error
	// Reset sets all temporaries to zero.
	Reset() error
	Close()
}

// Stage is the host's copy of an arena: the inputs of a step, which cross to the device in one write.
type Stage struct {
	Arena *Arena
	words []uint32
}

// NewStage returns a zeroed stage for a.
func NewStage(a *Arena) *Stage { return &Stage{a, make([]uint32, a.Words())} }

// U32 is the part of the stage that holds t, a tensor of u32.
func (s *Stage) U32(t *Tensor) []uint32 {
	s.check(t, U32)
	return s.words[t.off : t.off+t.Len()]
}

// F32 is the part of the stage that holds t, a tensor of f32.
func (s *Stage) F32(t *Tensor) []float32 {
	s.check(t, F32)
	if t.Len() == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&s.words[t.off])), t.Len())
}

func (s *Stage) check(t *Tensor, d DType) {
	if t.buf != s.Arena.buf || t.dtype != d {
		panic(fmt.Sprintf("prog: %v of %v is not of a stage of arena %s", t, t.dtype, s.Arena.name))
	}
}

// Words is the whole stage as the device sees it.
func (s *Stage) Words() []uint32 { return s.words }

// CheckSteps reports steps that p does not have.
func (p *Program) CheckSteps(first, count int) error {
	if n := len(p.Steps); first < 0 || count < 0 || count > n-first {
		return fmt.Errorf("prog: %s: %d steps from step %d, want them within its %d", p.Name, count, first, n)
	}
	return nil
}

// CheckPeek reports what is wrong with copying n elements of t, a temporary of p.
func (p *Program) CheckPeek(t *Tensor, n int) error {
	switch {
	case t.dtype == U32:
		return fmt.Errorf("prog: copy of %v: it is of %v, want f32 or f16", t, t.dtype)
	case t.Len() != n:
		return fmt.Errorf("prog: copy of %v: got %d elements, want %d", t, n, t.Len())
	case t.buf.arena != nil || t.buf.first < 0 || t.buf.slot >= len(p.Slots) || t.off+t.Words() > p.Slots[t.buf.slot]:
		return fmt.Errorf("prog: copy of %v: it is no temporary of %s", t, p.Name)
	}
	return nil
}

// CheckIO reports what is wrong with copying n elements to or from t: inArena says where t has to lie.
func CheckIO(t *Tensor, n int, inArena bool) error {
	switch {
	case t.dtype == U32:
		return fmt.Errorf("prog: copy of %v: it is of %v, want f32 or f16", t, t.dtype)
	case t.Len() != n:
		return fmt.Errorf("prog: copy of %v: got %d elements, want %d", t, n, t.Len())
	case inArena != (t.buf.arena != nil):
		return fmt.Errorf("prog: copy of %v: arena %v, want %v", t, t.buf.arena != nil, inArena)
	case !inArena && (!t.buf.keep || t.buf.first < 0):
		return fmt.Errorf("prog: copy of %v: a temporary that was not kept", t)
	}
	return nil
}
