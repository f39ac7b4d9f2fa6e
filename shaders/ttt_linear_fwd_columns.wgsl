// The TTT-Linear scan, forward, as ttt_linear_fwd has it, for CPUs whose vectors' lanes are invocations: an invocation keeps
// its C4 vec4 of columns of W and G in variables of its own, where an index that is known costs one instruction a vector,
// and reads rows of K, Q and M, which all of them read, from the workgroup's memory. A compiler for CPUs makes a loop over
// the lanes of such a load. F = 4 WG C4, K <= 4 WG.
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
override WG: u32 = 4u;
override STEPS: u32 = 2u;  // log2 WG
override C4: u32 = 1u;     // F / 4 WG
override F4: u32 = 4u;     // F / 4
override K4: u32 = 1u;     // K / 4, rounded up
override WORK: u32 = 1024u;  // words of a workgroup's work, where the state waits for the next dispatch
override MP: u32 = 5u;       // mini-batches a dispatch
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
override KF4: u32 = K * F4;
override C: u32 = 4u * C4;
override FC: u32 = (F + 1u) * C;
override KC: u32 = 4u * K4 * C;
override KQ4: u32 = 2u * KF4;
override MM4: u32 = 4u * K4 * K4;
override JOINT: u32 = STEPS * WG;

var<private> w: array<f32, FC>;  // [F+1,C] W, and b as one more row
var<private> g: array<f32, KC>;  // [K,C] G
var<private> gamma: array<vec4<f32>, C4>;
var<private> beta: array<vec4<f32>, C4>;
var<private> s: array<vec4<f32>, C4>;      // of one row: Z, then xhat
var<private> u: array<vec4<f32>, C4>;
var<private> s0: array<vec4<f32>, C4>;     // of four rows of W
var<private> s1: array<vec4<f32>, C4>;
var<private> s2: array<vec4<f32>, C4>;
var<private> s3: array<vec4<f32>, C4>;
var<workgroup> kq: array<vec4<f32>, KQ4>;  // [2,K,F] Kx and Q
var<workgroup> m: array<vec4<f32>, MM4>;   // [K,K] M
var<workgroup> joint: array<vec2<f32>, JOINT>;
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

fn sum(x: vec4<f32>) -> f32 { return x.x + x.y + x.z + x.w; }

fn fromXs(o: u32) -> vec4<f32> { return vec4<f32>(xs[o], xs[o + 1u], xs[o + 2u], xs[o + 3u]); }
fn fromTheta(o: u32) -> vec4<f32> { return vec4<f32>(theta[o], theta[o + 1u], theta[o + 2u], theta[o + 3u]); }
fn fromW(i: u32) -> vec4<f32> { return vec4<f32>(w[4u * i], w[4u * i + 1u], w[4u * i + 2u], w[4u * i + 3u]); }
fn fromG(i: u32) -> vec4<f32> { return vec4<f32>(g[4u * i], g[4u * i + 1u], g[4u * i + 2u], g[4u * i + 3u]); }

// lrs are the learning rates of the tokens j.. of the mini-batch of n that begins at token first, 0 past its end.
fn lrs(first: u32, h: u32, n: u32, j: u32) -> vec4<f32> {
  let t = vec4<u32>(j) + vec4<u32>(0u, 1u, 2u, 3u);
  let x = (vec4<u32>(first) + min(t, vec4<u32>(n - 1u))) * ROW + vec4<u32>(3u * D + h);
  return select(vec4<f32>(), vec4<f32>(xs[x.x], xs[x.y], xs[x.z], xs[x.w]), t < vec4<u32>(n));
}

// etas is what tokens j.. have of the inner learning rate of token i that reads them: lr where i sees them.
fn etas(i: u32, j: u32, lr: vec4<f32>) -> vec4<f32> {
  let y = rate(i) * lr;
  if (NONCAUSAL) { return y; }
  return select(vec4<f32>(), y, vec4<u32>(j) + vec4<u32>(0u, 1u, 2u, 3u) <= vec4<u32>(i));
}

