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
// A mini-batch is a loop over phases, each some products and then some work on rows and elements, so that the product's
// code is compiled once: phases 0 to 3 step a state forward, 0 to 2 and 4 to 13 are the backward pass. One dispatch takes
// MP such steps; the next goes on where it stopped. Rows past the end of a short mini-batch have D and dOut 0, so that they
// change nothing. What work holds is padded by zeros to whole vec4: KP tokens, FP channels; arrays that stand in one product
// lie one after the other, as (Kx, Q), (Z1, Zb1), (dZb2, G2, dZ2), (Xb2, h, X2), (dZ1, dZb1) and (dK, dQ).
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
override TM: u32 = 8u;  // rows of a product that an invocation makes at a time: 4 or 8
override TN: u32 = 8u;  // and columns
override MP: u32 = 2u * NB;  // steps of a mini-batch, forward or backward, a dispatch
override ACC_DXS: bool = true;
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> ckpt: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dxs: array<f32>;
@group(0) @binding(6) var<storage, read_write> dpart: array<f32>;
@group(0) @binding(7) var<storage, read_write> work: array<vec4<f32>>;

override E: u32 = 4u * F;
override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override STATE: u32 = 2u * F * E + E + F;
override SLOTS: u32 = (NB + G - 1u) / G;
override F4: u32 = (F + 3u) / 4u;
override FP: u32 = 4u * F4;
override E4: u32 = F;
override K4: u32 = (K + 3u) / 4u;
override KP: u32 = 4u * K4;
override KF: u32 = KP * F4;
override KE: u32 = KP * E4;
override KK: u32 = KP * K4;
override S2: u32 = (FP + 1u) * E4;       // of a state: W1, then b1 as one more row
override S4: u32 = S2 + (E + 1u) * F4;   // and W2, then b2 as one more row
const PARTS = 8u;  // of a row whose sum is made by several invocations
// Parts of a workgroup's work, in vec4.
override WK: u32 = 0u * KF;
override WQ: u32 = KF;
override WX: u32 = 2u * KF;    // Z2, xhat
override WZ: u32 = 3u * KF;    // Zb2, its normalised form
override WZB: u32 = 4u * KF;   // dZb2
override WG2: u32 = 5u * KF;   // G2
override WP2: u32 = 6u * KF;   // P2, dG2, dZ2
override WDK: u32 = 7u * KF;
override WDQ: u32 = 8u * KF;
override WDU: u32 = 9u * KF;
override WY: u32 = 10u * KF;   // beta - (V - Kx)
override WDO: u32 = 11u * KF;  // dOut, zeros past the mini-batch's end
override WXB: u32 = 12u * KF;  // Xb2
override WP1: u32 = WXB + KE;  // P1, dG1, h
override WX2: u32 = WP1 + KE;
override WZ1: u32 = WX2 + KE;   // Z1, gelu'(Z1)
override WZB1: u32 = WZ1 + KE;  // Zb1, gelu'(Zb1)
override WH2: u32 = WZB1 + KE;  // G2 W2ᵀ, that times gelu''(Z1), dZ1
override WDZB1: u32 = WH2 + KE; // dXb2, dZb1
override WG1: u32 = WDZB1 + KE;
override WDX: u32 = WG1 + KE;   // dX2
override WA1: u32 = WDX + KE;   // A1, then dE
override WA2: u32 = WA1 + KK;   // A2, then its part of dE
override WM1: u32 = WA2 + KK;
override WM2: u32 = WM1 + KK;
override WR: u32 = WM2 + KK;    // R2, dA2, R1, dA1
override WLR: u32 = WR + KK;    // lr, zeros past the mini-batch's end
override WSD: u32 = WLR + K4;   // of each token: s, dD
override WPD: u32 = WSD + KP;   // the parts of dD
override WGA: u32 = WPD + PARTS * KP;  // gamma
override WBE: u32 = WGA + F4;   // beta
override WDGA: u32 = WBE + F4;  // their gradients
override WDBE: u32 = WDGA + F4;
override WAT: u32 = WDBE + F4;  // where the next dispatch goes on
override WDW: u32 = WAT + 1u;   // dW1', db1', dW2', db2'
override WS: u32 = WDW + S4;    // states
override WORK: u32 = WS + G * S4;

// F4, E4 and so on, as values that the compiler does not know: with constant bounds some unroll every loop, and compile
// for minutes.
var<private> f4: u32;
var<private> fp: u32;
var<private> e4: u32;
var<private> k4: u32;
var<private> kp: u32;
// Where this dispatch goes on: the end of the last mini-batch not yet gone back over; the number of segments left; the
// segment's step; the token of a forward step.
var<workgroup> resume: vec4<u32>;

fn rate(i: u32) -> f32 {
  if (FLATRATES) { return 1.0 / f32(K); }
  return max(0.0, 1.0 / f32(i + 1u) + tok[min(i, K - 1u)]);
}

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

