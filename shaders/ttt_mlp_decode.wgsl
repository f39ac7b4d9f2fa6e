// One token of a TTT-MLP layer, for each head of each sequence a workgroup; state is (W1, b1, W2, b2) at the
// mini-batch's start, sum the inner gradients of its tokens so far, times their learning rates:
//   z1 = k W1 + b1;  x2 = gelu(z1);  z2 = x2 W2 + b2;  g2 = d/dz2 of 1/2 |LN(z2) - (v - k)|²;  g1 = (g2 W2ᵀ) gelu'(z1)
//   sum += lr (kᵀ g1, g1, x2ᵀ g2, g2);  out = q + LN(gelu(q W1' + b1') W2' + b2')
// with the primed state = state - tok sum, which becomes the state after a mini-batch's last token.
// reference: ttt/decode.go mlpDecode
override B: u32 = 2u;   // sequences
override L: u32 = 1u;
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override K: u32 = 4u;   // tokens of a mini-batch
override NB: u32 = 1u;
override G: u32 = 1u;
override OB1: u32 = 2048u;  // b1, W2, b2, gamma and beta in theta
override OW2: u32 = 2176u;
override OB2: u32 = 4224u;
override OG: u32 = 4288u;
override OT: u32 = 4352u;
override EPS: f32 = 1e-6f;
override NONCAUSAL: bool = false;
override FLATRATES: bool = false;  // the tokens' rates are 1/K
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> sum: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override E: u32 = 4u * F;
override FE: u32 = 4u * F * F;
override STATE: u32 = 8u * F * F + 5u * F;

var<workgroup> z1: array<f32, E>;
var<workgroup> x2: array<f32, E>;
var<workgroup> z: array<f32, F>;
var<workgroup> g: array<f32, F>;

// tanhOf is tanh of GELU's inner polynomial, safe for every z.
fn tanhOf(z: f32) -> f32 { return tanh(clamp(0.7978845608028654 * (z + 0.044715 * z * z * z), -15.0, 15.0)); }

fn gelu(z: f32) -> f32 { return 0.5 * z * (1.0 + tanhOf(z)); }

fn dgelu(z: f32) -> f32 {
  let t = tanhOf(z);
  return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * z * z);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let bh = wg.y * nwg.x + wg.x;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let fr = F * nwg.z;  // not known to the compiler, which would unroll every loop
  let er = E * nwg.z;
  let row = bh / H * ROW;
  let w1 = bh * STATE;
  let b1 = w1 + FE;
  let w2 = b1 + E;
  let b2 = w2 + FE;
  let q = row + h * F;
  let k = q + D;
  let v = k + D;
  let lr = xs[row + 3u * D + h];
  let code = u32(xs[row + ROW - 1u] + 0.5);
  let place = code % K;
  var rate = 1.0 / f32(K);
  if (!FLATRATES) { rate = max(0.0, 1.0 / f32(place + 1u) + tok[place]); }
  if (code == 0u) {
    for (var e = lane; e < FE; e += WG) {
      state[w1 + e] = theta[h * FE + e];
      state[w2 + e] = theta[OW2 + h * FE + e];
    }
    for (var e = lane; e < er; e += WG) { state[b1 + e] = theta[OB1 + h * E + e]; }
    for (var e = lane; e < fr; e += WG) { state[b2 + e] = theta[OB2 + h * F + e]; }
  }
  if (place == 0u) {
    for (var e = lane; e < STATE; e += WG) { sum[w1 + e] = 0.0; }
  }
  storageBarrier();
  for (var c = lane; c < er; c += WG) {
    var s = state[b1 + c];
    for (var i = 0u; i < fr; i++) { s += xs[k + i] * state[w1 + i * E + c]; }
    z1[c] = s;
    x2[c] = gelu(s);
  }
  workgroupBarrier();
  for (var c = lane; c < fr; c += WG) {
    var s = state[b2 + c];
    for (var i = 0u; i < er; i++) { s += x2[i] * state[w2 + i * F + c]; }
    z[c] = s;
  }
  workgroupBarrier();
  // Every invocation takes the row's statistics: they are few numbers.
  var mean = 0.0;
  for (var c = 0u; c < fr; c++) { mean += z[c]; }
  mean /= f32(F);
  var vr = 0.0;
  for (var c = 0u; c < fr; c++) { vr += (z[c] - mean) * (z[c] - mean); }
  let sd = sqrt(vr / f32(F) + EPS);
  var mu = 0.0;
  var mux = 0.0;
  for (var c = 0u; c < fr; c++) {
    let xh = (z[c] - mean) / sd;
    let gm = theta[OG + h * F + c];
    let u = gm * (gm * xh + theta[OT + h * F + c] - (xs[v + c] - xs[k + c]));
    mu += u;
    mux += u * xh;
  }
  mu /= f32(F);
  mux /= f32(F);
  for (var c = lane; c < fr; c += WG) {
    let xh = (z[c] - mean) / sd;
    let gm = theta[OG + h * F + c];
    let u = gm * (gm * xh + theta[OT + h * F + c] - (xs[v + c] - xs[k + c]));
    g[c] = (u - mu - xh * mux) / sd;
  }
  workgroupBarrier();
  // An invocation has rows of W2 and columns of W1: the gradients, then the query's hidden layer.
  for (var c = lane; c < er; c += WG) {
    var gx = 0.0;
    for (var i = 0u; i < fr; i++) {
      gx += state[w2 + c * F + i] * g[i];
      sum[w2 + c * F + i] += lr * x2[c] * g[i];
    }
    let lg = lr * gx * dgelu(z1[c]);
    let b = sum[b1 + c] + lg;
    sum[b1 + c] = b;
    var s = state[b1 + c] - rate * b;
    for (var i = 0u; i < fr; i++) {
      let e = i * E + c;
      let w = sum[w1 + e] + xs[k + i] * lg;
      sum[w1 + e] = w;
      s += xs[q + i] * (state[w1 + e] - rate * w);
    }
    x2[c] = gelu(s);
  }
  for (var c = lane; c < fr; c += WG) { sum[b2 + c] += lr * g[c]; }
  storageBarrier();
  workgroupBarrier();
  for (var c = lane; c < fr; c += WG) {
    var s = state[b2 + c] - rate * sum[b2 + c];
    for (var i = 0u; i < er; i++) { s += x2[i] * (state[w2 + i * F + c] - rate * sum[w2 + i * F + c]); }
    z[c] = s;
  }
  storageBarrier();
  workgroupBarrier();
  mean = 0.0;
  for (var c = 0u; c < fr; c++) { mean += z[c]; }
  mean /= f32(F);
  vr = 0.0;
  for (var c = 0u; c < fr; c++) { vr += (z[c] - mean) * (z[c] - mean); }
  let sb = sqrt(vr / f32(F) + EPS);
  for (var c = lane; c < fr; c += WG) {
    out[bh / H * D + h * F + c] = xs[q + c] + theta[OG + h * F + c] * ((z[c] - mean) / sb) + theta[OT + h * F + c];
  }
  if (place == K - 1u) {
    for (var e = lane; e < STATE * nwg.z; e += WG) { state[w1 + e] -= rate * sum[w1 + e]; }
  }
}