// rowW makes s of row kq[r..]: row W + b.
fn rowW(r: u32) {
  for (var q = 0u; q < C4; q++) {  // unroll
    s[q] = fromW(F * C4 + q);
  }
  for (var k = 0u; k < F4; k++) {  // unroll
    let x = kq[r + k];
    for (var q = 0u; q < C4; q++) {  // unroll
      s[q] += x.x * fromW(4u * k * C4 + q) + x.y * fromW((4u * k + 1u) * C4 + q) + x.z * fromW((4u * k + 2u) * C4 + q) + x.w * fromW((4u * k + 3u) * C4 + q);
    }
  }
}

// moments is s's mean and variance over all channels: two halves' are joined as long as there are more (Chan, Golub and
// LeVeque 1979).
fn moments(lane: u32, steps: u32) -> vec2<f32> {
  var t = vec4<f32>();
  for (var q = 0u; q < C4; q++) {  // unroll
    t += s[q];
  }
  let mean = sum(t) / f32(4u * C4);
  t = vec4<f32>();
  for (var q = 0u; q < C4; q++) {  // unroll
    t += (s[q] - mean) * (s[q] - mean);
  }
  var x = vec2<f32>(mean, sum(t));
  for (var step = 0u; step < steps; step++) {
    joint[step * WG + lane] = x;
    workgroupBarrier();
    let y = joint[step * WG + (lane ^ (1u << step))];
    let d = y.x - x.x;
    x = vec2<f32>(0.5 * (x.x + y.x), x.y + y.y + d * d * (0.5 * f32((4u * C4) << step)));
  }
  return vec2<f32>(x.x, x.y / f32(F));
}

