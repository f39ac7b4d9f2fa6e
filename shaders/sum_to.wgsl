// dst[0] += scale[0] * sum_k x[k].  One workgroup.
// reference: op/sum.go sumTo
override N: u32 = 8u;  // elements
override WG: u32 = 64u;
override ACC_DST: bool = true;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> dst: array<f32>;
var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) i: u32) {
  var s = 0.0;
  for (var k = i; k < N; k += WG) { s += x[k]; }
  sums[i] = s;
  workgroupBarrier();
  if (i == 0u) {
    var sum = 0.0;
    for (var j = 0u; j < WG; j++) { sum += sums[j]; }
    let v = scale[0] * sum;
    if (ACC_DST) { dst[0] += v; } else { dst[0] = v; }
  }
}
