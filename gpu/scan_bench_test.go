package gpu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"innerloop/gpu"
	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// pieceC are the constants of the kernels that a scan of separate dispatches has beside matrix products: BH heads of
// sequences, mini-batches of K tokens, head width F, a multiple of 4.
type pieceC struct{ BH, K, F, NB int }

// The inner LayerNorm has weight 1 and bias 0, and tokens their rates 1/(i+1).
var (
	// From zz = (Kx W, Q W) of a mini-batch to G and M; a holds Q Kxᵀ of all mini-batches, lr the mini-batch's number and then
	// its tokens' rates.
	pieceInner = piece("scan_piece_inner", func(c pieceC) [3]int { return [3]int{prog.CeilDiv(c.BH*c.K, 16), 1, 1} },
		[]prog.Binding{prog.In("zz"), prog.In("bias"), prog.In("kq"), prog.In("v"), prog.In("a"), prog.In("lr"), prog.Out("m"), prog.Out("g")})
	// From zz and mg = M G to the mini-batch's output.
	pieceOut = piece("scan_piece_out", func(c pieceC) [3]int { return [3]int{prog.CeilDiv(c.BH*c.K, 16), 1, 1} },
		[]prog.Binding{prog.In("zz"), prog.In("bias"), prog.In("kq"), prog.In("mg"), prog.Out("y")})
	// The state's step, dw = (D Kx)ᵀ G.
	pieceStep = piece("scan_piece_step", func(c pieceC) [3]int { return prog.Grid1(prog.CeilDiv(c.BH*(c.F+1)*c.F/4, 64), prog.DefaultTraits) },
		[]prog.Binding{prog.In("w"), prog.In("bias"), prog.In("dw"), prog.In("g"), prog.In("lr"), prog.Out("wnext"), prog.Out("bnext")})
)

func piece(name string, grid func(c pieceC) [3]int, binds []prog.Binding) prog.Typed[pieceC] {
	none := func(pieceC) int { return 1 }
	return prog.Define(prog.Spec[pieceC]{
		Name: name, Binds: binds, Items: none, Grid: func(c pieceC, _ prog.Traits) [3]int { return grid(c) },
		Lens: func(c pieceC) (n []int) {
			kf, kk := c.BH*c.K*c.F, c.BH*c.K*c.K
			all := map[string]int{"zz": 2 * kf, "kq": 2 * kf, "bias": c.BH * c.F, "bnext": c.BH * c.F, "v": kf, "g": kf, "mg": kf, "y": kf,
				"a": c.NB * kk, "m": kk, "lr": 1 + c.BH*c.K, "w": c.BH * c.F * c.F, "dw": c.BH * c.F * c.F, "wnext": c.BH * c.F * c.F}
			for _, b := range binds {
				n = append(n, all[b.Name])
			}
			return n
		},
		F32:    func(pieceC, *prog.Args[float32], []float32, int, int) { panic("a GPU's alone") },
		F64:    func(pieceC, *prog.Args[float64], []float64, int, int) { panic("a GPU's alone") },
		Sample: func(*rand.Rand) pieceC { return pieceC{1, 4, 4, 1} },
	})
}

