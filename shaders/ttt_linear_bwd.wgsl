// The TTT-Linear scan, backward. One workgroup walks one head of one sequence from its end; the states before each
// mini-batch are recomputed from the forward pass's checkpoints, G mini-batches at a time. With a prime for what
// arrives from the next mini-batch (formulas and names: ttt/linear_ref.go):
//   dZb = LN backward of dOut;  R = -(dZb Gᵀ);  dA = R*E;  dE = R*(1 + Q Kxᵀ);  P = Kx dW' + db'
//   dQ = dOut + dZb Wᵀ + dA Kx;  dG = -Mᵀ dZb - D P;  dD = -rowsum(P*G);  dZ, dT from dG (second order)
//   dK = dAᵀ Q - D (G dW'ᵀ) + dZ Wᵀ - dT;  dV = dT;  dW = dW' + Qᵀ dZb + Kxᵀ dZ
// dpart holds, for each head of each sequence, dW0, db0, dgamma, dbeta and the gradient of the token rates.
// A mini-batch is a loop over phases, each some products and then some work on rows, so that the product's code is
// compiled once: phases 0 and 1 step a state forward, 2 to 6 are the backward pass. What work holds is padded by zeros to
// whole vec4: KP tokens, FP channels; arrays that stand in one product lie one after the other, as (Kx, Q), (Z, Zb),
// (dZ, dZb) and (dK, dQ).
// reference: ttt/linear_ref.go linearBwd
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
override TM: u32 = 8u;  // rows of a product that an invocation makes at a time: 4 or 8
override TN: u32 = 8u;  // and columns
override SP: u32 = 5u;  // segments of G mini-batches a dispatch
override ACC_DXS: bool = true;
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> ckpt: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dxs: array<f32>;
@group(0) @binding(6) var<storage, read_write> dpart: array<f32>;
@group(0) @binding(7) var<storage, read_write> work: array<vec4<f32>>;

override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override FF: u32 = F * F;
override STATE: u32 = F * F + F;
override SLOTS: u32 = (NB + G - 1u) / G;
override F4: u32 = (F + 3u) / 4u;
override FP: u32 = 4u * F4;
override K4: u32 = (K + 3u) / 4u;
override KP: u32 = 4u * K4;
override KF: u32 = KP * F4;
override KK: u32 = KP * K4;
override S4: u32 = (FP + 1u) * F4;  // of a state: W, then b as one more row
// Parts of a workgroup's work, in vec4.
override WK: u32 = 0u * KF;
override WQ: u32 = KF;
override WX: u32 = 2u * KF;   // Z, its normalised form
override WZ: u32 = 3u * KF;   // Zb, its normalised form
override WDG: u32 = 4u * KF;  // dG, dZ
override WZB: u32 = 5u * KF;  // dZb
override WDK: u32 = 6u * KF;
override WDQ: u32 = 7u * KF;
override WGR: u32 = 8u * KF;  // G
override WP: u32 = 9u * KF;   // P, du
override WY: u32 = 10u * KF;  // beta - (V - Kx)
override WDO: u32 = 11u * KF; // dOut, zeros past the mini-batch's end
override WA: u32 = 12u * KF;  // 1 + Q Kxᵀ, then dE
override WM: u32 = WA + KK;
override WR: u32 = WM + KK;   // R, then dA
override WLR: u32 = WR + KK;  // lr, zeros past the mini-batch's end
override WSD: u32 = WLR + K4;   // of each token: s, dD
override WGA: u32 = WSD + KP;   // gamma
override WBE: u32 = WGA + F4;   // beta
override WDGA: u32 = WBE + F4;  // their gradients
override WDBE: u32 = WDGA + F4;
override WAT: u32 = WDBE + F4;  // where the next dispatch goes on: token, segments left
override WDW: u32 = WAT + 1u;   // dW', db'
override WS: u32 = WDW + S4;    // states
override WORK: u32 = WS + G * S4;

// F4, FP and so on, as values that the compiler does not know: with constant bounds some unroll every loop, and compile
// for minutes.
var<private> f4: u32;
var<private> fp: u32;
var<private> k4: u32;
var<private> kp: u32;
var<workgroup> resumeStop: u32;  // where this dispatch goes on: the segment's end, and its number
var<workgroup> resumeSeg: u32;

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

