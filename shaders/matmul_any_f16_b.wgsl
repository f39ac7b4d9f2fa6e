// out[z,i,j] += sum_k A[z,i,k] * B[z,k,j] in any shape, A[i,k] = a[i,k] or with TRANSA a[k,i], B[k,j] = b[k,j] or with
// TRANSB b[j,k].  An invocation does 4 x 4 elements.
// reference: op/matmul.go matmulAny
override M: u32 = 8u;  // rows of out
override N: u32 = 8u;  // columns of out
override K: u32 = 8u;  // summands
override TRANSA: bool = false;
override TRANSB: bool = false;
override WX: u32 = 8u;  // invocations of a workgroup along N
override WY: u32 = 8u;  // and along M
override ACC_OUT: bool = true;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// at_b is an element of b, which has two binary16 in a word.
fn at_b(i: u32) -> f32 { return unpack2x16float(b[i / 2u] >> (i % 2u * 16u)).x; }

// edge keeps an index inside n: what is past the edge reads elements that exist, and its sums are not stored.
fn edge(i: u32, n: u32) -> u32 { return min(i, n - 1u); }

fn put(o: u32, s: f32) { if (ACC_OUT) { out[o] += s; } else { out[o] = s; } }

fn put4(z: u32, i: u32, j: u32, s: vec4<f32>) {
  if (i >= M) { return; }
  let o = (z * M + i) * N + j;
  put(o, s.x);
  if (j + 1u < N) { put(o + 1u, s.y); }
  if (j + 2u < N) { put(o + 2u, s.z); }
  if (j + 3u < N) { put(o + 3u, s.w); }
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let z = wg.z;
  let i = (wg.y * WY + id.y) * 4u;
  let j = (wg.x * WX + id.x) * 4u;
  if (i >= M || j >= N) { return; }
  let ai = select(K, 1u, TRANSA);  // strides of A along i and k, of B along k and j
  let ak = select(1u, M, TRANSA);
  let bk = select(N, 1u, TRANSB);
  let bj = select(1u, K, TRANSB);
  let a0 = z * (M * K) + i * ai;
  let a1 = z * (M * K) + edge(i + 1u, M) * ai;
  let a2 = z * (M * K) + edge(i + 2u, M) * ai;
  let a3 = z * (M * K) + edge(i + 3u, M) * ai;
  let b0 = z * (K * N) + j * bj;
  let b1 = z * (K * N) + edge(j + 1u, N) * bj;
  let b2 = z * (K * N) + edge(j + 2u, N) * bj;
  let b3 = z * (K * N) + edge(j + 3u, N) * bj;
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  for (var k = 0u; k < K; k++) {
    let ka = k * ak;
    let kb = k * bk;
    let y = vec4<f32>(at_b(b0 + kb), at_b(b1 + kb), at_b(b2 + kb), at_b(b3 + kb));
    s0 += a[a0 + ka] * y;
    s1 += a[a1 + ka] * y;
    s2 += a[a2 + ka] * y;
    s3 += a[a3 + ka] * y;
  }
  put4(z, i, j, s0);
  put4(z, i + 1u, j, s1);
  put4(z, i + 2u, j, s2);
  put4(z, i + 3u, j, s3);
}
