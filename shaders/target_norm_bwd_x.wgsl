// dxv += dd,  dxk += dout - dd,  dd = g - mean(g) - z * sum(g*z) / (F-1) / (dev/(dev+eps)),  g = dout*w[h]/(dev+eps);
// the term of dev is 0 where dev is 0, and dd where dev + eps is 0. g is bounded, so that sums of it stay finite.
// One workgroup a row (token, head).
// reference: op/targetnorm.go targetNormBwdX
override N: u32 = 4u;  // rows
override H: u32 = 2u;  // heads
override F: u32 = 8u;  // head width
override WG: u32 = 32u;
override ACC_DXV: bool = true;
override ACC_DXK: bool = true;
@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> dev: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> eps: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dxv: array<f32>;
@group(0) @binding(6) var<storage, read_write> dxk: array<f32>;
var<workgroup> part: array<vec2<f32>, WG>;
const TINY: f32 = 1.17549435e-38;
const MOST: f32 = 1e33;

// productOver is a*b/den, no intermediate of which overflows or vanishes where the result does not; 0 where den counts
// as 0, and between -MOST and MOST.
fn productOver(a: f32, b: f32, den: f32) -> f32 {
  if (den < TINY) { return 0.0; }
  let swap = abs(a) < abs(b);
  let large = select(a, b, swap);
  let small = select(b, a, swap);
  var v = small / den * large;
  if (den >= 1.0) { v = large / den * small; }
  if (abs(v) > MOST) { return sign(v) * MOST; }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let r = wg.y * nwg.x + wg.x;
  if (r >= N) { return; }
  let row = r * F;
  let head = r % H * F;
  let sd = dev[r];
  let den = min(sd + eps[0], 3.4028234e38);
  var s = vec2<f32>(0.0, 0.0);
  for (var c = i; c < F; c += WG) {
    let g = productOver(dout[row + c], w[head + c], den);
    s += vec2<f32>(g, g * z[row + c]);
  }
  part[i] = s;
  workgroupBarrier();
  var sum = vec2<f32>(0.0, 0.0);
  for (var j = 0u; j < WG; j++) { sum += part[j]; }
  let mean = sum.x / f32(F);
  let share = sd / den;
  var k = 0.0;
  if (sd >= TINY && share >= TINY) { k = sum.y / f32(max(F, 2u) - 1u) / share; }
  for (var c = i; c < F; c += WG) {
    let g = dout[row + c];
    let d = productOver(g, w[head + c], den) - mean - z[row + c] * k;
    if (ACC_DXV) { dxv[row + c] += d; } else { dxv[row + c] = d; }
    if (ACC_DXK) { dxk[row + c] += g - d; } else { dxk[row + c] = g - d; }
  }
}
