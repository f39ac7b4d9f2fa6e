// out[b,t,c] = bias[c] + sum_i w[c,i] * x[b,t-(W-1)+i,c], x zero before the sequence.  One workgroup a token.
// reference: op/conv.go convFwd
override B: u32 = 2u;  // sequences
override L: u32 = 4u;  // tokens of a sequence
override C: u32 = 8u;  // channels
override W: u32 = 4u;  // width of the kernel
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= B * L) { return; }
  let t = r % L;
  for (var c = id; c < C; c += WG) {
    var s = b[c];
    for (var i = 0u; i < W; i++) {
      if (t + i >= W - 1u) { s += w[c * W + i] * x[(r + i - (W - 1u)) * C + c]; }
    }
    out[r * C + c] = s;
  }
}
