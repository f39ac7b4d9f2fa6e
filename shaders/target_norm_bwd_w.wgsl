// dw[c] += sum_r dout[r,c] * z[r,c],  db[c] += sum_r dout[r,c]; c counts the channels of all heads.
// One workgroup a column block of 16; its invocations share out the rows.
// reference: op/targetnorm.go targetNormBwdW
override N: u32 = 4u;  // rows
override D: u32 = 8u;  // columns
override ROWS: u32 = 4u;  // invocations that share a column
override ACC_DW: bool = true;
override ACC_DB: bool = true;
@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> dout: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;
@group(0) @binding(3) var<storage, read_write> db: array<f32>;
var<workgroup> part: array<vec2<f32>, (16u * ROWS)>;

@compute @workgroup_size(16, ROWS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let c = wg.x * 16u + id.x;
  var s = vec2<f32>(0.0, 0.0);
  if (c < D) {
    for (var r = id.y; r < N; r += ROWS) {
      let g = dout[r * D + c];
      s += vec2<f32>(g * z[r * D + c], g);
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
