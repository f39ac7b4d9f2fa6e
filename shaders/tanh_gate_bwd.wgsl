// dx[n,c] += dout[n,c],  dy[n,c] += tanh(alpha[c]) * dout[n,c].
// reference: op/gate.go tanhGateBwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DX: bool = true;
override ACC_DY: bool = true;
@group(0) @binding(0) var<storage, read> alpha: array<f32>;
@group(0) @binding(1) var<storage, read> dout: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<f32>;

// gate is tanh(a): of what is small by its series, which does not cancel, else from an exponential that cannot overflow.
fn gate(a: f32) -> f32 {
  let z = a * a;
  let e = exp(-2.0 * abs(a));
  let series = a * (1.0 - z * (0.33333333 - z * (0.13333333 - z * (0.053968254 - z * 0.021869489))));
  return select(sign(a) * (1.0 - e) / (1.0 + e), series, z < 0.0625);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= N * D) { break; }
    let g = dout[i];
    let gy = gate(alpha[i % D]) * g;
    if (ACC_DX) { dx[i] += g; } else { dx[i] = g; }
    if (ACC_DY) { dy[i] += gy; } else { dy[i] = gy; }
  }
}
