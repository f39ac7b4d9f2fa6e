// The TTT-Linear scan, backward. One workgroup walks one head of one sequence from its end; the states before each
// mini-batch are recomputed from the forward pass's checkpoints, G mini-batches at a time. With a prime for what
// arrives from the next mini-batch (formulas and names: ttt/linear_ref.go):
//   dZb = LN backward of dOut;  R = -(dZb Gᵀ);  dA = R*E;  dE = R*(1 + Q Kxᵀ);  P = Kx dW' + db'
//   dQ = dOut + dZb Wᵀ + dA Kx;  dG = -Mᵀ dZb - D P;  dD = -rowsum(P*G);  dZ, dT from dG (second order)
//   dK = dAᵀ Q - D (G dW'ᵀ) + dZ Wᵀ - dT;  dV = dT;  dW = dW' + Qᵀ dZb + Kxᵀ dZ
// dpart holds, for each head of each sequence, dW0, db0, dgamma, dbeta and the gradient of the token rates.
// A mini-batch is a loop over phases, each some products and then some work on rows, so that the product's code is
// compiled once: phases 0 and 1 step a state forward, 2 to 6 are the backward pass.
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
override SP: u32 = 5u;  // segments of G mini-batches a dispatch
override ACC_DXS: bool = true;
@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> ckpt: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dxs: array<f32>;
@group(0) @binding(6) var<storage, read_write> dpart: array<f32>;
@group(0) @binding(7) var<storage, read_write> work: array<f32>;

override D: u32 = H * F;
override ROW: u32 = 3u * H * F + H + 1u;
override FF: u32 = F * F;
override STATE: u32 = F * F + F;
override SLOTS: u32 = (NB + G - 1u) / G;
// Parts of a workgroup's work; its states begin at WS, dW' and db' at WDW.
override WK: u32 = 0u * K;
override WQ: u32 = K * F;
override WX: u32 = 2u * K * F;
override WGR: u32 = 3u * K * F;  // G
override WZ: u32 = 4u * K * F;   // Zb, its normalised form, dQ
override WZB: u32 = 5u * K * F;  // dZb
override WDG: u32 = 6u * K * F;  // dG, dZ
override WP: u32 = 7u * K * F;   // P, du
override WDK: u32 = 8u * K * F;
override WA: u32 = 9u * K * F;   // 1 + Q Kxᵀ, then dE
override WM: u32 = 9u * K * F + K * K;
override WR: u32 = 9u * K * F + 2u * K * K;  // R, then dA
override WSD: u32 = 9u * K * F + 3u * K * K;  // s
override WDD: u32 = 9u * K * F + 3u * K * K + K;  // dD
override WAT: u32 = 9u * K * F + 3u * K * K + 2u * K;  // where the next dispatch goes on: token, segments left
override WS: u32 = 9u * K * F + 3u * K * K + 4u * K + F;
override WDW: u32 = WS + G * (F * F + F);
override WORK: u32 = WDW + F * F + F;

// F and K, as values that the compiler does not know: with constant bounds some unroll every loop, and compile for
// minutes.
var<private> fr: u32;
var<private> kr: u32;
var<workgroup> resumeStop: u32;  // where this dispatch goes on: the segment's end, and its number
var<workgroup> resumeSeg: u32;

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

// The products of phase i are FIRST(i)..FIRST(i+1)-1.
fn firstProduct(phase: u32) -> u32 {
  switch phase {
    case 0u: { return 0u; }
    case 1u: { return 1u; }
    case 2u: { return 2u; }
    case 3u: { return 4u; }
    case 4u: { return 6u; }
    case 5u: { return 9u; }
    case 6u: { return 14u; }
    default: { return 16u; }
  }
}

