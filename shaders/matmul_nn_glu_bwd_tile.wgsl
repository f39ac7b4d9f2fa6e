// d = sum_k a[z,i,k] * b[z,k,j], K and N multiples of 4, is the gradient of h = act(gate) * up: dgate += d * up * act'(gate),
// dup += d * act(gate), and h anew, each at [z,i,j].  An invocation keeps TM x TN sums in registers, a
// workgroup BK columns of a and rows of b at a time in its memory.
// reference: op/fused.go matmulNNGLUBwd
// Made from gen/matmul.tmpl by go generate.  "if" at the end of a line: it is for such tiles only.
override M: u32 = 8u;  // rows of out
override N: u32 = 8u;  // columns of out
override K: u32 = 8u;  // summands
override SHAREDA: bool = false;  // a[z] is a[0]
override SHAREDB: bool = false;  // b[z] is b[0]
override TM: u32 = 8u;  // rows of an invocation: a multiple of 4, at most 8
override TN: u32 = 8u;  // columns of an invocation: a multiple of 4, at most 8
override WX: u32 = 8u;  // invocations of a workgroup along N
override WY: u32 = 8u;  // and along M
override BK: u32 = 8u;  // summands in the workgroup's memory: a multiple of 4
override GELU: bool = false;  // act is GELU's tanh form; else z / (1 + exp(-z))
override ACC_DGATE: bool = true;
override ACC_DUP: bool = true;
override AS: u32 = WY * TM / 4u + 1u;  // row of the workgroup's part of a; one more, so that neighbours write to other banks
override BS: u32 = WX * TN / 4u + 1u;  // and of b
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dgate: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dup: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> h: array<vec4<f32>>;

var<workgroup> ta: array<vec4<f32>, (BK * AS)>;  // [BK][rows of out / 4]
var<workgroup> tb: array<vec4<f32>, (BK * BS)>;  // [BK][columns of out / 4]

// edge keeps an index inside n: what is past the edge reads elements that exist, and its sums are not stored.
fn edge(i: u32, n: u32) -> u32 { return min(i, n - 1u); }

struct Activation { value: vec4<f32>, slope: vec4<f32> }

// act is z * logistic(z), or GELU's tanh form z * logistic(2u), u = sqrt(2/pi)*(z + 0.044715 z^3): beyond 30 that logistic is
// 0 or 1, and the cube of what is clamped there cannot overflow. Nor can the exponential.
fn act(z: vec4<f32>) -> Activation {
  var x = z;
  var dx = vec4<f32>(1.0);
  if (GELU) {
    let k = 1.5957691216057308;
    let b = clamp(z, vec4<f32>(-30.0), vec4<f32>(30.0));
    x = k * (b + 0.044715 * b * b * b);
    dx = k * (1.0 + 0.134145 * b * b);
  }
  let e = exp(-abs(x));
  let d = 1.0 / (1.0 + e);
  let s = select(d, e * d, x < vec4<f32>());
  return Activation(z * s, s + z * (e * d * d) * dx);
}

// finish takes d, the sums at o, to the gradients.
fn finish(o: u32, d: vec4<f32>) {
  let y = act(gate[o]);
  let u = up[o];
  let dg = d * u * y.slope;
  let du = d * y.value;
  if (ACC_DGATE) { dgate[o] += dg; } else { dgate[o] = dg; }
  if (ACC_DUP) { dup[o] += du; } else { dup[o] = du; }
  h[o] = u * y.value;
}

fn put(z: u32, i: u32, j: u32, s: vec4<f32>) {
  let n4 = N / 4u;
  let o = (z * M + i) * n4 + j;
  if (i < M && j < n4) { finish(o, s); }
}

