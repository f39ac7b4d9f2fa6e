// With s = 1/(1 + exp(-gate)): dgate[i] += dout[i] * up[i] * (s + gate[i]*s*(1-s)), dup[i] += dout[i] * gate[i] * s.
// gate and up hold two binary16 in a word.
// reference: op/swiglu.go swigluBwd
override N: u32 = 4u;  // elements
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DGATE: bool = true;
override ACC_DUP: bool = true;
@group(0) @binding(0) var<storage, read> gate: array<u32>;
@group(0) @binding(1) var<storage, read> up: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dgate: array<f32>;
@group(0) @binding(4) var<storage, read_write> dup: array<f32>;

// logistic returns s = 1/(1+exp(-x)) and s*(1-s); its exponential cannot overflow.
fn logistic(x: f32) -> vec2<f32> {
  let e = exp(-abs(x));
  let d = 1.0 / (1.0 + e);
  return vec2<f32>(select(d, e * d, x < 0.0), e * d * d);
}

fn one(i: u32, z: f32, v: f32) {
  let s = logistic(z);
  let g = dout[i] * v * (s.x + z * s.y);
  let u = dout[i] * z * s.x;
  if (ACC_DGATE) { dgate[i] += g; } else { dgate[i] = g; }
  if (ACC_DUP) { dup[i] += u; } else { dup[i] = u; }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER / 2u) + id;
  for (var j = 0u; j < PER / 2u; j++) {
    let w = first + j * WG;
    if (w * 2u >= N) { break; }
    let p = unpack2x16float(gate[w]);
    let q = unpack2x16float(up[w]);
    one(w * 2u, p.x, q.x);
    if (w * 2u + 1u < N) { one(w * 2u + 1u, p.y, q.y); }
  }
}
