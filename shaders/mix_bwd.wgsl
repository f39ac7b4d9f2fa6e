// The gradient of x + C*y.
// reference: op/mix.go mixBwd
override N: u32 = 8u;
override C: f32 = 0.5f;
override ACC_DX: bool = true;
override ACC_DY: bool = true;
@group(0) @binding(0) var<storage, read> dout: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read_write> dy: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let e = (wg.y * nwg.x + wg.x) * 64u + i;
  if (e >= N) { return; }
  let v = dout[e];
  if (ACC_DX) { dx[e] += v; } else { dx[e] = v; }
  if (ACC_DY) { dy[e] += C * v; } else { dy[e] = C * v; }
}
