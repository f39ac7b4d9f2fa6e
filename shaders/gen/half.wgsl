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