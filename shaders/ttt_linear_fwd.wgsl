// The TTT-Linear scan, forward (Sun et al. 2024, dual form). One workgroup walks one head of one sequence:
//   Z = Kx W + b;  G = d/dZ of 1/2 |LN(Z) - (V - Kx)|²;  M = E * (1 + Q Kxᵀ);  Zb = Q W + b - M G
//   out = Q + LN(Zb);  W -= Kxᵀ D G;  b -= sum D G,  with eta_ij = tok_i lr_j, tok_i = 1/K where FLATRATES,
//   E = tril(eta), eta itself where NONCAUSAL, and D = diag of eta's last row.
// Rows past the end of a short mini-batch have lr 0, so that they change nothing. The state starts anew from theta at
// a document's first token; a row that begins inside a document goes on from state, where every row leaves its own. A mini-batch is a loop over
// phases, each some products and then some work on rows, so that the product's code is compiled once.
// reference: ttt/linear_ref.go linearFwd
override B: u32 = 2u;   // sequences
override L: u32 = 18u;  // tokens of a sequence
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override K: u32 = 4u;   // tokens of a mini-batch
override NB: u32 = 5u;  // mini-batches of a row, at most
override G: u32 = 1u;   // mini-batches between checkpoints
override OB: u32 = 512u;  // b1, gamma and beta in theta
override OG: u32 = 576u;
override OT: u32 = 640u;
override EPS: f32 = 1e-6f;
override NONCAUSAL: bool = false;  // tokens read the whole mini-batch
override FLATRATES: bool = false;  // the tokens' rates are 1/K
override WG: u32 = 32u;
override MP: u32 = 5u;  // mini-batches a dispatch
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> ckpt: array<f32>;
@group(0) @binding(5) var<storage, read_write> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> work: array<f32>;

override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override FF: u32 = F * F;
override STATE: u32 = F * F + F;
override SLOTS: u32 = (NB + G - 1u) / G;
// Parts of a workgroup's work.
override WK: u32 = 0u * K;
override WQ: u32 = K * F;
override WGR: u32 = 2u * K * F;  // G
override WZ: u32 = 3u * K * F;   // Z, xhat, Zb
override WM: u32 = 4u * K * F;
override WS: u32 = 4u * K * F + K * K;  // W, b
override WAT: u32 = 4u * K * F + K * K + F * F + F;  // the token where the next dispatch goes on
override WORK: u32 = 5u * K * F + 2u * K * K + 2u * K + F + F * F + F;

// F and K, as values that the compiler does not know: with constant bounds some unroll every loop, and compile for
// minutes.
var<private> fr: u32;
var<private> kr: u32;
var<workgroup> resume: u32;  // the token where this dispatch goes on

fn rate(i: u32) -> f32 {
  if (FLATRATES) { return 1.0 / f32(K); }
  return max(0.0, 1.0 / f32(i + 1u) + tok[i]);
}

// sees says whether token i of a mini-batch reads the inner gradient of its token j.
fn sees(i: u32, j: u32) -> bool { return NONCAUSAL || j <= i; }

// code is the place code of token i of the row that begins at token row0: 0 for a document's first token, else the
// place in its mini-batch, K standing for the first.
fn code(row0: u32, i: u32) -> u32 { return u32(xs[(row0 + i + 1u) * ROW - 1u] + 0.5); }

// extent is the number of tokens of the mini-batch that begins at token at.
fn extent(row0: u32, at: u32) -> u32 {
  var n = 1u;
  for (; n < K && at + n < L; n++) {
    if (code(row0, at + n) == 0u) { break; }
  }
  return n;
}

// Product is work[dst] = beta*work[dst] + alpha * a b: m x n from m x k and k x n, elements at a + i*ars + l*acs and
// b + l*brs + j*bcs.
struct Product {
  dst: u32,
  a: u32, ars: u32, acs: u32,
  b: u32, brs: u32, bcs: u32,
  m: u32, n: u32, k: u32,
  beta: f32, alpha: f32,
}

