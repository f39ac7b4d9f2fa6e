// mean[r] = mean_c x[r,c],  dev[r] = sqrt(sum_c (x[r,c]-mean[r])²/(D-1)).  One workgroup a row. Everything is taken
// relative to the row's first element: the common part of the elements cancels exactly, and equal ones have std 0.
// reference: op/rowstats.go rowStatsFwd
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> dev: array<f32>;
var<workgroup> part: array<f32, WG>;
var<workgroup> part2: array<f32, WG>;

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
  var q = 0.0;
  for (var c = i; c < D; c += WG) {
    let e = x[row + c] - x0 - m;
    q += e * e;
  }
  part2[i] = q;
  workgroupBarrier();
  if (i == 0u) {
    var sq = 0.0;
    for (var j = 0u; j < WG; j++) { sq += part2[j]; }
    mean[r] = x0 + m;
    dev[r] = sqrt(sq / f32(max(D, 2u) - 1u));
  }
}
