// The TTT-MLP scan, backward. One workgroup walks one head of one sequence from its end; the states before each
// mini-batch are recomputed from the forward pass's checkpoints, G mini-batches at a time. With a prime for what
// arrives from the next mini-batch (formulas and names: ttt/mlp_ref.go):
//   dZb2 = LN backward of dOut;  R2 = -(dZb2 G2ᵀ);  dA2 = R2*E;  P2 = X2 dW2' + db2';  dXb2 = dZb2 W2ᵀ + dA2 X2
//   dZb1 = dXb2 gelu'(Zb1);  R1 = -(dZb1 G1ᵀ);  dA1 = R1*E;  P1 = Kx dW1' + db1';  dQ = dOut + dZb1 W1ᵀ + dA1 Kx
//   dE = R1*A1 + R2*A2;  dD = -rowsum(P1*G1) - rowsum(P2*G2), with A1 = 1 + Q Kxᵀ, A2 = 1 + Xb2 X2ᵀ
//   dG1 = -M1ᵀ dZb1 - D P1;  h = dG1 gelu'(Z1);  dG2 = -M2ᵀ dZb2 - D P2 + h W2;  dZ2, dT from dG2 (second order)
//   dX2 = dA2ᵀ Xb2 - D (G2 dW2'ᵀ) + dZ2 W2ᵀ;  dZ1 = dX2 gelu'(Z1) + dG1 (G2 W2ᵀ) gelu''(Z1)
//   dK = dA1ᵀ Q - D (G1 dW1'ᵀ) + dZ1 W1ᵀ - dT;  dV = dT
//   dW1 = dW1' + Qᵀ dZb1 + Kxᵀ dZ1;  dW2 = dW2' + Xb2ᵀ dZb2 + hᵀ G2 + X2ᵀ dZ2
// dpart holds, for each head of each sequence, dW1, db1, dW2, db2, dgamma, dbeta and the gradient of the token rates.
// A state lies as (W1, b1, W2, b2), so that b1 is one more row of W1 and b2 of W2: Kx, Q, X2 and Xb2 have a column of
// ones, and the products take in the biases, their gradients and the ones. Rows past the end of a short mini-batch
// have D and dOut 0, so that they change nothing. A mini-batch is a loop over phases, each some products and then some
// work on rows and elements, so that the product's code is compiled once: phases 0 to 3 step a state forward, 0 to 2
// and 4 to 13 are the backward pass. One dispatch takes MP such steps; the next goes on where it stopped.
// reference: ttt/mlp_ref.go mlpBwd
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
override MP: u32 = 2u * NB;  // steps of a mini-batch, forward or backward, a dispatch
override ACC_DXS: bool = true;
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> ckpt: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dxs: array<f32>;
@group(0) @binding(6) var<storage, read_write> dpart: array<f32>;
@group(0) @binding(7) var<storage, read_write> work: array<f32>;

override E: u32 = 4u * F;
override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override F1: u32 = F + 1u;  // a row of K or Q, its 1 included
override E1: u32 = E + 1u;  // a row of X2 or Xb2
override STATE: u32 = F1 * E + E1 * F;
override S2: u32 = F1 * E;  // W2 in a state
override SLOTS: u32 = (NB + G - 1u) / G;
const PARTS = 8u;  // of a row whose sum is made by several invocations
// Parts of a workgroup's work; its states begin at WS, their gradient (dW1', db1', dW2', db2') at WDW.
override WK: u32 = 0u * K;
override WQ: u32 = K * F1;
override WX: u32 = 2u * K * F1;      // xhat
override WG2: u32 = WX + K * F;      // G2, du
override WZ: u32 = WG2 + K * F;      // Zb2, its normalised form
override WZB: u32 = WZ + K * F;      // dZb2, dQ
override WP2: u32 = WZB + K * F;     // P2, dG2, dZ2
override WDK: u32 = WP2 + K * F;
override WX2: u32 = WDK + K * F;
override WXB: u32 = WX2 + K * E1;    // Xb2
override WZ1: u32 = WXB + K * E1;    // Z1, gelu'(Z1)
override WH2: u32 = WZ1 + K * E;     // G2 W2ᵀ, that times gelu''(Z1), dZ1
override WG1: u32 = WH2 + K * E;
override WZB1: u32 = WG1 + K * E;    // Zb1, gelu'(Zb1)
override WDZB1: u32 = WZB1 + K * E;  // dXb2, dZb1
override WP1: u32 = WDZB1 + K * E;   // P1, dG1, h
override WDX: u32 = WP1 + K * E;     // dX2
override WA1: u32 = WDX + K * E;     // A1, then dE
override WA2: u32 = WA1 + K * K;     // A2, then its part of dE
override WM1: u32 = WA2 + K * K;
override WM2: u32 = WM1 + K * K;
override WR: u32 = WM2 + K * K;      // R2, dA2, R1, dA1
override WD: u32 = WR + K * K;       // D
override WSD: u32 = WD + K;          // s
override WDD: u32 = WSD + K;         // dD
override WPD: u32 = WDD + K;         // its PARTS parts
override WS: u32 = WPD + PARTS * K;
override WDW: u32 = WS + G * STATE;
override WAT: u32 = WDW + STATE;     // where the next dispatch goes on
override WORK: u32 = WAT + 4u;

