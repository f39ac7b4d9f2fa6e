// dtable[v,c] += sum_k dout[order[k],c] for start[v] <= k < start[v+1]: the positions of id v, in ascending order.
// One workgroup a row of the table.
// reference: op/embedding.go embeddingBwd
override N: u32 = 4u;  // positions
override V: u32 = 8u;  // vocabulary
override C: u32 = 8u;  // channels
override WG: u32 = 64u;
override ACC_DTABLE: bool = true;
@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> start: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dtable: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let v = wg.y * nwg.x + wg.x;
  if (v >= V) { return; }
  let lo = start[v];
  let hi = min(start[v + 1u], N);
  if (ACC_DTABLE && lo >= hi) { return; }
  for (var c = i; c < C; c += WG) {
    var s = 0.0;
    for (var k = lo; k < hi; k++) {
      let n = order[k];
      if (n < N) { s += dout[n * C + c]; }
    }
    if (ACC_DTABLE) { dtable[v * C + c] += s; } else { dtable[v * C + c] = s; }
  }
}
