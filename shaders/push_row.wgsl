// ring[slot[0]] = (a[0], b[0]).  scale[0] = NaN where one of the two, or the row before, is not finite; then, if it is
// the row before, b[0] is told as NaN.  One invocation.
// reference: op/pushrow.go pushRow
override ROWS: u32 = 4u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> slot: array<u32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> ring: array<f32>;

// Compilers may take every number for finite, so the test is of bits.
fn bad(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u; }

@compute @workgroup_size(1)
fn main() {
  let s = slot[0];
  // NaN, which no constant expression may hold.
  let nan = 0x7fc00000u | (s & 1u);
  var halted = false;
  if (s > 0u && s <= ROWS) { halted = bad(ring[2u * s - 2u]) || bad(ring[2u * s - 1u]); }
  if (halted || bad(a[0]) || bad(b[0])) { scale[0] = bitcast<f32>(nan); }
  if (s >= ROWS) { return; }
  ring[2u * s] = a[0];
  ring[2u * s + 1u] = bitcast<f32>(select(bitcast<u32>(b[0]), nan, halted));
}
