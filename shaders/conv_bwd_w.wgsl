// dw[c,W-1-j] += sum_bt dout[b,t,c] * x[b,t-j,c], over the tokens with pos[b,t] >= j: x goes on before the row as
// past [B,W-1,C] where TAIL, else as zero;  db[c] += sum_bt dout[b,t,c].
// The sums are columns numbered i*C + c, i = W-1-j, those of i = W being db: one workgroup a block of 16 columns; its
// invocations share out the tokens.
// reference: op/conv.go convBwdW
override B: u32 = 2u;  // rows
override L: u32 = 4u;  // tokens of a row
override C: u32 = 8u;  // channels
override W: u32 = 4u;  // width of the kernel
override TAIL: bool = true;
override ROWS: u32 = 4u;  // invocations that share a column
override ACC_DW: bool = true;
override ACC_DB: bool = true;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> pos: array<u32>;
@group(0) @binding(2) var<storage, read> past: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<f32>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;
var<workgroup> part: array<f32, (16u * ROWS)>;

@compute @workgroup_size(16, ROWS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let column = (wg.y * nwg.x + wg.x) * 16u + id.x;
  let i = column / C;
  let c = column % C;
  var s = 0.0;
  if (i < W) {
    let j = W - 1u - i;
    for (var r = id.y; r < B * L; r += ROWS) {
      if (pos[r] >= j) {
        if (r % L >= j) {
          s += dout[r * C + c] * x[(r - j) * C + c];
        } else if (TAIL) {
          s += dout[r * C + c] * past[(r / L * (W - 1u) + r % L + i) * C + c];
        }
      }
    }
  } else if (i == W) {
    for (var r = id.y; r < B * L; r += ROWS) { s += dout[r * C + c]; }
  }
  part[id.y * 16u + id.x] = s;
  workgroupBarrier();
  if (id.y == 0u && i <= W) {
    var sum = 0.0;
    for (var j = 0u; j < ROWS; j++) { sum += part[j * 16u + id.x]; }
    if (i == W) {
      if (ACC_DB) { db[c] += sum; } else { db[c] = sum; }
    } else {
      if (ACC_DW) { dw[c * W + i] += sum; } else { dw[c * W + i] = sum; }
    }
  }
}
