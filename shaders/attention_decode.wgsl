// For T tokens of each row, one after the other: their k and v go into the rings kc and vc [B,CAP,C], to position pos mod
// CAP, and out = softmax(q·K/sqrt(F)) V over the last min(pos+1, W) positions there. One workgroup a head of a row; it
// takes keys by tiles of WG, an invocation one, and keeps the largest score and the sum of exponentials so far.
// reference: op/attention_decode.go attentionDecode
override B: u32 = 2u;  // rows, that is sequences
override T: u32 = 1u;  // tokens of a row
override H: u32 = 2u;  // heads
override F: u32 = 16u;  // head width
override CAP: u32 = 40u;  // tokens that a ring holds
override W: u32 = 40u;  // window
override WG: u32 = 64u;
override SP: u32 = 1u;  // tiles a dispatch
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> pos: array<u32>;
@group(0) @binding(4) var<storage, read_write> kc: array<f32>;
@group(0) @binding(5) var<storage, read_write> vc: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<storage, read_write> work: array<f32>;

override D: u32 = H * F;
override TILES: u32 = (W + WG - 1u) / WG;  // of a token, at most
const LEAST: f32 = -3.4028234e38;  // no score is below

var<workgroup> query: array<f32, F>;  // q/sqrt(F)
var<workgroup> total: array<f32, F>;  // of exponentials times v so far
var<workgroup> share: array<f32, WG>;  // a tile's scores, then their exponentials

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  if (wg.x + 1u != nwg.x) { return; }  // one dispatch does SP tiles, how many there are along x says which
  let start = (nwg.x - 1u) * SP;
  let bh = wg.z * nwg.y + wg.y;
  if (bh >= B * H) { return; }
  let one = min(nwg.x, 1u);  // not known to the compiler, which would unroll every loop
  let row = bh / H;
  let ring = row * CAP * D + bh % H * F;
  let w = bh * (F + 2u);
  var most = LEAST;
  var sum = 0.0;
  if (start % TILES > 0u) {  // the last dispatch left off inside a token
    most = work[w + F];
    sum = work[w + F + 1u];
    for (var c = lane; c < F * one; c += WG) { total[c] = work[w + c]; }
  }
  for (var s = start; s < min(start + SP, T * TILES); s++) {
    let t = row * T + s / TILES;
    let back = s % TILES * WG;  // the tile's last key is so many tokens before
    let p = pos[t];
    let n = min(p, W - 1u) + 1u;  // keys
    if (back >= n) { continue; }
    let x = t * D + bh % H * F;
    workgroupBarrier();
    for (var c = lane; c < F * one; c += WG) {
      query[c] = q[x + c] / sqrt(f32(F));
      if (back == 0u) {
        total[c] = 0.0;
        kc[ring + p % CAP * D + c] = k[x + c];
        vc[ring + p % CAP * D + c] = v[x + c];
      }
    }
    if (back == 0u) {
      most = LEAST;
      sum = 0.0;
    }
    workgroupBarrier();
    storageBarrier();
    var score = LEAST;
    if (back + lane < n) {
      let e = ring + (p - back - lane) % CAP * D;
      score = 0.0;
      for (var c = 0u; c < F * one; c++) { score += query[c] * kc[e + c]; }
    }
    share[lane] = score;
    workgroupBarrier();
    var top = most;
    for (var j = 0u; j < WG * one; j++) { top = max(top, share[j]); }
    workgroupBarrier();
    share[lane] = select(0.0, exp(score - top), back + lane < n);
    workgroupBarrier();
    let keep = exp(max(most - top, -200.0));
    most = top;
    sum *= keep;
    for (var j = 0u; j < WG * one; j++) { sum += share[j]; }
    for (var c = lane; c < F * one; c += WG) {
      var o = keep * total[c];
      for (var j = 0u; j < min(WG, n - back); j++) { o += share[j] * vc[ring + (p - back - j) % CAP * D + c]; }
      total[c] = o;
      if (back + WG >= n) { out[x + c] = o / sum; }
    }
  }
  if (lane == 0u) {
    work[w + F] = most;
    work[w + F + 1u] = sum;
  }
  for (var c = lane; c < F * one; c += WG) { work[w + c] = total[c]; }
}
