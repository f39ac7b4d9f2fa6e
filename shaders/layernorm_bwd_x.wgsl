// dx[r,c] += rstd[r] * (g[c] - mean_k(g[k]) - xhat[r,c] * mean_k(g[k]*xhat[r,k])),  g[c] = dout[r,c]*w[c],
// xhat = (x-mean)*rstd.  One workgroup a row.
// reference: op/layernorm.go layernormBwdX
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 64u;
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
var<workgroup> part: array<vec2<f32>, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  let m = mean[r];
  let rs = rstd[r];
  var s = vec2<f32>(0.0, 0.0);
  for (var c = i; c < D; c += WG) {
    let g = dout[row + c] * w[c];
    s += vec2<f32>(g, g * (x[row + c] - m));
  }
  part[i] = s;
  workgroupBarrier();
  var sum = vec2<f32>(0.0, 0.0);
  for (var j = 0u; j < WG; j++) { sum += part[j]; }
  let mg = sum.x / f32(D);
  let p = sum.y * rs * rs / f32(D);
  for (var c = i; c < D; c += WG) {
    let g = rs * (dout[row + c] * w[c] - mg - (x[row + c] - m) * p);
    if (ACC_DX) { dx[row + c] += g; } else { dx[row + c] = g; }
  }
}