// pieces are the shaders, without their constants.
var pieces = map[string]string{
	"scan_piece_inner": `
@group(0) @binding(0) var<storage, read> zz: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> kq: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> a: array<f32>;
@group(0) @binding(5) var<storage, read> lr: array<f32>;
@group(0) @binding(6) var<storage, read_write> m: array<f32>;
@group(0) @binding(7) var<storage, read_write> g: array<vec4<f32>>;
@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= BH * K) { return; }
  let bh = id.x / K;
  let i = id.x % K;
  let z = (bh * 2u * K + i) * F4;
  let o = id.x * F4;
  let stats = moments(z, bh);
  var mu = vec4<f32>();
  var mux = vec4<f32>();
  for (var c = 0u; c < F4; c++) {
    let xh = (zz[z + c] + bias[bh * F4 + c] - stats.x) / stats.y;
    let u = xh - (v[o + c] - kq[z + c]);
    g[o + c] = u;
    mu += u;
    mux += u * xh;
  }
  let p = sum(mu) / f32(F);
  let px = sum(mux) / f32(F);
  for (var c = 0u; c < F4; c++) {
    let xh = (zz[z + c] + bias[bh * F4 + c] - stats.x) / stats.y;
    g[o + c] = (g[o + c] - p - xh * px) / stats.y;
  }
  let t = u32(lr[0]);
  for (var j = 0u; j < K; j++) {
    m[id.x * K + j] = select(0.0, lr[1u + bh * K + j] / f32(i + 1u) * (1.0 + a[(t * BH * K + id.x) * K + j]), j <= i);
  }
}
`,
	"scan_piece_out": `
@group(0) @binding(0) var<storage, read> zz: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> kq: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mg: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= BH * K) { return; }
  let bh = id.x / K;
  let z = (bh * 2u * K + K + id.x % K) * F4;
  let o = id.x * F4;
  var s = vec4<f32>();
  for (var c = 0u; c < F4; c++) { s += zz[z + c] + bias[bh * F4 + c] - mg[o + c]; }
  let mean = sum(s) / f32(F);
  s = vec4<f32>();
  for (var c = 0u; c < F4; c++) {
    let x = zz[z + c] + bias[bh * F4 + c] - mg[o + c] - mean;
    s += x * x;
  }
  let sd = sqrt(sum(s) / f32(F) + 1e-6);
  for (var c = 0u; c < F4; c++) { y[o + c] = kq[z + c] + (zz[z + c] + bias[bh * F4 + c] - mg[o + c] - mean) / sd; }
}
`,
	"scan_piece_step": `
@group(0) @binding(0) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dw: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> lr: array<f32>;
@group(0) @binding(5) var<storage, read_write> wnext: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> bnext: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let e = (wg.y * nwg.x + wg.x) * 64u + lane;
  if (e < BH * F * F4) {
    wnext[e] = w[e] - dw[e];
  } else if (e < BH * (F + 1u) * F4) {
    let o = e - BH * F * F4;
    var s = vec4<f32>();
    for (var i = 0u; i < K; i++) { s += lr[1u + o / F4 * K + i] * g[(o / F4 * K + i) * F4 + o % F4]; }
    bnext[o] = bias[o] - s / f32(K);
  }
}
`,
}

// pieceSource is the shader of a piece for constants c.
func pieceSource(name string, c pieceC) string {
	s := fmt.Sprintf("const BH: u32 = %du;\nconst K: u32 = %du;\nconst F: u32 = %du;\nconst F4: u32 = F / 4u;\n", c.BH, c.K, c.F) +
		"fn sum(x: vec4<f32>) -> f32 { return x.x + x.y + x.z + x.w; }\n"
	if name == "scan_piece_inner" {
		s += `
fn moments(z: u32, bh: u32) -> vec2<f32> {
  var s = vec4<f32>();
  for (var c = 0u; c < F4; c++) { s += zz[z + c] + bias[bh * F4 + c]; }
  let mean = sum(s) / f32(F);
  s = vec4<f32>();
  for (var c = 0u; c < F4; c++) {
    let x = zz[z + c] + bias[bh * F4 + c] - mean;
    s += x * x;
  }
  return vec2<f32>(mean, sqrt(sum(s) / f32(F) + 1e-6));
}
`
	}
	return s + pieces[name]
}

// separate is a TTT-Linear scan of nb whole mini-batches as six dispatches a mini-batch and one before, and the same one
// fused, on equal inputs.
type separate struct {
	pieceC
	inputs        *prog.Arena
	kq, v, lr, kd []*prog.Tensor // of each mini-batch: (Kx, Q), V, its number and rates, D Kx
	qs, ks, w, b  *prog.Tensor   // Q and Kx of all mini-batches; the state's start
	fused         *prog.Arena
	xs, tok       *prog.Tensor
	params        ttt.LinearParams
	run, runFused prog.Runner
	outs          []*prog.Tensor
	out           *prog.Tensor
}

