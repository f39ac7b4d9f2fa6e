// @ts-check
// TensorFlow.js with its WebGPU back end: variables and its own Adam, whose minimize takes the gradients.

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";

import { batch, layers, parameters, serve, watch } from "./worker.js";

/** @typedef {import("./worker.js").Inputs} Inputs */

/** norm is RMSNorm. @param {tf.Tensor} x @param {tf.Tensor} w @param {number} eps */
const norm = (x, w, eps) => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps))), w);

/**
 * loss is the mean cross-entropy of the model.
 * @param {tf.Tensor[]} params
 * @param {tf.Tensor1D} ids
 * @param {tf.Tensor2D} labels one-hot
 * @param {import("./worker.js").Manifest} m
 * @returns {tf.Scalar}
 */
const loss = (params, ids, labels, m) => {
  const { embed, blocks, head } = layers(params, m.blocks);
  let x = tf.gather(embed, ids);
  for (const w of blocks) {
    const h = norm(x, w.norm, m.eps);
    const abc = tf.mul(tf.mul(tf.matMul(h, w.a), tf.matMul(h, w.b)), tf.matMul(h, w.c));
    x = tf.add(x, tf.matMul(abc, w.out));
    const gate = tf.matMul(x, w.gate);
    const g = tf.mul(tf.mul(gate, tf.sigmoid(gate)), tf.matMul(x, w.up));
    x = tf.add(x, tf.matMul(g, w.down));
  }
  return tf.losses.softmaxCrossEntropy(labels, tf.matMul(x, head));
};

/** @type {Inputs} */
let inputs;
/** @type {tf.Variable[]} */
let variables = [];
/** @type {tf.AdamOptimizer} */
let optimizer;
let done = 0;
/** @type {tf.Tensor2D} */
let a;
/** @type {tf.Tensor2D} */
let b;

/** reset begins the training anew. */
const reset = () => {
  optimizer?.dispose();
  tf.dispose(variables);
  variables = parameters(inputs).map(({ shape, values }) => tf.variable(tf.tensor(values, shape)));
  const { rate, beta1, beta2, eps } = inputs.manifest.adam;
  optimizer = tf.train.adam(rate, beta1, beta2, eps);
  done = 0;
};

/** advance queues a step and returns its loss. */
const advance = () => tf.tidy(() => {
  const { ids, targets } = batch(inputs, done++);
  const vocabulary = inputs.manifest.params[0].shape[0];
  const x = tf.tensor1d(ids, "int32");
  const labels = /** @type {tf.Tensor2D} */ (tf.oneHot(tf.tensor1d(targets, "int32"), vocabulary, 1, 0, "float32"));
  const value = optimizer.minimize(() => loss(variables, x, labels, inputs.manifest), true, variables);
  if (!value) throw new Error("no loss");
  return value;
});

/** settled waits for all that is queued, as the back end does before it reads a tensor, but reads none. */
const settled = async () => {
  const backend = /** @type {any} */ (tf.backend());
  if (backend.commandEncoder) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await backend.device.queue.onSubmittedWorkDone();
};

/** product queues a product. @param {import("./worker.js").Form} form */
const product = (form) => tf.matMul(a, b, form === "tn", form === "nt");

serve({
  init: async (given) => {
    inputs = given;
    if (!await tf.setBackend("webgpu")) throw new Error("TensorFlow.js has no WebGPU");
    await tf.ready();
    const n = inputs.manifest.size;
    [a, b] = [tf.tensor2d(inputs.a, [n, n]), tf.tensor2d(inputs.b, [n, n])];
    reset();
    return watch(/** @type {any} */ (tf.backend()).device).adapterInfo.description;
  },
  product: async (form) => {
    const x = product(form);
    const values = await x.data();
    x.dispose();
    return /** @type {Float32Array} */ (values);
  },
  multiply: async (form, count) => {
    for (let i = 0; i < count; i++) product(form).dispose();
    await settled();
  },
  losses: async (steps) => {
    reset();
    const out = [];
    for (let i = 0; i < steps; i++) {
      const value = advance();
      out.push((await value.data())[0]);
      value.dispose();
    }
    return out;
  },
  train: async (steps) => {
    for (let i = 1; i < steps; i++) advance().dispose();
    const value = advance();
    const [x] = await value.data();
    value.dispose();
    return x;
  },
});
