// dst = src, unless the row of ring before row slot[0] is not finite.
// reference: op/pushrow.go snapshot
override N: u32 = 4u;  // elements
override ROWS: u32 = 4u;
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
@group(0) @binding(0) var<storage, read> src: array<f32>;
@group(0) @binding(1) var<storage, read> slot: array<u32>;
@group(0) @binding(2) var<storage, read> ring: array<f32>;
@group(0) @binding(3) var<storage, read_write> dst: array<f32>;

// Compilers may take every number for finite, so the test is of bits.
fn bad(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u; }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let s = slot[0];
  if (s > 0u && s <= ROWS && (bad(ring[2u * s - 2u]) || bad(ring[2u * s - 1u]))) { return; }
  let first = (wg.y * nwg.x + wg.x) * (WG * PER) + id;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i >= N) { break; }
    dst[i] = src[i];
  }
}
