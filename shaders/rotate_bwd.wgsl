// dx[n,pair] += the gradient turned back: (a cos + b sin, b cos - a sin), (a, b) = dout[n,pair], cos and sin =
// table[pos[n] mod P, pair of the head, :].  One workgroup a token.
// reference: op/rotate.go rotateBwd
override N: u32 = 4u;  // tokens
override P: u32 = 2u;  // rows of the table
override H: u32 = 2u;  // heads
override F: u32 = 4u;  // head width
override WG: u32 = 64u;
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> table: array<f32>;
@group(0) @binding(1) var<storage, read> pos: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let C = H * F;
  let n = wg.y * nwg.x + wg.x;
  if (n >= N) { return; }
  let t = pos[n] % P * F;
  for (var p = i; p < C / 2u; p += WG) {
    let c = 2u * p;
    let s = n * C + c;
    let cos_t = table[t + c % F];
    let sin_t = table[t + c % F + 1u];
    let g = vec2<f32>(dout[s] * cos_t + dout[s + 1u] * sin_t, dout[s + 1u] * cos_t - dout[s] * sin_t);
    if (ACC_DX) { dx[s] += g.x; dx[s + 1u] += g.y; } else { dx[s] = g.x; dx[s + 1u] = g.y; }
  }
}
