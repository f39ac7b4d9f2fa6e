// dv_j += sum_i p_ij dout_i,  dk_j += sum_i ds_ij q_i / sqrt(F),  ds_ij = p_ij (dout_i·v_j - delta_i), delta after stats,
// p_ij = exp(q_i·k_j/sqrt(F) - stats_i), over the tokens i >= j of j's row with i-j <= pos[i] and i-j < W.
// One workgroup a block of 4*TY keys of a head and 64 of its channels; queries come by tiles of 32, else as attention_fwd.
// reference: op/attention_ref.go attentionBwdKV
override B: u32 = 2u;   // rows, that is sequences
override L: u32 = 40u;  // tokens of a row
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override W: u32 = 40u;  // window
override TY: u32 = 8u;  // rows of 8 invocations
override TP: u32 = 2u;  // tiles a dispatch
override ACC_DK: bool = true;
override ACC_DV: bool = true;
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> pos: array<u32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> dk: array<f32>;
@group(0) @binding(7) var<storage, read_write> dv: array<f32>;

override WG: u32 = 8u * TY;
override BQ: u32 = 4u * TY;
override D: u32 = H * F;
override CHUNKS: u32 = (F + 31u) / 32u;
override BLOCKS: u32 = (L + BQ - 1u) / BQ;
override GROUPS: u32 = (F + 63u) / 64u;

// Rows are 9 vec4 apart, so that neighbours lie in different banks. Token t of cols is row t/4 + t%4*8: an invocation
// reads four tokens that follow each other.
var<workgroup> rows: array<vec4<f32>, (9u * BQ)>;  // a chunk of the block's channels
var<workgroup> cols: array<vec4<f32>, 288>;        // and of the tile's
var<workgroup> score: array<vec4<f32>, (9u * BQ)>;
var<workgroup> first: array<u32, 32>;  // the first key that a query sees
var<workgroup> logs: array<f32, 32>;   // its stats
var<workgroup> deltas: array<f32, 32>;
var<workgroup> ends: array<u32, WG>;
var<workgroup> end: u32;

// Tile is 4 x 4 scores of an invocation, or 4 rows of 4 channels.
struct Tile { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }

// dots adds to scores the products of n times 4 channels: rows ty + TY*i, columns 4 tx + j.
fn dots(s: Tile, tx: u32, ty: u32, n: u32) -> Tile {
  var t = s;
  for (var c = 0u; c < n; c++) {
    let y0 = cols[tx * 9u + c];
    let y1 = cols[(tx + 8u) * 9u + c];
    let y2 = cols[(tx + 16u) * 9u + c];
    let y3 = cols[(tx + 24u) * 9u + c];
    let x0 = rows[ty * 9u + c];
    let x1 = rows[(ty + TY) * 9u + c];
    let x2 = rows[(ty + 2u * TY) * 9u + c];
    let x3 = rows[(ty + 3u * TY) * 9u + c];
    t.r0 += vec4<f32>(dot(x0, y0), dot(x0, y1), dot(x0, y2), dot(x0, y3));
    t.r1 += vec4<f32>(dot(x1, y0), dot(x1, y1), dot(x1, y2), dot(x1, y3));
    t.r2 += vec4<f32>(dot(x2, y0), dot(x2, y1), dot(x2, y2), dot(x2, y3));
    t.r3 += vec4<f32>(dot(x3, y0), dot(x3, y1), dot(x3, y2), dot(x3, y3));
  }
  return t;
}

fn mac(s: vec4<f32>, x: vec4<f32>, y0: vec4<f32>, y1: vec4<f32>, y2: vec4<f32>, y3: vec4<f32>) -> vec4<f32> {
  return s + x.x * y0 + x.y * y1 + x.z * y2 + x.w * y3;
}

// mix adds to rows of channels the tile in score times the columns' channels.
fn mix(a: Tile, tx: u32, ty: u32, n: u32) -> Tile {
  var t = a;
  for (var j = 0u; j < n; j++) {
    let y0 = cols[j * 9u + tx];
    let y1 = cols[(j + 8u) * 9u + tx];
    let y2 = cols[(j + 16u) * 9u + tx];
    let y3 = cols[(j + 24u) * 9u + tx];
    t.r0 = mac(t.r0, score[ty * 9u + j], y0, y1, y2, y3);
    t.r1 = mac(t.r1, score[(ty + TY) * 9u + j], y0, y1, y2, y3);
    t.r2 = mac(t.r2, score[(ty + 2u * TY) * 9u + j], y0, y1, y2, y3);
    t.r3 = mac(t.r3, score[(ty + 3u * TY) * 9u + j], y0, y1, y2, y3);
  }
  return t;
}

// keepTile puts a tile into score.
fn keepTile(t: Tile, tx: u32, ty: u32) {
  score[ty * 9u + tx] = t.r0;
  score[(ty + TY) * 9u + tx] = t.r1;
  score[(ty + 2u * TY) * 9u + tx] = t.r2;
  score[(ty + 3u * TY) * 9u + tx] = t.r3;
}

