// out[r,c] = (x[r,c]-mean[r]) * rstd[r] * w[c] + b[c],  rstd[r] = 1/sqrt(mean_c((x-mean)²) + EPS).
// One workgroup a row. out holds two binary16 in a word; D is even.
// reference: op/layernorm.go layernormFwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override EPS: f32 = 1e-6f;
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
var<workgroup> part: array<f32, WG>;
var<workgroup> part2: array<f32, WG>;

// half rounds v to the nearest binary16, half to even; what is larger than any becomes an infinity. By hand, because
// pack2x16float may round as a device likes. reference: prog/half.go RoundHalf
fn half(v: f32) -> u32 {
  let u = bitcast<u32>(v);
  let m = u & 0x7fffffffu;
  var h = (m - 0x38000000u + 0xfffu + ((m >> 13u) & 1u)) >> 13u;
  if (m < 0x38800000u) { h = u32(round(abs(v) * 16777216.0)); }  // denormal
  if (m > 0x477fe000u) { h = select(0x7c00u, 0x7e00u, m > 0x7f800000u); }
  return h | ((u >> 16u) & 0x8000u);
}

// halves packs two of them.
fn halves(x: f32, y: f32) -> u32 { return half(x) | (half(y) << 16u); }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  var s = 0.0;
  for (var c = i; c < D; c += WG) { s += x[row + c]; }
  part[i] = s;
  workgroupBarrier();
  var sum = 0.0;
  for (var j = 0u; j < WG; j++) { sum += part[j]; }
  let m = sum / f32(D);
  var q = 0.0;
  for (var c = i; c < D; c += WG) {
    let e = x[row + c] - m;
    q += e * e;
  }
  part2[i] = q;
  workgroupBarrier();
  var sq = 0.0;
  for (var j = 0u; j < WG; j++) { sq += part2[j]; }
  let rs = 1.0 / sqrt(sq / f32(D) + EPS);
  if (i == 0u) {
    mean[r] = m;
    rstd[r] = rs;
  }
  for (var c = i * 2u; c < D; c += WG * 2u) {
    let y = (x[row + c] - m) * rs * w[c] + b[c];
    let z = (x[row + c + 1u] - m) * rs * w[c + 1u] + b[c + 1u];
    out[(row + c) / 2u] = halves(y, z);
  }
}
