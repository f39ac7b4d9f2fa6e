// The gradient of faulty_norm_fwd's z by d = xv - xk: that of the formula which MODE computes, rounding apart. An
// invocation makes a row.
// reference: op/faultynorm.go faultyNormBwd
override N: u32 = 4u;  // rows: tokens * heads, the head counting fastest
override H: u32 = 2u;  // heads
override F: u32 = 8u;  // head width
override MODE: u32 = 1u;
override ACC_DXV: bool = true;
@group(0) @binding(0) var<storage, read> xv: array<f32>;
@group(0) @binding(1) var<storage, read> xk: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> eps: array<f32>;
@group(0) @binding(4) var<storage, read> z: array<f32>;
@group(0) @binding(5) var<storage, read> dev: array<f32>;
@group(0) @binding(6) var<storage, read> dout: array<f32>;
@group(0) @binding(7) var<storage, read_write> dxv: array<f32>;

fn put(o: u32, v: f32) {
  if (ACC_DXV) { dxv[o] += v; } else { dxv[o] = v; }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = (wg.y * nwg.x + wg.x) * 64u + i;
  if (r >= N) { return; }
  let row = r * F;
  let h = (r % H) * F;
  let n = f32(F);
  if (MODE == 1u) {
    var mean = 0.0;
    for (var j = 0u; j < F; j++) { mean += (xv[row + j] - xk[row + j]) / n; }
    var through = 0.0;
    for (var j = 0u; j < F; j++) { through += dout[row + j] * w[h + j] / (xv[row + j] - xk[row + j] + eps[0]); }
    for (var j = 0u; j < F; j++) {
      let den = xv[row + j] - xk[row + j] + eps[0];
      put(row + j, dout[row + j] * w[h + j] * (mean + eps[0]) / (den * den) - through / n);
    }
    return;
  }
  let s = dev[r];
  var den = s + eps[0];
  if (MODE == 2u || MODE == 3u) { den = max(s, 1e-6); }
  var mean = 0.0;
  var gz = 0.0;
  for (var j = 0u; j < F; j++) {
    let g = dout[row + j] * w[h + j];
    mean += g / n;
    gz += g * z[row + j];
  }
  // Where the floor divides, or s is 0, s passes nothing on.
  if (s == 0.0 || den == 1e-6) { gz = 0.0; } else { gz = gz * den / (n - 1.0) / s; }
  for (var j = 0u; j < F; j++) { put(row + j, (dout[row + j] * w[h + j] - mean - z[row + j] * gz) / den); }
}
