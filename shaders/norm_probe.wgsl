// What a run looks at of the target's normaliser, of every head: least, greatest and mean of XV, XK, target and dev
// (the standard deviation), the part of rows with a gain 1/(dev+eps) above 100, the largest |z|, the least and largest length of a key, and
// how many elements are not finite, which count nowhere else, and the dev+eps that is nearest to 0. One workgroup a head; an
// invocation takes whole rows.
// reference: op/normprobe.go normProbe
override N: u32 = 4u;  // rows: tokens * heads, the head counting fastest
override H: u32 = 2u;  // heads
override F: u32 = 8u;  // head width
override WG: u32 = 32u;
@group(0) @binding(0) var<storage, read> xv: array<f32>;
@group(0) @binding(1) var<storage, read> xk: array<f32>;
@group(0) @binding(2) var<storage, read> aim: array<f32>;
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read> dev: array<f32>;
@group(0) @binding(5) var<storage, read> eps: array<f32>;
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;
var<workgroup> lo: array<f32, WG>;
var<workgroup> hi: array<f32, WG>;
var<workgroup> sum: array<f32, WG>;

// finite is told by the exponent: a compiler may take comparisons to hold no NaN.
fn finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }

// span counts v into (least, greatest, sum).
fn span(s: vec3<f32>, v: f32) -> vec3<f32> {
  if (!finite(v)) { return s; }
  return vec3<f32>(min(s.x, v), max(s.y, v), s.z + v);
}

fn bad(v: f32) -> f32 { return select(1.0, 0.0, finite(v)); }

// merge makes one span of all invocations'.
fn merge(i: u32, s: vec3<f32>) -> vec3<f32> {
  workgroupBarrier();
  lo[i] = s.x;
  hi[i] = s.y;
  sum[i] = s.z;
  workgroupBarrier();
  var o = vec3<f32>(lo[0], hi[0], 0.0);
  for (var j = 0u; j < WG; j++) { o = vec3<f32>(min(o.x, lo[j]), max(o.y, hi[j]), o.z + sum[j]); }
  return o;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let h = wg.y * nwg.x + wg.x;
  if (h >= H) { return; }
  let most = 3.4028234e38;
  let none = vec3<f32>(most, -most, 0.0);
  var sv = none;
  var sk = none;
  var so = none;
  var sd = none;
  var length_ = none;
  var zs = vec3<f32>(0.0, 0.0, 0.0);  // greatest |z|; elements that are not finite
  var high = vec3<f32>(most, 0.0, 0.0);  // least |dev+eps|; rows of a high gain
  let quiet = 0.01;
  for (var r = h + i * H; r < N; r += WG * H) {
    var square = 0.0;
    var badKey = 0.0;
    for (var c = r * F; c < (r + 1u) * F; c++) {
      sv = span(sv, xv[c]);
      sk = span(sk, xk[c]);
      so = span(so, aim[c]);
      zs.z += bad(xv[c]) + bad(aim[c]) + bad(z[c]);
      badKey += bad(xk[c]);
      square += xk[c] * xk[c];
      if (finite(z[c])) { zs.y = max(zs.y, abs(z[c])); }
    }
    zs.z += badKey + bad(dev[r]);
    if (badKey == 0.0 && finite(square)) { length_ = span(length_, sqrt(square)); }
    sd = span(sd, dev[r]);
    // A row of two channels has the gain eps/(dev+eps)^2.
    let den = abs(dev[r] + eps[0]);
    if (finite(den)) { high.x = min(high.x, den); }
    if (finite(dev[r]) && den < quiet && (F != 2u || den * den < quiet * eps[0])) { high.z += 1.0; }
  }
  sv = merge(i, sv);
  sk = merge(i, sk);
  so = merge(i, so);
  sd = merge(i, sd);
  length_ = merge(i, length_);
  zs = merge(i, zs);
  high = merge(i, high);
  if (i != 0u) { return; }
  let rows = f32(N / H);
  let n = rows * f32(F);
  let o = h * 18u;
  stats[o] = sv.x;
  stats[o + 1u] = sv.y;
  stats[o + 2u] = sv.z / n;
  stats[o + 3u] = sk.x;
  stats[o + 4u] = sk.y;
  stats[o + 5u] = sk.z / n;
  stats[o + 6u] = so.x;
  stats[o + 7u] = so.y;
  stats[o + 8u] = so.z / n;
  stats[o + 9u] = sd.x;
  stats[o + 10u] = sd.y;
  stats[o + 11u] = sd.z / rows;
  stats[o + 12u] = high.z / rows;
  stats[o + 13u] = zs.y;
  stats[o + 14u] = length_.x;
  stats[o + 15u] = length_.y;
  stats[o + 16u] = zs.z;
  stats[o + 17u] = high.x;
}
