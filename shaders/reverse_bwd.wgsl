// dx[b,t,c] += dout[b,L-1-t,c].
// reference: op/reverse.go reverseBwd
override B: u32 = 2u;  // sequences
override L: u32 = 4u;  // tokens of a sequence
override C: u32 = 8u;  // channels
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> dout: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= B * L * C) { break; }
    let n = i / C;
    let g = dout[(n / L * L + L - 1u - n % L) * C + i % C];
    if (ACC_DX) { dx[i] += g; } else { dx[i] = g; }
  }
}
