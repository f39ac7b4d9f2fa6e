// @ts-check
// jax-js: the whole training step, gradient and update, is one jitted function, as its documentation advises. Every use
// of an array but its last takes a .ref: functions own what they are given.

import { blockUntilReady, defaultDevice, getWebGPUDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";

import { batch, layers, parameters, serve, watch } from "./worker.js";

/** @typedef {import("@jax-js/jax").Array} Tensor */
/** @typedef {import("./worker.js").Inputs} Inputs */

/** norm is RMSNorm. @param {Tensor} x @param {Tensor} w @param {number} eps */
const norm = (x, w, eps) => {
  const mean = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(mean.add(eps))).mul(w);
};

/**
 * loss is the mean cross-entropy of the model.
 * @param {Tensor[]} params
 * @param {Tensor} ids
 * @param {Tensor} targets
 * @param {import("./worker.js").Manifest} m
 */
const loss = (params, ids, targets, m) => {
  const { embed, blocks, head } = layers(params, m.blocks);
  let x = np.take(embed, ids, 0);
  for (const w of blocks) {
    const h = norm(x.ref, w.norm, m.eps);
    const abc = np.matmul(h.ref, w.a).mul(np.matmul(h.ref, w.b)).mul(np.matmul(h, w.c));
    x = x.add(np.matmul(abc, w.out));
    const g = nn.silu(np.matmul(x.ref, w.gate)).mul(np.matmul(x.ref, w.up));
    x = x.add(np.matmul(g, w.down));
  }
  const logp = nn.logSoftmax(np.matmul(x, head), -1);
  const vocabulary = m.params[0].shape[0];
  // jit cannot take the gradient of takeAlongAxis; a comparison fuses with what is around it.
  const own = np.equal(targets.reshape([-1, 1]), np.arange(vocabulary, undefined, undefined, { dtype: np.int32 }));
  return np.sum(np.where(own, logp, 0)).mul(-1 / (m.rows * m.length));
};

/**
 * newStep makes the jitted step (params, m, v, powers, ids, targets) => [loss, params, m, v, powers]; powers are beta1^t
 * and beta2^t of the steps made.
 * @param {import("./worker.js").Manifest} manifest
 */
const newStep = (manifest) => {
  const { rate, beta1, beta2, eps } = manifest.adam;
  const lossAndGradient = valueAndGrad((/** @type {any} */ p, /** @type {any} */ ids, /** @type {any} */ targets) => loss(p, ids, targets, manifest));
  return jit((/** @type {Tensor[]} */ params, /** @type {Tensor[]} */ m, /** @type {Tensor[]} */ v, /** @type {Tensor[]} */ powers,
    /** @type {Tensor} */ ids, /** @type {Tensor} */ targets) => {
    const [value, grads] = /** @type {any} */ (lossAndGradient(tree.ref(params), ids, targets));
    const [p1, p2] = [powers[0].mul(beta1), powers[1].mul(beta2)];
    const first = m.map((x, i) => x.mul(beta1).add(grads[i].ref.mul(1 - beta1)));
    const second = v.map((x, i) => x.mul(beta2).add(np.square(grads[i]).mul(1 - beta2)));
    const [c1, c2] = [np.subtract(1, p1.ref), np.subtract(1, p2.ref)];
    const next = params.map((p, i) => p.sub(first[i].ref.div(c1.ref).div(np.sqrt(second[i].ref.div(c2.ref)).add(eps)).mul(rate)));
    tree.dispose([c1, c2]);
    return [value, next, first, second, [p1, p2]];
  });
};

/** @type {Inputs} */
let inputs;
/** @type {any} */
let step;
/** @type {any} */
let state;
let done = 0;
/** @type {Tensor} */
let a;
/** @type {Tensor} */
let b;
/** @type {Record<string, any>} */
const products = {
  nn: jit((/** @type {Tensor} */ x, /** @type {Tensor} */ y) => np.matmul(x, y)),
  nt: jit((/** @type {Tensor} */ x, /** @type {Tensor} */ y) => np.matmul(x, y.transpose())),
  tn: jit((/** @type {Tensor} */ x, /** @type {Tensor} */ y) => np.matmul(x.transpose(), y)),
};

/** reset begins the training anew. */
const reset = () => {
  if (state) tree.dispose(state);
  const params = parameters(inputs).map(({ shape, values }) => np.array(values).reshape(shape));
  const zeros = () => params.map((p) => np.zeros(p.shape));
  state = { params, m: zeros(), v: zeros(), powers: [np.array(1), np.array(1)] };
  done = 0;
};

/** advance queues a step and returns its loss. @returns {Tensor} */
const advance = () => {
  const { ids, targets } = batch(inputs, done++);
  const [value, params, m, v, powers] = step(state.params, state.m, state.v, state.powers,
    np.array(ids, { dtype: np.int32 }), np.array(targets, { dtype: np.int32 }));
  state = { params, m, v, powers };
  return value;
};

serve({
  init: async (given) => {
    inputs = given;
    if (!(await init()).includes("webgpu")) throw new Error("jax-js has no WebGPU");
    defaultDevice("webgpu");
    const matrix = (/** @type {Float32Array} */ x) => np.array(x).reshape([inputs.manifest.size, inputs.manifest.size]);
    [a, b] = [matrix(inputs.a), matrix(inputs.b)];
    await blockUntilReady([a, b]);
    step = newStep(inputs.manifest);
    reset();
    return watch(getWebGPUDevice()).adapterInfo.description;
  },
  product: async (form) => /** @type {any} */ (await products[form](a.ref, b.ref).data()),
  multiply: async (form, count) => {
    // What is disposed of before it has run never runs.
    const all = Array.from({ length: count }, () => products[form](a.ref, b.ref));
    await blockUntilReady(all);
    tree.dispose(all);
  },
  losses: async (steps) => {
    reset();
    const out = [];
    for (let i = 0; i < steps; i++) out.push((await advance().data())[0]);
    return out;
  },
  train: async (steps) => {
    for (let i = 1; i < steps; i++) advance().dispose();
    return (await advance().data())[0];
  },
});