// q4, k4, v4, dout4 are four channels from c of token i of all rows, zeros past the head's end.
fn q4(i: u32, h: u32, c: u32) -> vec4<f32> {
  let o = i * D + h * F;
  if (F % 4u == 0u) {
    if (c >= F) { return vec4<f32>(); }
    return vec4<f32>(q[o + c], q[o + c + 1u], q[o + c + 2u], q[o + c + 3u]);
  }
  let e = min(vec4<u32>(c, c + 1u, c + 2u, c + 3u), vec4<u32>(F - 1u));
  return inside(c, vec4<f32>(q[o + e.x], q[o + e.y], q[o + e.z], q[o + e.w]));
}

fn k4(i: u32, h: u32, c: u32) -> vec4<f32> {
  let o = i * D + h * F;
  if (F % 4u == 0u) {
    if (c >= F) { return vec4<f32>(); }
    return vec4<f32>(k[o + c], k[o + c + 1u], k[o + c + 2u], k[o + c + 3u]);
  }
  let e = min(vec4<u32>(c, c + 1u, c + 2u, c + 3u), vec4<u32>(F - 1u));
  return inside(c, vec4<f32>(k[o + e.x], k[o + e.y], k[o + e.z], k[o + e.w]));
}

fn v4(i: u32, h: u32, c: u32) -> vec4<f32> {
  let o = i * D + h * F;
  if (F % 4u == 0u) {
    if (c >= F) { return vec4<f32>(); }
    return vec4<f32>(v[o + c], v[o + c + 1u], v[o + c + 2u], v[o + c + 3u]);
  }
  let e = min(vec4<u32>(c, c + 1u, c + 2u, c + 3u), vec4<u32>(F - 1u));
  return inside(c, vec4<f32>(v[o + e.x], v[o + e.y], v[o + e.z], v[o + e.w]));
}

fn dout4(i: u32, h: u32, c: u32) -> vec4<f32> {
  let o = i * D + h * F;
  if (F % 4u == 0u) {
    if (c >= F) { return vec4<f32>(); }
    return vec4<f32>(dout[o + c], dout[o + c + 1u], dout[o + c + 2u], dout[o + c + 3u]);
  }
  let e = min(vec4<u32>(c, c + 1u, c + 2u, c + 3u), vec4<u32>(F - 1u));
  return inside(c, vec4<f32>(dout[o + e.x], dout[o + e.y], dout[o + e.z], dout[o + e.w]));
}

fn inside(c: u32, x: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), x, vec4<u32>(c, c + 1u, c + 2u, c + 3u) < vec4<u32>(F));
}

// addK adds four channels to those from c of token i of all rows; fresh: there is nothing yet.
fn addK(i: u32, h: u32, c: u32, x: vec4<f32>, fresh: bool) {
  let o = i * D + h * F + c;
  if (c < F) { dk[o] = x.x + select(dk[o], 0.0, fresh); }
  if (c + 1u < F) { dk[o + 1u] = x.y + select(dk[o + 1u], 0.0, fresh); }
  if (c + 2u < F) { dk[o + 2u] = x.z + select(dk[o + 2u], 0.0, fresh); }
  if (c + 3u < F) { dk[o + 3u] = x.w + select(dk[o + 3u], 0.0, fresh); }
}

// addV adds four channels to those from c of token i of all rows; fresh: there is nothing yet.
fn addV(i: u32, h: u32, c: u32, x: vec4<f32>, fresh: bool) {
  let o = i * D + h * F + c;
  if (c < F) { dv[o] = x.x + select(dv[o], 0.0, fresh); }
  if (c + 1u < F) { dv[o + 1u] = x.y + select(dv[o + 1u], 0.0, fresh); }
  if (c + 2u < F) { dv[o + 2u] = x.z + select(dv[o + 2u], 0.0, fresh); }
  if (c + 3u < F) { dv[o + 3u] = x.w + select(dv[o + 3u], 0.0, fresh); }
}

// probability is exp(x), x a score less the logarithm of its row's sum: rounding alone makes it more than 0.
fn probability(x: vec4<f32>) -> vec4<f32> { return exp(select(x, vec4<f32>(), x > vec4<f32>())); }