func newSeparate(b testing.TB, g *gpu.Device, c pieceC) *separate {
	nb := c.NB
	x := &separate{pieceC: c, inputs: prog.NewArena("pieces"), fused: prog.NewArena("fused")}
	for _, name := range []string{"scan_piece_inner", "scan_piece_out", "scan_piece_step"} {
		g.WithSource(name, pieceSource(name, c))
	}
	add := func(name string, shape ...int) *prog.Tensor { return x.inputs.Add(name, prog.F32, shape...) }
	x.qs, x.ks = add("qs", nb*c.BH, c.K, c.F), add("ks", nb*c.BH, c.K, c.F)
	x.w, x.b = add("w", c.BH, c.F, c.F), add("b", c.BH, c.F)
	for t := range nb {
		x.kq = append(x.kq, add(fmt.Sprint("kq", t), c.BH, 2*c.K, c.F))
		x.v = append(x.v, add(fmt.Sprint("v", t), c.BH, c.K, c.F))
		x.kd = append(x.kd, add(fmt.Sprint("kd", t), c.BH, c.K, c.F))
		x.lr = append(x.lr, add(fmt.Sprint("lr", t), 1+c.BH*c.K))
	}
	load := func(name string, build func(r *prog.Recorder)) prog.Runner {
		p, err := prog.Record(name, build)
		if err != nil {
			b.Fatal(err)
		}
		run, err := g.Load(p)
		if err != nil {
			b.Fatal(err)
		}
		return run
	}
	x.run = load("pieces", func(r *prog.Recorder) {
		a := op.MatMul(r, x.qs, x.ks, false, true)
		w, bias := x.w, x.b
		for t := range nb {
			zz := op.MatMul(r, x.kq[t], w, false, false)
			m, grad := r.Temp("m", c.BH, c.K, c.K), r.Temp("g", c.BH, c.K, c.F)
			pieceInner.Dispatch(r, c, zz, bias, x.kq[t], x.v[t], a, x.lr[t], m, grad)
			mg, y := op.MatMul(r, m, grad, false, false), r.Temp("y", c.BH, c.K, c.F)
			pieceOut.Dispatch(r, c, zz, bias, x.kq[t], mg, y)
			x.outs = append(x.outs, r.Keep(y))
			dw := op.MatMul(r, x.kd[t], grad, true, false)
			next, bnext := r.Temp("w", c.BH, c.F, c.F), r.Temp("b", c.BH, c.F)
			pieceStep.Dispatch(r, c, w, bias, dw, grad, x.lr[t], next, bnext)
			w, bias = next, bnext
		}
	})
	// A head of the pieces is a sequence of one head.
	x.xs = x.fused.Add("xs", prog.F32, c.BH*nb*c.K, ttt.Row(1, c.F))
	x.tok = x.fused.Add("tok", prog.F32, c.K)
	x.params = ttt.LinearParams{W1: x.fused.Add("w1", prog.F32, 1, c.F, c.F), B1: x.fused.Add("b1", prog.F32, 1, 1, c.F),
		Gamma: x.fused.Add("gamma", prog.F32, 1, c.F), Beta: x.fused.Add("beta", prog.F32, 1, c.F)}
	x.runFused = load("fused", func(r *prog.Recorder) {
		x.out = r.Keep(x.params.Scan(r, x.xs, x.tok, nil, ttt.Options{Heads: 1, SeqLen: nb * c.K, MiniBatch: c.K}).Out)
	})
	x.fill(b, g)
	return x
}

