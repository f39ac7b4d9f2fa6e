// The normaliser of the reconstruction target with one of its known faults, to test what finds them; MODE is one of
// op.NormFault. target_norm_fwd.wgsl is the right one. An invocation makes a row.
// reference: op/faultynorm.go faultyNormFwd
override N: u32 = 4u;  // rows: tokens * heads, the head counting fastest
override H: u32 = 2u;  // heads
override F: u32 = 8u;  // head width
override MODE: u32 = 1u;
@group(0) @binding(0) var<storage, read> xv: array<f32>;
@group(0) @binding(1) var<storage, read> xk: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> eps: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;
@group(0) @binding(7) var<storage, read_write> dev: array<f32>;

// half rounds to float16 by arithmetic, ties to even: packing would leave that to the device.
fn half(v: f32) -> f32 {
  let a = abs(v);
  let bits = bitcast<u32>(a);
  if (bits >= 0x7f800000u) { return v; }
  if (a >= 65520.0) { return bitcast<f32>((bitcast<u32>(v) & 0x80000000u) | 0x7f800000u); }
  if (a < 0.00006103515625) {  // subnormal: steps of 2^-24
    return round(v * 16777216.0) / 16777216.0;
  }
  let r = (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
  return bitcast<f32>((bitcast<u32>(v) & 0x80000000u) | r);
}

fn bfloat(v: f32) -> f32 {
  let bits = bitcast<u32>(v);
  if ((bits & 0x7f800000u) == 0x7f800000u) { return v; }
  return bitcast<f32>((bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u);
}

// q rounds to the precision of the mode.
fn q(v: f32) -> f32 {
  if (MODE == 5u) { return half(v); }
  if (MODE == 6u) { return bfloat(v); }
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = (wg.y * nwg.x + wg.x) * 64u + i;
  if (r >= N) { return; }
  let row = r * F;
  let n = f32(F);
  var sum = 0.0;
  var square = 0.0;
  for (var c = row; c < row + F; c++) {
    let d = q(xv[c] - xk[c]);
    sum = q(sum + d);
    square = q(square + q(d * d));
  }
  let mean = q(sum / n);
  var s = 0.0;
  if (MODE == 4u) {
    s = sqrt(max(0.0, (square / n - mean * mean) * n / (n - 1.0)));
  } else {
    for (var c = row; c < row + F; c++) {
      let v = q(q(xv[c] - xk[c]) - mean);
      s = q(s + q(v * v));
    }
    s = q(sqrt(q(s / (n - 1.0))));
  }
  var shown = s;
  let h = (r % H) * F;
  for (var j = 0u; j < F; j++) {
    let d = q(xv[row + j] - xk[row + j]);
    var den = q(s + q(eps[0]));
    if (MODE == 1u) {
      den = d + eps[0];
      shown = d;
    } else if (MODE == 2u || MODE == 3u) {
      den = max(s, 1e-6);
    }
    let v = q(q(d - mean) / den);
    z[row + j] = v;
    out[row + j] = w[h + j] * v + b[h + j] + xk[row + j];
  }
  dev[r] = shown;
}
