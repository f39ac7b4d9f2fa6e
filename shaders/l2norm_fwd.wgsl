// out = x / max(|x|, 1e-12),  norm = |x|,  over the D channels of each row (token, head).  One workgroup a row.
// The row is scaled by a power of two, which is exact, so that its largest element is between 1 and 2 and squares
// neither overflow nor vanish.
// reference: op/l2norm.go l2normFwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 32u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;
var<workgroup> part: array<f32, WG>;
var<workgroup> part2: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  var m = 0.0;
  for (var c = i; c < D; c += WG) { m = max(m, abs(x[row + c])); }
  part[i] = m;
  workgroupBarrier();
  for (var j = 0u; j < WG; j++) { m = max(m, part[j]); }
  let exponent = clamp((bitcast<u32>(m) >> 23u) & 255u, 1u, 253u);
  let scale = bitcast<f32>((254u - exponent) << 23u);
  let unscale = bitcast<f32>(exponent << 23u);
  var q = 0.0;
  for (var c = i; c < D; c += WG) {
    let v = x[row + c] * scale;
    q += v * v;
  }
  part2[i] = q;
  workgroupBarrier();
  var sum = 0.0;
  for (var j = 0u; j < WG; j++) { sum += part2[j]; }
  let root = sqrt(sum);
  let n = min(root * unscale, 3.4028234e38);
  if (i == 0u) { norm[r] = n; }
  for (var c = i; c < D; c += WG) {
    if (n < 1e-12) { out[row + c] = x[row + c] / 1e-12; } else { out[row + c] = x[row + c] * scale / root; }
  }
}
