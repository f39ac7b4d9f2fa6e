// dalpha[c] += (1 - tanh(alpha[c])²) * sum_n dout[n,c] * y[n,c].
// One workgroup a column block of 16; its invocations share out the rows.
// reference: op/gate.go tanhGateBwdAlpha
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override ROWS: u32 = 4u;  // invocations that share a column
override ACC_DALPHA: bool = true;
@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> alpha: array<f32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read_write> dalpha: array<f32>;
var<workgroup> part: array<f32, (16u * ROWS)>;

@compute @workgroup_size(16, ROWS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let c = wg.x * 16u + id.x;
  var s = 0.0;
  if (c < D) {
    for (var r = id.y; r < N; r += ROWS) { s += dout[r * D + c] * y[r * D + c]; }
  }
  part[id.y * 16u + id.x] = s;
  workgroupBarrier();
  if (id.y == 0u && c < D) {
    var sum = 0.0;
    for (var j = 0u; j < ROWS; j++) { sum += part[j * 16u + id.x]; }
    let e = exp(-2.0 * abs(alpha[c]));
    let g = sum * (4.0 * e / ((1.0 + e) * (1.0 + e)));
    if (ACC_DALPHA) { dalpha[c] += g; } else { dalpha[c] = g; }
  }
}
