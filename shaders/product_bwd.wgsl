// da[i] += dout[i] * b[i] * c[i], db[i] += dout[i] * a[i] * c[i], dc[i] += dout[i] * a[i] * b[i].
// reference: op/product.go productBwd
override N: u32 = 4u;  // elements
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
override ACC_DA: bool = true;
override ACC_DB: bool = true;
override ACC_DC: bool = true;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;
@group(0) @binding(6) var<storage, read_write> dc: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= N) { break; }
    let x = a[i];
    let y = b[i];
    let z = c[i];
    let g = dout[i];
    if (ACC_DA) { da[i] += g * y * z; } else { da[i] = g * y * z; }
    if (ACC_DB) { db[i] += g * x * z; } else { db[i] = g * x * z; }
    if (ACC_DC) { dc[i] += g * x * y; } else { dc[i] = g * x * y; }
  }
}