// words is how many of the four channels from 4c on a head has.
fn words(c: u32) -> u32 {
  if (F % 4u == 0u) { return 4u; }
  return min(4u, F - 4u * c);
}

// keep is x with zeros for the channels past a head's last one; c counts in vec4.
fn keep(x: vec4<f32>, c: u32) -> vec4<f32> {
  if (F % 4u == 0u) { return x; }
  return select(vec4<f32>(), x, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(words(c)));
}

fn sum(x: vec4<f32>) -> f32 { return x.x + x.y + x.z + x.w; }

fn fromXs(o: u32, c: u32) -> vec4<f32> {
  let x = o + 4u * c;
  let last = words(c) - 1u;
  return keep(vec4<f32>(xs[x], xs[x + min(1u, last)], xs[x + min(2u, last)], xs[x + min(3u, last)]), c);
}

fn fromTheta(o: u32, c: u32) -> vec4<f32> {
  let x = o + 4u * c;
  let last = words(c) - 1u;
  return keep(vec4<f32>(theta[x], theta[x + min(1u, last)], theta[x + min(2u, last)], theta[x + min(3u, last)]), c);
}

// etas is what tokens 4c.. of a mini-batch have of the inner learning rate of token i that reads them: lr, held by
// work[at], where i sees them.
fn etas(i: u32, c: u32, lr: vec4<f32>, ti: f32) -> vec4<f32> {
  if (NONCAUSAL) { return ti * lr; }
  return select(vec4<f32>(), ti * lr, vec4<u32>(4u * c) + vec4<u32>(0u, 1u, 2u, 3u) <= vec4<u32>(i));
}

// place is where in a state without padding the words of its vec4 v begin, held how many they are.
fn place(v: u32) -> u32 {
  if (F % 4u == 0u) { return 4u * v; }
  if (v < S2) { return min(v / E4, F) * E + 4u * (v % E4); }
  return (F + 1u) * E + (v - S2) / F4 * F + 4u * ((v - S2) % F4);
}
fn held(v: u32) -> u32 {
  if (F % 4u == 0u) { return 4u; }
  if (v >= S2) { return words((v - S2) % F4); }
  let r = v / E4;
  return select(0u, 4u, r < F || r == FP);
}

// initial is vec4 v of head h's learned start.
fn initial(h: u32, v: u32) -> vec4<f32> {
  let first = v < S2;
  let u = select(v - S2, v, first);
  let r = u / select(F4, E4, first);
  let c = u % select(F4, E4, first);
  var o = select(OW2 + (h * E + r) * F, OB2 + h * F, r == E);
  if (first) { o = select((h * F + min(r, F - 1u)) * E, OB1 + h * E, r == FP); }
  let m = select(words(c), 4u, first) - 1u;
  let x = o + 4u * c;
  let y = vec4<f32>(theta[x], theta[x + min(1u, m)], theta[x + min(2u, m)], theta[x + min(3u, m)]);
  return select(vec4<f32>(), y, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(held(v)));
}

// gelu is the tanh form of GELU, slope its derivative, curve its second one, all at z.
fn within(z: vec4<f32>) -> vec4<f32> { return clamp(z, vec4<f32>(-10.0), vec4<f32>(10.0)); }  // past it nothing changes but z itself
fn bend(y: vec4<f32>) -> vec4<f32> {
  return tanh(clamp(0.7978845608028654 * (y + 0.044715 * y * y * y), vec4<f32>(-15.0), vec4<f32>(15.0)));
}
fn bendSlope(y: vec4<f32>) -> vec4<f32> { return 0.7978845608028654 * (1.0 + 0.134145 * y * y); }
fn gelu(z: vec4<f32>) -> vec4<f32> { return 0.5 * z * (1.0 + bend(within(z))); }
fn slope(z: vec4<f32>) -> vec4<f32> {
  let y = within(z);
  let t = bend(y);
  return 0.5 * (1.0 + t + y * (1.0 - t * t) * bendSlope(y));
}
fn curve(z: vec4<f32>) -> vec4<f32> {
  let y = within(z);
  let t = bend(y);
  let du = bendSlope(y);
  return (1.0 - t * t) * (du + y * (0.10703222 * y - t * du * du));
}

// existing is 1 for those of tokens i.. of a mini-batch of n that there are.
fn existing(i: u32, n: u32) -> vec4<f32> {
  return select(vec4<f32>(), vec4<f32>(1.0), vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(n));
}

fn addDxs(o: u32, v: f32) {
  if (ACC_DXS) { dxs[o] += v; } else { dxs[o] = v; }
}

// toDxs gives channels 4c.. of a head the gradient v.
fn toDxs(x: u32, c: u32, v: vec4<f32>) {
  let o = x + 4u * c;
  addDxs(o, v.x);
  if (words(c) > 1u) { addDxs(o + 1u, v.y); }
  if (words(c) > 2u) { addDxs(o + 2u, v.z); }
  if (words(c) > 3u) { addDxs(o + 3u, v.w); }
}