// product is product p, with the state before the mini-batch at st.
fn product(p: u32, w: u32, st: u32) -> Product {
  switch p {
    case 0u: { return Product(w + WX, w + WK, F, 1u, st, F, 1u, kr, fr, fr, 0.0, 1.0); }              // Kx W
    case 1u: { return Product(st + STATE, w + WK, 1u, F, w + WGR, F, 1u, fr, fr, kr, 1.0, -1.0); }    // W - Kxᵀ D G
    case 2u: { return Product(w + WX, w + WK, F, 1u, st, F, 1u, kr, fr, fr, 0.0, 1.0); }              // Kx W
    case 3u: { return Product(w + WA, w + WQ, F, 1u, w + WK, 1u, F, kr, kr, fr, 0.0, 1.0); }          // Q Kxᵀ
    case 4u: { return Product(w + WZ, w + WQ, F, 1u, st, F, 1u, kr, fr, fr, 0.0, 1.0); }              // Q W
    case 5u: { return Product(w + WZ, w + WM, K, 1u, w + WGR, F, 1u, kr, fr, kr, 1.0, -1.0); }        // - M G
    case 6u: { return Product(w + WR, w + WZB, F, 1u, w + WGR, 1u, F, kr, kr, fr, 0.0, -1.0); }       // R
    case 7u: { return Product(w + WP, w + WK, F, 1u, w + WDW, F, 1u, kr, fr, fr, 0.0, 1.0); }         // Kx dW'
    case 8u: { return Product(w + WDK, w + WGR, F, 1u, w + WDW, 1u, F, kr, fr, fr, 0.0, 1.0); }       // G dW'ᵀ
    case 9u: { return Product(w + WDK, w + WR, 1u, K, w + WQ, F, 1u, kr, fr, kr, 1.0, 1.0); }         // + dAᵀ Q
    case 10u: { return Product(w + WDG, w + WM, 1u, K, w + WZB, F, 1u, kr, fr, kr, 0.0, -1.0); }      // - Mᵀ dZb
    case 11u: { return Product(w + WZ, w + WZB, F, 1u, st, 1u, F, kr, fr, fr, 0.0, 1.0); }            // dZb Wᵀ
    case 12u: { return Product(w + WZ, w + WR, K, 1u, w + WK, F, 1u, kr, fr, kr, 1.0, 1.0); }         // + dA Kx
    case 13u: { return Product(w + WDW, w + WQ, 1u, F, w + WZB, F, 1u, fr, fr, kr, 1.0, 1.0); }       // + Qᵀ dZb
    case 14u: { return Product(w + WDK, w + WDG, F, 1u, st, 1u, F, kr, fr, fr, 1.0, 1.0); }           // + dZ Wᵀ
    default: { return Product(w + WDW, w + WK, 1u, F, w + WDG, F, 1u, fr, fr, kr, 1.0, 1.0); }        // + Kxᵀ dZ
  }
}

