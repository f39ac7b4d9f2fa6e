// Adds up the parts that the backward scan leaves for each head of each sequence, in the order of sequences: the
// gradients of W1, b1, gamma and beta (theta) and of the learned part of the token rates. One invocation an element.
// reference: ttt/linear_ref.go linearReduce
override B: u32 = 2u;   // sequences
override H: u32 = 2u;   // heads
override F: u32 = 16u;  // head width
override K: u32 = 4u;   // tokens of a mini-batch
override OB: u32 = 512u;  // b1, gamma and beta in theta
override OG: u32 = 576u;
override OT: u32 = 640u;
override L: u32 = 18u;  // tokens of a sequence
override G: u32 = 1u;   // mini-batches between checkpoints
override EPS: f32 = 1e-6f;
override ACC_DTHETA: bool = true;
override ACC_DTOK: bool = true;
@group(0) @binding(0) var<storage, read> dpart: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read_write> dtheta: array<f32>;
@group(0) @binding(3) var<storage, read_write> dtok: array<f32>;

override PART: u32 = F * F + 3u * F + K;
override THETA: u32 = OT + H * F;

// sum adds element e of head h's parts over the sequences.
fn sum(h: u32, e: u32) -> f32 {
  var s = 0.0;
  for (var b = 0u; b < B; b++) { s += dpart[(b * H + h) * PART + e]; }
  return s;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * nwg.x + wg.x) * 64u + lane;
  if (i < THETA) {
    var s = 0.0;  // 0 in the padding between parameters
    if (i < H * F * F) {
      s = sum(i / (F * F), i % (F * F));
    } else if (i >= OB && i < OB + H * F) {
      s = sum((i - OB) / F, F * F + (i - OB) % F);
    } else if (i >= OG && i < OG + H * F) {
      s = sum((i - OG) / F, F * F + F + (i - OG) % F);
    } else if (i >= OT) {
      s = sum((i - OT) / F, F * F + 2u * F + (i - OT) % F);
    }
    if (ACC_DTHETA) { dtheta[i] += s; } else { dtheta[i] = s; }
  } else if (i < THETA + K) {
    let k = i - THETA;
    var s = 0.0;
    // max(0, .) passes the gradient on where its argument is not negative.
    if (1.0 / f32(k + 1u) + tok[k] >= 0.0) {
      for (var h = 0u; h < B * H; h++) { s += dpart[h * PART + F * F + 3u * F + k]; }
    }
    if (ACC_DTOK) { dtok[k] += s; } else { dtok[k] = s; }
  }
}
