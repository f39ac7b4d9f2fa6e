// out[i] = x[i] * gelu(g[i]),  gelu(z) = z/2 * (1 + tanh(sqrt(2/pi)*(z + 0.044715 z^3))).
// reference: op/gelugate.go geluGateFwd
override N: u32 = 4u;  // elements
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// logistic returns s = 1/(1+exp(-x)) and s*(1-s); its exponential cannot overflow.
fn logistic(x: f32) -> vec2<f32> {
  let e = exp(-abs(x));
  let d = 1.0 / (1.0 + e);
  return vec2<f32>(select(d, e * d, x < 0.0), e * d * d);
}

// gelu returns z * logistic(2u), u = sqrt(2/pi)*(z + 0.044715 z^3), and its derivative. Beyond 30 the logistic is 0
// or 1, and the cube of what is clamped there cannot overflow.
fn gelu(z: f32) -> vec2<f32> {
  let k = 1.5957691216057308;
  let b = clamp(z, -30.0, 30.0);
  let s = logistic(k * (b + 0.044715 * b * b * b));
  return vec2<f32>(z * s.x, s.x + z * s.y * k * (1.0 + 0.134145 * b * b));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= N) { break; }
    out[i] = x[i] * gelu(g[i]).x;
  }
}
