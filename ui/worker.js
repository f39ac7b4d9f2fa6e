// @ts-check
// The worker: it opens the storage, loads Go and runs it. The page gets, beside Go's messages, "loading" while the
// program comes and "exit" when it has ended, however that happened.

import "innerloop:wasm_exec";
import assets from "innerloop:assets";
import gpu from "innerloop:gpu";
import { FileSystem } from "./fs.js";
import { normalise } from "./handles.js";
import { Host } from "./host.js";
import { nodeFS } from "./nodefs.js";
import { openStorage, usage } from "./storage.js";
import { failure, sweep } from "./uploads.js";

const scope = /** @type {any} */ (globalThis);
/** Letters of the program's last words that the page gets: of a panic the beginning, which says why. */
const OUTPUT = 4000;
const FATAL = /^(panic|fatal error|runtime): /;
/** The least time between two messages of loading. */
const LOADING_MS = 50;

let output = "";
let fatal = false;
let ended = false;
/** @type {unknown[]} */
const early = [];
/** @type {Host | null} */
let host = null;

addEventListener("message", ({ data }) => {
  if (host) void host.handle(data);
  else early.push(data);
});

/** send posts to the page. @param {object} message @param {Transferable[]} [transfer] */
const send = (message, transfer = []) => scope.postMessage(message, transfer);

/** print takes a line of Go's. @param {number} fd @param {string} line */
const print = (fd, line) => {
  if (fd === 1) {
    console.log(line);
    return;
  }
  if (!fatal && FATAL.test(line)) {
    fatal = true;
    output = output.slice(-OUTPUT / 4);
  }
  output += line + "\n";
  output = fatal ? output.slice(0, OUTPUT) : output.slice(-OUTPUT);
};

/**
 * end tells the page that the program is no more. Go prints why before it exits; anything else is added.
 * @param {number} code
 * @param {unknown} [e]
 */
const end = (code, e) => {
  if (ended) return;
  ended = true;
  if (e !== undefined) print(2, e instanceof Error ? e.stack ?? e.message : String(e));
  if (code !== 0) console.error(output);
  send({ event: "exit", data: { code, output } });
};
// Once Go has ended, everything that calls it fails, to no harm. Else something is wrong that may yet do none.
addEventListener("error", (e) => {
  if (ended) e.preventDefault();
});
addEventListener("unhandledrejection", (e) => {
  if (ended) e.preventDefault();
  else send({ event: "notice", data: failure(e.reason) });
});

/**
 * load fetches and compiles the program and tells of its progress.
 * @param {WebAssembly.Imports} imports
 */
async function load(imports) {
  const response = await fetch(assets.wasm);
  if (!response.ok) throw new Error(`${assets.wasm}: the server answers ${response.status}`);
  const typed = /^application\/wasm\b/i.test(response.headers.get("Content-Type") ?? "");
  if (!typed || !WebAssembly.instantiateStreaming) {
    const bytes = await new Blob(await read(response, true)).arrayBuffer();
    return (await WebAssembly.instantiate(bytes, imports)).instance;
  }
  // The response itself is compiled, and its copy counted: browsers keep the compiled code of a response.
  const counted = read(response.clone(), false);
  counted.catch(() => {}); // the other half fails too, and says why
  const { instance } = await WebAssembly.instantiateStreaming(response, imports);
  return instance;
}

/**
 * read reads a response to its end and tells how far it is.
 * @param {Response} response
 * @param {boolean} keep whether its bytes are wanted
 */
async function read(response, keep) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  let loaded = 0;
  let told = -Infinity;
  const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (value) {
      loaded += value.length;
      if (keep) parts.push(value);
    }
    if (done || performance.now() - told > LOADING_MS) {
      told = performance.now();
      send({ event: "loading", data: { loaded, total: Math.max(loaded, assets.wasmBytes) } });
    }
    if (done) return parts;
  }
}

/**
 * program is Go, which tells of a trap: one surfaces in whatever called it last.
 * @param {(code: number) => void} exit
 */
function program(exit) {
  const go = new scope.Go();
  go.argv = ["innerloop"];
  go.exit = exit;
  const resume = go._resume;
  go._resume = () => {
    try {
      resume.call(go);
    } catch (e) {
      if (!go.exited) end(-1, e);
      throw e;
    }
  };
  return go;
}

async function main() {
  let code = -1;
  const go = program((c) => { code = c; });
  const loading = load(go.importObject);
  loading.catch(() => {}); // until it is waited for
  const { root, storage } = await openStorage(navigator.storage);
  const files = new FileSystem(root);
  /** @type {WebAssembly.Instance | null} */
  let instance = null;
  host = new Host(files, storage, {
    send, version: assets.version, locks: navigator.locks, usage: () => usage(root, storage, navigator.storage),
    memory: () => /** @type {WebAssembly.Memory | undefined} */ (instance?.exports.mem)?.buffer.byteLength ?? 0,
  });
  for (const q of early.splice(0)) void host.handle(q);
  await sweep(files).catch(() => {}); // what is left takes room, no more

  scope.fs = nodeFS(files, print);
  scope.path = { resolve: (/** @type {string[]} */ ...names) => normalise(names.join("/")) };
  scope.process.cwd = () => "/";
  scope.innerloopGPU = gpu;
  scope.innerloopHost = host;
  instance = await loading;
  await go.run(instance);
  end(code);
}

main().catch((e) => end(-1, e));
