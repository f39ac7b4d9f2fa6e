// out[z,i,j] += sum_k a[z,k,i] * b[z,k,j], M and N multiples of 4.  An invocation keeps TM x TN sums in registers; named,
// because arrays of them spill.
// reference: op/matmul.go matmulTN
override M: u32 = 8u;  // rows of out
override N: u32 = 8u;  // columns of out
override K: u32 = 8u;  // summands
override TM: u32 = 8u;  // rows of an invocation: 4 or 8
override TN: u32 = 8u;  // columns of an invocation: 4 or 8
override WX: u32 = 8u;  // invocations of a workgroup along N
override WY: u32 = 8u;  // and along M
override ACC_OUT: bool = true;
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

// edge keeps an index inside n: what is past the edge reads elements that exist, and its sums are not stored.
fn edge(i: u32, n: u32) -> u32 { return min(i, n - 1u); }

fn put(z: u32, i: u32, j: u32, s: vec4<f32>) {
  let n4 = N / 4u;
  let o = (z * M + i) * n4 + j;
  if (i < M && j < n4) { if (ACC_OUT) { out[o] += s; } else { out[o] = s; } }
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let n4 = N / 4u;
  let m4 = M / 4u;
  let z = wg.z;
  let i = (wg.y * WY + id.y) * TM;
  let j = (wg.x * WX + id.x) * (TN / 4u);  // counted in vec4
  if (i >= M || j >= n4) { return; }
  let r0 = z * K * m4 + i / 4u;
  let r1 = z * K * m4 + edge(i / 4u + 1u, m4);
  let c0 = z * K * n4 + j;
  let c1 = z * K * n4 + edge(j + 1u, n4);
  var s00 = vec4<f32>();
  var s01 = vec4<f32>();
  var s10 = vec4<f32>();
  var s11 = vec4<f32>();
  var s20 = vec4<f32>();
  var s21 = vec4<f32>();
  var s30 = vec4<f32>();
  var s31 = vec4<f32>();
  var s40 = vec4<f32>();
  var s41 = vec4<f32>();
  var s50 = vec4<f32>();
  var s51 = vec4<f32>();
  var s60 = vec4<f32>();
  var s61 = vec4<f32>();
  var s70 = vec4<f32>();
  var s71 = vec4<f32>();
  for (var k = 0u; k < K; k++) {
    let x0 = a[r0 + k * m4];
    let p = b[c0 + k * n4];
    var q = vec4<f32>();
    if (TN == 8u) { q = b[c1 + k * n4]; }
    s00 += x0.x * p;
    s10 += x0.y * p;
    s20 += x0.z * p;
    s30 += x0.w * p;
    if (TN == 8u) {
      s01 += x0.x * q;
      s11 += x0.y * q;
      s21 += x0.z * q;
      s31 += x0.w * q;
    }
    if (TM == 8u) {
      let x1 = a[r1 + k * m4];
      s40 += x1.x * p;
      s50 += x1.y * p;
      s60 += x1.z * p;
      s70 += x1.w * p;
      if (TN == 8u) {
        s41 += x1.x * q;
        s51 += x1.y * q;
        s61 += x1.z * q;
        s71 += x1.w * q;
      }
    }
  }
  put(z, i, j, s00);
  put(z, i + 1u, j, s10);
  put(z, i + 2u, j, s20);
  put(z, i + 3u, j, s30);
  if (TN == 8u) {
    put(z, i, j + 1u, s01);
    put(z, i + 1u, j + 1u, s11);
    put(z, i + 2u, j + 1u, s21);
    put(z, i + 3u, j + 1u, s31);
  }
  if (TM == 8u) {
    put(z, i + 4u, j, s40);
    put(z, i + 5u, j, s50);
    put(z, i + 6u, j, s60);
    put(z, i + 7u, j, s70);
    if (TN == 8u) {
      put(z, i + 4u, j + 1u, s41);
      put(z, i + 5u, j + 1u, s51);
      put(z, i + 6u, j + 1u, s61);
      put(z, i + 7u, j + 1u, s71);
    }
  }
}
