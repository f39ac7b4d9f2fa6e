// With s = 1/(1 + exp(-gate)): dgate[i] += dout[i] * up[i] * (s + gate[i]*s*(1-s)), dup[i] += dout[i] * gate[i] * s.
// reference: op/swiglu.go swigluBwd
override N: u32 = 4u;  // elements
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DGATE: bool = true;
override ACC_DUP: bool = true;
@group(0) @binding(0) var<storage, read> gate: array<f32>;
@group(0) @binding(1) var<storage, read> up: array<f32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dgate: array<f32>;
@group(0) @binding(4) var<storage, read_write> dup: array<f32>;

// logistic returns s = 1/(1+exp(-x)) and s*(1-s); its exponential cannot overflow.
fn logistic(x: f32) -> vec2<f32> {
  let e = exp(-abs(x));
  let d = 1.0 / (1.0 + e);
  return vec2<f32>(select(d, e * d, x < 0.0), e * d * d);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= N) { break; }
    let z = gate[i];
    let s = logistic(z);
    let g = dout[i] * up[i] * (s.x + z * s.y);
    let u = dout[i] * z * s.x;
    if (ACC_DGATE) { dgate[i] += g; } else { dgate[i] = g; }
    if (ACC_DUP) { dup[i] += u; } else { dup[i] = u; }
  }
}
