// A worker that calls a FileSystem over OPFS for the page: { method, args } is answered with { value } or { code }.
import { FileSystem } from "/ui/fs.js";

const files = navigator.storage.getDirectory().then((root) => new FileSystem(root));

onmessage = async ({ data: { method, args } }) => {
  try {
    postMessage({ value: await (await files)[method](...args) });
  } catch (e) {
    postMessage({ code: e.code ?? String(e) });
  }
};
