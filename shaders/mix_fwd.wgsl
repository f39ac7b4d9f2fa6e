// out = x + C*y.
// reference: op/mix.go mixFwd
override N: u32 = 8u;
override C: f32 = 0.5f;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let e = (wg.y * nwg.x + wg.x) * 64u + i;
  if (e < N) { out[e] = x[e] + C * y[e]; }
}
