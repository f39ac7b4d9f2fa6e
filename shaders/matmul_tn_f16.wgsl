// out[z,i,j] += sum_k a[z,k,i] * b[z,k,j], M and N multiples of 4.  An invocation keeps TM x TN sums in registers.
// reference: op/matmul.go matmulTN
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
override KS: u32 = 4u;  // summands of a round: 1, or 4 where K is a multiple of it
override ACC_OUT: bool = true;
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

// b4 is 4 elements of b, which has two binary16 in a word.
fn b4(i: u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(b[i].x), unpack2x16float(b[i].y)); }

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
  let za = select(z, 0u, SHAREDA);
  let zb = select(z, 0u, SHAREDB);
  let i = (wg.y * WY + id.y) * TM;
  let j = (wg.x * WX + id.x) * (TN / 4u);  // counted in vec4
  if (i >= M || j >= n4) { return; }
  let r0 = za * K * m4 + edge(i / 4u + 0u, m4);
  let r1 = za * K * m4 + edge(i / 4u + 1u, m4);  // if TM > 4
  let r2 = za * K * m4 + edge(i / 4u + 2u, m4);  // if TM > 8
  let r3 = za * K * m4 + edge(i / 4u + 3u, m4);  // if TM > 12
  let c0 = zb * K * n4 + edge(j + 0u, n4);
  let c1 = zb * K * n4 + edge(j + 1u, n4);  // if TN > 4
  let c2 = zb * K * n4 + edge(j + 2u, n4);  // if TN > 8
  let c3 = zb * K * n4 + edge(j + 3u, n4);  // if TN > 12
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
  for (var k = 0u; k < K; k += KS) {
    let p0_0 = b4(c0 + (k + 0u) * n4);
    let p0_1 = b4(c1 + (k + 0u) * n4);  // if TN > 4
    let p0_2 = b4(c2 + (k + 0u) * n4);  // if TN > 8
    let p0_3 = b4(c3 + (k + 0u) * n4);  // if TN > 12
    let x0_0 = a[r0 + (k + 0u) * m4];
    s0_0 += x0_0.x * p0_0;
    s0_1 += x0_0.x * p0_1;  // if TN > 4
    s0_2 += x0_0.x * p0_2;  // if TN > 8
    s0_3 += x0_0.x * p0_3;  // if TN > 12
    s1_0 += x0_0.y * p0_0;
    s1_1 += x0_0.y * p0_1;  // if TN > 4
    s1_2 += x0_0.y * p0_2;  // if TN > 8
    s1_3 += x0_0.y * p0_3;  // if TN > 12
    s2_0 += x0_0.z * p0_0;
    s2_1 += x0_0.z * p0_1;  // if TN > 4
    s2_2 += x0_0.z * p0_2;  // if TN > 8
    s2_3 += x0_0.z * p0_3;  // if TN > 12
    s3_0 += x0_0.w * p0_0;
    s3_1 += x0_0.w * p0_1;  // if TN > 4
    s3_2 += x0_0.w * p0_2;  // if TN > 8
    s3_3 += x0_0.w * p0_3;  // if TN > 12
    let x0_1 = a[r1 + (k + 0u) * m4];  // if TM > 4
    s4_0 += x0_1.x * p0_0;  // if TM > 4
    s4_1 += x0_1.x * p0_1;  // if TM > 4 and TN > 4
    s4_2 += x0_1.x * p0_2;  // if TM > 4 and TN > 8
    s4_3 += x0_1.x * p0_3;  // if TM > 4 and TN > 12
    s5_0 += x0_1.y * p0_0;  // if TM > 4
    s5_1 += x0_1.y * p0_1;  // if TM > 4 and TN > 4
    s5_2 += x0_1.y * p0_2;  // if TM > 4 and TN > 8
    s5_3 += x0_1.y * p0_3;  // if TM > 4 and TN > 12
    s6_0 += x0_1.z * p0_0;  // if TM > 4
    s6_1 += x0_1.z * p0_1;  // if TM > 4 and TN > 4
    s6_2 += x0_1.z * p0_2;  // if TM > 4 and TN > 8
    s6_3 += x0_1.z * p0_3;  // if TM > 4 and TN > 12
    s7_0 += x0_1.w * p0_0;  // if TM > 4
    s7_1 += x0_1.w * p0_1;  // if TM > 4 and TN > 4
    s7_2 += x0_1.w * p0_2;  // if TM > 4 and TN > 8
    s7_3 += x0_1.w * p0_3;  // if TM > 4 and TN > 12
    let x0_2 = a[r2 + (k + 0u) * m4];  // if TM > 8
    s8_0 += x0_2.x * p0_0;  // if TM > 8
    s8_1 += x0_2.x * p0_1;  // if TM > 8 and TN > 4
    s8_2 += x0_2.x * p0_2;  // if TM > 8 and TN > 8
    s8_3 += x0_2.x * p0_3;  // if TM > 8 and TN > 12
    s9_0 += x0_2.y * p0_0;  // if TM > 8
    s9_1 += x0_2.y * p0_1;  // if TM > 8 and TN > 4
    s9_2 += x0_2.y * p0_2;  // if TM > 8 and TN > 8
    s9_3 += x0_2.y * p0_3;  // if TM > 8 and TN > 12
    s10_0 += x0_2.z * p0_0;  // if TM > 8
    s10_1 += x0_2.z * p0_1;  // if TM > 8 and TN > 4
    s10_2 += x0_2.z * p0_2;  // if TM > 8 and TN > 8
    s10_3 += x0_2.z * p0_3;  // if TM > 8 and TN > 12
    s11_0 += x0_2.w * p0_0;  // if TM > 8
    s11_1 += x0_2.w * p0_1;  // if TM > 8 and TN > 4
    s11_2 += x0_2.w * p0_2;  // if TM > 8 and TN > 8
    s11_3 += x0_2.w * p0_3;  // if TM > 8 and TN > 12
    let x0_3 = a[r3 + (k + 0u) * m4];  // if TM > 12
    s12_0 += x0_3.x * p0_0;  // if TM > 12
    s12_1 += x0_3.x * p0_1;  // if TM > 12 and TN > 4
    s12_2 += x0_3.x * p0_2;  // if TM > 12 and TN > 8
    s12_3 += x0_3.x * p0_3;  // if TM > 12 and TN > 12
    s13_0 += x0_3.y * p0_0;  // if TM > 12
    s13_1 += x0_3.y * p0_1;  // if TM > 12 and TN > 4
    s13_2 += x0_3.y * p0_2;  // if TM > 12 and TN > 8
    s13_3 += x0_3.y * p0_3;  // if TM > 12 and TN > 12
    s14_0 += x0_3.z * p0_0;  // if TM > 12
    s14_1 += x0_3.z * p0_1;  // if TM > 12 and TN > 4
    s14_2 += x0_3.z * p0_2;  // if TM > 12 and TN > 8
    s14_3 += x0_3.z * p0_3;  // if TM > 12 and TN > 12
    s15_0 += x0_3.w * p0_0;  // if TM > 12
    s15_1 += x0_3.w * p0_1;  // if TM > 12 and TN > 4
    s15_2 += x0_3.w * p0_2;  // if TM > 12 and TN > 8
    s15_3 += x0_3.w * p0_3;  // if TM > 12 and TN > 12
    let p1_0 = b4(c0 + (k + 1u) * n4);  // if KS > 1
    let p1_1 = b4(c1 + (k + 1u) * n4);  // if KS > 1 and TN > 4
    let p1_2 = b4(c2 + (k + 1u) * n4);  // if KS > 1 and TN > 8
    let p1_3 = b4(c3 + (k + 1u) * n4);  // if KS > 1 and TN > 12
    let x1_0 = a[r0 + (k + 1u) * m4];  // if KS > 1
    s0_0 += x1_0.x * p1_0;  // if KS > 1
    s0_1 += x1_0.x * p1_1;  // if KS > 1 and TN > 4
    s0_2 += x1_0.x * p1_2;  // if KS > 1 and TN > 8
    s0_3 += x1_0.x * p1_3;  // if KS > 1 and TN > 12
    s1_0 += x1_0.y * p1_0;  // if KS > 1
    s1_1 += x1_0.y * p1_1;  // if KS > 1 and TN > 4
    s1_2 += x1_0.y * p1_2;  // if KS > 1 and TN > 8
    s1_3 += x1_0.y * p1_3;  // if KS > 1 and TN > 12
    s2_0 += x1_0.z * p1_0;  // if KS > 1
    s2_1 += x1_0.z * p1_1;  // if KS > 1 and TN > 4
    s2_2 += x1_0.z * p1_2;  // if KS > 1 and TN > 8
    s2_3 += x1_0.z * p1_3;  // if KS > 1 and TN > 12
    s3_0 += x1_0.w * p1_0;  // if KS > 1
    s3_1 += x1_0.w * p1_1;  // if KS > 1 and TN > 4
    s3_2 += x1_0.w * p1_2;  // if KS > 1 and TN > 8
    s3_3 += x1_0.w * p1_3;  // if KS > 1 and TN > 12
    let x1_1 = a[r1 + (k + 1u) * m4];  // if KS > 1 and TM > 4
    s4_0 += x1_1.x * p1_0;  // if KS > 1 and TM > 4
    s4_1 += x1_1.x * p1_1;  // if KS > 1 and TM > 4 and TN > 4
    s4_2 += x1_1.x * p1_2;  // if KS > 1 and TM > 4 and TN > 8
    s4_3 += x1_1.x * p1_3;  // if KS > 1 and TM > 4 and TN > 12
    s5_0 += x1_1.y * p1_0;  // if KS > 1 and TM > 4
    s5_1 += x1_1.y * p1_1;  // if KS > 1 and TM > 4 and TN > 4
    s5_2 += x1_1.y * p1_2;  // if KS > 1 and TM > 4 and TN > 8
    s5_3 += x1_1.y * p1_3;  // if KS > 1 and TM > 4 and TN > 12
    s6_0 += x1_1.z * p1_0;  // if KS > 1 and TM > 4
    s6_1 += x1_1.z * p1_1;  // if KS > 1 and TM > 4 and TN > 4
    s6_2 += x1_1.z * p1_2;  // if KS > 1 and TM > 4 and TN > 8
    s6_3 += x1_1.z * p1_3;  // if KS > 1 and TM > 4 and TN > 12
    s7_0 += x1_1.w * p1_0;  // if KS > 1 and TM > 4
    s7_1 += x1_1.w * p1_1;  // if KS > 1 and TM > 4 and TN > 4
    s7_2 += x1_1.w * p1_2;  // if KS > 1 and TM > 4 and TN > 8
    s7_3 += x1_1.w * p1_3;  // if KS > 1 and TM > 4 and TN > 12
    let x1_2 = a[r2 + (k + 1u) * m4];  // if KS > 1 and TM > 8
    s8_0 += x1_2.x * p1_0;  // if KS > 1 and TM > 8
    s8_1 += x1_2.x * p1_1;  // if KS > 1 and TM > 8 and TN > 4
    s8_2 += x1_2.x * p1_2;  // if KS > 1 and TM > 8 and TN > 8
    s8_3 += x1_2.x * p1_3;  // if KS > 1 and TM > 8 and TN > 12
    s9_0 += x1_2.y * p1_0;  // if KS > 1 and TM > 8
    s9_1 += x1_2.y * p1_1;  // if KS > 1 and TM > 8 and TN > 4
    s9_2 += x1_2.y * p1_2;  // if KS > 1 and TM > 8 and TN > 8
    s9_3 += x1_2.y * p1_3;  // if KS > 1 and TM > 8 and TN > 12
    s10_0 += x1_2.z * p1_0;  // if KS > 1 and TM > 8
    s10_1 += x1_2.z * p1_1;  // if KS > 1 and TM > 8 and TN > 4
    s10_2 += x1_2.z * p1_2;  // if KS > 1 and TM > 8 and TN > 8
    s10_3 += x1_2.z * p1_3;  // if KS > 1 and TM > 8 and TN > 12
    s11_0 += x1_2.w * p1_0;  // if KS > 1 and TM > 8
    s11_1 += x1_2.w * p1_1;  // if KS > 1 and TM > 8 and TN > 4
    s11_2 += x1_2.w * p1_2;  // if KS > 1 and TM > 8 and TN > 8
    s11_3 += x1_2.w * p1_3;  // if KS > 1 and TM > 8 and TN > 12
    let x1_3 = a[r3 + (k + 1u) * m4];  // if KS > 1 and TM > 12
    s12_0 += x1_3.x * p1_0;  // if KS > 1 and TM > 12
    s12_1 += x1_3.x * p1_1;  // if KS > 1 and TM > 12 and TN > 4
    s12_2 += x1_3.x * p1_2;  // if KS > 1 and TM > 12 and TN > 8
    s12_3 += x1_3.x * p1_3;  // if KS > 1 and TM > 12 and TN > 12
    s13_0 += x1_3.y * p1_0;  // if KS > 1 and TM > 12
    s13_1 += x1_3.y * p1_1;  // if KS > 1 and TM > 12 and TN > 4
    s13_2 += x1_3.y * p1_2;  // if KS > 1 and TM > 12 and TN > 8
    s13_3 += x1_3.y * p1_3;  // if KS > 1 and TM > 12 and TN > 12
    s14_0 += x1_3.z * p1_0;  // if KS > 1 and TM > 12
    s14_1 += x1_3.z * p1_1;  // if KS > 1 and TM > 12 and TN > 4
    s14_2 += x1_3.z * p1_2;  // if KS > 1 and TM > 12 and TN > 8
    s14_3 += x1_3.z * p1_3;  // if KS > 1 and TM > 12 and TN > 12
    s15_0 += x1_3.w * p1_0;  // if KS > 1 and TM > 12
    s15_1 += x1_3.w * p1_1;  // if KS > 1 and TM > 12 and TN > 4
    s15_2 += x1_3.w * p1_2;  // if KS > 1 and TM > 12 and TN > 8
    s15_3 += x1_3.w * p1_3;  // if KS > 1 and TM > 12 and TN > 12
    let p2_0 = b4(c0 + (k + 2u) * n4);  // if KS > 1
    let p2_1 = b4(c1 + (k + 2u) * n4);  // if KS > 1 and TN > 4
    let p2_2 = b4(c2 + (k + 2u) * n4);  // if KS > 1 and TN > 8
    let p2_3 = b4(c3 + (k + 2u) * n4);  // if KS > 1 and TN > 12
    let x2_0 = a[r0 + (k + 2u) * m4];  // if KS > 1
    s0_0 += x2_0.x * p2_0;  // if KS > 1
    s0_1 += x2_0.x * p2_1;  // if KS > 1 and TN > 4
    s0_2 += x2_0.x * p2_2;  // if KS > 1 and TN > 8
    s0_3 += x2_0.x * p2_3;  // if KS > 1 and TN > 12
    s1_0 += x2_0.y * p2_0;  // if KS > 1
    s1_1 += x2_0.y * p2_1;  // if KS > 1 and TN > 4
    s1_2 += x2_0.y * p2_2;  // if KS > 1 and TN > 8
    s1_3 += x2_0.y * p2_3;  // if KS > 1 and TN > 12
    s2_0 += x2_0.z * p2_0;  // if KS > 1
    s2_1 += x2_0.z * p2_1;  // if KS > 1 and TN > 4
    s2_2 += x2_0.z * p2_2;  // if KS > 1 and TN > 8
    s2_3 += x2_0.z * p2_3;  // if KS > 1 and TN > 12
    s3_0 += x2_0.w * p2_0;  // if KS > 1
    s3_1 += x2_0.w * p2_1;  // if KS > 1 and TN > 4
    s3_2 += x2_0.w * p2_2;  // if KS > 1 and TN > 8
    s3_3 += x2_0.w * p2_3;  // if KS > 1 and TN > 12
    let x2_1 = a[r1 + (k + 2u) * m4];  // if KS > 1 and TM > 4
    s4_0 += x2_1.x * p2_0;  // if KS > 1 and TM > 4
    s4_1 += x2_1.x * p2_1;  // if KS > 1 and TM > 4 and TN > 4
    s4_2 += x2_1.x * p2_2;  // if KS > 1 and TM > 4 and TN > 8
    s4_3 += x2_1.x * p2_3;  // if KS > 1 and TM > 4 and TN > 12
    s5_0 += x2_1.y * p2_0;  // if KS > 1 and TM > 4
    s5_1 += x2_1.y * p2_1;  // if KS > 1 and TM > 4 and TN > 4
    s5_2 += x2_1.y * p2_2;  // if KS > 1 and TM > 4 and TN > 8
    s5_3 += x2_1.y * p2_3;  // if KS > 1 and TM > 4 and TN > 12
    s6_0 += x2_1.z * p2_0;  // if KS > 1 and TM > 4
    s6_1 += x2_1.z * p2_1;  // if KS > 1 and TM > 4 and TN > 4
    s6_2 += x2_1.z * p2_2;  // if KS > 1 and TM > 4 and TN > 8
    s6_3 += x2_1.z * p2_3;  // if KS > 1 and TM > 4 and TN > 12
    s7_0 += x2_1.w * p2_0;  // if KS > 1 and TM > 4
    s7_1 += x2_1.w * p2_1;  // if KS > 1 and TM > 4 and TN > 4
    s7_2 += x2_1.w * p2_2;  // if KS > 1 and TM > 4 and TN > 8
    s7_3 += x2_1.w * p2_3;  // if KS > 1 and TM > 4 and TN > 12
    let x2_2 = a[r2 + (k + 2u) * m4];  // if KS > 1 and TM > 8
    s8_0 += x2_2.x * p2_0;  // if KS > 1 and TM > 8
    s8_1 += x2_2.x * p2_1;  // if KS > 1 and TM > 8 and TN > 4
    s8_2 += x2_2.x * p2_2;  // if KS > 1 and TM > 8 and TN > 8
    s8_3 += x2_2.x * p2_3;  // if KS > 1 and TM > 8 and TN > 12
    s9_0 += x2_2.y * p2_0;  // if KS > 1 and TM > 8
    s9_1 += x2_2.y * p2_1;  // if KS > 1 and TM > 8 and TN > 4
    s9_2 += x2_2.y * p2_2;  // if KS > 1 and TM > 8 and TN > 8
    s9_3 += x2_2.y * p2_3;  // if KS > 1 and TM > 8 and TN > 12
    s10_0 += x2_2.z * p2_0;  // if KS > 1 and TM > 8
    s10_1 += x2_2.z * p2_1;  // if KS > 1 and TM > 8 and TN > 4
    s10_2 += x2_2.z * p2_2;  // if KS > 1 and TM > 8 and TN > 8
    s10_3 += x2_2.z * p2_3;  // if KS > 1 and TM > 8 and TN > 12
    s11_0 += x2_2.w * p2_0;  // if KS > 1 and TM > 8
    s11_1 += x2_2.w * p2_1;  // if KS > 1 and TM > 8 and TN > 4
    s11_2 += x2_2.w * p2_2;  // if KS > 1 and TM > 8 and TN > 8
    s11_3 += x2_2.w * p2_3;  // if KS > 1 and TM > 8 and TN > 12
    let x2_3 = a[r3 + (k + 2u) * m4];  // if KS > 1 and TM > 12
    s12_0 += x2_3.x * p2_0;  // if KS > 1 and TM > 12
    s12_1 += x2_3.x * p2_1;  // if KS > 1 and TM > 12 and TN > 4
    s12_2 += x2_3.x * p2_2;  // if KS > 1 and TM > 12 and TN > 8
    s12_3 += x2_3.x * p2_3;  // if KS > 1 and TM > 12 and TN > 12
    s13_0 += x2_3.y * p2_0;  // if KS > 1 and TM > 12
    s13_1 += x2_3.y * p2_1;  // if KS > 1 and TM > 12 and TN > 4
    s13_2 += x2_3.y * p2_2;  // if KS > 1 and TM > 12 and TN > 8
    s13_3 += x2_3.y * p2_3;  // if KS > 1 and TM > 12 and TN > 12
    s14_0 += x2_3.z * p2_0;  // if KS > 1 and TM > 12
    s14_1 += x2_3.z * p2_1;  // if KS > 1 and TM > 12 and TN > 4
    s14_2 += x2_3.z * p2_2;  // if KS > 1 and TM > 12 and TN > 8
    s14_3 += x2_3.z * p2_3;  // if KS > 1 and TM > 12 and TN > 12
    s15_0 += x2_3.w * p2_0;  // if KS > 1 and TM > 12
    s15_1 += x2_3.w * p2_1;  // if KS > 1 and TM > 12 and TN > 4
    s15_2 += x2_3.w * p2_2;  // if KS > 1 and TM > 12 and TN > 8
    s15_3 += x2_3.w * p2_3;  // if KS > 1 and TM > 12 and TN > 12
    let p3_0 = b4(c0 + (k + 3u) * n4);  // if KS > 1
    let p3_1 = b4(c1 + (k + 3u) * n4);  // if KS > 1 and TN > 4
    let p3_2 = b4(c2 + (k + 3u) * n4);  // if KS > 1 and TN > 8
    let p3_3 = b4(c3 + (k + 3u) * n4);  // if KS > 1 and TN > 12
    let x3_0 = a[r0 + (k + 3u) * m4];  // if KS > 1
    s0_0 += x3_0.x * p3_0;  // if KS > 1
    s0_1 += x3_0.x * p3_1;  // if KS > 1 and TN > 4
    s0_2 += x3_0.x * p3_2;  // if KS > 1 and TN > 8
    s0_3 += x3_0.x * p3_3;  // if KS > 1 and TN > 12
    s1_0 += x3_0.y * p3_0;  // if KS > 1
    s1_1 += x3_0.y * p3_1;  // if KS > 1 and TN > 4
    s1_2 += x3_0.y * p3_2;  // if KS > 1 and TN > 8
    s1_3 += x3_0.y * p3_3;  // if KS > 1 and TN > 12
    s2_0 += x3_0.z * p3_0;  // if KS > 1
    s2_1 += x3_0.z * p3_1;  // if KS > 1 and TN > 4
    s2_2 += x3_0.z * p3_2;  // if KS > 1 and TN > 8
    s2_3 += x3_0.z * p3_3;  // if KS > 1 and TN > 12
    s3_0 += x3_0.w * p3_0;  // if KS > 1
    s3_1 += x3_0.w * p3_1;  // if KS > 1 and TN > 4
    s3_2 += x3_0.w * p3_2;  // if KS > 1 and TN > 8
    s3_3 += x3_0.w * p3_3;  // if KS > 1 and TN > 12
    let x3_1 = a[r1 + (k + 3u) * m4];  // if KS > 1 and TM > 4
    s4_0 += x3_1.x * p3_0;  // if KS > 1 and TM > 4
    s4_1 += x3_1.x * p3_1;  // if KS > 1 and TM > 4 and TN > 4
    s4_2 += x3_1.x * p3_2;  // if KS > 1 and TM > 4 and TN > 8
    s4_3 += x3_1.x * p3_3;  // if KS > 1 and TM > 4 and TN > 12
    s5_0 += x3_1.y * p3_0;  // if KS > 1 and TM > 4
    s5_1 += x3_1.y * p3_1;  // if KS > 1 and TM > 4 and TN > 4
    s5_2 += x3_1.y * p3_2;  // if KS > 1 and TM > 4 and TN > 8
    s5_3 += x3_1.y * p3_3;  // if KS > 1 and TM > 4 and TN > 12
    s6_0 += x3_1.z * p3_0;  // if KS > 1 and TM > 4
    s6_1 += x3_1.z * p3_1;  // if KS > 1 and TM > 4 and TN > 4
    s6_2 += x3_1.z * p3_2;  // if KS > 1 and TM > 4 and TN > 8
    s6_3 += x3_1.z * p3_3;  // if KS > 1 and TM > 4 and TN > 12
    s7_0 += x3_1.w * p3_0;  // if KS > 1 and TM > 4
    s7_1 += x3_1.w * p3_1;  // if KS > 1 and TM > 4 and TN > 4
    s7_2 += x3_1.w * p3_2;  // if KS > 1 and TM > 4 and TN > 8
    s7_3 += x3_1.w * p3_3;  // if KS > 1 and TM > 4 and TN > 12
    let x3_2 = a[r2 + (k + 3u) * m4];  // if KS > 1 and TM > 8
    s8_0 += x3_2.x * p3_0;  // if KS > 1 and TM > 8
    s8_1 += x3_2.x * p3_1;  // if KS > 1 and TM > 8 and TN > 4
    s8_2 += x3_2.x * p3_2;  // if KS > 1 and TM > 8 and TN > 8
    s8_3 += x3_2.x * p3_3;  // if KS > 1 and TM > 8 and TN > 12
    s9_0 += x3_2.y * p3_0;  // if KS > 1 and TM > 8
    s9_1 += x3_2.y * p3_1;  // if KS > 1 and TM > 8 and TN > 4
    s9_2 += x3_2.y * p3_2;  // if KS > 1 and TM > 8 and TN > 8
    s9_3 += x3_2.y * p3_3;  // if KS > 1 and TM > 8 and TN > 12
    s10_0 += x3_2.z * p3_0;  // if KS > 1 and TM > 8
    s10_1 += x3_2.z * p3_1;  // if KS > 1 and TM > 8 and TN > 4
    s10_2 += x3_2.z * p3_2;  // if KS > 1 and TM > 8 and TN > 8
    s10_3 += x3_2.z * p3_3;  // if KS > 1 and TM > 8 and TN > 12
    s11_0 += x3_2.w * p3_0;  // if KS > 1 and TM > 8
    s11_1 += x3_2.w * p3_1;  // if KS > 1 and TM > 8 and TN > 4
    s11_2 += x3_2.w * p3_2;  // if KS > 1 and TM > 8 and TN > 8
    s11_3 += x3_2.w * p3_3;  // if KS > 1 and TM > 8 and TN > 12
    let x3_3 = a[r3 + (k + 3u) * m4];  // if KS > 1 and TM > 12
    s12_0 += x3_3.x * p3_0;  // if KS > 1 and TM > 12
    s12_1 += x3_3.x * p3_1;  // if KS > 1 and TM > 12 and TN > 4
    s12_2 += x3_3.x * p3_2;  // if KS > 1 and TM > 12 and TN > 8
    s12_3 += x3_3.x * p3_3;  // if KS > 1 and TM > 12 and TN > 12
    s13_0 += x3_3.y * p3_0;  // if KS > 1 and TM > 12
    s13_1 += x3_3.y * p3_1;  // if KS > 1 and TM > 12 and TN > 4
    s13_2 += x3_3.y * p3_2;  // if KS > 1 and TM > 12 and TN > 8
    s13_3 += x3_3.y * p3_3;  // if KS > 1 and TM > 12 and TN > 12
    s14_0 += x3_3.z * p3_0;  // if KS > 1 and TM > 12
    s14_1 += x3_3.z * p3_1;  // if KS > 1 and TM > 12 and TN > 4
    s14_2 += x3_3.z * p3_2;  // if KS > 1 and TM > 12 and TN > 8
    s14_3 += x3_3.z * p3_3;  // if KS > 1 and TM > 12 and TN > 12
    s15_0 += x3_3.w * p3_0;  // if KS > 1 and TM > 12
    s15_1 += x3_3.w * p3_1;  // if KS > 1 and TM > 12 and TN > 4
    s15_2 += x3_3.w * p3_2;  // if KS > 1 and TM > 12 and TN > 8
    s15_3 += x3_3.w * p3_3;  // if KS > 1 and TM > 12 and TN > 12
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

