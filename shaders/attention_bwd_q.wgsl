// dq_i += sum_j ds_ij k_j / sqrt(F),  ds_ij = p_ij (dout_i·v_j - delta_i),  p_ij = exp(q_i·k_j/sqrt(F) - stats_i),
// delta_i = dout_i·out_i, which goes after stats, over the tokens j <= i of i's row with i-j <= pos[i] and i-j < W.
// One workgroup a block of 4*TY queries of a head, as attention_fwd.
// reference: op/attention_ref.go attentionBwdQ
override B: u32 = 2u;   // rows, that is sequences
override L: u32 = 40u;  // tokens of a row
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override W: u32 = 40u;  // window
override TY: u32 = 8u;  // rows of 8 invocations
override TP: u32 = 2u;  // tiles a dispatch
override ACC_DQ: bool = true;
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> pos: array<u32>;
@group(0) @binding(4) var<storage, read> out: array<f32>;
@group(0) @binding(5) var<storage, read> dout: array<f32>;
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;
@group(0) @binding(7) var<storage, read_write> dq: array<f32>;

override WG: u32 = 8u * TY;
override BQ: u32 = 4u * TY;
override D: u32 = H * F;
override CHUNKS: u32 = (F + 31u) / 32u;
override BLOCKS: u32 = (L + BQ - 1u) / BQ;

// Rows are 9 vec4 apart, so that neighbours lie in different banks. Token t of cols is row t/4 + t%4*8: an invocation
// reads four tokens that follow each other.
var<workgroup> rows: array<vec4<f32>, (9u * BQ)>;  // a chunk of the block's channels
var<workgroup> cols: array<vec4<f32>, 288>;        // and of the tile's
var<workgroup> score: array<vec4<f32>, (9u * BQ)>;
var<workgroup> first: array<u32, BQ>;  // the first key that a query sees
var<workgroup> logs: array<f32, BQ>;   // its stats
var<workgroup> deltas: array<f32, BQ>;
var<workgroup> begin: u32;

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

// add adds four channels to those from c of token i of all rows; fresh: there is nothing yet.
fn add(i: u32, h: u32, c: u32, x: vec4<f32>, fresh: bool) {
  let o = i * D + h * F + c;
  if (c < F) { dq[o] = x.x + select(dq[o], 0.0, fresh); }
  if (c + 1u < F) { dq[o + 1u] = x.y + select(dq[o + 1u], 0.0, fresh); }
  if (c + 2u < F) { dq[o + 2u] = x.z + select(dq[o + 2u], 0.0, fresh); }
  if (c + 3u < F) { dq[o + 3u] = x.w + select(dq[o + 3u], 0.0, fresh); }
}

// seen says which of the keys from j query i of its row sees; lo is the first.
fn seen(i: u32, lo: u32, j: u32) -> vec4<bool> {
  let at = vec4<u32>(j, j + 1u, j + 2u, j + 3u);
  return (at >= vec4<u32>(lo)) & (at <= vec4<u32>(i));
}

// probability is exp(x), x a score less the logarithm of its row's sum: rounding alone makes it more than 0.
fn probability(x: vec4<f32>) -> vec4<f32> { return exp(select(x, vec4<f32>(), x > vec4<f32>())); }