// total is the sum of all invocations' x.
fn total(lane: u32, steps: u32, x0: vec2<f32>) -> vec2<f32> {
  var x = x0;
  for (var step = 0u; step < steps; step++) {
    joint[step * WG + lane] = x;
    workgroupBarrier();
    x += joint[step * WG + (lane ^ (1u << step))];
  }
  return x;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);  // a bound that the compiler does not know is of a loop that it does not unroll
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch walks MP mini-batches, how many there are along x says which
  let part = nwg.x - 1u;
  let bh = wg.z * nwg.y + wg.y;
  if (bh >= B * H) { return; }
  let h = bh % H;
  let row0 = (bh / H) * L;
  let own = 4u * C4 * lane;  // the first of its columns
  let rest = bh * WORK;
  if (lane == 0u) {
    resume = 0u;
    if (part > 0u) { resume = u32(work[rest + STATE]); }
  }
  let begun = workgroupUniformLoad(&resume);
  for (var q = 0u; q < C4; q++) {  // unroll
    gamma[q] = fromTheta(OG + h * F + own + 4u * q);
    beta[q] = fromTheta(OT + h * F + own + 4u * q);
  }
  if (part > 0u) {
    for (var k = 0u; k < (F + 1u) * one; k++) {
      for (var e = 0u; e < C * one; e++) { w[k * C + e] = work[rest + k * F + own + e]; }
    }
  }
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
      for (var k = 0u; k < (F + 1u) * one; k++) {
        let o = select(h * FF + k * F, OB + h * F, k == F) + own;
        for (var e = 0u; e < C * one; e++) { w[k * C + e] = theta[o + e]; }
      }
    } else if (at == 0u) {
      for (var k = 0u; k < (F + 1u) * one; k++) {
        for (var e = 0u; e < C * one; e++) { w[k * C + e] = state[bh * STATE + k * F + own + e]; }
      }
    }
    at += n;
    workgroupBarrier();  // all have left the last mini-batch's K
    for (var e = lane; e < 2u * KF4; e += WG) {
      let i = e / F4 % K;
      let x = (first + min(i, n - 1u)) * ROW + select(D, 0u, e >= KF4) + h * F + 4u * (e % F4);
      kq[e] = vec4<f32>(xs[x], xs[x + 1u], xs[x + 2u], xs[x + 3u]);
    }
    workgroupBarrier();
    if (t % G == 0u) {
      var o = ck + own;
      for (var k = 0u; k < (F + 1u) * one; k++) {
        for (var q = 0u; q < C4; q++) {  // unroll
          let x = fromW(k * C4 + q);
          ckpt[o + 4u * q] = x.x;
          ckpt[o + 4u * q + 1u] = x.y;
          ckpt[o + 4u * q + 2u] = x.z;
          ckpt[o + 4u * q + 3u] = x.w;
        }
        o += F;
      }
    }
    // M, in tiles of four by four; those past the diagonal have nothing to add up.
    for (var tile = lane; tile < K4 * K4; tile += WG) {
      let i = 4u * (tile / K4);
      let j = 4u * (tile % K4);
      let token = vec4<u32>(0u, 1u, 2u, 3u);
      let ri = KF4 + min(vec4<u32>(i) + token, vec4<u32>(K - 1u)) * F4;
      let rj = min(vec4<u32>(j) + token, vec4<u32>(K - 1u)) * F4;
      var a0 = vec4<f32>(1.0);
      var a1 = vec4<f32>(1.0);
      var a2 = vec4<f32>(1.0);
      var a3 = vec4<f32>(1.0);
      for (var d = 0u; d < select(0u, F4 * one, NONCAUSAL || j <= i); d++) {
        let q0 = kq[ri.x + d];
        let q1 = kq[ri.y + d];
        let q2 = kq[ri.z + d];
        let q3 = kq[ri.w + d];
        let k0 = kq[rj.x + d];
        let k1 = kq[rj.y + d];
        let k2 = kq[rj.z + d];
        let k3 = kq[rj.w + d];
        a0 += vec4<f32>(dot(q0, k0), dot(q0, k1), dot(q0, k2), dot(q0, k3));
        a1 += vec4<f32>(dot(q1, k0), dot(q1, k1), dot(q1, k2), dot(q1, k3));
        a2 += vec4<f32>(dot(q2, k0), dot(q2, k1), dot(q2, k2), dot(q2, k3));
        a3 += vec4<f32>(dot(q3, k0), dot(q3, k1), dot(q3, k2), dot(q3, k3));
      }
      let lr = lrs(first, h, n, j);
      let o = i * K4 + j / 4u;
      m[o] = etas(i, j, lr) * a0;
      m[o + K4] = etas(i + 1u, j, lr) * a1;
      m[o + 2u * K4] = etas(i + 2u, j, lr) * a2;
      m[o + 3u * K4] = etas(i + 3u, j, lr) * a3;
    }
    // Z and G of the tokens, one after the other.
    var x = first * ROW + 2u * D + h * F + own;  // of V
    for (var i = 0u; i < n; i++) {
      rowW(i * F4);
      let z = moments(lane, STEPS * one);
      let sd = sqrt(z.y + EPS);
      var mu = vec4<f32>();
      var mux = vec4<f32>();
      for (var q = 0u; q < C4; q++) {  // unroll
        let xh = (s[q] - z.x) / sd;
        let goal = fromXs(x + 4u * q) - kq[i * F4 + C4 * lane + q];
        s[q] = xh;
        u[q] = gamma[q] * (gamma[q] * xh + (beta[q] - goal));
        mu += u[q];
        mux += u[q] * xh;
      }
      let mean = total(lane, STEPS * one, vec2<f32>(sum(mu), sum(mux))) / f32(F);
      for (var q = 0u; q < C4; q++) {  // unroll
        let y = (u[q] - mean.x - s[q] * mean.y) / sd;
        g[i * C + 4u * q] = y.x;
        g[i * C + 4u * q + 1u] = y.y;
        g[i * C + 4u * q + 2u] = y.z;
        g[i * C + 4u * q + 3u] = y.w;
      }
      x += ROW;
    }
    for (var i = n * C; i < KC * one; i++) { g[i] = 0.0; }  // M has zeros there, which should not meet a NaN
    // Zb and the output.
    var o = first * D + h * F + own;
    for (var i = 0u; i < n; i++) {
      rowW(KF4 + i * F4);
      for (var j = 0u; j < K4; j++) {  // unroll
        let x = m[i * K4 + j];
        for (var q = 0u; q < C4; q++) {  // unroll
          s[q] = s[q] - x.x * fromG(4u * j * C4 + q) - x.y * fromG((4u * j + 1u) * C4 + q) - x.z * fromG((4u * j + 2u) * C4 + q) - x.w * fromG((4u * j + 3u) * C4 + q);
        }
      }
      let z = moments(lane, STEPS * one);
      let sd = sqrt(z.y + EPS);
      for (var q = 0u; q < C4; q++) {  // unroll
        let y = kq[KF4 + i * F4 + C4 * lane + q] + gamma[q] * ((s[q] - z.x) / sd) + beta[q];
        out[o + 4u * q] = y.x;
        out[o + 4u * q + 1u] = y.y;
        out[o + 4u * q + 2u] = y.z;
        out[o + 4u * q + 3u] = y.w;
      }
      o += D;
    }
    // The step: W - Kxᵀ D G and b - sum D G. To write a variable of known index costs as much as of any other.
    let last = rate(n - 1u);
    for (var i = 0u; i < n; i++) {
      let d = last * xs[(first + i) * ROW + 3u * D + h];
      for (var e = 0u; e < C * one; e++) {
        let y = d * g[i * C + e];
        g[i * C + e] = y;
        w[F * C + e] -= y;
      }
    }
    for (var k = 0u; k < F4 * one; k++) {
      for (var q = 0u; q < C4; q++) {  // unroll
        s0[q] = fromW(4u * k * C4 + q);
        s1[q] = fromW((4u * k + 1u) * C4 + q);
        s2[q] = fromW((4u * k + 2u) * C4 + q);
        s3[q] = fromW((4u * k + 3u) * C4 + q);
      }
      for (var i = 0u; i < K; i++) {  // unroll
        let x = kq[i * F4 + k];
        for (var q = 0u; q < C4; q++) {  // unroll
          let y = fromG(i * C4 + q);
          s0[q] -= x.x * y;
          s1[q] -= x.y * y;
          s2[q] -= x.z * y;
          s3[q] -= x.w * y;
        }
      }
      for (var q = 0u; q < C4; q++) {  // unroll
        let o = 4u * (k * C + q);
        w[o] = s0[q].x;
        w[o + 1u] = s0[q].y;
        w[o + 2u] = s0[q].z;
        w[o + 3u] = s0[q].w;
        w[o + C] = s1[q].x;
        w[o + C + 1u] = s1[q].y;
        w[o + C + 2u] = s1[q].z;
        w[o + C + 3u] = s1[q].w;
        w[o + 2u * C] = s2[q].x;
        w[o + 2u * C + 1u] = s2[q].y;
        w[o + 2u * C + 2u] = s2[q].z;
        w[o + 2u * C + 3u] = s2[q].w;
        w[o + 3u * C] = s3[q].x;
        w[o + 3u * C + 1u] = s3[q].y;
        w[o + 3u * C + 2u] = s3[q].z;
        w[o + 3u * C + 3u] = s3[q].w;
      }
    }
  }
  if (lane == 0u) { work[rest + STATE] = f32(at); }
  if (begun >= L) { return; }
  for (var k = 0u; k < (F + 1u) * one; k++) {
    let o = k * F + own;
    if (at < L) {
      for (var e = 0u; e < C * one; e++) { work[rest + o + e] = w[k * C + e]; }
    } else {
      for (var e = 0u; e < C * one; e++) { state[bh * STATE + o + e] = w[k * C + e]; }
    }
  }
}