// Vec4 v of a state is row v / F4 of W, or b; place is the first of its words in a state without padding, held how many
// they are.
fn place(v: u32) -> u32 {
  if (F % 4u == 0u) { return 4u * v; }
  return min(v / F4, F) * F + 4u * (v % F4);
}
fn held(v: u32) -> u32 {
  if (F % 4u == 0u) { return 4u; }
  let r = v / F4;
  return select(0u, words(v % F4), r < F || r == FP);
}

// initial is vec4 v of head h's learned start.
fn initial(h: u32, v: u32) -> vec4<f32> {
  let r = v / F4;
  let x = fromTheta(select(h * FF + min(r, F - 1u) * F, OB + h * F, r == FP), v % F4);
  return select(vec4<f32>(), x, vec4<bool>(held(v) > 0u));
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
    case 1u: { return 1u; }
    case 2u: { return 2u; }
    case 3u: { return 4u; }
    case 4u: { return 5u; }
    case 5u: { return 8u; }
    case 6u: { return 11u; }
    default: { return 13u; }
  }
}

// product is product p, with the state before the mini-batch at st.
fn product(p: u32, w: u32, st: u32) -> Product {
  let k2 = 2u * kp;
  switch p {
    case 0u: { return Product(w + WX, w + WK, F4, false, st, F4, true, kp, f4, f4, 0.0, 1.0); }            // Kx W
    case 1u: { return Product(st + S4, w + WK, F4, true, w + WGR, F4, true, fp, f4, k4, 1.0, -1.0); }      // W - Kxᵀ D G
    case 2u: { return Product(w + WX, w + WK, F4, false, st, F4, true, k2, f4, f4, 0.0, 1.0); }            // (Kx, Q) W
    case 3u: { return Product(w + WA, w + WQ, F4, false, w + WK, F4, false, kp, k4, f4, 0.0, 1.0); }       // Q Kxᵀ
    case 4u: { return Product(w + WZ, w + WM, K4, false, w + WGR, F4, true, kp, f4, k4, 1.0, -1.0); }      // - M G
    case 5u: { return Product(w + WR, w + WZB, F4, false, w + WGR, F4, false, kp, k4, f4, 0.0, -1.0); }    // R
    case 6u: { return Product(w + WP, w + WK, F4, false, w + WDW, F4, true, kp, f4, f4, 0.0, 1.0); }       // Kx dW'
    case 7u: { return Product(w + WDK, w + WGR, F4, false, w + WDW, F4, false, kp, f4, f4, 0.0, 1.0); }    // G dW'ᵀ
    case 8u: { return Product(w + WDK, w + WR, K4, true, w + WQ, F4, true, kp, f4, k4, 1.0, 1.0); }        // + dAᵀ Q
    case 9u: { return Product(w + WDG, w + WM, K4, true, w + WZB, F4, true, kp, f4, k4, 0.0, -1.0); }      // - Mᵀ dZb
    case 10u: { return Product(w + WDQ, w + WR, K4, false, w + WK, F4, true, kp, f4, k4, 0.0, 1.0); }      // dA Kx
    case 11u: { return Product(w + WDK, w + WDG, F4, false, st, F4, false, k2, f4, f4, 1.0, 1.0); }        // + (dZ, dZb) Wᵀ
    default: { return Product(w + WDW, w + WK, F4, true, w + WDG, F4, true, fp, f4, 2u * k4, 1.0, 1.0); }  // + (Kx, Q)ᵀ (dZ, dZb)
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);
  f4 = F4 * one;
  fp = FP * one;
  k4 = K4 * one;
  kp = KP * one;
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch walks SP segments, how many there are along x says which
  let part = nwg.x - 1u;
  let bh = wg.z * nwg.y + wg.y;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let dp = bh * (FF + 3u * F + K);
  let dgamma = dp + STATE;
  let dbeta = dgamma + F;
  let dtok = dbeta + F;
  let row0 = (bh / H) * L;
  var batches = 0u;
  for (var e = L; e > 0u; e = begin(row0, e)) { batches++; }
  if (part == 0u) {
    for (var v = lane; v < S4 * one; v += WG) { work[w + WDW + v] = vec4<f32>(); }
    for (var c = lane; c < f4; c += WG) {
      work[w + WGA + c] = fromTheta(OG + h * F, c);
      work[w + WBE + c] = fromTheta(OT + h * F, c);
      work[w + WDGA + c] = vec4<f32>();
      work[w + WDBE + c] = vec4<f32>();
    }
    for (var e = lane; e < (STATE + 2u * F + K) * one; e += WG) { dpart[dp + e] = 0.0; }
  }
  if (lane == 0u) {
    resumeStop = L;
    resumeSeg = (batches + G - 1u) / G;
    if (part > 0u) {
      resumeStop = u32(work[w + WAT].x);
      resumeSeg = u32(work[w + WAT].y);
    }
  }
  storageBarrier();
  var stop = workgroupUniformLoad(&resumeStop);  // where the segment's last mini-batch ends
  var seg = workgroupUniformLoad(&resumeSeg);
  for (var s = 0u; s < SP && seg > 0u; s++) {
    let t0 = (seg - 1u) * G;
    let len = min(G, batches - t0);
    let c0 = (bh * SLOTS + seg - 1u) * STATE;
    var at = stop;
    for (var i = 0u; i < len; i++) { at = begin(row0, at); }
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
    // First forward over all mini-batches of the segment but the last, then backward over all.
    for (var j = 0u; j < 2u * len - 1u; j++) {
      let back = j >= len - 1u;
      let ts = select(j, 2u * len - 2u - j, back);
      let st = w + WS + ts * S4;
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
      var start = select(0u, 2u, back);
      if (back) {
        stop = at;
      } else {
        at += n;
        if (code(row0, at) == 0u) {
          for (var v = lane; v < S4 * one; v += WG) { work[st + S4 + v] = initial(h, v); }
          start = 2u;
        } else {
          for (var v = lane; v < S4 * one; v += WG) { work[st + S4 + v] = work[st + v]; }
        }
        storageBarrier();
      }
      for (var phase = start; phase < select(2u, 7u, back); phase++) {
        for (var p = firstProduct(phase); p < firstProduct(phase + 1u); p++) { mm(lane, product(p, w, st)); }
        if (phase == 1u) {
          for (var c = lane; c < f4; c += WG) {
            var s = vec4<f32>();
            for (var i = 0u; i < kp; i++) { s += work[w + WGR + i * F4 + c]; }
            work[st + S4 + FP * F4 + c] -= s;
          }
        } else if (phase == 6u) {
          for (var c = lane; c < f4; c += WG) {
            let gm = work[w + WGA + c];
            var sb = vec4<f32>();
            var sg = work[w + WDGA + c];
            var su = work[w + WDBE + c];
            for (var i = 0u; i < kp; i++) {
              let e = w + i * F4 + c;
              let xh = work[e + WX];
              let du = work[e + WP];  // 0 past the end
              let v = work[e + WDO];
              sb += work[e + WZB] + work[e + WDG];
              sg += v * work[e + WZ] + du * (2.0 * gm * xh + work[e + WY]);
              su += v + du * gm;
            }
            work[w + WDW + FP * F4 + c] += sb;
            work[w + WDGA + c] = sg;
            work[w + WDBE + c] = su;
          }
        } else if (phase == 5u) {
          for (var c = lane; c < k4; c += WG) {
            var s = vec4<f32>();
            for (var i = 0u; i < kp; i++) { s += rate(i) * work[w + WA + i * K4 + c]; }
            let o = w + WSD + 4u * c;
            s += last * vec4<f32>(work[o].y, work[o + 1u].y, work[o + 2u].y, work[o + 3u].y);
            let m = select(0u, n - 4u * c, 4u * c < n);
            let x = (first + 4u * c) * ROW + 3u * D + h;
            if (m > 0u) { addDxs(x, s.x); }
            if (m > 1u) { addDxs(x + ROW, s.y); }
            if (m > 2u) { addDxs(x + 2u * ROW, s.z); }
            if (m > 3u) { addDxs(x + 3u * ROW, s.w); }
          }
          if (lane == 0u) {
            var s = vec4<f32>();
            for (var c = 0u; c < k4; c++) {
              let o = w + WSD + 4u * c;
              s += work[w + WLR + c] * vec4<f32>(work[o].y, work[o + 1u].y, work[o + 2u].y, work[o + 3u].y);
            }
            dpart[dtok + n - 1u] += sum(s);
          }
        }
        storageBarrier();
        for (var i = lane; i < select(0u, kp, phase != 1u && phase != 6u); i += WG) {
          let o = w + i * F4;
          let di = last * work[w + WLR + i / 4u][i % 4u];
          if (phase == 0u || phase == 2u || phase == 3u) {
            // Through a LayerNorm: Z to G, or Zb and dOut to dZb.
            let inner = phase != 3u;
            let z = o + select(WZ, WX, inner);
            let g = o + select(WZB, WGR, inner);
            let y = o + select(WDO, WY, inner);
            let bias = st + FP * F4;
            var s4 = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let v = work[z + c] + work[bias + c];
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
            let scale = select(1.0, di, phase == 0u) / sd;  // D G where the state is only stepped
            for (var c = 0u; c < f4; c++) { work[g + c] = keep((work[g + c] - m - work[z + c] * mx) * scale, c); }
            if (phase == 2u) {
              let ti = rate(i);
              for (var c = 0u; c < k4; c++) {
                let e = w + i * K4 + c;
                let a = 1.0 + work[e + WA];
                work[e + WA] = a;
                work[e + WM] = etas(i, c, work[w + WLR + c], ti) * a;
              }
            }
          } else if (phase == 4u) {
            let ti = rate(i);
            let on = select(0.0, 1.0, i < n);
            var dti = vec4<f32>();
            for (var c = 0u; c < k4; c++) {
              let e = w + i * K4 + c;
              let lr = on * work[w + WLR + c];
              let r = work[e + WR];
              let de = etas(i, c, existing(4u * c, n), on) * r * work[e + WA];
              work[e + WR] = etas(i, c, lr, ti) * r;
              work[e + WA] = de;
              dti += de * lr;
            }
            if (i < n) { dpart[dtok + i] += sum(dti); }
            var s = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let p = work[o + WP + c] + work[w + WDW + FP * F4 + c];
              work[o + WP + c] = p;
              s += p * work[o + WGR + c];
              work[o + WDK + c] *= -di;
            }
            work[w + WSD + i].y = -sum(s);
          } else {
            // From dG through the inner loss, second order, to dZ (left in the place of dG) and du (in that of P).
            let sd = work[w + WSD + i].x;
            var cc4 = vec4<f32>();
            var p4 = vec4<f32>();
            var mdg4 = vec4<f32>();
            var dgg = vec4<f32>();
            for (var c = 0u; c < f4; c++) {
              let xh = work[o + WX + c];
              let gm = work[w + WGA + c];
              let dg = work[o + WDG + c] - di * work[o + WP + c];
              work[o + WDG + c] = dg;
              cc4 += gm * (gm * xh + work[o + WY + c]) * xh;
              p4 += dg * xh;
              mdg4 += dg;
              dgg += dg * work[o + WGR + c];
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
              let dg = work[o + WDG + c];
              let du = (dg - mdg - xh * p) / sd;
              let dx = gm * gm * du - (dg * cc + gm * (gm * xh + work[o + WY + c]) * p) / sd;
              work[o + WP + c] = du;
              work[o + WDG + c] = dx;
              m4 += dx;
              mx4 += dx * xh;
            }
            let m = sum(m4) / f32(F);
            let mx = sum(mx4) / f32(F);
            for (var c = 0u; c < f4; c++) {
              let xh = work[o + WX + c];
              work[o + WDG + c] = keep((work[o + WDG + c] - m - xh * mx) / sd + ds * xh / f32(F), c);
            }
          }
        }
        if (phase == 6u) {
          for (var e = lane; e < n * F4; e += WG) {
            let i = e / F4;
            let c = e % F4;
            let x = (first + i) * ROW + h * F;
            let dt = -work[w + WP + e] * work[w + WGA + c];
            toDxs(x, c, work[w + WDO + e] + work[w + WDQ + e]);
            toDxs(x + D, c, work[w + WDK + e] - dt);
            toDxs(x + 2u * D, c, dt);
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
    }
    seg--;
  }
  if (lane == 0u) { work[w + WAT] = vec4<f32>(f32(stop), f32(seg), 0.0, 0.0); }
  for (var c = lane; c < f4; c += WG) {
    toPart(dgamma + 4u * c, words(c), work[w + WDGA + c]);
    toPart(dbeta + 4u * c, words(c), work[w + WDBE + c]);
  }
}