// toPart puts m words of v into dpart.
fn toPart(o: u32, m: u32, v: vec4<f32>) {
  if (m > 0u) { dpart[o] = v.x; }
  if (m > 1u) { dpart[o + 1u] = v.y; }
  if (m > 2u) { dpart[o + 2u] = v.z; }
  if (m > 3u) { dpart[o + 3u] = v.w; }
}

// Product is work[dst] = beta*work[dst] + alpha * a b, all counted in vec4: m x n4 from m x k4 and k4 x n4. Of each operand
// the stride of its rows is told, and whether a row is a summand (down) or runs along the sum.
struct Product {
  dst: u32,
  a: u32, astep: u32, adown: bool,
  b: u32, bstep: u32, bdown: bool,
  m: u32, n4: u32, k4: u32,
  beta: f32, alpha: f32,
}

// turn is y, or where the operand's rows run along the sum, the same component of four rows.
fn turn(down: vec4<bool>, y: vec4<f32>, x0: f32, x1: f32, x2: f32, x3: f32) -> vec4<f32> {
  return select(vec4<f32>(x0, x1, x2, x3), y, down);
}

fn mac(s: vec4<f32>, x: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
  return s + x.x * b0 + x.y * b1 + x.z * b2 + x.w * b3;
}

// put stores a row of a tile; where more is 0, its second half is not there.
fn put(x: Product, o: u32, more: u32, lo: vec4<f32>, hi: vec4<f32>) {
  var v = x.alpha * lo;
  if (x.beta != 0.0) { v += x.beta * work[o]; }
  work[o] = v;
  if (TN == 8u && more > 0u) {
    v = x.alpha * hi;
    if (x.beta != 0.0) { v += x.beta * work[o + 1u]; }
    work[o + 1u] = v;
  }
}