// slope is ds of keys that query i sees or not, of its scores s and products d of dout and v.
fn slope(s: vec4<f32>, d: vec4<f32>, r: u32, can: vec4<bool>) -> vec4<f32> {
  return select(vec4<f32>(), probability(s - logs[r]) * (d - deltas[r]), can);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let one = min(nwg.x, 1u);  // not known to the compiler, which would unroll every loop
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch does TP tiles, how many there are along x says which
  let part = nwg.x - 1u;
  let n = wg.z * nwg.y + wg.y;
  if (n >= BLOCKS * B * H) { return; }
  let h = n % H;
  let row = n / H % B * L;
  let i0 = (BLOCKS - 1u - n / (B * H)) * BQ;  // the first query, in its row; those with the most keys begin
  let tx = lane % 8u;
  let ty = lane / 8u;
  let scale = 1.0 / sqrt(f32(F));
  if (lane < BQ) {
    let i = i0 + lane;
    first[lane] = 0xffffffffu;
    if (i < L) {
      first[lane] = i - min(min(pos[row + i], i), W - 1u);
      let at = (row + i) * D + h * F;
      var s = 0.0;
      for (var c = 0u; c < F * one; c++) { s += out[at + c] * dout[at + c]; }
      logs[lane] = stats[(row + i) * H + h];
      deltas[lane] = s;
      stats[(B * L + row + i) * H + h] = s;
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var lo = first[0];
    for (var r = 1u; r < BQ * one; r++) { lo = min(lo, first[r]); }
    begin = lo;
  }
  let j0 = workgroupUniformLoad(&begin);
  let tiles = (min(i0 + BQ, L) - j0 + 31u) / 32u;
  let start = part * TP;
  if (part > 0u && start >= tiles) { return; }
  let i = i0 + ty + TY * vec4<u32>(0u, 1u, 2u, 3u);  // the invocation's queries
  let lo = vec4<u32>(first[ty], first[ty + TY], first[ty + 2u * TY], first[ty + 3u * TY]);
  var o0 = Tile();
  var o1 = Tile();
  var o2 = Tile();
  var o3 = Tile();
  for (var t = start; t < min(start + TP, tiles); t++) {
    let j = j0 + 32u * t;  // the first key
    var s = Tile();
    var d = Tile();
    for (var x = 0u; x < 2u * CHUNKS * one; x++) {
      let ch = x / 2u;
      let steps = (min(F - 32u * ch, 32u) + 3u) / 4u * one;
      workgroupBarrier();
      if (x % 2u == 0u) {
        for (var e = lane; e < 8u * BQ; e += WG) {
          rows[e / 8u * 9u + e % 8u] = dout4(row + min(i0 + e / 8u, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = v4(row + min(j + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      } else {
        for (var e = lane; e < 8u * BQ; e += WG) {
          rows[e / 8u * 9u + e % 8u] = q4(row + min(i0 + e / 8u, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = k4(row + min(j + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      }
      workgroupBarrier();
      if (x % 2u == 1u) { s = dots(s, tx, ty, steps); } else { d = dots(d, tx, ty, steps); }
    }
    keepTile(Tile(
      slope(scale * s.r0, d.r0, ty, seen(i.x, lo.x, j + 4u * tx)),
      slope(scale * s.r1, d.r1, ty + TY, seen(i.y, lo.y, j + 4u * tx)),
      slope(scale * s.r2, d.r2, ty + 2u * TY, seen(i.z, lo.z, j + 4u * tx)),
      slope(scale * s.r3, d.r3, ty + 3u * TY, seen(i.w, lo.w, j + 4u * tx)),
    ), tx, ty);
    for (var ch = 0u; ch < CHUNKS * one; ch++) {
      if (CHUNKS > 1u) {  // else it is still there
        workgroupBarrier();
        for (var e = lane; e < 256u * one; e += WG) {
          let r = e / 8u;
          cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = k4(row + min(j + r, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      }
      workgroupBarrier();
      var o = o0;
      if (CHUNKS > 1u && ch == 1u) { o = o1; }
      if (CHUNKS > 2u && ch == 2u) { o = o2; }
      if (CHUNKS > 3u && ch == 3u) { o = o3; }
      o = mix(o, tx, ty, 8u * one);
      if (ch == 0u) { o0 = o; } else if (ch == 1u) { o1 = o; } else if (ch == 2u) { o2 = o; } else { o3 = o; }
    }
  }
  let fresh = !ACC_DQ && part == 0u;
  for (var ch = 0u; ch < CHUNKS * one; ch++) {
    let c = 32u * ch + 4u * tx;
    var o = o0;
    if (CHUNKS > 1u && ch == 1u) { o = o1; }
    if (CHUNKS > 2u && ch == 2u) { o = o2; }
    if (CHUNKS > 3u && ch == 3u) { o = o3; }
    if (i.x < L) { add(row + i.x, h, c, scale * o.r0, fresh); }
    if (i.y < L) { add(row + i.y, h, c, scale * o.r1, fresh); }
    if (i.z < L) { add(row + i.z, h, c, scale * o.r2, fresh); }
    if (i.w < L) { add(row + i.w, h, c, scale * o.r3, fresh); }
  }
}
