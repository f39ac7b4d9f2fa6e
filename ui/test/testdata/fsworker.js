// A worker that runs fsprog. A message { store, args } names what holds the files: "opfs", "copy" (OPFS without move) or
// "memory". The answer is { code, out, err }.
import "/wasm_exec.js";
import { FileSystem } from "/ui/fs.js";
import { MemoryFolder } from "/ui/memory.js";
import { nodeFS } from "/ui/nodefs.js";

/** withoutMove is a folder whose files have no move, as in old browsers. */
const withoutMove = (handle) => new Proxy(handle, {
  get(target, key) {
    if (key === "move") return undefined;
    const value = target[key];
    if (typeof value !== "function") return value;
    return (...args) => {
      const r = value.apply(target, args);
      return key === "getFileHandle" || key === "getDirectoryHandle" ? r.then(withoutMove) : r;
    };
  },
});

const open = async (store) => {
  if (store === "memory") return new MemoryFolder();
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(`${store}-${crypto.randomUUID()}`, { create: true });
  return store === "copy" ? withoutMove(root) : root;
};

onmessage = async ({ data: { store, args } }) => {
  const lines = { 1: [], 2: [] };
  const root = await open(store);
  const files = new FileSystem(root);
  globalThis.fs = nodeFS(files, (fd, line) => lines[fd].push(line));
  globalThis.process.cwd = () => "/";
  const go = new Go();
  go.argv = ["fsprog", ...args];
  let code = -1;
  go.exit = (c) => { code = c; };
  const { instance } = await WebAssembly.instantiateStreaming(fetch("/fsprog.wasm"), go.importObject);
  await go.run(instance);
  postMessage({ code, out: lines[1].join("\n"), err: lines[2].join("\n"), open: files.opened.size, left: await files.readdir("/") });
};
