// The TTT-MLP scan, forward (Sun et al. 2024, dual form). One workgroup walks one head of one sequence:
//   Z1 = Kx W1 + b1;  X2 = gelu(Z1);  Z2 = X2 W2 + b2;  G2 = d/dZ2 of 1/2 |LN(Z2) - (V - Kx)|²;  G1 = (G2 W2ᵀ) gelu'(Z1)
//   Zb1 = Q W1 + b1 - M1 G1;  Xb2 = gelu(Zb1);  Zb2 = Xb2 W2 + b2 - M2 G2;  out = Q + LN(Zb2)
//   W1 -= Kxᵀ D G1;  b1 -= sum D G1;  W2 -= X2ᵀ D G2;  b2 -= sum D G2
// with M1 = E * (1 + Q Kxᵀ), M2 = E * (1 + Xb2 X2ᵀ), eta_ij = tok_i lr_j, tok_i = 1/K where FLATRATES, E = tril(eta),
// eta itself where NONCAUSAL, D = diag of eta's last row.
// A state lies as (W1, b1, W2, b2), so that b1 is one more row of W1 and b2 of W2: Kx, Q, X2 and Xb2 have a column of
// ones, and the products take in the biases and the ones. lr is taken into G2, and so into G1, at once. Rows past the
// end of a short mini-batch have lr 0, so that they change nothing. The state starts anew from theta at a document's
// first token; a row that begins inside a document goes on from state, where every row leaves its own. A mini-batch is
// a loop over phases, each some products and then some work on rows and elements, so that the product's code is
// compiled once. One dispatch walks MP mini-batches; the next goes on where it stopped.
// reference: ttt/mlp_ref.go mlpFwd
override B: u32 = 2u;   // sequences
override L: u32 = 18u;  // tokens of a sequence
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override K: u32 = 4u;   // tokens of a mini-batch
override NB: u32 = 5u;  // mini-batches of a row, at most
override G: u32 = 1u;   // mini-batches between checkpoints
override OB1: u32 = 2048u;  // b1, W2, b2, gamma and beta in theta
override OW2: u32 = 2176u;
override OB2: u32 = 4224u;
override OG: u32 = 4288u;
override OT: u32 = 4352u;
override EPS: f32 = 1e-6f;
override NONCAUSAL: bool = false;  // tokens read the whole mini-batch
override FLATRATES: bool = false;  // the tokens' rates are 1/K
override WG: u32 = 32u;
override MP: u32 = NB;  // mini-batches a dispatch
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> ckpt: array<f32>;
@group(0) @binding(5) var<storage, read_write> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> work: array<f32>;

override E: u32 = 4u * F;
override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override F1: u32 = F + 1u;  // a row of K or Q, its 1 included
override E1: u32 = E + 1u;  // a row of X2 or Xb2
override STATE: u32 = F1 * E + E1 * F;
override S2: u32 = F1 * E;  // W2 in a state
override SLOTS: u32 = (NB + G - 1u) / G;
// Parts of a workgroup's work.
override WK: u32 = 0u * K;
override WQ: u32 = K * F1;
override WX: u32 = 2u * K * F1;   // X2
override WXB: u32 = WX + K * E1;  // Xb2
override WT: u32 = WXB + K * E1;  // Z1, G2 W2ᵀ, Zb1
override WG1: u32 = WT + K * E;   // gelu'(Z1), lr G1
override WG2: u32 = WG1 + K * E;  // lr G2
override WZ: u32 = WG2 + K * F;   // Z2, xhat, Zb2
override WM: u32 = WZ + K * F;    // M1, M2
override WS: u32 = WM + K * K;
override WAT: u32 = WS + STATE;   // the token where the next dispatch goes on
override WORK: u32 = WAT + 1u;

// F, E and K, as values that the compiler does not know: with constant bounds some unroll every loop, and compile for
// minutes.
var<private> fr: u32;
var<private> er: u32;
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

// initial is word e of head h's learned start.
fn initial(h: u32, e: u32) -> f32 {
  if (e < F * E) { return theta[h * F * E + e]; }
  if (e < S2) { return theta[OB1 + h * E + e - F * E]; }
  if (e < S2 + F * E) { return theta[OW2 + h * F * E + e - S2]; }
  return theta[OB2 + h * F + e - S2 - F * E];
}

