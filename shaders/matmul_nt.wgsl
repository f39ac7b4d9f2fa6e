// out[z,i,j] += sum_k a[z,i,k] * b[z,j,k], K and N multiples of 4.  An invocation keeps TM x TN sums in registers; named,
// because arrays of them spill.
// reference: op/matmul.go matmulNT
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

fn mac(s: vec4<f32>, x: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
  return s + x.x * b0 + x.y * b1 + x.z * b2 + x.w * b3;
}

fn put(z: u32, i: u32, j: u32, s: vec4<f32>) {
  let n4 = N / 4u;
  let o = (z * M + i) * n4 + j;
  if (i < M && j < n4) { if (ACC_OUT) { out[o] += s; } else { out[o] = s; } }
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let n4 = N / 4u;
  let k4 = K / 4u;
  let z = wg.z;
  let i = (wg.y * WY + id.y) * TM;
  let j = (wg.x * WX + id.x) * (TN / 4u);  // counted in vec4
  if (i >= M || j >= n4) { return; }
  let r0 = (z * M + edge(i + 0u, M)) * k4;
  let r1 = (z * M + edge(i + 1u, M)) * k4;
  let r2 = (z * M + edge(i + 2u, M)) * k4;
  let r3 = (z * M + edge(i + 3u, M)) * k4;
  let r4 = (z * M + edge(i + 4u, M)) * k4;
  let r5 = (z * M + edge(i + 5u, M)) * k4;
  let r6 = (z * M + edge(i + 6u, M)) * k4;
  let r7 = (z * M + edge(i + 7u, M)) * k4;
  let c0 = (z * N + edge(j * 4u + 0u, N)) * k4;
  let c1 = (z * N + edge(j * 4u + 1u, N)) * k4;
  let c2 = (z * N + edge(j * 4u + 2u, N)) * k4;
  let c3 = (z * N + edge(j * 4u + 3u, N)) * k4;
  let c4 = (z * N + edge(j * 4u + 4u, N)) * k4;
  let c5 = (z * N + edge(j * 4u + 5u, N)) * k4;
  let c6 = (z * N + edge(j * 4u + 6u, N)) * k4;
  let c7 = (z * N + edge(j * 4u + 7u, N)) * k4;
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
  for (var k = 0u; k < k4; k++) {
    let y0 = b[c0 + k];
    let y1 = b[c1 + k];
    let y2 = b[c2 + k];
    let y3 = b[c3 + k];
    let p0 = vec4<f32>(y0.x, y1.x, y2.x, y3.x);
    let p1 = vec4<f32>(y0.y, y1.y, y2.y, y3.y);
    let p2 = vec4<f32>(y0.z, y1.z, y2.z, y3.z);
    let p3 = vec4<f32>(y0.w, y1.w, y2.w, y3.w);
    var q0 = vec4<f32>();
    var q1 = vec4<f32>();
    var q2 = vec4<f32>();
    var q3 = vec4<f32>();
    if (TN == 8u) {
      let y4 = b[c4 + k];
      let y5 = b[c5 + k];
      let y6 = b[c6 + k];
      let y7 = b[c7 + k];
      q0 = vec4<f32>(y4.x, y5.x, y6.x, y7.x);
      q1 = vec4<f32>(y4.y, y5.y, y6.y, y7.y);
      q2 = vec4<f32>(y4.z, y5.z, y6.z, y7.z);
      q3 = vec4<f32>(y4.w, y5.w, y6.w, y7.w);
    }
    let x0 = a[r0 + k];
    s00 = mac(s00, x0, p0, p1, p2, p3);
    if (TN == 8u) { s01 = mac(s01, x0, q0, q1, q2, q3); }
    let x1 = a[r1 + k];
    s10 = mac(s10, x1, p0, p1, p2, p3);
    if (TN == 8u) { s11 = mac(s11, x1, q0, q1, q2, q3); }
    let x2 = a[r2 + k];
    s20 = mac(s20, x2, p0, p1, p2, p3);
    if (TN == 8u) { s21 = mac(s21, x2, q0, q1, q2, q3); }
    let x3 = a[r3 + k];
    s30 = mac(s30, x3, p0, p1, p2, p3);
    if (TN == 8u) { s31 = mac(s31, x3, q0, q1, q2, q3); }
    if (TM == 8u) {
      let x4 = a[r4 + k];
      s40 = mac(s40, x4, p0, p1, p2, p3);
      if (TN == 8u) { s41 = mac(s41, x4, q0, q1, q2, q3); }
      let x5 = a[r5 + k];
      s50 = mac(s50, x5, p0, p1, p2, p3);
      if (TN == 8u) { s51 = mac(s51, x5, q0, q1, q2, q3); }
      let x6 = a[r6 + k];
      s60 = mac(s60, x6, p0, p1, p2, p3);
      if (TN == 8u) { s61 = mac(s61, x6, q0, q1, q2, q3); }
      let x7 = a[r7 + k];
      s70 = mac(s70, x7, p0, p1, p2, p3);
      if (TN == 8u) { s71 = mac(s71, x7, q0, q1, q2, q3); }
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
