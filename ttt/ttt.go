// Package ttt holds the test-time-training layers of Sun et al. 2024 (arXiv 2407.04620): sequence layers whose
// hidden state is itself a small model, trained by one gradient step a mini-batch of tokens while the sequence is
// read. The formulas are those of the paper's dual form; the backward pass differentiates through the inner steps.
//
// Shapes: B sequences, L tokens, H heads, F head width, C = H*F, K tokens a mini-batch, NC = ceil(L/K).
package ttt

import (
	"math"

	"innerloop/prog"
)

// Kernels lists every kernel of the package, for the conformance suite.
var Kernels []*prog.Kernel

func define[C any](s prog.Spec[C]) prog.Typed[C] {
	k := prog.Define(s)
	Kernels = append(Kernels, k.Kernel)
	return k
}

// Options describe one scan.
//
// Its temporary memory, forward and backward, is B*H*((ceil(NB/G) + G + 3)*S + W + L*F) words of 4 bytes, within a tenth: of
// each head of each sequence the checkpoints, G states that the backward pass recomputes between two of them and their
// gradient, the last state and the gradient of the first, what the backward pass holds of one mini-batch, and the output.
// There NB is the number of mini-batches, MaxMiniBatches; S the words of a state, F²+F for LinearParams, 8F²+5F for MLPParams;
// W is 12KF + 3K², or 48KF + 5K² for MLPParams. It is least where G is about the square root of NB.
type Options struct {
	Heads           int     // H
	SeqLen          int     // L; the input holds a whole number of sequences
	MiniBatch       int     // K
	CheckpointEvery int     // G: the state is stored every G mini-batches and recomputed in between; 0 means 1
	MaxMiniBatches  int     // that a row may hold where documents end inside it; 0 means ceil(SeqLen/MiniBatch)
	Eps             float64 // of the inner LayerNorm, inside the square root; 0 means 1e-6
	NonCausal       bool    // a token reads its whole mini-batch, its future too: for data without a direction, never for a language model
	FlatRates       bool    // every token's rate is 1/K, in a short mini-batch too, and there is no learned part: tok is nil
}

// tokenRate is the part of the inner learning rate that depends on the place i in its mini-batch of the token that
// reads: max(0, 1/(i+1) + a), a = tok[i] learned (learnable_token_idx), or 1/K where rates are flat.
func tokenRate[F prog.Float](c *scanC, tok []F, i int) F {
	if c.FlatRates {
		return 1 / F(c.K)
	}
	return max(0, 1/F(i+1)+tok[i])
}

// normalise overwrites z by (z - mean)/s and returns s = sqrt(var + eps), the variance biased.
func normalise[F prog.Float](z []F, eps float64) (s F) {
	n := F(len(z))
	var mean, v F
	for _, x := range z {
		mean += x
	}
	mean /= n
	for _, x := range z {
		v += (x - mean) * (x - mean)
	}
	s = F(math.Sqrt(float64(v/n) + eps))
	for i, x := range z {
		z[i] = (x - mean) / s
	}
	return s
}
