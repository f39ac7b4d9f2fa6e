package op_test

import (
	"math"
	"testing"

	"innerloop/op"
)

func TestGELUGateGradient(t *testing.T) { pairGradients(t, op.GELUGate) }

func TestGELUGateValues(t *testing.T) {
	gateValues(t, op.GELUGate, func(x, g float64) float64 {
		return x * g / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(g+0.044715*g*g*g)))
	})
}
