// out[i] = x[i], rounded to a binary16, two in a word.
// reference: op/half.go halfFwd
override N: u32 = 4u;  // elements
override WG: u32 = 64u;
override PER: u32 = 4u;  // elements an invocation
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

// half rounds v to the nearest binary16, half to even; what is larger than any becomes an infinity. By hand, because
// pack2x16float may round as a device likes. reference: prog/half.go RoundHalf
fn half(v: f32) -> u32 {
  let u = bitcast<u32>(v);
  let m = u & 0x7fffffffu;
  var h = (m - 0x38000000u + 0xfffu + ((m >> 13u) & 1u)) >> 13u;
  if (m < 0x38800000u) { h = u32(round(abs(v) * 16777216.0)); }  // denormal
  if (m > 0x477fe000u) { h = select(0x7c00u, 0x7e00u, m > 0x7f800000u); }
  return h | ((u >> 16u) & 0x8000u);
}

// halves packs two of them.
fn halves(x: f32, y: f32) -> u32 { return half(x) | (half(y) << 16u); }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = (wg.y * nwg.x + wg.x) * (WG * PER / 2u) + id;
  for (var j = 0u; j < PER / 2u; j++) {
    let w = first + j * WG;
    if (w * 2u >= N) { break; }
    let i = w * 2u;
    out[w] = halves(x[i], x[min(i + 1u, N - 1u)]);  // a word of one element: the other half is never read
  }
}
