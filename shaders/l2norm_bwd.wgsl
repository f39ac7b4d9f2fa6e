// dx += (dout - out * sum(dout*out)) / norm, or dout / 1e-12 where norm is below that.  One workgroup a row (token, head).
// reference: op/l2norm.go l2normBwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 32u;
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> out: array<f32>;
@group(0) @binding(1) var<storage, read> norm: array<f32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
var<workgroup> part: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  var s = 0.0;
  for (var c = i; c < D; c += WG) { s += dout[row + c] * out[row + c]; }
  part[i] = s;
  workgroupBarrier();
  var dot = 0.0;
  for (var j = 0u; j < WG; j++) { dot += part[j]; }
  var den = norm[r];
  if (den < 1e-12) {  // the divisor is a constant: no gradient passes through the norm
    den = 1e-12;
    dot = 0.0;
  }
  for (var c = i; c < D; c += WG) {
    let d = (dout[row + c] - out[row + c] * dot) / den;
    if (ACC_DX) { dx[row + c] += d; } else { dx[row + c] = d; }
  }
}
