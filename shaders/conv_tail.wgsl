// past[b,j,c] = tail[b,j,c];  tail[b,j,c] = input L+j of the row's inputs with tail before them:
// tail[b,L+j,c] where L+j < W-1, else x[b,L+j-(W-1),c].
// One invocation a column (b,c), which reads each element of tail before it overwrites it.
// reference: op/conv.go convTail
override B: u32 = 2u;  // rows
override L: u32 = 4u;  // tokens of a row
override C: u32 = 8u;  // channels
override W: u32 = 4u;  // width of the kernel
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> tail: array<f32>;
@group(0) @binding(2) var<storage, read_write> past: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let column = (wg.y * nwg.x + wg.x) * 64u + id;
  if (column >= B * C) { return; }
  let b = column / C;
  let c = column % C;
  let o = b * (W - 1u) * C + c;
  for (var j = 0u; j + 1u < W; j++) {
    past[o + j * C] = tail[o + j * C];
    if (L + j + 1u < W) {
      tail[o + j * C] = tail[o + (L + j) * C];
    } else {
      tail[o + j * C] = x[(b * L + L + j + 1u - W) * C + c];
    }
  }
}
