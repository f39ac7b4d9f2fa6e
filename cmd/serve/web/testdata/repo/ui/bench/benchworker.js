import assets from "innerloop:assets";
import "innerloop:wasm_exec";

const go = new Go();
await go.run((await WebAssembly.instantiateStreaming(fetch(assets.wasm), go.importObject)).instance);