// turn_a puts rows i..i+3 of a, each at k..k+3, into the workgroup's part: row i is its column.
fn turn_a(at: u32, x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>) {
  ta[at] = vec4<f32>(x0.x, x1.x, x2.x, x3.x);
  ta[at + AS] = vec4<f32>(x0.y, x1.y, x2.y, x3.y);
  ta[at + AS * 2u] = vec4<f32>(x0.z, x1.z, x2.z, x3.z);
  ta[at + AS * 3u] = vec4<f32>(x0.w, x1.w, x2.w, x3.w);
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let n4 = N / 4u;
  let k4 = K / 4u;
  let z = wg.z;
  let za = select(z, 0u, SHAREDA);
  let zb = select(z, 0u, SHAREDB);
  let t = id.y * WX + id.x;
  let i = wg.y * (WY * TM / 4u);  // counted in vec4, as j: the workgroup's first row and column
  let j = wg.x * (WX * TN / 4u);
  var s0_0 = vec4<f32>();
  var s0_1 = vec4<f32>();  // if TN > 4
  var s1_0 = vec4<f32>();
  var s1_1 = vec4<f32>();  // if TN > 4
  var s2_0 = vec4<f32>();
  var s2_1 = vec4<f32>();  // if TN > 4
  var s3_0 = vec4<f32>();
  var s3_1 = vec4<f32>();  // if TN > 4
  var s4_0 = vec4<f32>();  // if TM > 4
  var s4_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s5_0 = vec4<f32>();  // if TM > 4
  var s5_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s6_0 = vec4<f32>();  // if TM > 4
  var s6_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s7_0 = vec4<f32>();  // if TM > 4
  var s7_1 = vec4<f32>();  // if TM > 4 and TN > 4
  for (var k = 0u; k < K; k += BK) {
    workgroupBarrier();
    for (var l = t; l < BK / 4u * (WY * TM / 4u); l += WX * WY) {
      let q = l % (BK / 4u);
      let c = l / (BK / 4u);
      let o = edge(k / 4u + q, k4);
      let r = (i + c) * 4u;
      turn_a(q * 4u * AS + c, a[(za * M + edge(r, M)) * k4 + o], a[(za * M + edge(r + 1u, M)) * k4 + o],
        a[(za * M + edge(r + 2u, M)) * k4 + o], a[(za * M + edge(r + 3u, M)) * k4 + o]);
    }
    for (var l = t; l < BK * (WX * TN / 4u); l += WX * WY) {
      let q = l / (WX * TN / 4u);
      let c = l % (WX * TN / 4u);
      tb[q * BS + c] = b[(zb * K + edge(k + q, K)) * n4 + edge(j + c, n4)];
    }
    workgroupBarrier();
    let rounds = min(BK, K - k);  // no constant: unrolled it would compile for long
    for (var q = 0u; q < rounds; q++) {
      let p0 = tb[q * BS + id.x];
      let p1 = tb[q * BS + id.x + WX];  // if TN > 4
      let x0 = ta[q * AS + id.y];
      s0_0 += x0.x * p0;
      s0_1 += x0.x * p1;  // if TN > 4
      s1_0 += x0.y * p0;
      s1_1 += x0.y * p1;  // if TN > 4
      s2_0 += x0.z * p0;
      s2_1 += x0.z * p1;  // if TN > 4
      s3_0 += x0.w * p0;
      s3_1 += x0.w * p1;  // if TN > 4
      let x1 = ta[q * AS + id.y + WY];  // if TM > 4
      s4_0 += x1.x * p0;  // if TM > 4
      s4_1 += x1.x * p1;  // if TM > 4 and TN > 4
      s5_0 += x1.y * p0;  // if TM > 4
      s5_1 += x1.y * p1;  // if TM > 4 and TN > 4
      s6_0 += x1.z * p0;  // if TM > 4
      s6_1 += x1.z * p1;  // if TM > 4 and TN > 4
      s7_0 += x1.w * p0;  // if TM > 4
      s7_1 += x1.w * p1;  // if TM > 4 and TN > 4
    }
  }
  put(z, (i + id.y) * 4u + 0u, j + id.x, s0_0);
  put(z, (i + id.y) * 4u + 0u, j + id.x + WX, s0_1);  // if TN > 4
  put(z, (i + id.y) * 4u + 1u, j + id.x, s1_0);
  put(z, (i + id.y) * 4u + 1u, j + id.x + WX, s1_1);  // if TN > 4
  put(z, (i + id.y) * 4u + 2u, j + id.x, s2_0);
  put(z, (i + id.y) * 4u + 2u, j + id.x + WX, s2_1);  // if TN > 4
  put(z, (i + id.y) * 4u + 3u, j + id.x, s3_0);
  put(z, (i + id.y) * 4u + 3u, j + id.x + WX, s3_1);  // if TN > 4
  put(z, (i + id.y + WY) * 4u + 0u, j + id.x, s4_0);  // if TM > 4
  put(z, (i + id.y + WY) * 4u + 0u, j + id.x + WX, s4_1);  // if TM > 4 and TN > 4
  put(z, (i + id.y + WY) * 4u + 1u, j + id.x, s5_0);  // if TM > 4
  put(z, (i + id.y + WY) * 4u + 1u, j + id.x + WX, s5_1);  // if TM > 4 and TN > 4
  put(z, (i + id.y + WY) * 4u + 2u, j + id.x, s6_0);  // if TM > 4
  put(z, (i + id.y + WY) * 4u + 2u, j + id.x + WX, s6_1);  // if TM > 4 and TN > 4
  put(z, (i + id.y + WY) * 4u + 3u, j + id.x, s7_0);  // if TM > 4
  put(z, (i + id.y + WY) * 4u + 3u, j + id.x + WX, s7_1);  // if TM > 4 and TN > 4
}