// mm makes a product, in tiles of TM x TN. It loads alike whichever way an operand lies, and turns it in registers: where
// invocations are lanes of a vector, a branch costs as much as all that it skips. One tile is always the same invocation's,
// so that products into one dst need no barrier between.
fn mm(lane: u32, x: Product) {
  let tn = (4u * x.n4 + TN - 1u) / TN;
  let tiles = ((x.m + TM - 1u) / TM) * tn;
  let ad = vec4<bool>(x.adown);
  let bd = vec4<bool>(x.bdown);
  let da = select(1u, 4u * x.astep, x.adown);
  let db = select(1u, 4u * x.bstep, x.bdown);
  if (lane >= tiles) { return; }
  var tile = lane;
  // Loops end at their foot: one that ends at its head, where invocations are lanes of a vector, goes once more through its
  // body for none of them.
  loop {
    let r = (tile / tn) * TM;
    let c = (tile % tn) * (TN / 4u);
    let rh = select(0u, 4u, r + 4u < x.m);  // to the tile's other half, or where there is none the same once more
    let ch = select(0u, 1u, c + 1u < x.n4);
    var a0 = x.a + select(r * x.astep, r / 4u, x.adown);
    var a1 = a0 + select(rh * x.astep, rh / 4u, x.adown);
    var b0 = x.b + select(4u * c * x.bstep, c, x.bdown);
    var b1 = b0 + select(4u * ch * x.bstep, ch, x.bdown);
    var s00 = vec4<f32>(); var s01 = vec4<f32>();
    var s10 = vec4<f32>(); var s11 = vec4<f32>();
    var s20 = vec4<f32>(); var s21 = vec4<f32>();
    var s30 = vec4<f32>(); var s31 = vec4<f32>();
    var s40 = vec4<f32>(); var s41 = vec4<f32>();
    var s50 = vec4<f32>(); var s51 = vec4<f32>();
    var s60 = vec4<f32>(); var s61 = vec4<f32>();
    var s70 = vec4<f32>(); var s71 = vec4<f32>();
    var l = 0u;
    loop {
      let y0 = work[b0];
      let y1 = work[b0 + 1u * x.bstep];
      let y2 = work[b0 + 2u * x.bstep];
      let y3 = work[b0 + 3u * x.bstep];
      let p0 = turn(bd, y0, y0.x, y1.x, y2.x, y3.x);
      let p1 = turn(bd, y1, y0.y, y1.y, y2.y, y3.y);
      let p2 = turn(bd, y2, y0.z, y1.z, y2.z, y3.z);
      let p3 = turn(bd, y3, y0.w, y1.w, y2.w, y3.w);
      var q0 = vec4<f32>();
      var q1 = vec4<f32>();
      var q2 = vec4<f32>();
      var q3 = vec4<f32>();
      if (TN == 8u) {
        let z0 = work[b1];
        let z1 = work[b1 + 1u * x.bstep];
        let z2 = work[b1 + 2u * x.bstep];
        let z3 = work[b1 + 3u * x.bstep];
        q0 = turn(bd, z0, z0.x, z1.x, z2.x, z3.x);
        q1 = turn(bd, z1, z0.y, z1.y, z2.y, z3.y);
        q2 = turn(bd, z2, z0.z, z1.z, z2.z, z3.z);
        q3 = turn(bd, z3, z0.w, z1.w, z2.w, z3.w);
      }
      let g0 = work[a0];
      let g1 = work[a0 + 1u * x.astep];
      let g2 = work[a0 + 2u * x.astep];
      let g3 = work[a0 + 3u * x.astep];
      let x0 = turn(ad, vec4<f32>(g0.x, g1.x, g2.x, g3.x), g0.x, g0.y, g0.z, g0.w);
      let x1 = turn(ad, vec4<f32>(g0.y, g1.y, g2.y, g3.y), g1.x, g1.y, g1.z, g1.w);
      let x2 = turn(ad, vec4<f32>(g0.z, g1.z, g2.z, g3.z), g2.x, g2.y, g2.z, g2.w);
      let x3 = turn(ad, vec4<f32>(g0.w, g1.w, g2.w, g3.w), g3.x, g3.y, g3.z, g3.w);
      s00 = mac(s00, x0, p0, p1, p2, p3);
      if (TN == 8u) { s01 = mac(s01, x0, q0, q1, q2, q3); }
      s10 = mac(s10, x1, p0, p1, p2, p3);
      if (TN == 8u) { s11 = mac(s11, x1, q0, q1, q2, q3); }
      s20 = mac(s20, x2, p0, p1, p2, p3);
      if (TN == 8u) { s21 = mac(s21, x2, q0, q1, q2, q3); }
      s30 = mac(s30, x3, p0, p1, p2, p3);
      if (TN == 8u) { s31 = mac(s31, x3, q0, q1, q2, q3); }
      if (TM == 8u) {
        let g0 = work[a1];
        let g1 = work[a1 + 1u * x.astep];
        let g2 = work[a1 + 2u * x.astep];
        let g3 = work[a1 + 3u * x.astep];
        let x0 = turn(ad, vec4<f32>(g0.x, g1.x, g2.x, g3.x), g0.x, g0.y, g0.z, g0.w);
        let x1 = turn(ad, vec4<f32>(g0.y, g1.y, g2.y, g3.y), g1.x, g1.y, g1.z, g1.w);
        let x2 = turn(ad, vec4<f32>(g0.z, g1.z, g2.z, g3.z), g2.x, g2.y, g2.z, g2.w);
        let x3 = turn(ad, vec4<f32>(g0.w, g1.w, g2.w, g3.w), g3.x, g3.y, g3.z, g3.w);
        s40 = mac(s40, x0, p0, p1, p2, p3);
        if (TN == 8u) { s41 = mac(s41, x0, q0, q1, q2, q3); }
        s50 = mac(s50, x1, p0, p1, p2, p3);
        if (TN == 8u) { s51 = mac(s51, x1, q0, q1, q2, q3); }
        s60 = mac(s60, x2, p0, p1, p2, p3);
        if (TN == 8u) { s61 = mac(s61, x2, q0, q1, q2, q3); }
        s70 = mac(s70, x3, p0, p1, p2, p3);
        if (TN == 8u) { s71 = mac(s71, x3, q0, q1, q2, q3); }
      }
      a0 += da;
      a1 += da;
      b0 += db;
      b1 += db;
      continuing {
        l++;
        break if (l >= x.k4);
      }
    }
    let o = x.dst + r * x.n4 + c;
    put(x, o, ch, s00, s01);
    put(x, o + 1u * x.n4, ch, s10, s11);
    put(x, o + 2u * x.n4, ch, s20, s21);
    put(x, o + 3u * x.n4, ch, s30, s31);
    if (TM == 8u && rh > 0u) {
      put(x, o + 4u * x.n4, ch, s40, s41);
      put(x, o + 5u * x.n4, ch, s50, s51);
      put(x, o + 6u * x.n4, ch, s60, s61);
      put(x, o + 7u * x.n4, ch, s70, s71);
    }
    continuing {
      tile += WG;
      break if (tile >= tiles);
    }
  }
}

// The products of phase i are firstProduct(i)..firstProduct(i+1)-1.
fn firstProduct(phase: u32) -> u32 {
  switch phase {
    case 0u: { return 0u; }
    case 1u: { return 2u; }
    case 2u: { return 3u; }
    case 3u: { return 4u; }
    case 4u: { return 6u; }
    case 5u: { return 7u; }
    case 6u: { return 9u; }
    case 7u: { return 10u; }
    case 8u: { return 15u; }
    case 9u: { return 19u; }
    case 10u: { return 20u; }
    case 11u: { return 23u; }
    case 12u: { return 24u; }
    case 13u: { return 26u; }
    default: { return 28u; }
  }
}

