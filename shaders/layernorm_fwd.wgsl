// out[r,c] = (x[r,c]-mean[r]) * rstd[r] * w[c] + b[c],  rstd[r] = 1/sqrt(mean_c((x-mean)²) + EPS).
// One workgroup a row.
// reference: op/layernorm.go layernormFwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override EPS: f32 = 1e-6f;
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
var<workgroup> part: array<f32, WG>;
var<workgroup> part2: array<f32, WG>;

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
  for (var c = i; c < D; c += WG) { out[row + c] = (x[row + c] - m) * rs * w[c] + b[c]; }
}
