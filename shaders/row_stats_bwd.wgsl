// dx[r,c] += dmean[r]/D + dstd[r] * (x[r,c]-mean[r])/((D-1)*dev[r]), the second term 0 where dev[r] is 0.
// One workgroup a row. The mean is taken anew, relative to the row's first element, as in the forward kernel.
// reference: op/rowstats.go rowStatsBwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 64u;
override ACC_DX: bool = true;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dev: array<f32>;
@group(0) @binding(2) var<storage, read> dmean: array<f32>;
@group(0) @binding(3) var<storage, read> dstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
var<workgroup> part: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * D;
  let x0 = x[row];
  var s = 0.0;
  for (var c = i; c < D; c += WG) { s += x[row + c] - x0; }
  part[i] = s;
  workgroupBarrier();
  var sum = 0.0;
  for (var j = 0u; j < WG; j++) { sum += part[j]; }
  let m = sum / f32(D);
  let g = dmean[r] / f32(D);
  var k = 0.0;
  if (dev[r] >= 1.17549435e-38) { k = dstd[r] / dev[r] / f32(max(D, 2u) - 1u); }
  for (var c = i; c < D; c += WG) {
    let e = g + k * (x[row + c] - x0 - m);
    if (ACC_DX) { dx[row + c] += e; } else { dx[row + c] = e; }
  }
}
