// part[p] = sum_k x[k] for p*CHUNK <= k < (p+1)*CHUNK.  One workgroup a part.
// reference: op/sum.go sumPart
override N: u32 = 8u;  // elements
override PARTS: u32 = 2u;
override CHUNK: u32 = 4u;  // elements of a part
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> part: array<f32>;
var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let p = wg.y * nwg.x + wg.x;
  if (p >= PARTS) { return; }
  let hi = min(N, (p + 1u) * CHUNK);
  var s = 0.0;
  for (var k = p * CHUNK + i; k < hi; k += WG) { s += x[k]; }
  sums[i] = s;
  workgroupBarrier();
  if (i == 0u) {
    var sum = 0.0;
    for (var j = 0u; j < WG; j++) { sum += sums[j]; }
    part[p] = sum;
  }
}
