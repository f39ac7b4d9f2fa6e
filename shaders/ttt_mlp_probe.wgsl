// What a TTT-MLP scan's inner loop gains: every token's inner loss under three states of its head,
//   loss = 1/2 |gamma*xhat + beta - (v - k)|²,  xhat = LN(gelu(k W1 + b1) W2 + b2),
// with (W1, b1, W2, b2) the learned start (0), the state before the token's mini-batch made its step (1), the state after
// it (2), and drift = |state after - start| / |start|, a start of all zeros taken for one of norm 1. Rows are one
// document each. One workgroup takes up to four tokens of one mini-batch, the components of its vectors, under one
// state; it has F of the hidden layer's 4F channels at a time.
// reference: ttt/probe.go mlpProbe
override B: u32 = 2u;   // sequences
override L: u32 = 18u;  // tokens of a sequence
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override K: u32 = 4u;   // tokens of a mini-batch
override NB: u32 = 5u;  // mini-batches of a sequence
override G: u32 = 1u;
override OB1: u32 = 2048u;  // b1, W2, b2, gamma and beta in theta
override OW2: u32 = 2176u;
override OB2: u32 = 4224u;
override OG: u32 = 4288u;
override OT: u32 = 4352u;
override EPS: f32 = 1e-6f;
override NONCAUSAL: bool = false;
override FLATRATES: bool = false;
override WG: u32 = 16u;
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> theta: array<f32>;
@group(0) @binding(2) var<storage, read> ckpt: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> drift: array<f32>;

override E: u32 = 4u * F;
override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override FE: u32 = F * E;
override S2: u32 = F * E + E;  // W2 in a state
override STATE: u32 = 2u * F * E + E + F;
override QUADS: u32 = (K + 3u) / 4u;

var<workgroup> key: array<vec4<f32>, F>;
var<workgroup> hidden: array<vec4<f32>, F>;
var<workgroup> z: array<vec4<f32>, F>;
var<workgroup> part: array<vec4<f32>, WG>;

// word is word e of buffer src: the parameters, the checkpoints or the last states.
fn word(src: u32, e: u32) -> f32 {
  switch src {
    case 0u: { return theta[e]; }
    case 1u: { return ckpt[e]; }
    default: { return state[e]; }
  }
}

// initial is word e of head h's learned start.
fn initial(h: u32, e: u32) -> f32 {
  if (e < FE) { return theta[h * FE + e]; }
  if (e < S2) { return theta[OB1 + h * E + e - FE]; }
  if (e < S2 + FE) { return theta[OW2 + h * FE + e - S2]; }
  return theta[OB2 + h * F + e - S2 - FE];
}

// gelu is the tanh form of GELU, safe for every z.
fn gelu(z: vec4<f32>) -> vec4<f32> {
  let y = clamp(z, vec4<f32>(-10.0), vec4<f32>(10.0));  // past it nothing changes but z itself
  let u = 0.7978845608028654 * (y + 0.044715 * y * y * y);
  return 0.5 * z * (vec4<f32>(1.0) + tanh(clamp(u, vec4<f32>(-15.0), vec4<f32>(15.0))));
}

// four is channel c of what lies at o in the rows of four tokens; past the n-th they are the last one again.
fn four(o: u32, n: u32, c: u32) -> vec4<f32> {
  let x = o + c;
  let last = n - 1u;
  return vec4<f32>(xs[x], xs[x + min(1u, last) * ROW], xs[x + min(2u, last) * ROW], xs[x + min(3u, last) * ROW]);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let fr = F * nwg.z;  // not known to the compiler, which would unroll every loop
  let g = wg.y * nwg.x + wg.x;
  let which = g % 3u;
  let quad = (g / 3u) % QUADS;
  let batch = g / (3u * QUADS);  // of all heads and sequences
  let bh = batch / NB;
  let m = batch % NB;
  let at = m * K + quad * 4u;
  let end = min(m * K + K, L);
  if (bh >= B * H || at >= end) { return; }
  let n = min(end - at, 4u);
  let h = bh % H;
  let row = ((bh / H) * L + at) * ROW + h * F;

  // Where the state is.
  var src = 0u;
  var w1 = h * FE;
  var b1 = OB1 + h * E;
  var w2 = OW2 + h * FE;
  var b2 = OB2 + h * F;
  if (which > 0u) {
    src = 1u;
    w1 = (batch + which - 1u) * STATE;
    if (which == 2u && m + 1u == NB) {
      src = 2u;
      w1 = bh * STATE;
    }
    b1 = w1 + FE;
    w2 = w1 + S2;
    b2 = w2 + FE;
  }

  for (var c = lane; c < fr; c += WG) {
    key[c] = four(row + D, n, c);
    z[c] = vec4<f32>(word(src, b2 + c));
  }
  workgroupBarrier();
  for (var q = 0u; q < E * nwg.z; q += F) {
    for (var c = lane; c < fr; c += WG) {
      var s = vec4<f32>(word(src, b1 + q + c));
      for (var i = 0u; i < fr; i++) { s += key[i] * word(src, w1 + i * E + q + c); }
      hidden[c] = gelu(s);
    }
    workgroupBarrier();
    for (var c = lane; c < fr; c += WG) {
      var s = z[c];
      for (var i = 0u; i < fr; i++) { s += hidden[i] * word(src, w2 + (q + i) * F + c); }
      z[c] = s;
    }
    workgroupBarrier();
  }
  // Every invocation takes the rows' statistics: they are few numbers.
  var mean = vec4<f32>();
  for (var c = 0u; c < fr; c++) { mean += z[c]; }
  mean = mean / f32(F);
  var vr = vec4<f32>();
  for (var c = 0u; c < fr; c++) {
    let v = z[c] - mean;
    vr += v * v;
  }
  let sd = sqrt(vr / f32(F) + vec4<f32>(EPS));
  var s = vec4<f32>();
  for (var c = lane; c < fr; c += WG) {
    let e = theta[OG + h * F + c] * ((z[c] - mean) / sd) + vec4<f32>(theta[OT + h * F + c]) - (four(row + 2u * D, n, c) - key[c]);
    s += e * e;
  }
  part[lane] = s;
  workgroupBarrier();
  if (lane == 0u) {
    var sum = vec4<f32>();
    for (var i = 0u; i < WG * nwg.z; i++) { sum += part[i]; }
    sum = 0.5 * sum;
    let o = (bh * 3u + which) * L + at;
    loss[o] = sum.x;
    if (n > 1u) { loss[o + 1u] = sum.y; }
    if (n > 2u) { loss[o + 2u] = sum.z; }
    if (n > 3u) { loss[o + 3u] = sum.w; }
  }
  if (which != 2u || quad != 0u) { return; }
  workgroupBarrier();
  var d = vec2<f32>();  // |after - start|², |start|²
  for (var e = lane; e < STATE * nwg.z; e += WG) {
    let start = initial(h, e);
    let v = word(src, w1 + e) - start;
    d += vec2<f32>(v * v, start * start);
  }
  part[lane] = vec4<f32>(d, 0.0, 0.0);
  workgroupBarrier();
  if (lane == 0u) {
    var sum = vec4<f32>();
    for (var i = 0u; i < WG * nwg.z; i++) { sum += part[i]; }
    drift[batch] = sqrt(sum.x / select(sum.y, 1.0, sum.y == 0.0));
  }
}
