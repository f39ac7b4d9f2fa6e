// out[n,c] = table[ids[n],c].  One workgroup a position.
// reference: op/embedding.go embeddingFwd
override N: u32 = 4u;  // positions
override V: u32 = 8u;  // vocabulary
override C: u32 = 8u;  // channels
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let n = wg.y * nwg.x + wg.x;
  if (n >= N) { return; }
  let id = ids[n];
  for (var c = i; c < C; c += WG) {
    // An id that is not in the vocabulary shows as NaN, which no constant expression may hold: |id keeps it one of run time.
    var v = bitcast<f32>(0x7fc00000u | (id & 1u));
    if (id < V) { v = table[id * C + c]; }
    out[n * C + c] = v;
  }
}
