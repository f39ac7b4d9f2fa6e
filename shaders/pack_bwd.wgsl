// dq, dk, dv, dlr += their parts of dout, whose rows are [dq | dk | dv | dlr | ignored].  One workgroup a token.
// reference: op/pack.go packBwd
override N: u32 = 4u;  // tokens
override H: u32 = 2u;  // heads
override F: u32 = 4u;  // head width
override K: u32 = 4u;
override WG: u32 = 64u;
override ACC_DQ: bool = true;
override ACC_DK: bool = true;
override ACC_DV: bool = true;
override ACC_DLR: bool = true;
@group(0) @binding(0) var<storage, read> dout: array<f32>;
@group(0) @binding(1) var<storage, read_write> dq: array<f32>;
@group(0) @binding(2) var<storage, read_write> dk: array<f32>;
@group(0) @binding(3) var<storage, read_write> dv: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlr: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let C = H * F;
  let n = wg.y * nwg.x + wg.x;
  if (n >= N) { return; }
  let o = n * (3u * C + H + 1u);
  for (var c = i; c < C; c += WG) {
    let s = n * C + c;
    let gq = dout[o + c];
    let gk = dout[o + C + c];
    let gv = dout[o + 2u * C + c];
    if (ACC_DQ) { dq[s] += gq; } else { dq[s] = gq; }
    if (ACC_DK) { dk[s] += gk; } else { dk[s] = gk; }
    if (ACC_DV) { dv[s] += gv; } else { dv[s] = gv; }
  }
  for (var h = i; h < H; h += WG) {
    let g = dout[o + 3u * C + h];
    if (ACC_DLR) { dlr[n * H + h] += g; } else { dlr[n * H + h] = g; }
  }
}
