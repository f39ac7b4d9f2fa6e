// sum = a + b;  out[r,c] = sum[r,c] * rstd[r] * w[c],  rstd[r] = 1/sqrt(mean_c(sum²) + EPS).  One workgroup a row; an
// invocation reads only the sums that it wrote, so that storage needs no barrier.
// reference: op/addnorm.go addRMSNormFwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override EPS: f32 = 1e-6f;
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> sum: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
var<workgroup> part: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  var s = 0.0;
  for (var c = i; c < D; c += WG) {
    let v = a[row + c] + b[row + c];
    sum[row + c] = v;
    s += v * v;
  }
  part[i] = s;
  workgroupBarrier();
  var all = 0.0;
  for (var j = 0u; j < WG; j++) { all += part[j]; }
  let rs = 1.0 / sqrt(all / f32(D) + EPS);
  if (i == 0u) { rstd[r] = rs; }
  for (var c = i; c < D; c += WG) { out[row + c] = sum[row + c] * rs * w[c]; }
}
