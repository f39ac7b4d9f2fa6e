// loss[r] = log(sum_c exp(x[c])) - x[t] with x = logits[r], t = targets[r].  One workgroup a row.
// reference: op/xent.go xentEval
override N: u32 = 4u;  // rows
override V: u32 = 8u;  // vocabulary
override WG: u32 = 64u;
const IGNORE = 0xffffffffu;
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
var<workgroup> part_max: array<f32, WG>;
var<workgroup> part_sum: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * V;
  let t = targets[r];
  if (t >= V) {
    // NaN, which no constant expression may hold, unless the row is to be ignored.
    if (i == 0u) { loss[r] = bitcast<f32>(select(0x7fc00000u | (t & 1u), 0u, t == IGNORE)); }
    return;
  }
  var m = -3.4028234e38;
  for (var c = i; c < V; c += WG) { m = max(m, logits[row + c]); }
  part_max[i] = m;
  workgroupBarrier();
  for (var j = 0u; j < WG; j++) { m = max(m, part_max[j]); }
  var s = 0.0;
  for (var c = i; c < V; c += WG) { s += exp(logits[row + c] - m); }
  part_sum[i] = s;
  workgroupBarrier();
  var sum = 0.0;
  for (var j = 0u; j < WG; j++) { sum += part_sum[j]; }
  if (i == 0u) { loss[r] = log(sum) - (logits[row + t] - m); }
}