// F, E and K, as values that the compiler does not know: with constant bounds some unroll every loop, and compile for
// minutes.
var<private> fr: u32;
var<private> er: u32;
var<private> kr: u32;
// Where this dispatch goes on: the end of the last mini-batch not yet gone back over; the number of segments left; the
// segment's step; the token of a forward step.
var<workgroup> resume: vec4<u32>;

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

// begin is where the mini-batch begins that ends before token e.
fn begin(row0: u32, e: u32) -> u32 { return e - 1u - code(row0, e - 1u) % K; }

// initial is word e of head h's learned start.
fn initial(h: u32, e: u32) -> f32 {
  if (e < F * E) { return theta[h * F * E + e]; }
  if (e < S2) { return theta[OB1 + h * E + e - F * E]; }
  if (e < S2 + F * E) { return theta[OW2 + h * F * E + e - S2]; }
  return theta[OB2 + h * F + e - S2 - F * E];
}

// gelu is the tanh form of GELU at z and its first and second derivatives.
fn gelu(z: f32) -> vec3<f32> {
  let y = clamp(z, -10.0, 10.0);  // past it nothing changes but z itself
  let t = tanh(clamp(0.7978845608028654 * (y + 0.044715 * y * y * y), -15.0, 15.0));
  let du = 0.7978845608028654 * (1.0 + 0.134145 * y * y);
  let q = 1.0 - t * t;
  return vec3<f32>(0.5 * z * (1.0 + t), 0.5 * (1.0 + t + y * q * du), q * (du + y * (0.10703222 * y - t * du * du)));
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
    case 5u: { return 8u; }
    case 6u: { return 10u; }
    case 7u: { return 11u; }
    case 8u: { return 16u; }
    case 9u: { return 21u; }
    case 10u: { return 22u; }
    case 11u: { return 27u; }
    case 12u: { return 29u; }
    case 13u: { return 31u; }
    default: { return 33u; }
  }
}

