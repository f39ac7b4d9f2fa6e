import gpu from "innerloop:gpu";
import assets from "innerloop:assets";
import "innerloop:wasm_exec";

globalThis.innerloopGPU = gpu;
const go = new Go();
const { instance } = await WebAssembly.instantiateStreaming(fetch(assets.wasm), go.importObject);
await go.run(instance);
