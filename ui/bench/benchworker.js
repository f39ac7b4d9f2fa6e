// @ts-check
// The worker of the bench page: it loads Go's benchmark program and passes jobs and messages on. A message beside Go's own:
// "failed" where the program does not come or ends.

import "innerloop:wasm_exec";
import assets from "innerloop:assets";
import gpu from "innerloop:gpu";

const scope = /** @type {any} */ (globalThis);
/** @type {string[]} jobs from before Go was there */
const early = [];

/** send posts to the page. @param {{ event: string, data: unknown }} message */
const send = (message) => scope.postMessage(message);

/** The program's side: it calls post, and sets receive once it is ready. */
const host = {
  /** @type {((json: string) => void) | null} */
  go: null,
  /** @param {string} json */
  post: (json) => send(JSON.parse(json)),
  /** @param {(json: string) => void} fn */
  set receive(fn) {
    this.go = fn;
    queueMicrotask(() => { // not within Go's own call
      for (const job of early.splice(0)) fn(job);
    });
  },
};

addEventListener("message", ({ data }) => {
  const job = JSON.stringify(data);
  if (host.go) host.go(job);
  else early.push(job);
});

async function main() {
  scope.innerloopGPU = gpu;
  scope.innerloopBench = host;
  const go = new scope.Go();
  const response = await fetch(assets.wasm);
  if (!response.ok) throw new Error(`${assets.wasm}: the server answers ${response.status}`);
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), go.importObject);
  await go.run(instance);
  throw new Error("the program ended: the console says why");
}

main().catch((e) => send({ event: "failed", data: String(e?.message ?? e) }));
