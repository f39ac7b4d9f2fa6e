// The TTT-Linear scan, forward (Sun et al. 2024, dual form). One workgroup walks one head of one sequence:
//   Z = Kx W + b;  G = d/dZ of 1/2 |LN(Z) - (V - Kx)|²;  M = E * (1 + Q Kxᵀ);  Zb = Q W + b - M G
//   out = Q + LN(Zb);  W -= Kxᵀ D G;  b -= sum D G,  with eta_ij = tok_i lr_j, tok_i = 1/K where FLATRATES,
//   E = tril(eta), eta itself where NONCAUSAL, and D = diag of eta's last row.
// Rows past the end of a short mini-batch have lr 0, so that they change nothing. The state starts anew from theta at
// a document's first token; a row that begins inside a document goes on from state, where every row leaves its own. A
// mini-batch is a loop over phases, each some products and then some work on rows, so that the product's code is
// compiled once. What work holds is padded by zeros to whole vec4: KP tokens, FP channels.
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
override TM: u32 = 8u;  // rows of a product that an invocation makes at a time: 4 or 8
override TN: u32 = 8u;  // and columns
override MP: u32 = 5u;  // mini-batches a dispatch
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> ckpt: array<f32>;
@group(0) @binding(5) var<storage, read_write> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> work: array<vec4<f32>>;

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
override S4: u32 = (FP + 1u) * F4;  // of a state: W, then b as one more row
// Parts of a workgroup's work, in vec4.
override WK: u32 = 0u * KF;
override WQ: u32 = KF;
override WZ: u32 = 2u * KF;   // Z, xhat
override WZB: u32 = 3u * KF;  // Zb
override WGR: u32 = 4u * KF;  // G
override WY: u32 = 5u * KF;   // beta - (V - Kx)
override WM: u32 = 6u * KF;
override WLR: u32 = WM + KP * K4;  // lr
override WGA: u32 = WLR + K4;      // gamma
override WBE: u32 = WGA + F4;      // beta
override WAT: u32 = WBE + F4;      // the token where the next dispatch goes on
override WS: u32 = WAT + 1u;
override WORK: u32 = WS + S4;

// F4, FP and so on, as values that the compiler does not know: with constant bounds some unroll every loop, and compile
// for minutes.
var<private> f4: u32;
var<private> fp: u32;
var<private> k4: u32;
var<private> kp: u32;
var<workgroup> resume: u32;  // the token where this dispatch goes on

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

