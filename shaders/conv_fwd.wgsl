// out[b,t,c] = bias[c] + sum_j w[c,W-1-j] * x[b,t-j,c], j <= pos[b,t]: x goes on before the row as past [B,W-1,C]
// where TAIL, else as zero.  One workgroup a token.
// reference: op/conv.go convFwd
override B: u32 = 2u;  // rows
override L: u32 = 4u;  // tokens of a row
override C: u32 = 8u;  // channels
override W: u32 = 4u;  // width of the kernel
override TAIL: bool = true;
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> pos: array<u32>;
@group(0) @binding(4) var<storage, read> past: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= B * L) { return; }
  let t = r % L;
  for (var c = id; c < C; c += WG) {
    var s = b[c];
    for (var i = 0u; i < W; i++) {
      let j = W - 1u - i;
      if (pos[r] >= j) {
        if (t >= j) {
          s += w[c * W + i] * x[(r - j) * C + c];
        } else if (TAIL) {
          s += w[c * W + i] * past[(r / L * (W - 1u) + t + i) * C + c];
        }
      }
    }
    out[r * C + c] = s;
  }
}