// product is product p, with the state before the mini-batch at st.
fn product(p: u32, w: u32, st: u32) -> Product {
  let s2 = st + S2;
  let d1 = w + WDW;
  let d2 = w + WDW + S2;
  switch p {
    case 0u: { return Product(w + WZ1, w + WK, F1, 1u, st, E, 1u, kr, er, fr + 1u, 0.0, 1.0); }               // Kx W1 + b1
    case 1u: { return Product(w + WA1, w + WQ, F1, 1u, w + WK, 1u, F1, kr, kr, fr + 1u, 0.0, 1.0); }          // 1 + Q Kxᵀ
    case 2u: { return Product(w + WX, w + WX2, E1, 1u, s2, F, 1u, kr, fr, er + 1u, 0.0, 1.0); }               // X2 W2 + b2
    case 3u: { return Product(w + WH2, w + WG2, F, 1u, s2, 1u, F, kr, er, fr, 0.0, 1.0); }                    // G2 W2ᵀ
    case 4u: { return Product(st + STATE, w + WK, 1u, F1, w + WG1, E, 1u, fr + 1u, er, kr, 1.0, -1.0); }      // W1 - Kxᵀ D G1
    case 5u: { return Product(s2 + STATE, w + WX2, 1u, E1, w + WG2, F, 1u, er + 1u, fr, kr, 1.0, -1.0); }     // W2 - X2ᵀ D G2
    case 6u: { return Product(w + WZB1, w + WQ, F1, 1u, st, E, 1u, kr, er, fr + 1u, 0.0, 1.0); }              // Q W1 + b1
    case 7u: { return Product(w + WZB1, w + WM1, K, 1u, w + WG1, E, 1u, kr, er, kr, 1.0, -1.0); }             // - M1 G1
    case 8u: { return Product(w + WA2, w + WXB, E1, 1u, w + WX2, 1u, E1, kr, kr, er + 1u, 0.0, 1.0); }        // 1 + Xb2 X2ᵀ
    case 9u: { return Product(w + WZ, w + WXB, E1, 1u, s2, F, 1u, kr, fr, er + 1u, 0.0, 1.0); }               // Xb2 W2 + b2
    case 10u: { return Product(w + WZ, w + WM2, K, 1u, w + WG2, F, 1u, kr, fr, kr, 1.0, -1.0); }              // - M2 G2
    case 11u: { return Product(w + WR, w + WZB, F, 1u, w + WG2, 1u, F, kr, kr, fr, 0.0, -1.0); }              // R2
    case 12u: { return Product(w + WP2, w + WX2, E1, 1u, d2, F, 1u, kr, fr, er + 1u, 0.0, 1.0); }             // X2 dW2' + db2'
    case 13u: { return Product(w + WDX, w + WG2, F, 1u, d2, 1u, F, kr, er, fr, 0.0, 1.0); }                   // G2 dW2'ᵀ
    case 14u: { return Product(w + WP1, w + WK, F1, 1u, d1, E, 1u, kr, er, fr + 1u, 0.0, 1.0); }              // Kx dW1' + db1'
    case 15u: { return Product(w + WDK, w + WG1, E, 1u, d1, 1u, E, kr, fr, er, 0.0, 1.0); }                   // G1 dW1'ᵀ
    case 16u: { return Product(w + WDZB1, w + WZB, F, 1u, s2, 1u, F, kr, er, fr, 0.0, 1.0); }                 // dZb2 W2ᵀ
    case 17u: { return Product(w + WDZB1, w + WR, K, 1u, w + WX2, E1, 1u, kr, er, kr, 1.0, 1.0); }            // + dA2 X2
    case 18u: { return Product(w + WDX, w + WR, 1u, K, w + WXB, E1, 1u, kr, er, kr, 1.0, 1.0); }              // + dA2ᵀ Xb2
    case 19u: { return Product(w + WP2, w + WM2, 1u, K, w + WZB, F, 1u, kr, fr, kr, 1.0, -1.0); }             // - M2ᵀ dZb2
    case 20u: { return Product(d2, w + WXB, 1u, E1, w + WZB, F, 1u, er + 1u, fr, kr, 1.0, 1.0); }             // + Xb2ᵀ dZb2
    case 21u: { return Product(w + WR, w + WDZB1, E, 1u, w + WG1, 1u, E, kr, kr, er, 0.0, -1.0); }            // R1
    case 22u: { return Product(w + WZB, w + WDZB1, E, 1u, st, 1u, E, kr, fr, er, 0.0, 1.0); }                 // dZb1 W1ᵀ
    case 23u: { return Product(w + WZB, w + WR, K, 1u, w + WK, F1, 1u, kr, fr, kr, 1.0, 1.0); }               // + dA1 Kx
    case 24u: { return Product(w + WDK, w + WR, 1u, K, w + WQ, F1, 1u, kr, fr, kr, 1.0, 1.0); }               // + dA1ᵀ Q
    case 25u: { return Product(w + WP1, w + WM1, 1u, K, w + WDZB1, E, 1u, kr, er, kr, 1.0, -1.0); }           // - M1ᵀ dZb1
    case 26u: { return Product(d1, w + WQ, 1u, F1, w + WDZB1, E, 1u, fr + 1u, er, kr, 1.0, 1.0); }            // + Qᵀ dZb1
    case 27u: { return Product(w + WP2, w + WP1, E, 1u, s2, F, 1u, kr, fr, er, 1.0, 1.0); }                   // + h W2
    case 28u: { return Product(d2, w + WP1, 1u, E, w + WG2, F, 1u, er, fr, kr, 1.0, 1.0); }                   // + hᵀ G2
    case 29u: { return Product(w + WDX, w + WP2, F, 1u, s2, 1u, F, kr, er, fr, 1.0, 1.0); }                   // + dZ2 W2ᵀ
    case 30u: { return Product(d2, w + WX2, 1u, E1, w + WP2, F, 1u, er + 1u, fr, kr, 1.0, 1.0); }             // + X2ᵀ dZ2
    case 31u: { return Product(d1, w + WK, 1u, F1, w + WH2, E, 1u, fr + 1u, er, kr, 1.0, 1.0); }              // + Kxᵀ dZ1
    default: { return Product(w + WDK, w + WH2, E, 1u, st, 1u, E, kr, fr, er, 1.0, 1.0); }                    // + dZ1 W1ᵀ
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
  if (wg.z + 1u != nwg.z) { return; }  // one dispatch walks MP steps, the number of layers says which
  let bh = wg.y * nwg.x + wg.x;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let ga = OG + h * F;
  let dp = bh * (STATE + 2u * F + K);
  let dgamma = dp + STATE;
  let dbeta = dgamma + F;
  let dtok = dbeta + F;
  if (nwg.z == 1u) {
    for (var e = lane; e < STATE * one; e += WG) {
      work[w + WDW + e] = 0.0;
      dpart[dp + e] = 0.0;
    }
    for (var e = lane; e < 2u * F + K; e += WG) { dpart[dgamma + e] = 0.0; }
  }
  for (var i = lane; i < kr; i += WG) {
    work[w + WK + i * F1 + F] = 1.0;
    work[w + WQ + i * F1 + F] = 1.0;
    work[w + WX2 + i * E1 + E] = 1.0;
    work[w + WXB + i * E1 + E] = 1.0;
  }
  let row0 = (bh / H) * L;
  var batches = 0u;
  for (var e = L; e > 0u; e = begin(row0, e)) { batches++; }
  if (lane == 0u) {
    let o = w + WAT;
    if (nwg.z == 1u) {
      resume = vec4<u32>(L, (batches + G - 1u) / G, 0u, 0u);
    } else {
      resume = vec4<u32>(u32(work[o]), u32(work[o + 1u]), u32(work[o + 2u]), u32(work[o + 3u]));
    }
  }
  let begun = workgroupUniformLoad(&resume);
  var stop = begun.x;
  var seg = begun.y;
  var step = begun.z;
  var at = begun.w;
  for (var done = 0u; done < MP; done++) {
    if (seg == 0u) { break; }
    // First forward over all mini-batches of the segment but the last, then backward over all.
    let t0 = (seg - 1u) * G;
    let len = min(G, batches - t0);
    if (step == 0u) {
      at = stop;
      for (var i = 0u; i < len; i++) { at = begin(row0, at); }
      let c0 = (bh * SLOTS + seg - 1u) * STATE;
      for (var e = lane; e < STATE * one; e += WG) { work[w + WS + e] = ckpt[c0 + e]; }
    }
    let back = step >= len - 1u;
    let ts = select(step, 2u * len - 2u - step, back);
    let st = w + WS + ts * STATE;
    if (back) { at = begin(row0, stop); }
    let n = extent(row0, at);
    let first = row0 + at;
    let last = rate(n - 1u);
    for (var e = lane; e < kr * F; e += WG) {
      let x = (first + min(e / F, n - 1u)) * ROW + h * F + e % F;
      let o = w + e / F * F1 + e % F;
      work[o + WQ] = xs[x];
      work[o + WK] = xs[x + D];
    }
    for (var i = lane; i < kr; i += WG) {
      work[w + WD + i] = select(0.0, last * xs[(first + min(i, n - 1u)) * ROW + 3u * D + h], i < n);
    }
    storageBarrier();
    let fresh = code(row0, at) == 0u;  // the state before is theta's
    var start = 0u;
    if (back) {
      stop = at;
    } else {
      at += n;
      if (code(row0, at) == 0u) {
        for (var e = lane; e < STATE * one; e += WG) { work[st + STATE + e] = initial(h, e); }
        start = 4u;
      } else {
        for (var e = lane; e < STATE * one; e += WG) { work[st + STATE + e] = work[st + e]; }
      }
      storageBarrier();
    }
    for (var phase = start; phase < select(4u, 14u, back); phase += select(1u, 2u, back && phase == 2u)) {
      for (var p = firstProduct(phase); p < firstProduct(phase + 1u); p++) { mm(lane, product(p, w, st)); }
      if (phase == 10u) {
        // The rates' gradients.
        for (var i = lane; i < n; i += WG) {
          var sl = work[w + WDD + i] * last;
          for (var j = select(i, 0u, NONCAUSAL); j < n; j++) { sl += work[w + WA1 + j * K + i] * rate(j); }
          let o = (first + i) * ROW + 3u * D + h;
          if (ACC_DXS) { dxs[o] += sl; } else { dxs[o] = sl; }
          var s = 0.0;
          for (var j = 0u; j <= select(i, n - 1u, NONCAUSAL); j++) {
            let de = work[w + WA1 + i * K + j] + select(0.0, work[w + WDD + j], i == n - 1u);
            s += de * xs[(first + j) * ROW + 3u * D + h];
          }
          dpart[dtok + i] += s;
        }
      } else if (phase == 12u) {
        for (var c = lane; c < fr; c += WG) {
          let gm = theta[ga + c];
          var sg = 0.0;
          var sb = 0.0;
          for (var i = 0u; i < n; i++) {
            let xh = work[w + WX + i * F + c];
            let du = work[w + WG2 + i * F + c];
            let v = dout[(first + i) * D + h * F + c];
            sg += v * work[w + WZ + i * F + c] + du * (gm * xh + residual((first + i) * ROW + h * F, h, c, xh));
            sb += v + du * gm;
          }
          dpart[dgamma + c] += sg;
          dpart[dbeta + c] += sb;
        }
      }
      storageBarrier();
      // Elements of [K,E] arrays.
      if (phase == 0u || phase == 2u || phase == 4u) {
        let z = w + select(WZ1, WZB1, phase == 4u);
        for (var e = lane; e < kr * E; e += WG) {
          let g = gelu(work[z + e]);
          let o = e / E * E1 + e % E;
          if (phase == 0u) {
            work[w + WX2 + o] = g.x;
          } else if (phase == 2u) {
            let v = work[w + WH2 + e];
            work[w + WG1 + e] = v * g.y;
            work[w + WH2 + e] = v * g.z;
            work[z + e] = g.y;
          } else {
            work[w + WXB + o] = g.x;
            work[z + e] = g.y;
          }
        }
      } else if (phase == 8u || phase == 10u || phase == 12u) {
        for (var e = lane; e < kr * E; e += WG) {
          if (phase == 8u) {
            work[w + WDZB1 + e] *= work[w + WZB1 + e];
          } else if (phase == 10u) {
            let v = work[w + WP1 + e];
            work[w + WH2 + e] *= v;
            work[w + WP1 + e] = v * work[w + WZ1 + e];
          } else {
            work[w + WH2 + e] += work[w + WDX + e] * work[w + WZ1 + e];
          }
        }
      } else if (phase == 7u) {
        // P, and what it gives to dD, in parts of rows.
        for (var e = lane; e < kr * PARTS; e += WG) {
          let i = e / PARTS;
          let di = -work[w + WD + i];
          var s = 0.0;
          for (var c = e % PARTS; c < er; c += PARTS) {
            let o = w + i * E + c;
            let v = work[o + WP1];
            s += v * work[o + WG1];
            work[o + WP1] = di * v;
            work[o + WDX] *= di;
          }
          for (var c = e % PARTS; c < fr; c += PARTS) {
            let o = w + i * F + c;
            let v = work[o + WP2];
            s += v * work[o + WG2];
            work[o + WP2] = di * v;
            work[o + WDK] *= di;
          }
          work[w + WPD + e] = -s;
        }
      }
      // Elements of [K,K] arrays.
      if (phase == 0u || phase == 5u || phase == 7u || phase == 9u) {
        let a = w + select(WA1, WA2, phase == 5u || phase == 7u);
        for (var e = lane; e < kr * K; e += WG) {
          let i = e / K;
          let j = e % K;
          var rl = 0.0;
          if (sees(i, j) && max(i, j) < n) { rl = rate(i) * xs[(first + j) * ROW + 3u * D + h]; }
          if (phase == 0u) {
            work[w + WM1 + e] = rl * work[a + e];
          } else if (phase == 5u) {
            work[w + WM2 + e] = rl * work[a + e];
          } else {
            let r = work[w + WR + e];
            work[w + WR + e] = r * rl;
            let de = r * work[a + e];
            if (phase == 7u) { work[a + e] = de; } else { work[a + e] = de + work[w + WA2 + e]; }
          }
        }
      }
      if (phase == 13u) {
        for (var e = lane; e < n * F; e += WG) {
          let i = e / F;
          let c = e % F;
          let x = (first + i) * ROW + h * F + c;
          let dt = -work[w + WG2 + e] * theta[ga + c];
          let dq = dout[(first + i) * D + h * F + c] + work[w + WZB + e];
          let dk = work[w + WDK + e] - dt;
          if (ACC_DXS) {
            dxs[x] += dq;
            dxs[x + D] += dk;
            dxs[x + 2u * D] += dt;
          } else {
            dxs[x] = dq;
            dxs[x + D] = dk;
            dxs[x + 2u * D] = dt;
          }
        }
      }
      // Rows of [K,F] arrays.
      if (phase == 1u || phase == 6u || phase == 8u || phase == 11u) {
        for (var i = lane; i < kr; i += WG) {
          let o = i * F;
          let x = (first + min(i, n - 1u)) * ROW + h * F;
          if (phase == 8u) {
            var s = 0.0;
            for (var c = 0u; c < PARTS; c++) { s += work[w + WPD + i * PARTS + c]; }
            work[w + WDD + i] = s;
          } else if (phase == 11u) {
            // From dG2 through the inner loss, second order, to dZ2 (left in the place of dG2) and du (in that of G2).
            let s = work[w + WSD + i];
            var cc = 0.0;
            var p = 0.0;
            var mdg = 0.0;
            var dgg = 0.0;
            for (var c = 0u; c < fr; c++) {
              let xh = work[w + WX + o + c];
              let dg = work[w + WP2 + o + c];
              cc += theta[ga + c] * residual(x, h, c, xh) * xh;
              p += dg * xh;
              mdg += dg;
              dgg += dg * work[w + WG2 + o + c];
            }
            cc /= f32(F);
            p /= f32(F);
            mdg /= f32(F);
            let ds = -dgg / s;
            var m = 0.0;
            var mx = 0.0;
            for (var c = 0u; c < fr; c++) {
              let xh = work[w + WX + o + c];
              let gm = theta[ga + c];
              let dg = work[w + WP2 + o + c];
              let du = (dg - mdg - xh * p) / s;
              let dx = -(dg * cc + gm * residual(x, h, c, xh) * p) / s + du * gm * gm;
              work[w + WG2 + o + c] = du;
              work[w + WP2 + o + c] = dx;
              m += dx;
              mx += dx * xh;
            }
            m /= f32(F);
            mx /= f32(F);
            for (var c = 0u; c < fr; c++) {
              let xh = work[w + WX + o + c];
              work[w + WP2 + o + c] = (work[w + WP2 + o + c] - m - xh * mx) / s + ds * xh / f32(F);
            }
          } else {
            // Through a LayerNorm: u from the inner loss to G2, or from dOut to dZb2.
            let inner = phase == 1u;
            let z = w + select(WZ, WX, inner) + o;
            let g = w + select(WZB, WG2, inner) + o;
            let s = normalise(z);
            if (inner) { work[w + WSD + i] = s; }
            var mu = 0.0;
            var mux = 0.0;
            for (var c = 0u; c < fr; c++) {
              let xh = work[z + c];
              var u = 0.0;
              if (inner) { u = residual(x, h, c, xh); } else if (i < n) { u = dout[(first + i) * D + h * F + c]; }
              u *= theta[ga + c];
              work[g + c] = u;
              mu += u;
              mux += u * xh;
            }
            mu /= f32(F);
            mux /= f32(F);
            let scale = select(work[w + WD + i], 1.0, back) / s;  // D G where the state is only stepped
            for (var c = 0u; c < fr; c++) { work[g + c] = (work[g + c] - mu - work[z + c] * mux) * scale; }
          }
        }
      }
      storageBarrier();
    }
    // What came before a document's first token is another document's.
    if (back && fresh) {
      for (var e = lane; e < STATE * one; e += WG) {
        dpart[dp + e] += work[w + WDW + e];
        work[w + WDW + e] = 0.0;
      }
      storageBarrier();
    }
    step++;
    if (step == 2u * len - 1u) {
      step = 0u;
      seg--;
    }
  }
  if (lane == 0u) {
    let o = w + WAT;
    work[o] = f32(stop);
    work[o + 1u] = f32(seg);
    work[o + 2u] = f32(step);
    work[o + 3u] = f32(at);
  }
}