// mm makes a product. An invocation makes tiles of 4 x 8; rows and columns past the edge are read from the last one
// and not stored. One tile is always the same invocation's, so that products into one dst need no barrier between.
fn mm(lane: u32, x: Product) {
  let m = x.m;
  let n = x.n;
  let tn = (n + 7u) / 8u;
  let tiles = ((m + 3u) / 4u) * tn;
  for (var tile = lane; tile < tiles; tile += WG) {
    let r = (tile / tn) * 4u;
    let c = (tile % tn) * 8u;
    let a0 = x.a + r * x.ars;
    let a1 = x.a + min(r + 1u, m - 1u) * x.ars;
    let a2 = x.a + min(r + 2u, m - 1u) * x.ars;
    let a3 = x.a + min(r + 3u, m - 1u) * x.ars;
    let b0 = x.b + c * x.bcs;
    let b1 = x.b + min(c + 1u, n - 1u) * x.bcs;
    let b2 = x.b + min(c + 2u, n - 1u) * x.bcs;
    let b3 = x.b + min(c + 3u, n - 1u) * x.bcs;
    let b4 = x.b + min(c + 4u, n - 1u) * x.bcs;
    let b5 = x.b + min(c + 5u, n - 1u) * x.bcs;
    let b6 = x.b + min(c + 6u, n - 1u) * x.bcs;
    let b7 = x.b + min(c + 7u, n - 1u) * x.bcs;
    var s00 = vec4<f32>(); var s01 = vec4<f32>();
    var s10 = vec4<f32>(); var s11 = vec4<f32>();
    var s20 = vec4<f32>(); var s21 = vec4<f32>();
    var s30 = vec4<f32>(); var s31 = vec4<f32>();
    for (var l = 0u; l < x.k; l++) {
      let o = l * x.brs;
      let y0 = vec4<f32>(work[b0 + o], work[b1 + o], work[b2 + o], work[b3 + o]);
      let y1 = vec4<f32>(work[b4 + o], work[b5 + o], work[b6 + o], work[b7 + o]);
      let p = l * x.acs;
      let x0 = work[a0 + p];
      let x1 = work[a1 + p];
      let x2 = work[a2 + p];
      let x3 = work[a3 + p];
      s00 += x0 * y0; s01 += x0 * y1;
      s10 += x1 * y0; s11 += x1 * y1;
      s20 += x2 * y0; s21 += x2 * y1;
      s30 += x3 * y0; s31 += x3 * y1;
    }
    put(x.dst, r, c, m, n, x.beta, x.alpha * s00, x.alpha * s01);
    put(x.dst, r + 1u, c, m, n, x.beta, x.alpha * s10, x.alpha * s11);
    put(x.dst, r + 2u, c, m, n, x.beta, x.alpha * s20, x.alpha * s21);
    put(x.dst, r + 3u, c, m, n, x.beta, x.alpha * s30, x.alpha * s31);
  }
}

// put stores a row of a tile.
fn put(dst: u32, r: u32, c: u32, m: u32, n: u32, beta: f32, lo: vec4<f32>, hi: vec4<f32>) {
  if (r >= m) { return; }
  let o = dst + r * n + c;
  put1(o, c, n, beta, lo.x);
  put1(o + 1u, c + 1u, n, beta, lo.y);
  put1(o + 2u, c + 2u, n, beta, lo.z);
  put1(o + 3u, c + 3u, n, beta, lo.w);
  put1(o + 4u, c + 4u, n, beta, hi.x);
  put1(o + 5u, c + 5u, n, beta, hi.y);
  put1(o + 6u, c + 6u, n, beta, hi.z);
  put1(o + 7u, c + 7u, n, beta, hi.w);
}

fn put1(o: u32, c: u32, n: u32, beta: f32, v: f32) {
  if (c >= n) { return; }
  if (beta == 0.0) { work[o] = v; } else { work[o] = beta * work[o] + v; }
}

// product is product p of the mini-batch.
fn product(p: u32, w: u32) -> Product {
  switch p {
    case 0u: { return Product(w + WZ, w + WK, F, 1u, w + WS, F, 1u, kr, fr, fr, 0.0, 1.0); }   // Kx W
    case 1u: { return Product(w + WM, w + WQ, F, 1u, w + WK, 1u, F, kr, kr, fr, 0.0, 1.0); }   // Q Kxᵀ
    case 2u: { return Product(w + WZ, w + WQ, F, 1u, w + WS, F, 1u, kr, fr, fr, 0.0, 1.0); }   // Q W
    case 3u: { return Product(w + WZ, w + WM, K, 1u, w + WGR, F, 1u, kr, fr, kr, 1.0, -1.0); } // - M G
    default: { return Product(w + WS, w + WK, 1u, F, w + WGR, F, 1u, fr, fr, kr, 1.0, -1.0); } // W - Kxᵀ D G
  }
}

