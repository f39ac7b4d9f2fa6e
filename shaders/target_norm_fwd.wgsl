// out = z*w[h] + b[h] + xk,  z = (d - mean(d)) / (dev(d) + eps),  d = xv - xk,  dev the unbiased standard deviation;
// over the F channels of each row (token, head); 0 where dev + eps is 0.  One workgroup a row.
//
// For no finite input may |z| pass sqrt(F-1). So: half of d, which cannot overflow; shifted by the middle of its
// range, so that equal elements become exactly 0; scaled by a power of two, which is exact, so that the largest is
// between 1 and 2 and squares neither overflow nor vanish. z's row holds each intermediate value: the number that is
// squared is the number that is divided, whatever a compiler reorders or fuses.
// reference: op/targetnorm.go targetNormFwd
override N: u32 = 4u;  // rows
override H: u32 = 2u;  // heads
override F: u32 = 8u;  // head width
override WG: u32 = 32u;
@group(0) @binding(0) var<storage, read> xv: array<f32>;
@group(0) @binding(1) var<storage, read> xk: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> eps: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;
@group(0) @binding(7) var<storage, read_write> dev: array<f32>;
var<workgroup> ends: array<vec2<f32>, WG>;  // least and most
var<workgroup> part: array<f32, WG>;
var<workgroup> part2: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * F;
  let h = 0.5 * xv[row] - 0.5 * xk[row];
  var e = vec2<f32>(h, h);
  for (var c = i; c < F; c += WG) {
    let v = 0.5 * xv[row + c] - 0.5 * xk[row + c];
    z[row + c] = v;
    e = vec2<f32>(min(e.x, v), max(e.y, v));
  }
  ends[i] = e;
  workgroupBarrier();
  for (var j = 0u; j < WG; j++) {
    let o = ends[j];
    e = vec2<f32>(min(e.x, o.x), max(e.y, o.y));
  }
  let half = 0.5 * e.y - 0.5 * e.x;
  let mid = e.x + half;  // e.x itself where all are equal
  // The exponent of half the range, kept where 2^exponent and its reciprocal are normal numbers.
  let exponent = clamp((bitcast<u32>(half) >> 23u) & 255u, 1u, 253u);
  let scale = bitcast<f32>((254u - exponent) << 23u);
  let unscale = bitcast<f32>(exponent << 23u);
  var s = 0.0;
  for (var c = i; c < F; c += WG) {
    let v = (z[row + c] - mid) * scale;
    z[row + c] = v;
    s += v;
  }
  part[i] = s;
  workgroupBarrier();
  var sum = 0.0;
  for (var j = 0u; j < WG; j++) { sum += part[j]; }
  let mean = sum / f32(F);
  var q = 0.0;
  for (var c = i; c < F; c += WG) {
    let v = z[row + c] - mean;
    z[row + c] = v;
    q += v * v;
  }
  part2[i] = q;
  workgroupBarrier();
  var sq = 0.0;
  for (var j = 0u; j < WG; j++) { sq += part2[j]; }
  let sd = sqrt(sq / f32(max(F, 2u) - 1u));  // of d/2 * scale
  if (i == 0u) { dev[r] = min(sd * (2.0 * unscale), 3.4028234e38); }
  let den = sd + eps[0] * (0.5 * scale);
  let head = r % H * F;
  for (var c = i; c < F; c += WG) {
    var v = z[row + c];
    if (den != 0.0) { v = v / den; }  // else it is 0 already
    z[row + c] = v;
    out[row + c] = v * w[head + c] + b[head + c] + xk[row + c];
  }
}