// seen says which of the queries from i, r their place in the tile, see key j of their row.
fn seen(i: u32, r: u32, j: u32) -> vec4<bool> {
  let at = vec4<u32>(i, i + 1u, i + 2u, i + 3u);
  return (vec4<u32>(j) >= vec4<u32>(first[r], first[r + 1u], first[r + 2u], first[r + 3u])) & (vec4<u32>(j) <= at);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);  // not known to the compiler, which would unroll every loop
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch does TP tiles, how many there are along x says which
  let part = nwg.x - 1u;
  let n = wg.z * nwg.y + wg.y;
  if (n >= BLOCKS * GROUPS * B * H) { return; }
  let h = n % H;
  let row = n / H % B * L;
  let group = n / (B * H) % GROUPS;
  let mine = min(CHUNKS - 2u * group, 2u);  // chunks of the workgroup
  let j0 = n / (B * H * GROUPS) * BQ;  // the first key, in its row; those with the most queries begin
  let tx = lane % 8u;
  let ty = lane / 8u;
  let scale = 1.0 / sqrt(f32(F));
  let last = min(j0 + BQ, L) - 1u;
  var till = j0;
  for (var i = j0 + lane; i < min(L, j0 + BQ + W); i += WG) {
    if (i - min(min(pos[row + i], i), W - 1u) <= last) { till = i + 1u; }
  }
  ends[lane] = till;
  workgroupBarrier();
  if (lane == 0u) {
    var e = ends[0];
    for (var r = 1u; r < WG * one; r++) { e = max(e, ends[r]); }
    end = e;
  }
  let tiles = (workgroupUniformLoad(&end) - j0 + 31u) / 32u;
  let start = part * TP;
  if (part > 0u && start >= tiles) { return; }
  let j = j0 + ty + TY * vec4<u32>(0u, 1u, 2u, 3u);  // the invocation's keys
  var k0 = Tile();
  var k1 = Tile();
  var v0 = Tile();
  var v1 = Tile();
  for (var t = start; t < min(start + TP, tiles); t++) {
    let i = j0 + 32u * t;  // the first query
    var s = Tile();
    var d = Tile();
    for (var x = 0u; x < 2u * CHUNKS * one; x++) {
      let ch = x / 2u;
      let steps = (min(F - 32u * ch, 32u) + 3u) / 4u * one;
      workgroupBarrier();
      if (x == 0u) {
        for (var e = lane; e < 32u * one; e += WG) {
          let at = row + min(i + e, L - 1u);
          first[e] = 0xffffffffu;
          if (i + e < L) { first[e] = i + e - min(min(pos[at], i + e), W - 1u); }
          logs[e] = stats[at * H + h];
          deltas[e] = stats[(B * L + at) * H + h];
        }
      }
      if (x % 2u == 0u) {
        for (var e = lane; e < 8u * BQ; e += WG) {
          rows[e / 8u * 9u + e % 8u] = k4(row + min(j0 + e / 8u, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = q4(row + min(i + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      } else {
        for (var e = lane; e < 8u * BQ; e += WG) {
          rows[e / 8u * 9u + e % 8u] = v4(row + min(j0 + e / 8u, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = dout4(row + min(i + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      }
      workgroupBarrier();
      if (x % 2u == 0u) { s = dots(s, tx, ty, steps); } else { d = dots(d, tx, ty, steps); }
    }
    let r = 4u * tx;
    let log = vec4<f32>(logs[r], logs[r + 1u], logs[r + 2u], logs[r + 3u]);
    let delta = vec4<f32>(deltas[r], deltas[r + 1u], deltas[r + 2u], deltas[r + 3u]);
    let zero = vec4<f32>();
    let p = Tile(
      select(zero, probability(scale * s.r0 - log), seen(i + r, r, j.x)),
      select(zero, probability(scale * s.r1 - log), seen(i + r, r, j.y)),
      select(zero, probability(scale * s.r2 - log), seen(i + r, r, j.z)),
      select(zero, probability(scale * s.r3 - log), seen(i + r, r, j.w)),
    );
    keepTile(p, tx, ty);
    for (var g = 0u; g < 2u * mine * one; g++) {  // first the values' chunks, then the keys'
      let ch = 2u * group + g % mine;
      if (g > 0u || CHUNKS > 1u) { workgroupBarrier(); }
      if (g == mine) {
        keepTile(Tile(p.r0 * (d.r0 - delta), p.r1 * (d.r1 - delta), p.r2 * (d.r2 - delta), p.r3 * (d.r3 - delta)), tx, ty);
      }
      if (g >= mine) {
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = q4(row + min(i + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      } else if (CHUNKS > 1u) {  // else it is still there
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = dout4(row + min(i + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      }
      workgroupBarrier();
      var o = v0;
      if (g == 1u) { o = v1; }
      if (g == mine) { o = k0; }
      if (g == mine + 1u) { o = k1; }
      o = mix(o, tx, ty, 8u * one);
      if (g == mine) { k0 = o; } else if (g == mine + 1u) { k1 = o; } else if (g == 0u) { v0 = o; } else { v1 = o; }
    }
  }
  for (var g = 0u; g < mine * one; g++) {
    let c = 64u * group + 32u * g + 4u * tx;
    var dks = k0;
    var dvs = v0;
    if (CHUNKS > 1u && g == 1u) {
      dks = k1;
      dvs = v1;
    }
    if (j.x < L) { addK(row + j.x, h, c, scale * dks.r0, !ACC_DK && part == 0u); addV(row + j.x, h, c, dvs.r0, !ACC_DV && part == 0u); }
    if (j.y < L) { addK(row + j.y, h, c, scale * dks.r1, !ACC_DK && part == 0u); addV(row + j.y, h, c, dvs.r1, !ACC_DV && part == 0u); }
    if (j.z < L) { addK(row + j.z, h, c, scale * dks.r2, !ACC_DK && part == 0u); addV(row + j.z, h, c, dvs.r2, !ACC_DV && part == 0u); }
    if (j.w < L) { addK(row + j.w, h, c, scale * dks.r3, !ACC_DK && part == 0u); addV(row + j.w, h, c, dvs.r3, !ACC_DV && part == 0u); }
  }
}
