// dbias[h] += sum_n dlr[n,h] * SCALE * s*(1-s),  s = 1/(1 + exp(-(z[n,h] + bias[h]))).  One workgroup a block of 16
// heads; its invocations share out the tokens.
// reference: op/lrgate.go lrGateBwdBias
override N: u32 = 4u;  // tokens
override H: u32 = 2u;  // heads
override SCALE: f32 = 1.0;  // base learning rate / head dimension
override ROWS: u32 = 4u;  // invocations that share a head
override ACC_DBIAS: bool = true;
@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> dlr: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;
var<workgroup> part: array<f32, (16u * ROWS)>;

@compute @workgroup_size(16, ROWS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let h = wg.x * 16u + id.x;
  var s = 0.0;
  if (h < H) {
    for (var n = id.y; n < N; n += ROWS) {
      let e = exp(-abs(z[n * H + h] + bias[h]));
      s += SCALE * e / ((1.0 + e) * (1.0 + e)) * dlr[n * H + h];
    }
  }
  part[id.y * 16u + id.x] = s;
  workgroupBarrier();
  if (id.y == 0u && h < H) {
    var sum = 0.0;
    for (var j = 0u; j < ROWS; j++) { sum += part[j * 16u + id.x]; }
    if (ACC_DBIAS) { dbias[h] += sum; } else { dbias[h] = sum; }
  }
}
