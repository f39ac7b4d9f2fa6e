package blas

import (
	"syscall"
	"testing"
	"unsafe"
)

// walled returns what cuts n elements from memory that begins and ends beside pages which may not be touched, at its
// end or at its beginning. Every call overwrites what the last one returned.
func walled(t *testing.T, most int) func(n int, atEnd bool) []float32 {
	t.Helper()
	page := syscall.Getpagesize()
	size := (4*most + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	for _, p := range [][]byte{mem[:page], mem[page+size:]} {
		if err := syscall.Mprotect(p, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	all := unsafe.Slice((*float32)(unsafe.Pointer(&mem[page])), size/4)
	return func(n int, atEnd bool) []float32 {
		if atEnd {
			return all[len(all)-n:]
		}
		return all[:n:n]
	}
}
