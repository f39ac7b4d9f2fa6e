// g = grad * scale ; m = b1*m + (1-b1)*g ; v = b2*v + (1-b2)*g^2
// p = p - lr*wd*p (before element DECAY only) - lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)
// Nothing changes where scale is not finite. hyper holds lr/(1-b1^t), b1, 1-b1, b2, 1-b2, 1/sqrt(1-b2^t), eps, lr*wd.
// reference: op/adamw.go adamw
override N: u32 = 4u;  // elements
override DECAY: u32 = 2u;  // the elements before this one decay
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
@group(0) @binding(0) var<storage, read_write> p: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read> hyper: array<f32>;
@group(0) @binding(5) var<storage, read> scale: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  // Read once: compilers cannot tell that p, m and v are not the same memory.
  let factor = scale[0];
  // Compilers may take every number for finite, so the test is of bits.
  if ((bitcast<u32>(factor) & 0x7f800000u) == 0x7f800000u) { return; }
  let step = hyper[0];
  let b1 = hyper[1];
  let r1 = hyper[2];
  let b2 = hyper[3];
  let r2 = hyper[4];
  let root = hyper[5];
  let eps = hyper[6];
  let lr_wd = hyper[7];
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= N) { break; }
    let gi = g[i] * factor;
    let mi = b1 * m[i] + r1 * gi;
    let vi = b2 * v[i] + r2 * gi * gi;
    m[i] = mi;
    v[i] = vi;
    let pi = p[i];
    p[i] = pi - (select(0.0, lr_wd, i < DECAY) * pi + step * mi / (sqrt(vi) * root + eps));
  }
}
