// dz[n,h] += dlr[n,h] * SCALE * s*(1-s),  s = 1/(1 + exp(-(z[n,h] + bias[h]))).
// reference: op/lrgate.go lrGateBwdZ
override N: u32 = 4u;  // tokens
override H: u32 = 2u;  // heads
override SCALE: f32 = 1.0;  // base learning rate / head dimension
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DZ: bool = true;
@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> dlr: array<f32>;
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;

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
    if (i >= N * H) { break; }
    let g = SCALE * logistic(z[i] + bias[i % H]).y * dlr[i];
    if (ACC_DZ) { dz[i] += g; } else { dz[i] = g; }
  }
}
