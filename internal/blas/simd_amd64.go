package blas

import "golang.org/x/sys/cpu"

//go:generate go run -C asm . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg blas

// assembly says that there is some for this architecture.
const assembly = true

// level is the instruction set in use; the assembly looks at it too.
var level = detect()

func detect() uint8 {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasBMI2:
		return plain
	case !x.HasAVX512F || !x.HasAVX512VL || !x.HasAVX512BW || !x.HasAVX512DQ:
		return avx2
	}
	return avx512
}
