package op

import (
	"innerloop/internal/blas"
	"innerloop/prog"
)

// exps sets dst to exp(x - base), element by element; see blas.Exps.
func exps[F prog.Float](dst, x, base []F) { blas.Exps(dst, x, base) }
