// @ts-check
// The shader that one writes by hand: each invocation computes 8 rows of 4 columns in registers, and nothing is shared.
// The arrays have a size, so that the browser checks an index against a constant.

import { serve, watch } from "./worker.js";

/** Invocations of a workgroup along the columns and along the rows. */
const WX = 8;
const WY = 8;
const ROWS = [0, 1, 2, 3, 4, 5, 6, 7];
/** The four summands that a round takes, as the parts of a vector. */
const PARTS = ["x", "y", "z", "w"];

/** lines writes a line for each row of the tile. @param {(i: number) => string} f */
const lines = (f) => ROWS.map(f).join("\n");

/** For each form: what an invocation looks up before its loop, and in a round, which takes four summands. */
const forms = {
  nn: {
    before: lines((i) => `let r${i} = (row + ${i}u) * N4;`),
    round: `
    let b0 = b[(4u * k) * N4 + col];
    let b1 = b[(4u * k + 1u) * N4 + col];
    let b2 = b[(4u * k + 2u) * N4 + col];
    let b3 = b[(4u * k + 3u) * N4 + col];
    ${lines((i) => `let a${i} = a[r${i} + k]; s${i} += a${i}.x * b0 + a${i}.y * b1 + a${i}.z * b2 + a${i}.w * b3;`)}`,
  },
  nt: {
    before: `${lines((i) => `let r${i} = (row + ${i}u) * N4;`)}
    ${PARTS.map((_, j) => `let c${j} = (4u * col + ${j}u) * N4;`).join("\n")}`,
    round: `
    let m = transpose(mat4x4<f32>(b[c0 + k], b[c1 + k], b[c2 + k], b[c3 + k]));
    ${lines((i) => `s${i} += m * a[r${i} + k];`)}`,
  },
  tn: {
    before: "let half = row / 4u;",
    round: PARTS.map((_, p) => `
    let p${p} = a[(4u * k + ${p}u) * N4 + half];
    let q${p} = a[(4u * k + ${p}u) * N4 + half + 1u];
    let b${p} = b[(4u * k + ${p}u) * N4 + col];
    ${lines((i) => `s${i} += ${i < 4 ? "p" : "q"}${p}.${PARTS[i % 4]} * b${p};`)}`).join("\n"),
  },
};

/**
 * shader writes the product of two n x n matrices, n a multiple of 64.
 * @param {keyof typeof forms} form
 * @param {number} n
 */
const shader = (form, n) => `
const N4 = ${n / 4}u;
const SIZE = N4 * ${n}u;
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>, SIZE>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>, SIZE>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>, SIZE>;

@compute @workgroup_size(${WX}, ${WY})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let col = id.x;
  let row = id.y * 8u;
  ${lines((i) => `var s${i} = vec4<f32>();`)}
  ${forms[form].before}
  for (var k = 0u; k < N4; k++) {
    ${forms[form].round}
  }
  ${lines((i) => `out[(row + ${i}u) * N4 + col] = s${i};`)}
}`;

/** @type {GPUDevice} */
let device;
/** @type {GPUBuffer} */
let out;
/** @type {Map<string, { pipeline: GPUComputePipeline, group: GPUBindGroup }>} */
const products = new Map();
let n = 0;

/** upload puts values into a new buffer. @param {Float32Array<ArrayBuffer>} values */
const upload = (values) => {
  const buffer = device.createBuffer({ size: values.byteLength, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
};

/** dispatch queues a product. @param {string} form */
const dispatch = (form) => {
  const { pipeline, group } = products.get(form) ?? {};
  if (!pipeline || !group) throw new Error(`no product ${form}`);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(n / 4 / WX, n / 8 / WY);
  pass.end();
  device.queue.submit([encoder.finish()]);
};

serve({
  init: async ({ manifest, a, b }) => {
    n = manifest.size;
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) throw new Error("no WebGPU adapter");
    device = watch(await adapter.requestDevice());
    const matrices = [upload(/** @type {any} */ (a)), upload(/** @type {any} */ (b))];
    out = upload(new Float32Array(n * n));
    for (const form of /** @type {(keyof typeof forms)[]} */ (Object.keys(forms))) {
      const module = device.createShaderModule({ code: shader(form, n) });
      const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
      const entries = [...matrices, out].map((buffer, binding) => ({ binding, resource: { buffer } }));
      products.set(form, { pipeline, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) });
    }
    return adapter.info.description;
  },
  product: async (form) => {
    dispatch(form);
    const read = device.createBuffer({ size: out.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(out, 0, read, 0, out.size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    return new Float32Array(read.getMappedRange().slice(0));
  },
  multiply: async (form, count) => {
    for (let i = 0; i < count; i++) dispatch(form);
    await device.queue.onSubmittedWorkDone();
  },
});