// product is product p, with the state before the mini-batch at st; read is kp where queries are read, else 0.
fn product(p: u32, w: u32, st: u32, read: u32) -> Product {
  let s2 = st + S2;
  let d1 = w + WDW;
  let d2 = w + WDW + S2;
  let er = 4u * e4;
  switch p {
    case 0u: { return Product(w + WZ1, w + WK, F4, false, st, E4, true, kp + read, e4, f4, 0.0, 1.0); }       // (Kx, Q) W1
    case 1u: { return Product(w + WA1, w + WQ, F4, false, w + WK, F4, false, kp, k4, f4, 0.0, 1.0); }         // Q Kxᵀ
    case 2u: { return Product(w + WX, w + WX2, E4, false, s2, F4, true, kp, f4, e4, 0.0, 1.0); }              // X2 W2
    case 3u: { return Product(w + WH2, w + WG2, F4, false, s2, F4, false, kp, e4, f4, 0.0, 1.0); }            // G2 W2ᵀ
    case 4u: { return Product(st + S4, w + WK, F4, true, w + WG1, E4, true, fp, e4, k4, 1.0, -1.0); }         // W1 - Kxᵀ D G1
    case 5u: { return Product(s2 + S4, w + WX2, E4, true, w + WG2, F4, true, er, f4, k4, 1.0, -1.0); }        // W2 - X2ᵀ D G2
    case 6u: { return Product(w + WZB1, w + WM1, K4, false, w + WG1, E4, true, kp, e4, k4, 1.0, -1.0); }      // - M1 G1
    case 7u: { return Product(w + WA2, w + WXB, E4, false, w + WX2, E4, false, kp, k4, e4, 0.0, 1.0); }       // Xb2 X2ᵀ
    case 8u: { return Product(w + WZ, w + WXB, E4, false, s2, F4, true, kp, f4, e4, 0.0, 1.0); }              // Xb2 W2
    case 9u: { return Product(w + WZ, w + WM2, K4, false, w + WG2, F4, true, kp, f4, k4, 1.0, -1.0); }        // - M2 G2
    case 10u: { return Product(w + WR, w + WZB, F4, false, w + WG2, F4, false, kp, k4, f4, 0.0, -1.0); }      // R2
    case 11u: { return Product(w + WP2, w + WX2, E4, false, d2, F4, true, kp, f4, e4, 0.0, 1.0); }            // X2 dW2'
    case 12u: { return Product(w + WDX, w + WG2, F4, false, d2, F4, false, kp, e4, f4, 0.0, 1.0); }           // G2 dW2'ᵀ
    case 13u: { return Product(w + WP1, w + WK, F4, false, d1, E4, true, kp, e4, f4, 0.0, 1.0); }             // Kx dW1'
    case 14u: { return Product(w + WDK, w + WG1, E4, false, d1, E4, false, kp, f4, e4, 0.0, 1.0); }           // G1 dW1'ᵀ
    case 15u: { return Product(w + WDZB1, w + WZB, F4, false, s2, F4, false, kp, e4, f4, 0.0, 1.0); }         // dZb2 W2ᵀ
    case 16u: { return Product(w + WDZB1, w + WR, K4, false, w + WX2, E4, true, kp, e4, k4, 1.0, 1.0); }      // + dA2 X2
    case 17u: { return Product(w + WDX, w + WR, K4, true, w + WXB, E4, true, kp, e4, k4, 1.0, 1.0); }         // + dA2ᵀ Xb2
    case 18u: { return Product(w + WP2, w + WM2, K4, true, w + WZB, F4, true, kp, f4, k4, 1.0, -1.0); }       // - M2ᵀ dZb2
    case 19u: { return Product(w + WR, w + WDZB1, E4, false, w + WG1, E4, false, kp, k4, e4, 0.0, -1.0); }    // R1
    case 20u: { return Product(w + WDQ, w + WR, K4, false, w + WK, F4, true, kp, f4, k4, 0.0, 1.0); }         // dA1 Kx
    case 21u: { return Product(w + WDK, w + WR, K4, true, w + WQ, F4, true, kp, f4, k4, 1.0, 1.0); }          // + dA1ᵀ Q
    case 22u: { return Product(w + WP1, w + WM1, K4, true, w + WDZB1, E4, true, kp, e4, k4, 1.0, -1.0); }     // - M1ᵀ dZb1
    case 23u: { return Product(w + WP2, w + WP1, E4, false, s2, F4, true, kp, f4, e4, 1.0, 1.0); }            // + h W2
    case 24u: { return Product(w + WDX, w + WP2, F4, false, s2, F4, false, kp, e4, f4, 1.0, 1.0); }           // + dZ2 W2ᵀ
    case 25u: { return Product(d2, w + WXB, E4, true, w + WZB, F4, true, er, f4, 3u * k4, 1.0, 1.0); }        // + (Xb2, h, X2)ᵀ (dZb2, G2, dZ2)
    case 26u: { return Product(w + WDK, w + WH2, E4, false, st, E4, false, 2u * kp, f4, e4, 1.0, 1.0); }      // + (dZ1, dZb1) W1ᵀ
    default: { return Product(d1, w + WK, F4, true, w + WH2, E4, true, fp, e4, 2u * k4, 1.0, 1.0); }          // + (Kx, Q)ᵀ (dZ1, dZb1)
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);
  f4 = F4 * one;
  fp = FP * one;
  e4 = E4 * one;
  k4 = K4 * one;
  kp = KP * one;
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch walks MP steps, how many there are along x says which
  let bh = wg.z * nwg.y + wg.y;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let dp = bh * (STATE + 2u * F + K);
  let dgamma = dp + STATE;
  let dbeta = dgamma + F;
  let dtok = dbeta + F;
  let db1 = w + WDW + FP * E4;
  let db2 = w + WDW + S2 + E * F4;
  if (nwg.x == 1u) {
    for (var v = lane; v < S4 * one; v += WG) { work[w + WDW + v] = vec4<f32>(); }
    for (var c = lane; c < f4; c += WG) {
      work[w + WGA + c] = fromTheta(OG + h * F, c);
      work[w + WBE + c] = fromTheta(OT + h * F, c);
      work[w + WDGA + c] = vec4<f32>();
      work[w + WDBE + c] = vec4<f32>();
    }
    for (var e = lane; e < (STATE + 2u * F + K) * one; e += WG) { dpart[dp + e] = 0.0; }
  }
  let row0 = (bh / H) * L;
  var batches = 0u;
  for (var e = L; e > 0u; e = begin(row0, e)) { batches++; }
  if (lane == 0u) {
    if (nwg.x == 1u) {
      resume = vec4<u32>(L, (batches + G - 1u) / G, 0u, 0u);
    } else {
      resume = vec4<u32>(work[w + WAT]);
    }
  }
  storageBarrier();
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
      for (var v = lane; v < S4 * one; v += WG) {
        let o = c0 + place(v);
        let m = held(v);
        var x = vec4<f32>();
        if (m > 0u) { x.x = ckpt[o]; }
        if (m > 1u) { x.y = ckpt[o + 1u]; }
        if (m > 2u) { x.z = ckpt[o + 2u]; }
        if (m > 3u) { x.w = ckpt[o + 3u]; }
        work[w + WS + v] = x;
      }
    }
    let back = step >= len - 1u;
    let ts = select(step, 2u * len - 2u - step, back);
    let st = w + WS + ts * S4;
    let b1 = st + FP * E4;
    let b2 = st + S2 + E * F4;
    if (back) { at = begin(row0, stop); }
    let n = extent(row0, at);
    let first = row0 + at;
    let last = rate(n - 1u);
    for (var e = lane; e < kp * F4; e += WG) {
      let c = e % F4;
      let i = min(e / F4, n - 1u);
      let x = (first + i) * ROW + h * F;
      let k = fromXs(x + D, c);
      work[w + WQ + e] = fromXs(x, c);
      work[w + WK + e] = k;
      work[w + WY + e] = work[w + WBE + c] - (fromXs(x + 2u * D, c) - k);
      let o = (first + i) * D + h * F + 4u * c;
      let m = words(c) - 1u;
      let v = keep(vec4<f32>(dout[o], dout[o + min(1u, m)], dout[o + min(2u, m)], dout[o + min(3u, m)]), c);
      work[w + WDO + e] = select(vec4<f32>(), v, vec4<bool>(e / F4 < n));
    }
    for (var c = lane; c < k4; c += WG) {
      let i = vec4<u32>(4u * c) + vec4<u32>(0u, 1u, 2u, 3u);
      let x = (vec4<u32>(first) + min(i, vec4<u32>(n - 1u))) * ROW + vec4<u32>(3u * D + h);
      work[w + WLR + c] = select(vec4<f32>(), vec4<f32>(xs[x.x], xs[x.y], xs[x.z], xs[x.w]), i < vec4<u32>(n));
    }
    storageBarrier();
    let fresh = code(row0, at) == 0u;  // the state before is theta's
    var start = 0u;
    if (back) {
      stop = at;
    } else {
      at += n;
      if (code(row0, at) == 0u) {
        for (var v = lane; v < S4 * one; v += WG) { work[st + S4 + v] = initial(h, v); }
        start = 4u;
      } else {
        for (var v = lane; v < S4 * one; v += WG) { work[st + S4 + v] = work[st + v]; }
      }
      storageBarrier();
    }
    for (var phase = start; phase < select(4u, 14u, back); phase += select(1u, 2u, back && phase == 2u)) {
      for (var p = firstProduct(phase); p < firstProduct(phase + 1u); p++) { mm(lane, product(p, w, st, select(0u, kp, back))); }
      // Columns.
      if (phase == 3u || phase == 13u) {
        // Biases of the hidden layer: b1 - sum D G1, or db1' + sum dZ1 + dZb1.
        let g = w + select(WH2, WG1, phase == 3u);
        let o = select(db1, b1 + S4, phase == 3u);
        for (var c = lane; c < e4; c += WG) {
          var s = vec4<f32>();
          for (var i = 0u; i < select(2u * kp, kp, phase == 3u); i++) { s += work[g + i * E4 + c]; }
          work[o + c] += select(s, -s, vec4<bool>(phase == 3u));
        }
      }
      if (phase == 3u) {
        for (var c = lane; c < f4; c += WG) {
          var s = vec4<f32>();
          for (var i = 0u; i < kp; i++) { s += work[w + WG2 + i * F4 + c]; }
          work[b2 + S4 + c] -= s;
        }
      } else if (phase == 10u) {
        // The rates' gradients.
        for (var c = lane; c < k4; c += WG) {
          var s = vec4<f32>();
          for (var i = 0u; i < kp; i++) { s += rate(i) * work[w + WA1 + i * K4 + c]; }
          let o = w + WSD + 4u * c;
          s += last * vec4<f32>(work[o].y, work[o + 1u].y, work[o + 2u].y, work[o + 3u].y);
          let m = select(0u, n - 4u * c, 4u * c < n);
          let x = (first + 4u * c) * ROW + 3u * D + h;
          if (m > 0u) { addDxs(x, s.x); }
          if (m > 1u) { addDxs(x + ROW, s.y); }
          if (m > 2u) { addDxs(x + 2u * ROW, s.z); }
          if (m > 3u) { addDxs(x + 3u * ROW, s.w); }
        }
        for (var i = lane; i < n; i += WG) {
          var s = vec4<f32>();
          for (var c = 0u; c < k4; c++) {
            let o = w + WSD + 4u * c;
            let dd = vec4<f32>(work[o].y, work[o + 1u].y, work[o + 2u].y, work[o + 3u].y);
            s += work[w + WLR + c] * (work[w + WA1 + i * K4 + c] + select(0.0, 1.0, i == n - 1u) * dd);
          }
          dpart[dtok + i] += sum(s);
        }
      } else if (phase == 12u) {
        for (var c = lane; c < f4; c += WG) {
          let gm = work[w + WGA + c];
          var sb = vec4<f32>();
          var sg = work[w + WDGA + c];
          var su = work[w + WDBE + c];
          for (var i = 0u; i < kp; i++) {
            let e = w + i * F4 + c;
            let xh = work[e + WX];
            let du = work[e + WDU];  // 0 past the end
            let v = work[e + WDO];
            sb += work[e + WZB] + work[e + WP2];
            sg += v * work[e + WZ] + du * (2.0 * gm * xh + work[e + WY]);
            su += v + du * gm;
          }
          work[db2 + c] += sb;
          work[w + WDGA + c] = sg;
          work[w + WDBE + c] = su;
        }
      }
      storageBarrier();
      // Elements of [KP,E] arrays.
      if (phase == 0u || phase == 2u || phase == 4u) {
        let z = w + select(WZ1, WZB1, phase == 4u);
        for (var e = lane; e < kp * E4; e += WG) {
          var v = work[z + e];
          if (phase == 0u) {
            v += work[b1 + e % E4];
            work[z + e] = v;
            work[w + WX2 + e] = gelu(v);
          } else if (phase == 2u) {
            let g = slope(v);
            let y = work[w + WH2 + e];
            work[w + WG1 + e] = y * g;
            work[w + WH2 + e] = y * curve(v);
            work[z + e] = g;
          } else {
            v += work[b1 + e % E4];
            work[w + WXB + e] = gelu(v);
            work[z + e] = slope(v);
          }
        }
      } else if (phase == 8u || phase == 10u || phase == 12u) {
        for (var e = lane; e < kp * E4; e += WG) {
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
        for (var e = lane; e < kp * PARTS; e += WG) {
          let i = e / PARTS;
          let di = -last * work[w + WLR + i / 4u][i % 4u];
          var s = vec4<f32>();
          for (var c = e % PARTS; c < e4; c += PARTS) {
            let o = w + i * E4 + c;
            let v = work[o + WP1] + work[db1 + c];
            s += v * work[o + WG1];
            work[o + WP1] = di * v;
            work[o + WDX] *= di;
          }
          for (var c = e % PARTS; c < f4; c += PARTS) {
            let o = w + i * F4 + c;
            let v = work[o + WP2] + work[db2 + c];
            s += v * work[o + WG2];
            work[o + WP2] = di * v;
            work[o + WDK] *= di;
          }
          work[w + WPD + e] = -s;
        }
      }
      // Elements of [KP,KP] arrays.
      if (phase == 0u || phase == 5u || phase == 7u || phase == 9u) {
        let a = w + select(WA1, WA2, phase == 5u || phase == 7u);
        for (var e = lane; e < kp * K4; e += WG) {
          let i = e / K4;
          let c = e % K4;
          let rl = etas(i, c, work[w + WLR + c], rate(i));
          if (phase == 0u || phase == 5u) {
            let v = 1.0 + work[a + e];
            work[a + e] = v;
            work[w + select(WM1, WM2, phase == 5u) + e] = rl * v;
          } else {
            let r = work[w + WR + e];
            work[w + WR + e] = select(0.0, 1.0, i < n) * rl * r;
            var de = etas(i, c, existing(4u * c, n), select(0.0, 1.0, i < n)) * r * work[a + e];
            if (phase == 9u) { de += work[w + WA2 + e]; }
            work[a + e] = de;
          }
        }
      }
      if (phase == 13u) {
        for (var e = lane; e < n * F4; e += WG) {
          let c = e % F4;
          let x = (first + e / F4) * ROW + h * F;
          let dt = -work[w + WDU + e] * work[w + WGA + c];
          toDxs(x, c, work[w + WDO + e] + work[w + WDQ + e]);
          toDxs(x + D, c, work[w + WDK + e] - dt);
          toDxs(x + 2u * D, c, dt);
        }
      }
      // Rows of [KP,FP] arrays.
      if (phase == 1u || phase == 6u || phase == 8u || phase == 11u) {
        for (var i = lane; i < kp; i += WG) {
          let o = w + i * F4;
          if (phase == 8u) {
            var s = vec4<f32>();
            for (var c = 0u; c < PARTS * one; c++) { s += work[w + WPD + i * PARTS + c]; }
            work[w + WSD + i].y = sum(s);
          } else if (phase == 11u) {
            // From dG2 through the inner loss, second order, to dZ2 (left in the place of dG2) and du.
            let sd = work[w + WSD + i].x;
            var cc4 = vec4<f32>();
            var p4 = vec4<f32>();
            var mdg4 = vec4<f32>();
            var dgg = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let xh = work[o + WX + c];
              let gm = work[w + WGA + c];
              let dg = work[o + WP2 + c];
              cc4 += gm * (gm * xh + work[o + WY + c]) * xh;
              p4 += dg * xh;
              mdg4 += dg;
              dgg += dg * work[o + WG2 + c];
            }
            let cc = sum(cc4) / f32(F);
            let p = sum(p4) / f32(F);
            let mdg = sum(mdg4) / f32(F);
            let ds = -sum(dgg) / sd;
            var m4 = vec4<f32>();
            var mx4 = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let xh = work[o + WX + c];
              let gm = work[w + WGA + c];
              let dg = work[o + WP2 + c];
              let du = (dg - mdg - xh * p) / sd;
              let dx = gm * gm * du - (dg * cc + gm * (gm * xh + work[o + WY + c]) * p) / sd;
              work[o + WDU + c] = du;
              work[o + WP2 + c] = dx;
              m4 += dx;
              mx4 += dx * xh;
            }
            let m = sum(m4) / f32(F);
            let mx = sum(mx4) / f32(F);
            for (var c = 0u; c < f4; c++) {
              let xh = work[o + WX + c];
              work[o + WP2 + c] = keep((work[o + WP2 + c] - m - xh * mx) / sd + ds * xh / f32(F), c);
            }
          } else {
            // Through a LayerNorm: Z2 to G2, or Zb2 and dOut to dZb2.
            let inner = phase == 1u;
            let z = o + select(WZ, WX, inner);
            let g = o + select(WZB, WG2, inner);
            let y = o + select(WDO, WY, inner);
            var s4 = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let v = work[z + c] + work[b2 + c];
              work[z + c] = v;
              s4 += v;
            }
            let mean = sum(s4) / f32(F);
            s4 = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let v = keep(work[z + c] - mean, c);
              s4 += v * v;
            }
            let sd = sqrt(sum(s4) / f32(F) + EPS);
            if (inner) { work[w + WSD + i] = vec4<f32>(sd); }
            var mu = vec4<f32>();
            var mux = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let xh = (work[z + c] - mean) / sd;
              let gm = work[w + WGA + c];
              let u = gm * (select(0.0, 1.0, inner) * gm * xh + work[y + c]);
              work[z + c] = xh;
              work[g + c] = u;
              mu += u;
              mux += u * xh;
            }
            let m = sum(mu) / f32(F);
            let mx = sum(mux) / f32(F);
            let di = last * work[w + WLR + i / 4u][i % 4u];
            let scale = select(di, 1.0, back) / sd;  // D G where the state is only stepped
            for (var c = 0u; c < f4; c++) { work[g + c] = keep((work[g + c] - m - work[z + c] * mx) * scale, c); }
          }
        }
      }
      storageBarrier();
    }
    // What came before a document's first token is another document's.
    if (back && fresh) {
      for (var v = lane; v < S4 * one; v += WG) {
        let o = dp + place(v);
        let m = held(v);
        let x = work[w + WDW + v];
        if (m > 0u) { dpart[o] += x.x; }
        if (m > 1u) { dpart[o + 1u] += x.y; }
        if (m > 2u) { dpart[o + 2u] += x.z; }
        if (m > 3u) { dpart[o + 3u] += x.w; }
        work[w + WDW + v] = vec4<f32>();
      }
      storageBarrier();
    }
    step++;
    if (step == 2u * len - 1u) {
      step = 0u;
      seg--;
    }
  }
  if (lane == 0u) { work[w + WAT] = vec4<f32>(f32(stop), f32(seg), f32(step), f32(at)); }
  for (var c = lane; c < f4; c += WG) {
    toPart(dgamma + 4u * c, words(c), work[w + WDGA + c]);
    toPart(dbeta + 4u * c, words(c), work[w + WDBE + c]);
  }
}