// product is product p of the mini-batch.
fn product(p: u32, w: u32) -> Product {
  switch p {
    case 0u: { return Product(w + WZ, w + WK, F4, false, w + WS, F4, true, 2u * kp, f4, f4, 0.0, 1.0); }  // (Kx, Q) W
    case 1u: { return Product(w + WM, w + WQ, F4, false, w + WK, F4, false, kp, k4, f4, 0.0, 1.0); }      // Q Kxᵀ
    case 2u: { return Product(w + WZB, w + WM, K4, false, w + WGR, F4, true, kp, f4, k4, 1.0, -1.0); }    // - M G
    default: { return Product(w + WS, w + WK, F4, true, w + WGR, F4, true, fp, f4, k4, 1.0, -1.0); }      // W - Kxᵀ D G
  }
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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);
  f4 = F4 * one;
  fp = FP * one;
  k4 = K4 * one;
  kp = KP * one;
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch walks MP mini-batches, how many there are along x says which
  let part = nwg.x - 1u;
  let bh = wg.z * nwg.y + wg.y;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let bias = w + WS + FP * F4;
  let row0 = (bh / H) * L;
  if (part == 0u) {
    for (var c = lane; c < f4; c += WG) {
      work[w + WGA + c] = fromTheta(OG + h * F, c);
      work[w + WBE + c] = fromTheta(OT + h * F, c);
    }
    storageBarrier();
  }
  if (lane == 0u) {
    resume = 0u;
    if (part > 0u) { resume = u32(work[w + WAT].x); }
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
    if (code(row0, at) == 0u) {
      for (var v = lane; v < S4 * one; v += WG) {
        work[w + WS + v] = initial(h, v);
      }
    } else if (at == 0u) {
      for (var v = lane; v < S4 * one; v += WG) {
        let o = bh * STATE + place(v);
        let m = held(v);
        var x = vec4<f32>();
        if (m > 0u) { x.x = state[o]; }
        if (m > 1u) { x.y = state[o + 1u]; }
        if (m > 2u) { x.z = state[o + 2u]; }
        if (m > 3u) { x.w = state[o + 3u]; }
        work[w + WS + v] = x;
      }
    }
    at += n;
    for (var e = lane; e < kp * F4; e += WG) {
      let c = e % F4;
      let x = (first + min(e / F4, n - 1u)) * ROW + h * F;
      let k = fromXs(x + D, c);
      work[w + WQ + e] = fromXs(x, c);
      work[w + WK + e] = k;
      work[w + WY + e] = work[w + WBE + c] - (fromXs(x + 2u * D, c) - k);
    }
    for (var c = lane; c < k4; c += WG) {
      let i = vec4<u32>(4u * c) + vec4<u32>(0u, 1u, 2u, 3u);
      let x = (vec4<u32>(first) + min(i, vec4<u32>(n - 1u))) * ROW + vec4<u32>(3u * D + h);
      work[w + WLR + c] = select(vec4<f32>(), vec4<f32>(xs[x.x], xs[x.y], xs[x.z], xs[x.w]), i < vec4<u32>(n));
    }
    storageBarrier();
    if (t % G == 0u) {
      for (var v = lane; v < S4 * one; v += WG) {
        let x = work[w + WS + v];
        let o = ck + place(v);
        let m = held(v);
        if (m > 0u) { ckpt[o] = x.x; }
        if (m > 1u) { ckpt[o + 1u] = x.y; }
        if (m > 2u) { ckpt[o + 2u] = x.z; }
        if (m > 3u) { ckpt[o + 3u] = x.w; }
      }
    }
    for (var phase = 0u; phase < 3u * one; phase++) {
      for (var p = (phase * 3u + 1u) / 2u; p < phase + 2u; p++) { mm(lane, product(p, w)); }
      if (phase == 2u) {
        for (var c = lane; c < f4; c += WG) {
          var s = vec4<f32>();
          for (var i = 0u; i < kp; i++) { s += work[w + WGR + i * F4 + c]; }
          work[bias + c] -= s;
        }
      }
      storageBarrier();
      for (var i = lane; i < select(0u, kp, phase < 2u); i += WG) {
        // Z, or Zb, through its LayerNorm.
        let z = w + select(WZB, WZ, phase == 0u) + i * F4;
        let g = w + WGR + i * F4;
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
        if (phase == 0u) {
          var mu = vec4<f32>();
          var mux = vec4<f32>();
          for (var c = 0u; c < f4; c++) {
            let xh = (work[z + c] - mean) / sd;
            let gm = work[w + WGA + c];
            let u = gm * (gm * xh + work[w + WY + i * F4 + c]);
            work[z + c] = xh;
            work[g + c] = u;
            mu += u;
            mux += u * xh;
          }
          let m = sum(mu) / f32(F);
          let mx = sum(mux) / f32(F);
          for (var c = 0u; c < f4; c++) { work[g + c] = keep((work[g + c] - m - work[z + c] * mx) / sd, c); }
          let ti = rate(i);
          for (var c = 0u; c < k4; c++) {
            let e = w + WM + i * K4 + c;
            work[e] = etas(i, c, work[w + WLR + c], ti) * (1.0 + work[e]);
          }
        } else {
          let on = i < n;
          // From here on G holds D G.
          let di = select(0.0, rate(n - 1u) * xs[(first + min(i, n - 1u)) * ROW + 3u * D + h], on);
          let o = (first + min(i, n - 1u)) * D + h * F;
          for (var c = 0u; c < f4; c++) {
            let y = work[w + WQ + i * F4 + c] + work[w + WGA + c] * ((work[z + c] - mean) / sd) + work[w + WBE + c];
            work[g + c] *= di;
            if (on) {
              out[o + 4u * c] = y.x;
              if (words(c) > 1u) { out[o + 4u * c + 1u] = y.y; }
              if (words(c) > 2u) { out[o + 4u * c + 2u] = y.z; }
              if (words(c) > 3u) { out[o + 4u * c + 3u] = y.w; }
            }
          }
        }
      }
      storageBarrier();
    }
  }
  if (lane == 0u) { work[w + WAT] = vec4<f32>(f32(at)); }
  if (begun >= L || at < L) { return; }
  for (var v = lane; v < S4 * one; v += WG) {
    let x = work[w + WS + v];
    let o = bh * STATE + place(v);
    let m = held(v);
    if (m > 0u) { state[o] = x.x; }
    if (m > 1u) { state[o + 1u] = x.y; }
    if (m > 2u) { state[o + 2u] = x.z; }
    if (m > 3u) { state[o + 3u] = x.w; }
  }
}
