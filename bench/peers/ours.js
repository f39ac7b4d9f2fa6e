// @ts-check
// Our side: the Go program of this folder, built for the browser.

import { serve } from "./worker.js";

const scope = /** @type {any} */ (globalThis);
/** Go's script that runs its programs; the command serves it. */
const wasmExec = "/wasm_exec.js";

const ready = new Promise((resolve) => { scope.innerloopReady = resolve; });

/** started loads the program and returns what it offers. */
const started = async () => {
  await import(wasmExec);
  const go = new scope.Go();
  const { instance } = await WebAssembly.instantiateStreaming(fetch("/ours.wasm"), go.importObject);
  void go.run(instance);
  await ready;
  return scope.innerloop;
};

let ours = scope.innerloop; // once init is done

serve({
  init: async ({ manifest, weights, text, a, b }) => {
    ours = await started();
    return ours.init(weights, text, a, b, manifest.size);
  },
  product: (form) => ours.product(form),
  multiply: (form, count) => ours.multiply(form, count),
  losses: (steps) => ours.losses(steps),
  train: (steps) => ours.train(steps),
  profile: () => ours.profile(),
});
