// dq, dk += the gradient of the rotated pairs turned back: (ga cos + gb sin, gb cos - ga sin);  dv, dlr += theirs.
// dout[n,:] = [dq rotated | dk rotated | dv | dlr | ignored], cos and sin = table[pos[n] mod P, i, :].
// One workgroup a token.
// reference: op/rope.go ropeBwd
override N: u32 = 4u;  // tokens
override P: u32 = 2u;  // rows of the table
override H: u32 = 2u;  // heads
override F: u32 = 4u;  // head width
override WG: u32 = 64u;
override ACC_DQ: bool = true;
override ACC_DK: bool = true;
override ACC_DV: bool = true;
override ACC_DLR: bool = true;
@group(0) @binding(0) var<storage, read> table: array<f32>;
@group(0) @binding(1) var<storage, read> pos: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dq: array<f32>;
@group(0) @binding(4) var<storage, read_write> dk: array<f32>;
@group(0) @binding(5) var<storage, read_write> dv: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlr: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let C = H * F;
  let n = wg.y * nwg.x + wg.x;
  if (n >= N) { return; }
  let t = pos[n] % P * F;
  let o = n * (3u * C + H + 1u);
  for (var p = i; p < C / 2u; p += WG) {
    let c = 2u * p;
    let s = n * C + c;
    let cos_t = table[t + c % F];
    let sin_t = table[t + c % F + 1u];
    let qa = dout[o + c];
    let qb = dout[o + c + 1u];
    let gq = vec2<f32>(qa * cos_t + qb * sin_t, qb * cos_t - qa * sin_t);
    if (ACC_DQ) { dq[s] += gq.x; dq[s + 1u] += gq.y; } else { dq[s] = gq.x; dq[s + 1u] = gq.y; }
    let ka = dout[o + C + c];
    let kb = dout[o + C + c + 1u];
    let gk = vec2<f32>(ka * cos_t + kb * sin_t, kb * cos_t - ka * sin_t);
    if (ACC_DK) { dk[s] += gk.x; dk[s + 1u] += gk.y; } else { dk[s] = gk.x; dk[s + 1u] = gk.y; }
    let gv = vec2<f32>(dout[o + 2u * C + c], dout[o + 2u * C + c + 1u]);
    if (ACC_DV) { dv[s] += gv.x; dv[s + 1u] += gv.y; } else { dv[s] = gv.x; dv[s + 1u] = gv.y; }
  }
  for (var h = i; h < H; h += WG) {
    let g = dout[o + 3u * C + h];
    if (ACC_DLR) { dlr[n * H + h] += g; } else { dlr[n * H + h] = g; }
  }
}
