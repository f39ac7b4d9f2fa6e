// Adds up the parts that a backward scan leaves for each head of each sequence, in the order of sequences: six
// parameters (theta), of N elements a head and from O on, and the learned part of the token rates. One invocation an
// element.
// reference: ttt/scan.go reduce
override B: u32 = 2u;   // sequences
override H: u32 = 2u;   // heads
override K: u32 = 4u;   // tokens of a mini-batch
override N0: u32 = 64u;
override N1: u32 = 8u;
override N2: u32 = 0u;
override N3: u32 = 0u;
override N4: u32 = 8u;
override N5: u32 = 8u;
override O1: u32 = 128u;
override O2: u32 = 128u;
override O3: u32 = 128u;
override O4: u32 = 192u;
override O5: u32 = 256u;
override ACC_DTHETA: bool = true;
override ACC_DTOK: bool = true;
@group(0) @binding(0) var<storage, read> dpart: array<f32>;
@group(0) @binding(1) var<storage, read> tok: array<f32>;
@group(0) @binding(2) var<storage, read_write> dtheta: array<f32>;
@group(0) @binding(3) var<storage, read_write> dtok: array<f32>;

override PART: u32 = N0 + N1 + N2 + N3 + N4 + N5 + K;
override THETA: u32 = O5 + H * N5;

// within says whether i lies in the n elements a head from o on.
fn within(i: u32, o: u32, n: u32) -> bool { return i >= o && i < o + H * n; }

// sum adds up over the sequences element i of the n elements a head from o on, at part in a head's parts.
fn sum(i: u32, o: u32, n: u32, part: u32) -> f32 {
  let h = (i - o) / n;
  let e = part + (i - o) % n;
  var s = 0.0;
  for (var b = 0u; b < B; b++) { s += dpart[(b * H + h) * PART + e]; }
  return s;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * nwg.x + wg.x) * 64u + lane;
  if (i < THETA) {
    var s = 0.0;  // 0 in the padding between parameters
    if (within(i, 0u, N0)) {
      s = sum(i, 0u, N0, 0u);
    } else if (within(i, O1, N1)) {
      s = sum(i, O1, N1, N0);
    } else if (within(i, O2, N2)) {
      s = sum(i, O2, max(N2, 1u), N0 + N1);
    } else if (within(i, O3, N3)) {
      s = sum(i, O3, max(N3, 1u), N0 + N1 + N2);
    } else if (within(i, O4, N4)) {
      s = sum(i, O4, N4, N0 + N1 + N2 + N3);
    } else if (within(i, O5, N5)) {
      s = sum(i, O5, N5, N0 + N1 + N2 + N3 + N4);
    }
    if (ACC_DTHETA) { dtheta[i] += s; } else { dtheta[i] = s; }
  } else if (i < THETA + K) {
    let k = i - THETA;
    var s = 0.0;
    // max(0, .) passes the gradient on where its argument is not negative.
    if (1.0 / f32(k + 1u) + tok[k] >= 0.0) {
      for (var h = 1u; h <= B * H; h++) { s += dpart[h * PART - K + k]; }
    }
    if (ACC_DTOK) { dtok[k] += s; } else { dtok[k] = s; }
  }
}
