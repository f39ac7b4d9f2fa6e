// dx[i] += dout[i] * gelu(g[i]), dg[i] += dout[i] * x[i] * gelu'(g[i]), gelu in its tanh form.
// x and g hold two binary16 in a word.
// reference: op/gelugate.go geluGateBwd
override N: u32 = 4u;  // elements
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DX: bool = true;
override ACC_DG: bool = true;
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> g: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read_write> dg: array<f32>;

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

fn one(i: u32, v: f32, z: f32) {
  let y = gelu(z);
  let a = dout[i] * y.x;
  let b = dout[i] * v * y.y;
  if (ACC_DX) { dx[i] += a; } else { dx[i] = a; }
  if (ACC_DG) { dg[i] += b; } else { dg[i] = b; }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER / 2u) + id;
  for (var j = 0u; j < PER / 2u; j++) {
    let w = first + j * WG;
    if (w * 2u >= N) { break; }
    let p = unpack2x16float(x[w]);
    let q = unpack2x16float(g[w]);
    one(w * 2u, p.x, q.x);
    if (w * 2u + 1u < N) { one(w * 2u + 1u, p.y, q.y); }
  }
}