// fill writes the same random inputs for both.
func (x *separate) fill(b testing.TB, g *gpu.Device) {
	r := rand.New(rand.NewPCG(5, 5))
	values := map[*prog.Tensor][]float32{}
	at := func(t *prog.Tensor) []float32 {
		if values[t] == nil {
			values[t] = make([]float32, t.Len())
		}
		return values[t]
	}
	c, l, row := x.pieceC, x.NB*x.K, ttt.Row(1, x.F)
	for i := range at(x.params.W1) {
		w := float32(0.05 * r.NormFloat64())
		for bh := range c.BH {
			at(x.w)[bh*c.F*c.F+i] = w
		}
		at(x.params.W1)[i] = w
	}
	for i := range at(x.params.Gamma) {
		at(x.params.Gamma)[i] = 1
	}
	at(x.tok)
	at(x.params.Beta)
	at(x.params.B1)
	at(x.b)
	for t := range x.NB {
		at(x.lr[t])[0] = float32(t)
		for bh := range c.BH {
			for i := range c.K {
				in := at(x.xs)[(bh*l+t*c.K+i)*row:][:row]
				lr := float32((0.1 + r.Float64()) / float64(c.F))
				in[3*c.F] = lr
				in[3*c.F+1] = float32(ttt.PlaceCode(t*c.K+i, c.K))
				at(x.lr[t])[1+bh*c.K+i] = lr
				for j := range c.F {
					q, k, v := float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())
					in[j], in[c.F+j], in[2*c.F+j] = q, k, v
					e := (bh*c.K+i)*c.F + j
					at(x.qs)[t*c.BH*c.K*c.F+e], at(x.ks)[t*c.BH*c.K*c.F+e] = q, k
					at(x.v[t])[e], at(x.kd[t])[e] = v, k*lr/float32(c.K)
					at(x.kq[t])[(bh*2*c.K+i)*c.F+j], at(x.kq[t])[(bh*2*c.K+c.K+i)*c.F+j] = k, q
				}
			}
		}
	}
	for t, v := range values {
		if err := g.Write(t, v); err != nil {
			b.Fatal(err)
		}
	}
}

// check compares the two scans' outputs.
func (x *separate) check(b testing.TB) {
	for _, run := range []prog.Runner{x.run, x.runFused} {
		if err := run.Run(); err != nil {
			b.Fatal(err)
		}
	}
	got := make([]float32, x.out.Len())
	if err := x.runFused.Read(x.out, got); err != nil {
		b.Fatal(err)
	}
	want := make([]float32, len(got))
	y := make([]float32, x.BH*x.K*x.F)
	for t, o := range x.outs {
		if err := x.run.Read(o, y); err != nil {
			b.Fatal(err)
		}
		for bh := range x.BH {
			copy(want[(bh*x.NB+t)*x.K*x.F:][:x.K*x.F], y[bh*x.K*x.F:])
		}
	}
	check.Within(b, "fused scan against separate dispatches", got, want, 1e-5)
}

func (x *separate) close(g *gpu.Device) {
	x.run.Close()
	x.runFused.Close()
	g.Free(x.inputs)
	g.Free(x.fused)
}

// The scan as separate dispatches gives what the fused one gives.
func TestScanSeparately(t *testing.T) {
	g := gputest.Device(t)
	x := newSeparate(t, g, pieceC{2, 8, 16, 3})
	defer x.close(g)
	x.check(t)
}

// BenchmarkScanSeparately times the TTT-Linear scan of 512 tokens forward, fused and as 193 separate dispatches, one
// after the other in every round; times-as-fast is the fused one against the separate ones, by the best of each.
func BenchmarkScanSeparately(b *testing.B) {
	for _, bh := range []int{4, 16} {
		b.Run(fmt.Sprintf("heads=%d", bh), func(b *testing.B) {
			g := gputest.Device(b)
			x := newSeparate(b, g, pieceC{bh, 16, 64, 32})
			defer x.close(g)
			x.check(b)
			var best [2]float64
			for b.Loop() {
				for i, run := range []prog.Runner{x.run, x.runFused} {
					if sec := timeRun(b, g, run); best[i] == 0 || sec < best[i] {
						best[i] = sec
					}
				}
			}
			b.ReportMetric(1e3*best[0], "ms-separate")
			b.ReportMetric(1e3*best[1], "ms-fused")
			b.ReportMetric(best[0]/best[1], "times-as-fast")
		})
	}
}

// timeRun is the seconds that one run takes.
func timeRun(b *testing.B, g *gpu.Device, run prog.Runner) float64 {
	start := time.Now()
	if err := run.Run(); err != nil {
		b.Fatal(err)
	}
	if err := g.Sync(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start).Seconds()
}
