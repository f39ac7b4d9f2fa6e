// @ts-check
// What the workers have in common: each runs one contender, which answers the page's calls.

/** @typedef {"nn" | "nt" | "tn"} Form a·b, a·bᵀ, aᵀ·b */
/**
 * @typedef {object} Manifest
 * @property {number} size of the square matrices a and b
 * @property {{ name: string, shape: number[] }[]} params of the model, in the order of the weights; a matrix is [out, in]
 * @property {number} blocks
 * @property {number} rows of a batch
 * @property {number} length of a row, in bytes
 * @property {number} eps RMSNorm's
 * @property {{ rate: number, beta1: number, beta2: number, eps: number }} adam
 */
/**
 * @typedef {object} Inputs
 * @property {Manifest} manifest
 * @property {Float32Array} weights
 * @property {Uint8Array} text of the batches, rows of length + 1 bytes
 * @property {Float32Array} a
 * @property {Float32Array} b
 */
/**
 * @typedef {object} Contender
 * @property {(inputs: Inputs) => Promise<string>} init returns what it says it runs on
 * @property {(form: Form) => Promise<Float32Array>} product
 * @property {(form: Form, count: number) => Promise<unknown>} multiply makes the product that often, then waits once
 * @property {(steps: number) => Promise<number[]>} [losses] trains from the first weights on
 * @property {(steps: number) => Promise<number>} [train] makes steps, then waits for the last one's loss
 * @property {() => Promise<object[]>} [profile] tells what each dispatch of a step takes
 */

/** array fetches the floats of a file. @param {string} name */
const array = async (name) => new Float32Array(await bytes(name));

/** bytes fetches a file. @param {string} name */
const bytes = async (name) => {
  const answer = await fetch("/data/" + name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer.arrayBuffer();
};

/** load fetches what every contender gets. @returns {Promise<Inputs>} */
const load = async () => {
  const manifest = JSON.parse(new TextDecoder().decode(await bytes("manifest")));
  const [weights, a, b] = await Promise.all([array("weights"), array("a"), array("b")]);
  return { manifest, weights, text: new Uint8Array(await bytes("text")), a, b };
};

/**
 * distance is the relative error of got, by the Frobenius norm.
 * @param {Float32Array} got
 * @param {Float32Array} want
 */
const distance = (got, want) => {
  if (got.length !== want.length) throw new Error(`${got.length} elements, want ${want.length}`);
  let d = 0;
  let w = 0;
  for (let i = 0; i < want.length; i++) {
    d += (got[i] - want[i]) ** 2;
    w += want[i] ** 2;
  }
  return Math.sqrt(d / w);
};

/**
 * timed returns the milliseconds that run takes.
 * @param {() => Promise<unknown>} run
 */
const timed = async (run) => {
  const start = performance.now();
  await run();
  return performance.now() - start;
};

/** What devices complained of. @type {string[]} */
const complaints = [];

/**
 * watch makes what goes wrong on a device an error of the next answer: wrong commands do nothing, and fast.
 * @param {GPUDevice} device
 */
export const watch = (device) => {
  device.addEventListener("uncapturederror", ({ error }) => complaints.push(error.message));
  void device.lost.then(({ message }) => complaints.push("lost: " + message));
  return device;
};

/**
 * serve answers { id, method, args } with { id, value } or { id, error }.
 * @param {Contender} c
 */
export const serve = (c) => {
  const missing = () => Promise.reject(new Error("it does not do that"));
  /** @type {Record<string, (...args: any[]) => Promise<unknown>>} */
  const methods = {
    init: async () => c.init(await load()),
    error: async (form) => distance(await c.product(form), await array(form)),
    multiply: (form, count) => timed(() => c.multiply(form, count)),
    losses: c.losses ?? missing,
    train: (steps) => timed(() => (c.train ?? missing)(steps)),
    profile: c.profile ?? missing,
  };
  addEventListener("message", async ({ data: { id, method, args } }) => {
    try {
      const value = await methods[method](...args);
      if (complaints.length > 0) throw new Error(complaints.splice(0).join("\n"));
      postMessage({ id, value });
    } catch (e) {
      postMessage({ id, error: e instanceof Error ? e.stack ?? e.message : String(e) });
    }
  });
  postMessage({ ready: true });
};

/**
 * batch cuts the ids and the targets of a step out of the text; the batches come in turn.
 * @param {Inputs} inputs
 * @param {number} step from 0
 */
export const batch = ({ manifest: { rows, length }, text }, step) => {
  const at = (step * rows * (length + 1)) % text.length;
  const ids = new Int32Array(rows * length);
  const targets = new Int32Array(rows * length);
  for (let i = 0; i < ids.length; i++) {
    const from = at + Math.floor(i / length) * (length + 1) + (i % length);
    ids[i] = text[from];
    targets[i] = text[from + 1];
  }
  return { ids, targets };
};

/**
 * parameters cuts the weights up. The matrices of linear layers become [in, out], as these libraries' own layers have them.
 * @param {Inputs} inputs
 */
export const parameters = ({ manifest, weights }) => {
  let at = 0;
  return manifest.params.map(({ name, shape }) => {
    const values = weights.slice(at, at + shape.reduce((n, d) => n * d, 1));
    at += values.length;
    if (shape.length !== 2 || name === "embed") return { name, shape, values };
    const [o, n] = shape;
    return { name, shape: [n, o], values: values.map((_, i) => values[(i % o) * n + Math.floor(i / o)]) };
  });
};

/**
 * layers sorts a list in the order of the parameters into the model's parts.
 * @template T
 * @param {T[]} list
 * @param {number} blocks
 */
export const layers = (list, blocks) => ({
  embed: list[0],
  blocks: Array.from({ length: blocks }, (_, i) => {
    const [norm, a, b, c, out, gate, up, down] = list.slice(1 + 8 * i);
    return { norm, a, b, c, out, gate, up, down };
  }),
  head: list[1 + 8 * blocks],
});
