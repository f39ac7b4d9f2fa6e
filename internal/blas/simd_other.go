//go:build !amd64

package blas

// There is no assembly, and none of these is called.

const (
	assembly = false
	level    = plain
)

func mul32(_, _ []float32, _, _ int, _ []float32, _, _, _ int, _ bool, _ []float32) {}
func nt32(_, _, _ []float32, _, _, _ int, _ bool, _ []float32)                      {}
func transpose32(_ []float32, _ int, _ []float32, _, _, _ int)                      {}

func add(_, _ *float32, _ int)                                          {}
func plus(_, _, _ *float32, _ int)                                      {}
func times(_, _, _ *float32, _ int)                                     {}
func addTimes(_, _, _ *float32, _ int)                                  {}
func axpy(_, _ *float32, _ float32, _ int)                              {}
func scale(_ *float32, _ float32, _ int)                                {}
func scaleAdd(_, _ *float32, _ float32, _ int)                          {}
func scaled(_, _, _ *float32, _ float32, _ int)                         {}
func exps(_, _, _ *float32, _ int)                                      {}
func swiglu(_, _, _ *float32, _ int)                                    {}
func swigluGrad(_, _, _, _, _ *float32, _ int)                          {}
func swigluBack(_, _, _, _, _ *float32, _ int)                          {}
func gelu(_, _ *float32, _ int)                                         {}
func geluSlopes(_, _, _, _ *float32, _ int)                             {}
func rotate(_, _, _ *float32, _ int)                                    {}
func addRotated(_, _, _ *float32, _ int)                                {}
func normGrad(_, _, _, _ *float32, _, _, _, _ float32, _ int)           {}
func normGradW(_, _, _ *float32, _, _ float32, _ int)                   {}
func dot(_, _ *float32, _ int) float32                                  { return 0 }
func addDot(_, _, _ *float32, _ int) float32                            { return 0 }
func normSums(_, _, _ *float32, _ float32, _ int) (_, _ float32)        { return 0, 0 }
func expSum(_ *float32, _ float32, _ int) float32                       { return 0 }
func most(_ *float32, _ int) float32                                    { return 0 }
func layerNorm(_, _, _, _ *float32, _ float32, _ int) (_, _ float32)    { return 0, 0 }
func normOut(_, _, _, _, _ *float32, _ float32, _ int)                  {}
func normBack(_, _, _, _, _, _ *float32, _ float32, _ int)              {}
func innerGrad(_, _, _, _, _, _ *float32, _ float32, _ int) float32     { return 0 }
func innerBack(_, _, _, _, _, _, _, _, _, _ *float32, _ float32, _ int) {}
func adamw(_, _, _, _, _ *float32, _, _ float32, _ int)                 {}

func scanGrad(_, _, _, _, _, _, _, _ *float32, _ int)        {}
func addRows(_, _ *float32, _, _ int)                        {}
func rateBack(_, _, _, _ *float32, _ float32, _ int) float32 { return 0 }
