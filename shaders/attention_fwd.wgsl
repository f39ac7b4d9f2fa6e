// out_i = sum_j p_ij v_j,  p_ij = exp(q_i·k_j/sqrt(F) - stats_i),  stats_i = log sum_j exp(q_i·k_j/sqrt(F)), over the
// tokens j <= i of i's row with i-j <= pos[i] and i-j < W; after stats as many zeros. Scores are not stored: each row's
// maximum and sum of exponentials go along (FlashAttention: Dao et al. 2022, arXiv 2205.14135).
// One workgroup a block of 4*TY queries of a head; keys come by tiles of 32, channels by chunks of 32. An invocation
// makes 4 x 4 scores, and 4 channels of 4 rows of each chunk.
// reference: op/attention_ref.go attentionFwd
override B: u32 = 2u;   // rows, that is sequences
override L: u32 = 40u;  // tokens of a row
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override W: u32 = 40u;  // window
override TY: u32 = 8u;  // rows of 8 invocations
override TP: u32 = 2u;  // tiles a dispatch
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> pos: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;

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
var<workgroup> most: array<f32, BQ>;   // its largest score so far
var<workgroup> keep: array<f32, BQ>;   // what remains of its earlier exponentials
var<workgroup> begin: u32;
const LEAST: f32 = -3.4028234e38;  // no score is below

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

// q4, k4, v4 are four channels from c of token i of all rows, zeros past the head's end.
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

fn inside(c: u32, x: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), x, vec4<u32>(c, c + 1u, c + 2u, c + 3u) < vec4<u32>(F));
}

// put stores four channels from c of token i of all rows.
fn put(i: u32, h: u32, c: u32, x: vec4<f32>) {
  let o = i * D + h * F + c;
  if (c < F) { out[o] = x.x; }
  if (c + 1u < F) { out[o + 1u] = x.y; }
  if (c + 2u < F) { out[o + 2u] = x.z; }
  if (c + 3u < F) { out[o + 3u] = x.w; }
}

fn load(i: u32, h: u32, c: u32) -> vec4<f32> {
  let e = i * D + h * F + min(vec4<u32>(c, c + 1u, c + 2u, c + 3u), vec4<u32>(F - 1u));
  return vec4<f32>(out[e.x], out[e.y], out[e.z], out[e.w]);
}

// seen says which of the keys from j query i of its row sees; lo is the first.
fn seen(i: u32, lo: u32, j: u32) -> vec4<bool> {
  let at = vec4<u32>(j, j + 1u, j + 2u, j + 3u);
  return (at >= vec4<u32>(lo)) & (at <= vec4<u32>(i));
}

// exponentials are those of scores of query i that are seen; m is its largest score.
fn exponentials(s: vec4<f32>, m: f32, can: vec4<bool>) -> vec4<f32> { return select(vec4<f32>(), exp(s - m), can); }