// centre adds the bias to row z, overwrites it by its normalised form, and returns sqrt(var + EPS).
fn centre(z: u32, bias: u32) -> f32 {
  var mean = 0.0;
  for (var c = 0u; c < fr; c++) {
    let v = work[z + c] + work[bias + c];
    work[z + c] = v;
    mean += v;
  }
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
  kr = K * one;
  if (wg.z + 1u != nwg.z) { return; }  // one dispatch walks SP segments, the number of layers says which
  let part = nwg.z - 1u;
  let bh = wg.y * nwg.x + wg.x;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let w = bh * WORK;
  let ga = OG + h * F;
  let dp = bh * (FF + 3u * F + K);
  let dgamma = dp + STATE;
  let dbeta = dgamma + F;
  let dtok = dbeta + F;
  let row0 = (bh / H) * L;
  var batches = 0u;
  for (var e = L; e > 0u; e = begin(row0, e)) { batches++; }
  if (part == 0u) {
    for (var e = lane; e < STATE * one; e += WG) {
      work[w + WDW + e] = 0.0;
      dpart[dp + e] = 0.0;
    }
    for (var e = lane; e < 2u * F + K; e += WG) { dpart[dgamma + e] = 0.0; }
  }
  if (lane == 0u) {
    resumeStop = L;
    resumeSeg = (batches + G - 1u) / G;
    if (part > 0u) {
      resumeStop = u32(work[w + WAT]);
      resumeSeg = u32(work[w + WAT + 1u]);
    }
  }
  var stop = workgroupUniformLoad(&resumeStop);  // where the segment's last mini-batch ends
  var seg = workgroupUniformLoad(&resumeSeg);
  for (var s = 0u; s < SP && seg > 0u; s++) {
    let t0 = (seg - 1u) * G;
    let len = min(G, batches - t0);
    let c0 = (bh * SLOTS + seg - 1u) * STATE;
    var at = stop;
    for (var i = 0u; i < len; i++) { at = begin(row0, at); }
    for (var e = lane; e < STATE * one; e += WG) { work[w + WS + e] = ckpt[c0 + e]; }
    // First forward over all mini-batches of the segment but the last, then backward over all.
    for (var j = 0u; j < 2u * len - 1u; j++) {
      let back = j >= len - 1u;
      let ts = select(j, 2u * len - 2u - j, back);
      let st = w + WS + ts * STATE;
      if (back) { at = begin(row0, stop); }
      let n = extent(row0, at);
      let first = row0 + at;
      let last = rate(n - 1u);
      for (var e = lane; e < kr * F; e += WG) {
        let x = (first + min(e / F, n - 1u)) * ROW + h * F + e % F;
        work[w + WQ + e] = xs[x];
        work[w + WK + e] = xs[x + D];
      }
      storageBarrier();
      let fresh = code(row0, at) == 0u;  // the state before is theta's
      var start = select(0u, 2u, back);
      if (back) {
        stop = at;
      } else {
        at += n;
        if (code(row0, at) == 0u) {
          for (var e = lane; e < FF * one; e += WG) { work[st + STATE + e] = theta[h * FF + e]; }
          for (var e = lane; e < fr; e += WG) { work[st + STATE + FF + e] = theta[OB + h * F + e]; }
          start = 2u;
        } else {
          for (var e = lane; e < STATE * one; e += WG) { work[st + STATE + e] = work[st + e]; }
        }
        storageBarrier();
      }
      for (var phase = start; phase < select(2u, 7u, back); phase++) {
        for (var p = firstProduct(phase); p < firstProduct(phase + 1u); p++) { mm(lane, product(p, w, st)); }
        for (var c = lane; c < fr; c += WG) {
          if (phase == 1u) {
            var s = 0.0;
            for (var i = 0u; i < kr; i++) { s += work[w + WGR + i * F + c]; }
            work[st + STATE + FF + c] -= s;
          } else if (phase == 4u) {
            var sg = 0.0;
            var sb = 0.0;
            for (var i = 0u; i < n; i++) {
              let v = dout[(first + i) * D + h * F + c];
              sg += v * work[w + WZ + i * F + c];
              sb += v;
            }
            dpart[dgamma + c] += sg;
            dpart[dbeta + c] += sb;
          } else if (phase == 6u) {
            let gm = theta[ga + c];
            var sb = 0.0;
            var sg = 0.0;
            var su = 0.0;
            for (var i = 0u; i < n; i++) {
              let e = i * F + c;
              let xh = work[w + WX + e];
              let du = work[w + WP + e];
              sb += work[w + WZB + e] + work[w + WDG + e];
              sg += du * (gm * xh + residual((first + i) * ROW + h * F, h, c, xh));
              su += du * gm;
            }
            work[w + WDW + FF + c] += sb;
            dpart[dgamma + c] += sg;
            dpart[dbeta + c] += su;
          }
        }
        if (phase == 5u) {
          for (var j = lane; j < n; j += WG) {
            var s = work[w + WDD + j] * last;
            for (var i = select(j, 0u, NONCAUSAL); i < n; i++) { s += work[w + WA + i * K + j] * rate(i); }
            let o = (first + j) * ROW + 3u * D + h;
            if (ACC_DXS) { dxs[o] += s; } else { dxs[o] = s; }
          }
          if (lane == 0u) {
            var s = 0.0;
            for (var j = 0u; j < n; j++) { s += work[w + WDD + j] * xs[(first + j) * ROW + 3u * D + h]; }
            dpart[dtok + n - 1u] += s;
          }
        }
        storageBarrier();
        for (var i = lane; i < kr; i += WG) {
          let on = i < n;
          let o = i * F;
          let x = (first + min(i, n - 1u)) * ROW + h * F;
          let di = select(0.0, last * xs[x - h * F + 3u * D + h], on);
          if (phase == 0u || phase == 2u) {
            let s = centre(w + WX + o, st + FF);
            work[w + WSD + i] = s;
            var mu = 0.0;
            var mux = 0.0;
            for (var c = 0u; c < fr; c++) {
              let xh = work[w + WX + o + c];
              let u = theta[ga + c] * residual(x, h, c, xh);
              work[w + WGR + o + c] = u;
              mu += u;
              mux += u * xh;
            }
            mu /= f32(F);
            mux /= f32(F);
            let scale = select(1.0, di, phase == 0u) / s;  // D G where the state is only stepped
            for (var c = 0u; c < fr; c++) { work[w + WGR + o + c] = (work[w + WGR + o + c] - mu - work[w + WX + o + c] * mux) * scale; }
          }
          if (phase == 2u) {
            let ti = rate(i);
            for (var j = 0u; j < kr; j++) {
              let e = i * K + j;
              let a = 1.0 + work[w + WA + e];
              var m = 0.0;
              if (sees(i, j) && j < n) { m = ti * xs[(first + j) * ROW + 3u * D + h] * a; }
              work[w + WA + e] = a;
              work[w + WM + e] = m;
            }
          } else if (phase == 3u) {
            // Through the output's LayerNorm.
            let s = centre(w + WZ + o, st + FF);
            var mu = 0.0;
            var mux = 0.0;
            for (var c = 0u; c < fr; c++) {
              let g = select(0.0, dout[(first + min(i, n - 1u)) * D + h * F + c], on) * theta[ga + c];
              work[w + WZB + o + c] = g;
              mu += g;
              mux += g * work[w + WZ + o + c];
            }
            mu /= f32(F);
            mux /= f32(F);
            for (var c = 0u; c < fr; c++) { work[w + WZB + o + c] = (work[w + WZB + o + c] - mu - work[w + WZ + o + c] * mux) / s; }
          } else if (phase == 4u) {
            let ti = rate(i);
            var dti = 0.0;
            for (var j = 0u; j < kr; j++) {
              let e = i * K + j;
              var da = 0.0;
              var de = 0.0;
              if (sees(i, j) && j < n && on) {
                let lr = xs[(first + j) * ROW + 3u * D + h];
                let r = work[w + WR + e];
                de = r * work[w + WA + e];
                da = r * ti * lr;
                dti += de * lr;
              }
              work[w + WR + e] = da;
              work[w + WA + e] = de;
            }
            if (on) { dpart[dtok + i] += dti; }
            var s = 0.0;
            for (var c = 0u; c < fr; c++) {
              let p = work[w + WP + o + c] + work[w + WDW + FF + c];
              work[w + WP + o + c] = p;
              s += p * work[w + WGR + o + c];
              work[w + WDK + o + c] *= -di;
            }
            work[w + WDD + i] = -s;
          } else if (phase == 5u) {
            // From dG through the inner loss, second order, to dZ (left in the place of dG) and du (in that of P).
            let s = work[w + WSD + i];
            var cc = 0.0;
            var p = 0.0;
            var mdg = 0.0;
            var dgg = 0.0;
            for (var c = 0u; c < fr; c++) {
              let xh = work[w + WX + o + c];
              let dg = work[w + WDG + o + c] - di * work[w + WP + o + c];
              work[w + WDG + o + c] = dg;
              cc += theta[ga + c] * residual(x, h, c, xh) * xh;
              p += dg * xh;
              mdg += dg;
              dgg += dg * work[w + WGR + o + c];
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
              let dg = work[w + WDG + o + c];
              let du = (dg - mdg - xh * p) / s;
              let dx = -(dg * cc + gm * residual(x, h, c, xh) * p) / s + du * gm * gm;
              work[w + WP + o + c] = du;
              work[w + WDG + o + c] = dx;
              m += dx;
              mx += dx * xh;
            }
            m /= f32(F);
            mx /= f32(F);
            for (var c = 0u; c < fr; c++) {
              let xh = work[w + WX + o + c];
              work[w + WDG + o + c] = (work[w + WDG + o + c] - m - xh * mx) / s + ds * xh / f32(F);
            }
          } else if (phase == 6u && on) {
            for (var c = 0u; c < fr; c++) {
              let dt = -work[w + WP + o + c] * theta[ga + c];
              let dq = dout[(first + i) * D + h * F + c] + work[w + WZ + o + c];
              let dk = work[w + WDK + o + c] - dt;
              if (ACC_DXS) {
                dxs[x + c] += dq;
                dxs[x + D + c] += dk;
                dxs[x + 2u * D + c] += dt;
              } else {
                dxs[x + c] = dq;
                dxs[x + D + c] = dk;
                dxs[x + 2u * D + c] = dt;
              }
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
    }
    seg--;
  }
  if (lane == 0u) {
    work[w + WAT] = f32(stop);
    work[w + WAT + 1u] = f32(seg);
  }
}
