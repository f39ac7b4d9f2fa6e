// dx[r,c] += rstd[r] * (w[c]*dout[r,c] - x[r,c]*rstd[r]²/D * sum_k dout[r,k]*w[k]*x[r,k]).  One workgroup a row.
// reference: op/rmsnorm.go rmsnormBwdX
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 64u;
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
var<workgroup> part: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  var s = 0.0;
  for (var c = i; c < D; c += WG) { s += dout[row + c] * w[c] * x[row + c]; }
  part[i] = s;
  workgroupBarrier();
  var sum = 0.0;
  for (var j = 0u; j < WG; j++) { sum += part[j]; }
  let rs = rstd[r];
  let m = sum * rs * rs / f32(D);
  for (var c = i; c < D; c += WG) {
    let g = rs * (w[c] * dout[row + c] - x[row + c] * m);
    if (ACC_DX) { dx[row + c] += g; } else { dx[row + c] = g; }
  }
}