// largest is the largest of most and of row r of score.
fn largest(r: u32, most: f32, n: u32) -> f32 {
  var m = vec4<f32>(most);
  for (var c = 0u; c < n; c++) { m = max(m, score[r * 9u + c]); }
  return max(max(m.x, m.y), max(m.z, m.w));
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
    var lo = 0xffffffffu;
    var m = LEAST;
    var s = 0.0;
    if (i < L) {
      lo = i - min(min(pos[row + i], i), W - 1u);
      if (part > 0u) {  // between dispatches stats has the maxima and then the sums, out has sums too
        m = stats[(row + i) * H + h];
        s = stats[(B * L + row + i) * H + h];
      }
    }
    first[lane] = lo;
    most[lane] = m;
    keep[lane] = s;
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
  var sum = vec4<f32>();  // of the invocation's exponentials
  var o0 = Tile();
  var o1 = Tile();
  var o2 = Tile();
  var o3 = Tile();
  if (part > 0u) {
    if (tx == 0u) { sum = vec4<f32>(keep[ty], keep[ty + TY], keep[ty + 2u * TY], keep[ty + 3u * TY]); }
    let at = row + min(i, vec4<u32>(L - 1u));
    for (var ch = 0u; ch < CHUNKS * one; ch++) {
      let c = 32u * ch + 4u * tx;
      let o = Tile(load(at.x, h, c), load(at.y, h, c), load(at.z, h, c), load(at.w, h, c));
      if (ch == 0u) { o0 = o; } else if (ch == 1u) { o1 = o; } else if (ch == 2u) { o2 = o; } else { o3 = o; }
    }
  }
  for (var t = start; t < min(start + TP, tiles); t++) {
    let j = j0 + 32u * t;  // the first key
    var s = Tile();
    for (var ch = 0u; ch < CHUNKS * one; ch++) {
      workgroupBarrier();
      if (CHUNKS > 1u || t == start) {
        for (var e = lane; e < 8u * BQ; e += WG) {
          rows[e / 8u * 9u + e % 8u] = q4(row + min(i0 + e / 8u, L - 1u), h, 32u * ch + e % 8u * 4u);
        }
      }
      for (var e = lane; e < 256u * one; e += WG) {
        let r = e / 8u;
        cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = k4(row + min(j + r, L - 1u), h, 32u * ch + e % 8u * 4u);
      }
      workgroupBarrier();
      s = dots(s, tx, ty, (min(F - 32u * ch, 32u) + 3u) / 4u * one);
    }
    let can0 = seen(i.x, lo.x, j + 4u * tx);
    let can1 = seen(i.y, lo.y, j + 4u * tx);
    let can2 = seen(i.z, lo.z, j + 4u * tx);
    let can3 = seen(i.w, lo.w, j + 4u * tx);
    s.r0 *= scale;
    s.r1 *= scale;
    s.r2 *= scale;
    s.r3 *= scale;
    let least = vec4<f32>(LEAST);
    keepTile(Tile(select(least, s.r0, can0), select(least, s.r1, can1), select(least, s.r2, can2), select(least, s.r3, can3)), tx, ty);
    workgroupBarrier();
    if (lane < BQ) {
      let m = largest(lane, most[lane], 8u * one);
      keep[lane] = exp(max(most[lane] - m, -200.0));
      most[lane] = m;
    }
    workgroupBarrier();
    s.r0 = exponentials(s.r0, most[ty], can0);
    s.r1 = exponentials(s.r1, most[ty + TY], can1);
    s.r2 = exponentials(s.r2, most[ty + 2u * TY], can2);
    s.r3 = exponentials(s.r3, most[ty + 3u * TY], can3);
    keepTile(s, tx, ty);
    let kept = vec4<f32>(keep[ty], keep[ty + TY], keep[ty + 2u * TY], keep[ty + 3u * TY]);
    let all = vec4<f32>(1.0);
    sum = sum * kept + vec4<f32>(dot(s.r0, all), dot(s.r1, all), dot(s.r2, all), dot(s.r3, all));
    for (var ch = 0u; ch < CHUNKS * one; ch++) {
      if (ch > 0u) { workgroupBarrier(); }
      for (var e = lane; e < 256u * one; e += WG) {
        let r = e / 8u;
        cols[(r / 4u + r % 4u * 8u) * 9u + e % 8u] = v4(row + min(j + r, L - 1u), h, 32u * ch + e % 8u * 4u);
      }
      workgroupBarrier();
      var o = o0;
      if (CHUNKS > 1u && ch == 1u) { o = o1; }
      if (CHUNKS > 2u && ch == 2u) { o = o2; }
      if (CHUNKS > 3u && ch == 3u) { o = o3; }
      o = mix(Tile(kept.x * o.r0, kept.y * o.r1, kept.z * o.r2, kept.w * o.r3), tx, ty, 8u * one);
      if (ch == 0u) { o0 = o; } else if (ch == 1u) { o1 = o; } else if (ch == 2u) { o2 = o; } else { o3 = o; }
    }
  }
  // The sums of a row's invocations are one row's.
  workgroupBarrier();
  keepTile(Tile(vec4<f32>(sum.x), vec4<f32>(sum.y), vec4<f32>(sum.z), vec4<f32>(sum.w)), tx, ty);
  workgroupBarrier();
  let done = start + TP >= tiles;
  if (lane < BQ) {
    var s = 0.0;
    for (var c = 0u; c < 8u * one; c++) { s += score[lane * 9u + c].x; }
    let at = (row + i0 + lane) * H + h;
    if (i0 + lane < L) {
      stats[at] = select(most[lane], most[lane] + log(s), done);
      stats[B * L * H + at] = select(s, 0.0, done);
    }
    keep[lane] = select(1.0, 1.0 / s, done);
  }
  workgroupBarrier();
  for (var ch = 0u; ch < CHUNKS * one; ch++) {
    let c = 32u * ch + 4u * tx;
    var o = o0;
    if (CHUNKS > 1u && ch == 1u) { o = o1; }
    if (CHUNKS > 2u && ch == 2u) { o = o2; }
    if (CHUNKS > 3u && ch == 3u) { o = o3; }
    if (i.x < L) { put(row + i.x, h, c, o.r0 * keep[ty]); }
    if (i.y < L) { put(row + i.y, h, c, o.r1 * keep[ty + TY]); }
    if (i.z < L) { put(row + i.z, h, c, o.r2 * keep[ty + 2u * TY]); }
    if (i.w < L) { put(row + i.w, h, c, o.r3 * keep[ty + 3u * TY]); }
  }
}
