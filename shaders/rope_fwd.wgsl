// out[n,:] = [q rotated | k rotated | v | lr | code]: pair (a,b) of channels (2i, 2i+1) of a head becomes
// (a cos - b sin, a sin + b cos), cos and sin = table[pos[n] mod P, i, :];  code = 0 where pos[n] = 0, else pos[n] mod P
// with P for 0: the place that ttt's scan reads.  One workgroup a token.
// reference: op/rope.go ropeFwd
override N: u32 = 4u;  // tokens
override P: u32 = 2u;  // rows of the table
override H: u32 = 2u;  // heads
override F: u32 = 4u;  // head width
override WG: u32 = 64u;
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> lr: array<f32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;
@group(0) @binding(5) var<storage, read> pos: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32) {
  let C = H * F;
  let n = wg.y * nwg.x + wg.x;
  if (n >= N) { return; }
  let place = pos[n] % P;
  let t = place * F;
  let o = n * (3u * C + H + 1u);
  for (var p = i; p < C / 2u; p += WG) {
    let c = 2u * p;
    let s = n * C + c;
    let cos_t = table[t + c % F];
    let sin_t = table[t + c % F + 1u];
    out[o + c] = q[s] * cos_t - q[s + 1u] * sin_t;
    out[o + c + 1u] = q[s] * sin_t + q[s + 1u] * cos_t;
    out[o + C + c] = k[s] * cos_t - k[s + 1u] * sin_t;
    out[o + C + c + 1u] = k[s] * sin_t + k[s + 1u] * cos_t;
    out[o + 2u * C + c] = v[s];
    out[o + 2u * C + c + 1u] = v[s + 1u];
  }
  for (var h = i; h < H; h += WG) { out[o + 3u * C + h] = lr[n * H + h]; }
  if (i == 0u) { out[o + 3u * C + H] = f32(select(place, P, place == 0u && pos[n] != 0u)); }
}
