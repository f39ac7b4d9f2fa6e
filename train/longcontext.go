package train

import (
	"context"
	"fmt"
	"math"

	"innerloop/data"
	"innerloop/model"
	"innerloop/prog"
)

// firstBucket is how many positions the first bucket of a ContextLoss holds; each next one doubles the position.
const firstBucket = 16

// Bucket is the mean loss of the tokens that stand at some positions of their windows, the window's first token being
// at 0: a position is the number of tokens that the model has read when it predicts.
type Bucket struct {
	From        int     `json:"from"` // 1, 17, 33, 65, ...
	To          int     `json:"to"`   // included: 16, 32, 64, 128, ..., the last at most Context-1
	Tokens      int     `json:"tokens"`
	Loss        float64 `json:"loss"` // nats a token
	BitsPerByte float64 `json:"bits_per_byte"`
	// Relative is the mean difference, in nats, of these losses to what the same tokens cost on average at all positions
	// at which windows hold them: without it one would compare easy text with hard. 0 where windows do not overlap.
	Relative float64 `json:"relative"`
}

// ContextLoss is the loss of windows of a text against position: a model that uses its context goes on falling.
type ContextLoss struct {
	Context     int      `json:"context"` // N, tokens of a window
	Stride      int      `json:"stride"`  // tokens between the beginnings of windows
	Chunk       int      `json:"chunk"`   // tokens that were read at once
	Windows     int      `json:"windows"`
	Tokens      int      `json:"tokens"` // predicted: all but the windows' first
	Loss        float64  `json:"loss"`   // nats a token
	BitsPerByte float64  `json:"bits_per_byte"`
	Buckets     []Bucket `json:"positions"`
}

// ContextChunk is the length of the pieces in which windows of n tokens are read: about chunk tokens, a multiple of the
// mini-batch k, and none longer than it takes for n.
func ContextChunk(n, chunk, k int) int {
	up := func(x int) int { return (max(1, x) + k - 1) / k * k }
	return min(up(chunk), up(n))
}

// ContextOptions say how ScoreContext reads a text.
type ContextOptions struct {
	Context int // N, tokens of a window
	// Stride is the number of tokens between the beginnings of windows; 0 means N. With windows that overlap almost every
	// position sees almost all of the text, so that positions differ in what was read before, and hardly in what is read.
	Stride int
	Chunk  int // tokens read at once, a multiple of the model's mini-batch; see ContextChunk
	Rows   int // windows read side by side
}

// ScoreContext scores windows of part, each read from its beginning in pieces of o.Chunk tokens with the state carried
// from piece to piece, and through the ends of documents: a position is the number of tokens that were read. It calls
// progress (nil: nobody) with the tokens done and their total after each piece, and ends with ctx's error when ctx
// does. Loss does not depend on Chunk and Rows but by rounding.
func ScoreContext(ctx context.Context, ex prog.Executor, m *model.LM, part data.Part, o ContextOptions, progress func(done, total int)) (ContextLoss, error) {
	n, chunk, rows := o.Context, o.Chunk, o.Rows
	stride := o.Stride
	if stride <= 0 {
		stride = n
	}
	out := ContextLoss{Context: n, Stride: stride, Chunk: chunk}
	if n >= 2 && part.Len() >= n {
		out.Windows = (part.Len()-n)/stride + 1
	}
	if out.Windows == 0 {
		return out, fmt.Errorf("train: %d bytes to score, want at least a window of context %d, of 2 tokens or more", part.Len(), n)
	}
	rows = max(1, min(rows, out.Windows))
	step, err := model.NewEvalStep(m, rows, chunk, model.EvalOptions{Carry: true})
	if err != nil {
		return out, err
	}
	defer step.Free(ex)
	run, err := ex.Load(step.Program)
	if err != nil {
		return out, err
	}
	defer run.Close()

	buckets := newBuckets(n)
	sums := make([]float64, len(buckets))
	windows := make([]uint32, rows*n)
	tokens := newTokenMeans(part.Len())
	for w := 0; w < out.Windows; w += rows {
		live := min(rows, out.Windows-w)
		for i := range live {
			if err := part.Read(windows[i*n:(i+1)*n], (w+i)*stride); err != nil {
				return out, err
			}
		}
		for at := 0; at < n; at += chunk {
			if err := ctx.Err(); err != nil {
				return out, err
			}
			fillPieces(step, windows, n, at, chunk)
			losses, err := step.Losses(ex, run)
			if err != nil {
				return out, err
			}
			for i, bucket := at, 0; i < min(at+chunk, n-1); i++ {
				for i+1 > buckets[bucket].To {
					bucket++
				}
				for r := range live {
					loss := float64(losses[r*chunk+i-at])
					sums[bucket] += loss
					tokens.add((w+r)*stride+i+1, loss)
				}
				buckets[bucket].Tokens += live
			}
			if progress != nil {
				progress(w*n+live*min(at+chunk, n), out.Windows*n)
			}
		}
	}
	var sum float64
	for i := range buckets {
		b := &buckets[i]
		b.Loss = sums[i] / float64(b.Tokens)
		b.BitsPerByte = b.Loss / math.Ln2
		b.Relative = b.Loss - tokens.mean(*b, stride, out.Windows)
		sum += sums[i]
		out.Tokens += b.Tokens
	}
	out.Loss, out.Buckets = sum/float64(out.Tokens), buckets
	out.BitsPerByte = out.Loss / math.Ln2
	return out, nil
}

// fillPieces gives step the tokens at to at+chunk of each window of n tokens. Past a window's end it reads zeros, whose
// losses nobody looks at.
func fillPieces(step *model.EvalStep, windows []uint32, n, at, chunk int) {
	ids, pos, next := step.IDs(), step.Positions(), step.Next()
	for r := range next {
		row, window := ids[r*chunk:(r+1)*chunk], windows[r*n:(r+1)*n]
		clear(row[copy(row, window[at:]):])
		for i := range row {
			pos[r*chunk+i] = uint32(at + i)
		}
		next[r] = data.IgnoreIndex
		if at+chunk < n {
			next[r] = window[at+chunk]
		}
	}
}

// newBuckets are the buckets of the positions 1 to n-1.
func newBuckets(n int) []Bucket {
	var bs []Bucket
	for from, to := 1, firstBucket; from < n; from, to = to+1, 2*to {
		bs = append(bs, Bucket{From: from, To: min(to, n-1)})
	}
	return bs
}

// tokenMeans are the mean losses of a text's tokens, each over the windows that hold it.
type tokenMeans struct {
	sums   []float64
	counts []int32
}

func newTokenMeans(n int) *tokenMeans { return &tokenMeans{make([]float64, n), make([]int32, n)} }

func (m *tokenMeans) add(i int, loss float64) {
	m.sums[i] += loss
	m.counts[i]++
}

// mean is the mean, over the tokens that stand at b's positions of windows, of their mean losses.
func (m *tokenMeans) mean(b Bucket, stride, windows int) float64 {
	var sum float64
	for w := range windows {
		for i := w*stride + b.From; i <= w*stride+b.To; i++ {
			sum += m.sums[i] / float64(m.counts[i])
		}
	}
	return sum / float64(b.Tokens)
}
