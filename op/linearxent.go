package op

import "innerloop/prog"

// xentTile is how many logits, in words, are in memory at a time: 64 MiB, half of what WebGPU lets a binding have.
const xentTile = 16 << 20

// tileRows is how many of n rows of v logits make a tile: a multiple of prog.Align, so that tiles begin aligned.
func tileRows(n, v, words int) int {
	return min(n, max(1, words/v/prog.Align)*prog.Align)
}

// LinearCrossEntropy records Linear and CrossEntropy in one: the loss by rows [N], in nats and unscaled, of the logits
// x·wᵀ. Where they are many they are made in tiles of rows, one after the other in the same memory: each makes at once
// its part of the gradients of scale[0] * sum(loss), which is all that needs the logits, so that those of a large
// vocabulary are never all there. x is [N,C], w [V,C]; targets, scale and the loss are CrossEntropy's.
func LinearCrossEntropy(r *prog.Recorder, x, w, targets, scale *prog.Tensor) *prog.Tensor {
	return linearXent(r, x, w, targets, scale, xentTile)
}

// EvalLinearCrossEntropy records the loss of LinearCrossEntropy alone, without gradients.
func EvalLinearCrossEntropy(r *prog.Recorder, x, w, targets *prog.Tensor) *prog.Tensor {
	return linearXent(r, x, w, targets, nil, xentTile)
}

// linearXent is both, in tiles of at most so many words or prog.Align rows; without scale there are no gradients.
func linearXent(r *prog.Recorder, x, w, targets, scale *prog.Tensor, words int) *prog.Tensor {
	n, c, v := x.Dim(0), x.Dim(-1), w.Dim(0)
	if len(x.Shape()) != 2 || len(w.Shape()) != 2 || w.Dim(1) != c || targets.Len() != n {
		r.Failf("op: LinearCrossEntropy of %v, weight %v, targets %v: want [N C], [V C], [N]", x, w, targets)
	}
	weight := w
	if half := r.Half(w); half != nil {
		x, weight = Half(r, x), half
	}
	rows := tileRows(n, v, words)
	loss := r.Temp("loss", n)
	if rows < n {
		r.Clear(loss) // tiles write parts of it
	}
	targets = targets.Reshape(n)
	for i := 0; i < n; i += rows {
		m := min(rows, n-i)
		part := func(t *prog.Tensor) *prog.Tensor {
			if m == n {
				return t
			}
			return t.Part(i, m)
		}
		logits := r.Temp("logits", m, v)
		matmul(r, product(1, m, v, c), part(x), weight, logits, false, true)
		if scale == nil {
			xentEvalK.Dispatch(r, xentC{m, v}, logits, part(targets), part(loss))
			continue
		}
		xentK.Dispatch(r, xentC{m, v}, logits, part(targets), scale, part(loss))
		r.Ahead(func() { // logits are their gradient now
			if r.WantsGrad(x) {
				matmul(r, product(1, m, c, v), logits, weight, part(r.Grad(x)), false, false)
			}
			if r.WantsGrad(w) {
				matmul(r, product(1, v, c, m), logits, part(x), r.Grad(w), true, false)
			}
		})
	}
	return loss
}