// centre adds the bias to row z, and returns its mean and sqrt(var + EPS).
fn centre(z: u32, bias: u32) -> vec2<f32> {
  var mean = 0.0;
  for (var c = 0u; c < fr; c++) {
    let v = work[z + c] + work[bias + c];
    work[z + c] = v;
    mean += v;
  }
  mean /= f32(F);
  var vr = 0.0;
  for (var c = 0u; c < fr; c++) { let v = work[z + c] - mean; vr += v * v; }
  return vec2<f32>(mean, sqrt(vr / f32(F) + EPS));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);
  fr = F * one;
  kr = K * one;
  if (wg.z + 1u != nwg.z) { return; }  // one dispatch walks MP mini-batches, the number of layers says which
  let part = nwg.z - 1u;
  let bh = wg.y * nwg.x + wg.x;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let bias = w + WS + FF;
  let ga = OG + h * F;
  let be = OT + h * F;
  let row0 = (bh / H) * L;
  if (lane == 0u) {
    resume = 0u;
    if (part > 0u) { resume = u32(work[w + WAT]); }
  }
  var at = workgroupUniformLoad(&resume);
  if (at >= L) { return; }
  var t = part * MP;
  for (; t < min((part + 1u) * MP, NB); t++) {
    if (at >= L) { break; }
    let n = extent(row0, at);
    let first = row0 + at;  // the mini-batch's first token
    if (code(row0, at) == 0u) {
      for (var e = lane; e < FF * one; e += WG) { work[w + WS + e] = theta[h * FF + e]; }
      for (var e = lane; e < fr; e += WG) { work[bias + e] = theta[OB + h * F + e]; }
    } else if (at == 0u) {
      for (var e = lane; e < STATE * one; e += WG) { work[w + WS + e] = state[bh * STATE + e]; }
    }
    at += n;
    for (var e = lane; e < kr * F; e += WG) {
      let x = (first + min(e / F, n - 1u)) * ROW + h * F + e % F;
      work[w + WQ + e] = xs[x];
      work[w + WK + e] = xs[x + D];
    }
    storageBarrier();
    if (t % G == 0u) {
      let c = (bh * SLOTS + t / G) * STATE;
      for (var e = lane; e < STATE * one; e += WG) { ckpt[c + e] = work[w + WS + e]; }
    }
    for (var phase = 0u; phase < 3u * one; phase++) {
      for (var p = 2u * phase; p < min(2u * phase + 2u, 5u); p++) { mm(lane, product(p, w)); }
      if (phase == 2u) {
        for (var c = lane; c < fr; c += WG) {
          var s = 0.0;
          for (var i = 0u; i < kr; i++) { s += work[w + WGR + i * F + c]; }
          work[bias + c] -= s;
        }
      }
      storageBarrier();
      for (var i = lane; i < kr; i += WG) {
        let z = w + WZ + i * F;
        let g = w + WGR + i * F;
        let x = (first + min(i, n - 1u)) * ROW + h * F;
        if (phase == 0u) {
          let ms = centre(z, bias);
          var mu = 0.0;
          var mux = 0.0;
          for (var c = 0u; c < fr; c++) {
            let xh = (work[z + c] - ms.x) / ms.y;
            let gm = theta[ga + c];
            let u = gm * (gm * xh + theta[be + c] - (xs[x + 2u * D + c] - xs[x + D + c]));
            work[z + c] = xh;
            work[g + c] = u;
            mu += u;
            mux += u * xh;
          }
          mu /= f32(F);
          mux /= f32(F);
          for (var c = 0u; c < fr; c++) { work[g + c] = (work[g + c] - mu - work[z + c] * mux) / ms.y; }
          let ti = rate(i);
          for (var j = 0u; j < kr; j++) {
            let e = w + WM + i * K + j;
            var m = 0.0;
            if (sees(i, j) && j < n) { m = ti * xs[(first + j) * ROW + 3u * D + h] * (1.0 + work[e]); }
            work[e] = m;
          }
        } else if (phase == 1u) {
          let ms = centre(z, bias);
          var di = 0.0;  // and from here on G holds D G
          if (i < n) {
            let o = (first + i) * D + h * F;
            for (var c = 0u; c < fr; c++) {
              out[o + c] = work[w + WQ + i * F + c] + theta[ga + c] * ((work[z + c] - ms.x) / ms.y) + theta[be + c];
            }
            di = rate(n - 1u) * xs[x - h * F + 3u * D + h];
          }
          for (var c = 0u; c < fr; c++) { work[g + c] *= di; }
        }
      }
      storageBarrier();
    }
  }
  if (lane == 0u) { work[w + WAT] = f32(at); }
  if (at < L) { return; }
  for (var e = lane; e < STATE * one; e += WG) { state[bh * STATE + e] = work[w + WS + e]; }
  for (var e = (t + G - 1u) / G * STATE + lane; e < SLOTS * STATE; e += WG) { ckpt[bh * SLOTS * STATE + e] = 0.0; }
}
