//go:build !js

package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"

	"innerloop/data"
)

// size is the extent of the matrices whose product is timed.
const size = 512

// forms are the products: nn a·b, nt a·bᵀ, tn aᵀ·b, as a training step needs them.
var forms = []string{"nn", "nt", "tn"}

// batches is the number of different batches, which steps take in turn.
const batches = 8

// inputs is what every contender gets.
type inputs struct {
	weights []float32 // of the model, one parameter after the other
	text    []byte    // see trainer
	a, b    []float32 // [size, size]
}

// newInputs draws them from a seed.
func newInputs(seed uint64) (*inputs, error) {
	m, err := newLM()
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	normal := func(n int, scale float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(scale * r.NormFloat64())
		}
		return x
	}
	in := &inputs{text: data.Stories(seed, batches*batchBytes)[:batches*batchBytes]}
	for _, t := range m.params.Tensors() {
		switch {
		case len(t.Shape()) == 1: // a norm's
			in.weights = append(in.weights, slices.Repeat([]float32{1}, t.Len())...)
		case t.Name() == "embed":
			in.weights = append(in.weights, normal(t.Len(), 1)...)
		default:
			in.weights = append(in.weights, normal(t.Len(), 0.5/math.Sqrt(float64(t.Dim(1))))...)
		}
	}
	in.a, in.b = normal(size*size, 1), normal(size*size, 1)
	return in, nil
}

// product is the product of a and b in one of the forms, in float64.
func (in *inputs) product(form string) []float32 {
	a, b := in.a, in.b
	if form == "tn" {
		a = transposed(a)
	}
	if form == "nt" {
		b = transposed(b)
	}
	out, row := make([]float32, size*size), make([]float64, size)
	for i := range size {
		clear(row)
		for k, x := range a[i*size : (i+1)*size] {
			for j, y := range b[k*size : (k+1)*size] {
				row[j] += float64(x) * float64(y)
			}
		}
		for j, s := range row {
			out[i*size+j] = float32(s)
		}
	}
	return out
}

func transposed(x []float32) []float32 {
	t := make([]float32, len(x))
	for i := range size {
		for j := range size {
			t[j*size+i] = x[i*size+j]
		}
	}
	return t
}

// manifest describes the inputs to the contenders: see Manifest in data.js.
func (in *inputs) manifest() ([]byte, error) {
	m, err := newLM()
	if err != nil {
		return nil, err
	}
	type param struct {
		Name  string `json:"name"`
		Shape []int  `json:"shape"`
	}
	var params []param
	for _, t := range m.params.Tensors() {
		params = append(params, param{t.Name(), t.Shape()})
	}
	return json.Marshal(map[string]any{
		"size": size, "params": params, "blocks": lmBlocks, "rows": lmRows, "length": lmLength, "eps": lmEps,
		"adam": map[string]float64{"rate": adamRate, "beta1": adamBeta1, "beta2": adamBeta2, "eps": adamEps},
	})
}

// bytesOf is x as JavaScript's typed arrays read it.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
