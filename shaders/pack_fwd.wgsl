// out[n,:] = [q[n] | k[n] | v[n] | lr[n] | code],  code = 0 at position 0, else pos mod K, K standing for 0.
// One workgroup a token.
// reference: op/pack.go packFwd
override N: u32 = 4u;  // tokens
override H: u32 = 2u;  // heads
override F: u32 = 4u;  // head width
override K: u32 = 4u;  // tokens of a mini-batch
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> lr: array<f32>;
@group(0) @binding(4) var<storage, read> pos: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let C = H * F;
  let n = wg.y * nwg.x + wg.x;
  if (n >= N) { return; }
  let o = n * (3u * C + H + 1u);
  for (var c = i; c < C; c += WG) {
    out[o + c] = q[n * C + c];
    out[o + C + c] = k[n * C + c];
    out[o + 2u * C + c] = v[n * C + c];
  }
  for (var h = i; h < H; h += WG) { out[o + 3u * C + h] = lr[n * H + h]; }
  let place = pos[n] % K;
  if (i == 0u) { out[o + 3u * C + H] = f32(select(place, K, place == 0u && pos[n] != 0u)); }
}
