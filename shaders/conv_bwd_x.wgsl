// dx[b,t,c] += sum_j w[c,W-1-j] * dout[b,t+j,c], over the tokens of the row with pos[b,t+j] >= j.
// One workgroup a token.
// reference: op/conv.go convBwdX
override B: u32 = 2u;  // rows
override L: u32 = 4u;  // tokens of a row
override C: u32 = 8u;  // channels
override W: u32 = 4u;  // width of the kernel
override WG: u32 = 64u;
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> pos: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= B * L) { return; }
  let t = r % L;
  for (var c = id; c < C; c += WG) {
    var s = 0.0;
    for (var i = 0u; i < W; i++) {
      let j = W - 1u - i;
      if (t + j < L) {
        if (pos[r + j] >= j) { s += w[c * W + i] * dout[(r + j) * C + c]; }
      }
    }
    if (ACC_DX) { dx[r * C + c] += s; } else { dx[r * C + c] = s; }
  }
}
