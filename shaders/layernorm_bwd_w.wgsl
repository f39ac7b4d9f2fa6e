// dw[c] += sum_r dout[r,c] * (x[r,c]-mean[r]) * rstd[r],  db[c] += sum_r dout[r,c].
// One workgroup a column block of 16; its invocations share out the rows.
// reference: op/layernorm.go layernormBwdW
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override ROWS: u32 = 4u;  // invocations that share a column
override ACC_DW: bool = true;
override ACC_DB: bool = true;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<f32>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;
var<workgroup> part: array<vec2<f32>, (16u * ROWS)>;

@compute @workgroup_size(16, ROWS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let c = wg.x * 16u + id.x;
  var s = vec2<f32>(0.0, 0.0);
  if (c < D) {
    for (var r = id.y; r < N; r += ROWS) {
      let g = dout[r * D + c];
      s += vec2<f32>(g * (x[r * D + c] - mean[r]) * rstd[r], g);
    }
  }
  part[id.y * 16u + id.x] = s;
  workgroupBarrier();
  if (id.y == 0u && c < D) {
    var sum = vec2<f32>(0.0, 0.0);
    for (var j = 0u; j < ROWS; j++) { sum += part[j * 16u + id.x]; }
    if (ACC_DW) { dw[c] += sum.x; } else { dw[c] = sum.x; }
    if (ACC_DB) { db[c] += sum.y; } else { db[c] = sum.y; }
  }
}