// gelu is the tanh form of GELU at z and its derivative.
fn gelu(z: f32) -> vec2<f32> {
  let y = clamp(z, -10.0, 10.0);  // past it nothing changes but z itself
  let t = tanh(clamp(0.7978845608028654 * (y + 0.044715 * y * y * y), -15.0, 15.0));
  let du = 0.7978845608028654 * (1.0 + 0.134145 * y * y);
  return vec2<f32>(0.5 * z * (1.0 + t), 0.5 * (1.0 + t + y * (1.0 - t * t) * du));
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

// The products of phase i are firstProduct(i)..firstProduct(i+1)-1.
fn firstProduct(phase: u32) -> u32 {
  switch phase {
    case 0u: { return 0u; }
    case 1u: { return 2u; }
    case 2u: { return 3u; }
    case 3u: { return 4u; }
    case 4u: { return 6u; }
    case 5u: { return 9u; }
    default: { return 11u; }
  }
}

// product is product p of the mini-batch, last the rate of its last token.
fn product(p: u32, w: u32, last: f32) -> Product {
  switch p {
    case 0u: { return Product(w + WT, w + WK, F1, 1u, w + WS, E, 1u, kr, er, fr + 1u, 0.0, 1.0); }           // Kx W1 + b1
    case 1u: { return Product(w + WM, w + WQ, F1, 1u, w + WK, 1u, F1, kr, kr, fr + 1u, 0.0, 1.0); }          // 1 + Q Kxᵀ
    case 2u: { return Product(w + WZ, w + WX, E1, 1u, w + WS + S2, F, 1u, kr, fr, er + 1u, 0.0, 1.0); }      // X2 W2 + b2
    case 3u: { return Product(w + WT, w + WG2, F, 1u, w + WS + S2, 1u, F, kr, er, fr, 0.0, 1.0); }           // G2 W2ᵀ
    case 4u: { return Product(w + WT, w + WQ, F1, 1u, w + WS, E, 1u, kr, er, fr + 1u, 0.0, 1.0); }           // Q W1 + b1
    case 5u: { return Product(w + WT, w + WM, K, 1u, w + WG1, E, 1u, kr, er, kr, 1.0, -1.0); }               // - M1 G1
    case 6u: { return Product(w + WM, w + WXB, E1, 1u, w + WX, 1u, E1, kr, kr, er + 1u, 0.0, 1.0); }         // 1 + Xb2 X2ᵀ
    case 7u: { return Product(w + WZ, w + WXB, E1, 1u, w + WS + S2, F, 1u, kr, fr, er + 1u, 0.0, 1.0); }     // Xb2 W2 + b2
    case 8u: { return Product(w + WS, w + WK, 1u, F1, w + WG1, E, 1u, fr + 1u, er, kr, 1.0, -last); }        // W1 - Kxᵀ D G1
    case 9u: { return Product(w + WZ, w + WM, K, 1u, w + WG2, F, 1u, kr, fr, kr, 1.0, -1.0); }               // - M2 G2
    default: { return Product(w + WS + S2, w + WX, 1u, E1, w + WG2, F, 1u, er + 1u, fr, kr, 1.0, -last); }   // W2 - X2ᵀ D G2
  }
}

// normalise overwrites row z by its normalised form and returns sqrt(var + EPS).
fn normalise(z: u32) -> f32 {
  var mean = 0.0;
  for (var c = 0u; c < fr; c++) { mean += work[z + c]; }
  mean /= f32(F);
  var vr = 0.0;
  for (var c = 0u; c < fr; c++) { let v = work[z + c] - mean; vr += v * v; }
  let s = sqrt(vr / f32(F) + EPS);
  for (var c = 0u; c < fr; c++) { work[z + c] = (work[z + c] - mean) / s; }
  return s;
}

// residual is u/gamma = gamma*xhat + beta - (v - k) of channel c of head h, of the token whose row of xs begins at
// x - h*F.
fn residual(x: u32, h: u32, c: u32, xh: f32) -> f32 {
  return theta[OG + h * F + c] * xh + theta[OT + h * F + c] - (xs[x + 2u * D + c] - xs[x + D + c]);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);
  fr = F * one;
  er = E * one;
  kr = K * one;
  if (wg.z + 1u != nwg.z) { return; }  // one dispatch walks MP mini-batches, the number of layers says which
  let part = nwg.z - 1u;
  let bh = wg.y * nwg.x + wg.x;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let ga = OG + h * F;
  let row0 = (bh / H) * L;
  for (var i = lane; i < kr; i += WG) {
    work[w + WK + i * F1 + F] = 1.0;
    work[w + WQ + i * F1 + F] = 1.0;
    work[w + WX + i * E1 + E] = 1.0;
    work[w + WXB + i * E1 + E] = 1.0;
  }
  if (lane == 0u) {
    resume = 0u;
    if (part > 0u) { resume = u32(work[w + WAT]); }
  }
  let begun = workgroupUniformLoad(&resume);
  var at = begun;
  for (var t = part * MP; t < min((part + 1u) * MP, NB); t++) {
    let ck = (bh * SLOTS + t / G) * STATE;
    if (at >= L) {  // past the row's end: checkpoints that it has no use for
      if (t % G == 0u) {
        for (var e = lane; e < STATE * one; e += WG) { ckpt[ck + e] = 0.0; }
      }
      continue;
    }
    let n = extent(row0, at);
    let first = row0 + at;  // the mini-batch's first token
    let last = rate(n - 1u);
    if (code(row0, at) == 0u) {
      for (var e = lane; e < STATE * one; e += WG) { work[w + WS + e] = initial(h, e); }
    } else if (at == 0u) {
      for (var e = lane; e < STATE * one; e += WG) { work[w + WS + e] = state[bh * STATE + e]; }
    }
    at += n;
    for (var e = lane; e < kr * F; e += WG) {
      let x = (first + min(e / F, n - 1u)) * ROW + h * F + e % F;
      let o = w + e / F * F1 + e % F;
      work[o + WQ] = xs[x];
      work[o + WK] = xs[x + D];
    }
    storageBarrier();
    if (t % G == 0u) {
      for (var e = lane; e < STATE * one; e += WG) { ckpt[ck + e] = work[w + WS + e]; }
    }
    for (var phase = 0u; phase < 6u * one; phase++) {
      for (var p = firstProduct(phase); p < firstProduct(phase + 1u); p++) { mm(lane, product(p, w, last)); }
      storageBarrier();
      if (phase == 0u || phase == 3u) {
        for (var e = lane; e < kr * E; e += WG) {
          let g = gelu(work[w + WT + e]);
          let o = e / E * E1 + e % E;
          if (phase == 0u) {
            work[w + WX + o] = g.x;
            work[w + WG1 + e] = g.y;
          } else {
            work[w + WXB + o] = g.x;
          }
        }
      } else if (phase == 2u) {
        for (var e = lane; e < kr * E; e += WG) { work[w + WG1 + e] *= work[w + WT + e]; }
      }
      if (phase == 0u || phase == 4u) {
        for (var e = lane; e < kr * K; e += WG) {
          let i = e / K;
          work[w + WM + e] = select(0.0, rate(i) * work[w + WM + e], sees(i, e % K));
        }
      }
      if (phase == 1u || phase == 5u) {
        for (var i = lane; i < kr; i += WG) {
          let on = i < n;
          let z = w + WZ + i * F;
          let s = normalise(z);
          if (phase == 1u) {
            let g = w + WG2 + i * F;
            let x = (first + min(i, n - 1u)) * ROW + h * F;
            var mu = 0.0;
            var mux = 0.0;
            for (var c = 0u; c < fr; c++) {
              let xh = work[z + c];
              let u = theta[ga + c] * residual(x, h, c, xh);
              work[g + c] = u;
              mu += u;
              mux += u * xh;
            }
            mu /= f32(F);
            mux /= f32(F);
            let scale = select(0.0, xs[x - h * F + 3u * D + h], on) / s;
            for (var c = 0u; c < fr; c++) { work[g + c] = (work[g + c] - mu - work[z + c] * mux) * scale; }
          } else if (on) {
            let o = (first + i) * D + h * F;
            for (var c = 0u; c < fr; c++) {
              out[o + c] = work[w + WQ + i * F1 + c] + theta[ga + c] * work[z + c] + theta[OT + h * F + c];
            }
          }
        }
      }
      storageBarrier();
    }
  }
  if (lane == 0u) { work[w + WAT] = f32(at); }
  if (begun < L && at >= L) {
    for (var e = lane; e < STATE * one; e += WG) { state[bh * STATE + e] = work[w + WS + e]; }
  }
}
