// out[z,i,j] = plus[z,i,j] + sum_k a[z,i,k] * b[z,j,k], of a plus that is one row plus[j], K and N multiples of 4.
// An invocation keeps TM x TN sums in registers and
// takes k one by one.
// reference: op/fused.go matmulNTAdd
// Made from gen/matmul.tmpl by go generate.  "if" at the end of a line: it is for such tiles only.
override M: u32 = 8u;  // rows of out
override N: u32 = 8u;  // columns of out
override K: u32 = 8u;  // summands
override SHAREDA: bool = false;  // a[z] is a[0]
override SHAREDB: bool = false;  // b[z] is b[0]
override TM: u32 = 16u;  // rows of an invocation: a multiple of 4, at most 16
override TN: u32 = 16u;  // columns of an invocation: a multiple of 4, at most 16
override WX: u32 = 8u;  // invocations of a workgroup along N
override WY: u32 = 8u;  // and along M
override ROW: bool = false;  // plus is one row, for all rows of out
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> plus: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

// edge keeps an index inside n: what is past the edge reads elements that exist, and its sums are not stored.
fn edge(i: u32, n: u32) -> u32 { return min(i, n - 1u); }

fn put(z: u32, i: u32, j: u32, s: vec4<f32>) {
  let n4 = N / 4u;
  let o = (z * M + i) * n4 + j;
  if (i < M && j < n4) { out[o] = plus[select(o, j, ROW)] + s; }
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let n4 = N / 4u;
  let z = wg.z;
  let za = select(z, 0u, SHAREDA);
  let zb = select(z, 0u, SHAREDB);
  let i = (wg.y * WY + id.y) * TM;
  let j = (wg.x * WX + id.x) * (TN / 4u);  // counted in vec4
  if (i >= M || j >= n4) { return; }
  let r0 = (za * M + edge(i + 0u, M)) * K;
  let r1 = (za * M + edge(i + 1u, M)) * K;
  let r2 = (za * M + edge(i + 2u, M)) * K;
  let r3 = (za * M + edge(i + 3u, M)) * K;
  let r4 = (za * M + edge(i + 4u, M)) * K;  // if TM > 4
  let r5 = (za * M + edge(i + 5u, M)) * K;  // if TM > 4
  let r6 = (za * M + edge(i + 6u, M)) * K;  // if TM > 4
  let r7 = (za * M + edge(i + 7u, M)) * K;  // if TM > 4
  let r8 = (za * M + edge(i + 8u, M)) * K;  // if TM > 8
  let r9 = (za * M + edge(i + 9u, M)) * K;  // if TM > 8
  let r10 = (za * M + edge(i + 10u, M)) * K;  // if TM > 8
  let r11 = (za * M + edge(i + 11u, M)) * K;  // if TM > 8
  let r12 = (za * M + edge(i + 12u, M)) * K;  // if TM > 12
  let r13 = (za * M + edge(i + 13u, M)) * K;  // if TM > 12
  let r14 = (za * M + edge(i + 14u, M)) * K;  // if TM > 12
  let r15 = (za * M + edge(i + 15u, M)) * K;  // if TM > 12
  let c0 = (zb * N + edge(j * 4u + 0u, N)) * K;
  let c1 = (zb * N + edge(j * 4u + 1u, N)) * K;
  let c2 = (zb * N + edge(j * 4u + 2u, N)) * K;
  let c3 = (zb * N + edge(j * 4u + 3u, N)) * K;
  let c4 = (zb * N + edge(j * 4u + 4u, N)) * K;  // if TN > 4
  let c5 = (zb * N + edge(j * 4u + 5u, N)) * K;  // if TN > 4
  let c6 = (zb * N + edge(j * 4u + 6u, N)) * K;  // if TN > 4
  let c7 = (zb * N + edge(j * 4u + 7u, N)) * K;  // if TN > 4
  let c8 = (zb * N + edge(j * 4u + 8u, N)) * K;  // if TN > 8
  let c9 = (zb * N + edge(j * 4u + 9u, N)) * K;  // if TN > 8
  let c10 = (zb * N + edge(j * 4u + 10u, N)) * K;  // if TN > 8
  let c11 = (zb * N + edge(j * 4u + 11u, N)) * K;  // if TN > 8
  let c12 = (zb * N + edge(j * 4u + 12u, N)) * K;  // if TN > 12
  let c13 = (zb * N + edge(j * 4u + 13u, N)) * K;  // if TN > 12
  let c14 = (zb * N + edge(j * 4u + 14u, N)) * K;  // if TN > 12
  let c15 = (zb * N + edge(j * 4u + 15u, N)) * K;  // if TN > 12
  var s0_0 = vec4<f32>();
  var s0_1 = vec4<f32>();  // if TN > 4
  var s0_2 = vec4<f32>();  // if TN > 8
  var s0_3 = vec4<f32>();  // if TN > 12
  var s1_0 = vec4<f32>();
  var s1_1 = vec4<f32>();  // if TN > 4
  var s1_2 = vec4<f32>();  // if TN > 8
  var s1_3 = vec4<f32>();  // if TN > 12
  var s2_0 = vec4<f32>();
  var s2_1 = vec4<f32>();  // if TN > 4
  var s2_2 = vec4<f32>();  // if TN > 8
  var s2_3 = vec4<f32>();  // if TN > 12
  var s3_0 = vec4<f32>();
  var s3_1 = vec4<f32>();  // if TN > 4
  var s3_2 = vec4<f32>();  // if TN > 8
  var s3_3 = vec4<f32>();  // if TN > 12
  var s4_0 = vec4<f32>();  // if TM > 4
  var s4_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s4_2 = vec4<f32>();  // if TM > 4 and TN > 8
  var s4_3 = vec4<f32>();  // if TM > 4 and TN > 12
  var s5_0 = vec4<f32>();  // if TM > 4
  var s5_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s5_2 = vec4<f32>();  // if TM > 4 and TN > 8
  var s5_3 = vec4<f32>();  // if TM > 4 and TN > 12
  var s6_0 = vec4<f32>();  // if TM > 4
  var s6_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s6_2 = vec4<f32>();  // if TM > 4 and TN > 8
  var s6_3 = vec4<f32>();  // if TM > 4 and TN > 12
  var s7_0 = vec4<f32>();  // if TM > 4
  var s7_1 = vec4<f32>();  // if TM > 4 and TN > 4
  var s7_2 = vec4<f32>();  // if TM > 4 and TN > 8
  var s7_3 = vec4<f32>();  // if TM > 4 and TN > 12
  var s8_0 = vec4<f32>();  // if TM > 8
  var s8_1 = vec4<f32>();  // if TM > 8 and TN > 4
  var s8_2 = vec4<f32>();  // if TM > 8 and TN > 8
  var s8_3 = vec4<f32>();  // if TM > 8 and TN > 12
  var s9_0 = vec4<f32>();  // if TM > 8
  var s9_1 = vec4<f32>();  // if TM > 8 and TN > 4
  var s9_2 = vec4<f32>();  // if TM > 8 and TN > 8
  var s9_3 = vec4<f32>();  // if TM > 8 and TN > 12
  var s10_0 = vec4<f32>();  // if TM > 8
  var s10_1 = vec4<f32>();  // if TM > 8 and TN > 4
  var s10_2 = vec4<f32>();  // if TM > 8 and TN > 8
  var s10_3 = vec4<f32>();  // if TM > 8 and TN > 12
  var s11_0 = vec4<f32>();  // if TM > 8
  var s11_1 = vec4<f32>();  // if TM > 8 and TN > 4
  var s11_2 = vec4<f32>();  // if TM > 8 and TN > 8
  var s11_3 = vec4<f32>();  // if TM > 8 and TN > 12
  var s12_0 = vec4<f32>();  // if TM > 12
  var s12_1 = vec4<f32>();  // if TM > 12 and TN > 4
  var s12_2 = vec4<f32>();  // if TM > 12 and TN > 8
  var s12_3 = vec4<f32>();  // if TM > 12 and TN > 12
  var s13_0 = vec4<f32>();  // if TM > 12
  var s13_1 = vec4<f32>();  // if TM > 12 and TN > 4
  var s13_2 = vec4<f32>();  // if TM > 12 and TN > 8
  var s13_3 = vec4<f32>();  // if TM > 12 and TN > 12
  var s14_0 = vec4<f32>();  // if TM > 12
  var s14_1 = vec4<f32>();  // if TM > 12 and TN > 4
  var s14_2 = vec4<f32>();  // if TM > 12 and TN > 8
  var s14_3 = vec4<f32>();  // if TM > 12 and TN > 12
  var s15_0 = vec4<f32>();  // if TM > 12
  var s15_1 = vec4<f32>();  // if TM > 12 and TN > 4
  var s15_2 = vec4<f32>();  // if TM > 12 and TN > 8
  var s15_3 = vec4<f32>();  // if TM > 12 and TN > 12
  for (var k = 0u; k < K; k++) {
    let p0 = vec4<f32>(b[c0 + k], b[c1 + k], b[c2 + k], b[c3 + k]);
    let p1 = vec4<f32>(b[c4 + k], b[c5 + k], b[c6 + k], b[c7 + k]);  // if TN > 4
    let p2 = vec4<f32>(b[c8 + k], b[c9 + k], b[c10 + k], b[c11 + k]);  // if TN > 8
    let p3 = vec4<f32>(b[c12 + k], b[c13 + k], b[c14 + k], b[c15 + k]);  // if TN > 12
    let x0 = a[r0 + k];
    s0_0 += x0 * p0;
    s0_1 += x0 * p1;  // if TN > 4
    s0_2 += x0 * p2;  // if TN > 8
    s0_3 += x0 * p3;  // if TN > 12
    let x1 = a[r1 + k];
    s1_0 += x1 * p0;
    s1_1 += x1 * p1;  // if TN > 4
    s1_2 += x1 * p2;  // if TN > 8
    s1_3 += x1 * p3;  // if TN > 12
    let x2 = a[r2 + k];
    s2_0 += x2 * p0;
    s2_1 += x2 * p1;  // if TN > 4
    s2_2 += x2 * p2;  // if TN > 8
    s2_3 += x2 * p3;  // if TN > 12
    let x3 = a[r3 + k];
    s3_0 += x3 * p0;
    s3_1 += x3 * p1;  // if TN > 4
    s3_2 += x3 * p2;  // if TN > 8
    s3_3 += x3 * p3;  // if TN > 12
    let x4 = a[r4 + k];  // if TM > 4
    s4_0 += x4 * p0;  // if TM > 4
    s4_1 += x4 * p1;  // if TM > 4 and TN > 4
    s4_2 += x4 * p2;  // if TM > 4 and TN > 8
    s4_3 += x4 * p3;  // if TM > 4 and TN > 12
    let x5 = a[r5 + k];  // if TM > 4
    s5_0 += x5 * p0;  // if TM > 4
    s5_1 += x5 * p1;  // if TM > 4 and TN > 4
    s5_2 += x5 * p2;  // if TM > 4 and TN > 8
    s5_3 += x5 * p3;  // if TM > 4 and TN > 12
    let x6 = a[r6 + k];  // if TM > 4
    s6_0 += x6 * p0;  // if TM > 4
    s6_1 += x6 * p1;  // if TM > 4 and TN > 4
    s6_2 += x6 * p2;  // if TM > 4 and TN > 8
    s6_3 += x6 * p3;  // if TM > 4 and TN > 12
    let x7 = a[r7 + k];  // if TM > 4
    s7_0 += x7 * p0;  // if TM > 4
    s7_1 += x7 * p1;  // if TM > 4 and TN > 4
    s7_2 += x7 * p2;  // if TM > 4 and TN > 8
    s7_3 += x7 * p3;  // if TM > 4 and TN > 12
    let x8 = a[r8 + k];  // if TM > 8
    s8_0 += x8 * p0;  // if TM > 8
    s8_1 += x8 * p1;  // if TM > 8 and TN > 4
    s8_2 += x8 * p2;  // if TM > 8 and TN > 8
    s8_3 += x8 * p3;  // if TM > 8 and TN > 12
    let x9 = a[r9 + k];  // if TM > 8
    s9_0 += x9 * p0;  // if TM > 8
    s9_1 += x9 * p1;  // if TM > 8 and TN > 4
    s9_2 += x9 * p2;  // if TM > 8 and TN > 8
    s9_3 += x9 * p3;  // if TM > 8 and TN > 12
    let x10 = a[r10 + k];  // if TM > 8
    s10_0 += x10 * p0;  // if TM > 8
    s10_1 += x10 * p1;  // if TM > 8 and TN > 4
    s10_2 += x10 * p2;  // if TM > 8 and TN > 8
    s10_3 += x10 * p3;  // if TM > 8 and TN > 12
    let x11 = a[r11 + k];  // if TM > 8
    s11_0 += x11 * p0;  // if TM > 8
    s11_1 += x11 * p1;  // if TM > 8 and TN > 4
    s11_2 += x11 * p2;  // if TM > 8 and TN > 8
    s11_3 += x11 * p3;  // if TM > 8 and TN > 12
    let x12 = a[r12 + k];  // if TM > 12
    s12_0 += x12 * p0;  // if TM > 12
    s12_1 += x12 * p1;  // if TM > 12 and TN > 4
    s12_2 += x12 * p2;  // if TM > 12 and TN > 8
    s12_3 += x12 * p3;  // if TM > 12 and TN > 12
    let x13 = a[r13 + k];  // if TM > 12
    s13_0 += x13 * p0;  // if TM > 12
    s13_1 += x13 * p1;  // if TM > 12 and TN > 4
    s13_2 += x13 * p2;  // if TM > 12 and TN > 8
    s13_3 += x13 * p3;  // if TM > 12 and TN > 12
    let x14 = a[r14 + k];  // if TM > 12
    s14_0 += x14 * p0;  // if TM > 12
    s14_1 += x14 * p1;  // if TM > 12 and TN > 4
    s14_2 += x14 * p2;  // if TM > 12 and TN > 8
    s14_3 += x14 * p3;  // if TM > 12 and TN > 12
    let x15 = a[r15 + k];  // if TM > 12
    s15_0 += x15 * p0;  // if TM > 12
    s15_1 += x15 * p1;  // if TM > 12 and TN > 4
    s15_2 += x15 * p2;  // if TM > 12 and TN > 8
    s15_3 += x15 * p3;  // if TM > 12 and TN > 12
  }
  put(z, i + 0u, j + 0u, s0_0);
  put(z, i + 0u, j + 1u, s0_1);  // if TN > 4
  put(z, i + 0u, j + 2u, s0_2);  // if TN > 8
  put(z, i + 0u, j + 3u, s0_3);  // if TN > 12
  put(z, i + 1u, j + 0u, s1_0);
  put(z, i + 1u, j + 1u, s1_1);  // if TN > 4
  put(z, i + 1u, j + 2u, s1_2);  // if TN > 8
  put(z, i + 1u, j + 3u, s1_3);  // if TN > 12
  put(z, i + 2u, j + 0u, s2_0);
  put(z, i + 2u, j + 1u, s2_1);  // if TN > 4
  put(z, i + 2u, j + 2u, s2_2);  // if TN > 8
  put(z, i + 2u, j + 3u, s2_3);  // if TN > 12
  put(z, i + 3u, j + 0u, s3_0);
  put(z, i + 3u, j + 1u, s3_1);  // if TN > 4
  put(z, i + 3u, j + 2u, s3_2);  // if TN > 8
  put(z, i + 3u, j + 3u, s3_3);  // if TN > 12
  put(z, i + 4u, j + 0u, s4_0);  // if TM > 4
  put(z, i + 4u, j + 1u, s4_1);  // if TM > 4 and TN > 4
  put(z, i + 4u, j + 2u, s4_2);  // if TM > 4 and TN > 8
  put(z, i + 4u, j + 3u, s4_3);  // if TM > 4 and TN > 12
  put(z, i + 5u, j + 0u, s5_0);  // if TM > 4
  put(z, i + 5u, j + 1u, s5_1);  // if TM > 4 and TN > 4
  put(z, i + 5u, j + 2u, s5_2);  // if TM > 4 and TN > 8
  put(z, i + 5u, j + 3u, s5_3);  // if TM > 4 and TN > 12
  put(z, i + 6u, j + 0u, s6_0);  // if TM > 4
  put(z, i + 6u, j + 1u, s6_1);  // if TM > 4 and TN > 4
  put(z, i + 6u, j + 2u, s6_2);  // if TM > 4 and TN > 8
  put(z, i + 6u, j + 3u, s6_3);  // if TM > 4 and TN > 12
  put(z, i + 7u, j + 0u, s7_0);  // if TM > 4
  put(z, i + 7u, j + 1u, s7_1);  // if TM > 4 and TN > 4
  put(z, i + 7u, j + 2u, s7_2);  // if TM > 4 and TN > 8
  put(z, i + 7u, j + 3u, s7_3);  // if TM > 4 and TN > 12
  put(z, i + 8u, j + 0u, s8_0);  // if TM > 8
  put(z, i + 8u, j + 1u, s8_1);  // if TM > 8 and TN > 4
  put(z, i + 8u, j + 2u, s8_2);  // if TM > 8 and TN > 8
  put(z, i + 8u, j + 3u, s8_3);  // if TM > 8 and TN > 12
  put(z, i + 9u, j + 0u, s9_0);  // if TM > 8
  put(z, i + 9u, j + 1u, s9_1);  // if TM > 8 and TN > 4
  put(z, i + 9u, j + 2u, s9_2);  // if TM > 8 and TN > 8
  put(z, i + 9u, j + 3u, s9_3);  // if TM > 8 and TN > 12
  put(z, i + 10u, j + 0u, s10_0);  // if TM > 8
  put(z, i + 10u, j + 1u, s10_1);  // if TM > 8 and TN > 4
  put(z, i + 10u, j + 2u, s10_2);  // if TM > 8 and TN > 8
  put(z, i + 10u, j + 3u, s10_3);  // if TM > 8 and TN > 12
  put(z, i + 11u, j + 0u, s11_0);  // if TM > 8
  put(z, i + 11u, j + 1u, s11_1);  // if TM > 8 and TN > 4
  put(z, i + 11u, j + 2u, s11_2);  // if TM > 8 and TN > 8
  put(z, i + 11u, j + 3u, s11_3);  // if TM > 8 and TN > 12
  put(z, i + 12u, j + 0u, s12_0);  // if TM > 12
  put(z, i + 12u, j + 1u, s12_1);  // if TM > 12 and TN > 4
  put(z, i + 12u, j + 2u, s12_2);  // if TM > 12 and TN > 8
  put(z, i + 12u, j + 3u, s12_3);  // if TM > 12 and TN > 12
  put(z, i + 13u, j + 0u, s13_0);  // if TM > 12
  put(z, i + 13u, j + 1u, s13_1);  // if TM > 12 and TN > 4
  put(z, i + 13u, j + 2u, s13_2);  // if TM > 12 and TN > 8
  put(z, i + 13u, j + 3u, s13_3);  // if TM > 12 and TN > 12
  put(z, i + 14u, j + 0u, s14_0);  // if TM > 12
  put(z, i + 14u, j + 1u, s14_1);  // if TM > 12 and TN > 4
  put(z, i + 14u, j + 2u, s14_2);  // if TM > 12 and TN > 8
  put(z, i + 14u, j + 3u, s14_3);  // if TM > 12 and TN > 12
  put(z, i + 15u, j + 0u, s15_0);  // if TM > 12
  put(z, i + 15u, j + 1u, s15_1);  // if TM > 12 and TN > 4
  put(z, i + 15u, j + 2u, s15_2);  // if TM > 12 and TN > 8
  put(z, i + 15u, j + 3u, s15_3);  // if TM > 12 and TN > 12
}

