// The gradient of f(xv - xk) + xk, given dd of f's argument and dout of the whole.
// reference: op/faultynorm.go differenceBwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override ACC_DXV: bool = true;
override ACC_DXK: bool = true;
@group(0) @binding(0) var<storage, read> dd: array<f32>;
@group(0) @binding(1) var<storage, read> dout: array<f32>;
@group(0) @binding(2) var<storage, read_write> dxv: array<f32>;
@group(0) @binding(3) var<storage, read_write> dxk: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let e = (wg.y * nwg.x + wg.x) * 64u + i;
  if (e >= N * D) { return; }
  let v = dd[e];
  let k = dout[e] - v;
  if (ACC_DXV) { dxv[e] += v; } else { dxv[e] = v; }
  if (ACC_DXK) { dxk[e] += k; } else { dxk[e] = k; }
}
