package gpu_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"innerloop/gpu/gputest"
	"innerloop/op"
	"innerloop/prog"
)

// BenchmarkMatMul is the machine's default WebGPU device at 512³ and at the linear layers of a step of 2,048 tokens:
// forward, gradient of the input, gradient of the weight. "best" is the fastest run: on a busy machine it says more.
func BenchmarkMatMul(b *testing.B) {
	bench := func(name string, sa, sb []int, transA, transB bool) {
		b.Run(name, func(b *testing.B) {
			arena := prog.NewArena("in")
			x, y := arena.Add("a", prog.F32, sa...), arena.Add("b", prog.F32, sb...)
			p, err := prog.Record(name, func(r *prog.Recorder) { r.Keep(op.MatMul(r, x, y, transA, transB)) })
			if err != nil {
				b.Fatal(err)
			}
			ex := gputest.Device(b)
			defer ex.Free(arena)
			run, err := ex.Load(p)
			if err != nil {
				b.Fatal(err)
			}
			defer run.Close()
			best := time.Hour
			for b.Loop() {
				t := time.Now()
				if err := errors.Join(run.Run(), ex.Sync()); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(t))
			}
			flops := p.Stats().Flops / 1e9
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds(), "GFLOP/s")
			b.ReportMetric(flops/best.Seconds(), "best-GFLOP/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	bench("512/nn", []int{512, 512}, []int{512, 512}, false, false)
	bench("512/nt", []int{512, 512}, []int{512, 512}, false, true)
	bench("512/tn", []int{512, 512}, []int{512, 512}, true, false)
	const tokens = 2048
	for _, l := range []struct {
		name    string
		in, out int
	}{{"256to256", 256, 256}, {"256to688", 256, 688}, {"688to256", 688, 256}} {
		bench(l.name+"/forward", []int{tokens, l.in}, []int{l.out, l.in}, false, true)
		bench(l.name+"/dx", []int{tokens, l.out}, []int{l.out, l.in}, false, false)
		bench(l.name+"/dw", []int{tokens, l.out}, []int{tokens, l.in}, true, false)
	}
}

// byHand is a product of square matrices as one writes it by hand: 8 x 4 sums in registers, k by 4, 64 invocations.
const byHand = `
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.y * 8u;
  let j = id.x;
  if (i >= N || j >= N / 4u) { return; }
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  var s4 = vec4<f32>();
  var s5 = vec4<f32>();
  var s6 = vec4<f32>();
  var s7 = vec4<f32>();
  for (var k = 0u; k < N / 4u; k++) {
    let b0 = b[(k * 4u + 0u) * (N / 4u) + j];
    let b1 = b[(k * 4u + 1u) * (N / 4u) + j];
    let b2 = b[(k * 4u + 2u) * (N / 4u) + j];
    let b3 = b[(k * 4u + 3u) * (N / 4u) + j];
    let a0 = a[(i + 0u) * (N / 4u) + k];
    s0 += a0.x * b0 + a0.y * b1 + a0.z * b2 + a0.w * b3;
    let a1 = a[(i + 1u) * (N / 4u) + k];
    s1 += a1.x * b0 + a1.y * b1 + a1.z * b2 + a1.w * b3;
    let a2 = a[(i + 2u) * (N / 4u) + k];
    s2 += a2.x * b0 + a2.y * b1 + a2.z * b2 + a2.w * b3;
    let a3 = a[(i + 3u) * (N / 4u) + k];
    s3 += a3.x * b0 + a3.y * b1 + a3.z * b2 + a3.w * b3;
    let a4 = a[(i + 4u) * (N / 4u) + k];
    s4 += a4.x * b0 + a4.y * b1 + a4.z * b2 + a4.w * b3;
    let a5 = a[(i + 5u) * (N / 4u) + k];
    s5 += a5.x * b0 + a5.y * b1 + a5.z * b2 + a5.w * b3;
    let a6 = a[(i + 6u) * (N / 4u) + k];
    s6 += a6.x * b0 + a6.y * b1 + a6.z * b2 + a6.w * b3;
    let a7 = a[(i + 7u) * (N / 4u) + k];
    s7 += a7.x * b0 + a7.y * b1 + a7.z * b2 + a7.w * b3;
  }
  out[(i + 0u) * (N / 4u) + j] = s0;
  out[(i + 1u) * (N / 4u) + j] = s1;
  out[(i + 2u) * (N / 4u) + j] = s2;
  out[(i + 3u) * (N / 4u) + j] = s3;
  out[(i + 4u) * (N / 4u) + j] = s4;
  out[(i + 5u) * (N / 4u) + j] = s5;
  out[(i + 6u) * (N / 4u) + j] = s6;
  out[(i + 7u) * (N / 4u) + j] = s7;
}
`

type squareC struct{ N int }

// squareByHand is the kernel of byHand. It has no reference: only benchmarks run it.
var squareByHand = prog.Define(prog.Spec[squareC]{
	Name:   "by_hand",
	Binds:  []prog.Binding{prog.In("a"), prog.In("b"), prog.Out("out")},
	Lens:   func(c squareC) []int { return []int{c.N * c.N, c.N * c.N, c.N * c.N} },
	Items:  func(squareC) int { return 0 },
	Grid:   func(c squareC, _ prog.Traits) [3]int { return [3]int{prog.CeilDiv(c.N, 32), prog.CeilDiv(c.N, 64), 1} },
	F32:    func(squareC, *prog.Args[float32], []float32, int, int) {},
	F64:    func(squareC, *prog.Args[float64], []float64, int, int) {},
	Sample: func(*rand.Rand) squareC { return squareC{64} },
})

// BenchmarkMatMulVariants runs every variant of a product in turn, at 512³ the shader written by hand too. An iteration
// is one dispatch of each; the figures are each one's fastest run, and what its first run took more.
func BenchmarkMatMulVariants(b *testing.B) {
	dev := gputest.Device(b)
	for _, l := range []struct {
		name    string
		m, n, k int
		form    [2]bool
	}{
		{"512/nn", 512, 512, 512, [2]bool{false, false}}, {"512/nt", 512, 512, 512, [2]bool{false, true}}, {"512/tn", 512, 512, 512, [2]bool{true, false}},
		{"256to688/forward", 2048, 688, 256, [2]bool{false, true}}, {"256to688/dx", 2048, 256, 688, [2]bool{false, false}}, {"256to688/dw", 688, 256, 2048, [2]bool{true, false}},
		{"128to128/forward", 1024, 128, 128, [2]bool{false, true}}, {"128to128/dx", 1024, 128, 128, [2]bool{false, false}}, {"128to128/dw", 128, 128, 1024, [2]bool{true, false}},
		{"4096/nn", 4096, 4096, 4096, [2]bool{false, false}},
	} {
		b.Run(l.name, func(b *testing.B) {
			if l.m == 4096 && dev.Info().Traits.Software {
				b.Skip("takes a CPU too long")
			}
			arena := prog.NewArena("in")
			defer dev.Free(arena)
			shape := func(rows, cols int, trans bool) []int {
				if trans {
					rows, cols = cols, rows
				}
				return []int{rows, cols}
			}
			x, y := arena.Add("a", prog.F32, shape(l.m, l.k, l.form[0])...), arena.Add("b", prog.F32, shape(l.k, l.n, l.form[1])...)
			p, err := prog.Record(l.name, func(r *prog.Recorder) { r.Keep(op.MatMul(r, x, y, l.form[0], l.form[1])) })
			if err != nil {
				b.Fatal(err)
			}
			type entry struct {
				name        string
				run         prog.Runner
				first, best time.Duration
			}
			var es []*entry
			load := func(name string, p *prog.Program) {
				e := &entry{name: name, best: time.Hour}
				start := time.Now()
				if e.run, err = dev.Load(p); err == nil {
					err = errors.Join(e.run.Run(), dev.Sync())
				}
				if err != nil {
					b.Fatal(err)
				}
				e.first = time.Since(start)
				b.Cleanup(e.run.Close)
				es = append(es, e)
			}
			st := p.Steps[0]
			for i, v := range st.Kernel.Variants(st.C, dev.Info().Traits) {
				undo := dev.SetVariant(i)
				load(strings.ReplaceAll(v.Name, " ", "_"), p)
				undo()
			}
			if l.m == 512 && l.form == [2]bool{} {
				dev.WithSource("by_hand", fmt.Sprintf("const N: u32 = %du;", l.m)+byHand)
				h, err := prog.Record("by hand", func(r *prog.Recorder) {
					squareByHand.Dispatch(r, squareC{l.m}, x, y, r.Keep(r.Temp("out", l.m, l.m)))
				})
				if err != nil {
					b.Fatal(err)
				}
				load("by_hand_8x4", h)
			}
			for b.Loop() {
				for _, e := range es {
					start := time.Now()
					if err := errors.Join(e.run.Run(), dev.Sync()); err != nil {
						b.Fatal(err)
					}
					e.best = min(e.best, time.Since(start))
				}
			}
			slices.SortStableFunc(es, func(a, b *entry) int { return int(a.best - b.best) })
			for _, e := range es {
				b.ReportMetric(p.Stats().Flops/1e9/e.best.Seconds(), e.name+"-GFLOP/s")
				b.ReportMetric(float64((e.first - e.best).Milliseconds()), e.name+"-ms-first")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
