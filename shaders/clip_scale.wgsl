// norm[0] = sqrt(sum_k part[k]), scale[0] = min(1, max_norm[0] / (norm[0] + 1e-6)); 1 where max_norm[0] <= 0, and NaN
// where the norm is not finite.  One workgroup.
// reference: op/clip.go clipScale
override PARTS: u32 = 8u;
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read> max_norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) i: u32) {
  var s = 0.0;
  for (var k = i; k < PARTS; k += WG) { s += part[k]; }
  sums[i] = s;
  workgroupBarrier();
  if (i == 0u) {
    var sum = 0.0;
    for (var j = 0u; j < WG; j++) { sum += sums[j]; }
    let n = sqrt(sum);
    norm[0] = n;
    // Compilers may take every number for finite, so the test and the NaN are of bits.
    let bits = bitcast<u32>(n);
    var c = min(1.0, max_norm[0] / (n + 1e-6));
    if (max_norm[0] <= 0.0) { c = 1.0; }
    if ((bits & 0x7f800000u) == 0x7f800000u) { c = bitcast<f32>(bits | 0x7fc00000u); }
    scale[0] = c;
  }
}
