// ring[slot[0]] = (a[0], b[0]).  One invocation.
// reference: op/pushrow.go pushRow
override ROWS: u32 = 4u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> slot: array<u32>;
@group(0) @binding(3) var<storage, read_write> ring: array<f32>;

@compute @workgroup_size(1)
fn main() {
  let s = slot[0];
  if (s >= ROWS) { return; }
  ring[2u * s] = a[0];
  ring[2u * s + 1u] = b[0];
}
