// One token of a TTT-Linear layer, for each head of each sequence a workgroup; state is (W, b) at the mini-batch's
// start, sum the inner gradients of its tokens so far, times their learning rates:
//   z = k W + b;  g = d/dz of 1/2 |LN(z) - (v - k)|²;  sum += lr (kᵀ g, g);  out = q + LN(q W' + b')
// with (W', b') = state - tok sum, which becomes the state after a mini-batch's last token.
// reference: ttt/decode.go linearDecode
override B: u32 = 2u;   // sequences
override L: u32 = 1u;
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override K: u32 = 4u;   // tokens of a mini-batch
override NB: u32 = 1u;
override G: u32 = 1u;
override OB: u32 = 512u;  // b1, gamma and beta in theta
override OG: u32 = 576u;
override OT: u32 = 640u;
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
override FF: u32 = F * F;
override STATE: u32 = F * F + F;

var<workgroup> z: array<f32, F>;
var<workgroup> g: array<f32, F>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let bh = wg.y * nwg.x + wg.x;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let fr = F * nwg.z;  // not known to the compiler, which would unroll every loop
  let row = bh / H * ROW;
  let st = bh * STATE;
  let q = row + h * F;
  let k = q + D;
  let v = k + D;
  let lr = xs[row + 3u * D + h];
  let code = u32(xs[row + ROW - 1u] + 0.5);
  let place = code % K;
  var rate = 1.0 / f32(K);
  if (!FLATRATES) { rate = max(0.0, 1.0 / f32(place + 1u) + tok[place]); }
  if (code == 0u) {
    for (var e = lane; e < FF; e += WG) { state[st + e] = theta[h * FF + e]; }
    for (var e = lane; e < fr; e += WG) { state[st + FF + e] = theta[OB + h * F + e]; }
  }
  if (place == 0u) {
    for (var e = lane; e < STATE; e += WG) { sum[st + e] = 0.0; }
  }
  storageBarrier();
  for (var c = lane; c < fr; c += WG) {
    var s = state[st + FF + c];
    for (var i = 0u; i < fr; i++) { s += xs[k + i] * state[st + i * F + c]; }
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
  for (var c = lane; c < fr; c += WG) {
    let lg = lr * g[c];
    let b = sum[st + FF + c] + lg;
    sum[st + FF + c] = b;
    var s = state[st + FF + c] - rate * b;
    for (var i = 0u; i < fr; i++) {
      let e = st + i * F + c;
      let w = sum[e] + xs[k + i] * lg;
      sum[e] = w;
      s += xs[q + i] * (state[e] - rate * w);
    }
    z[c] = s;
  }
  workgroupBarrier();
  mean = 0.0;
  for (var c = 0u; c < fr; c++) { mean += z[c]; }
  mean /= f32(F);
  vr = 0.0;
  for (var c = 0u; c < fr; c++) { vr += (z[c] - mean) * (z[c] - mean); }
  let sb = sqrt(vr / f32(F) + EPS);
  for (var c = lane; c < fr; c += WG) {
    out[bh / H * D + h * F + c] = xs[q + c] + theta[OG + h * F + c] * ((z[c] - mean) / sb) + theta[OT + h * F + c];
    if (place == K - 1u) {
      state[st + FF + c] -= rate * sum[st + FF + c];
      for (var i = 0u; i < fr; i++) { state[st + i * F + c] -= rate * sum[st + i * F + c]; }
    }
  }
}
