package op_test

import (
	"testing"

	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
)

// TestConformance runs every kernel's float32 reference, its items shared by two goroutines, against the float64 one.
func TestConformance(t *testing.T) {
	ex := prog.NewCPU[float32](2)
	defer ex.Close()
	for _, k := range op.Kernels {
		t.Run(k.Name, func(t *testing.T) { check.Conform(t, ex, k, 12) })
	}
}
